/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Streams, events and graphs. What is queued runs as late as it may: when
 * somebody waits for it. So a host that reuses a buffer too early, or reads a
 * result without waiting, finds the wrong numbers, as it would some day on a
 * GPU. UMEDPT_EMULATE_EAGER=1 runs all at once instead: for a debugger, which
 * then shows who asked for what.
 */
#include "emulate-private.h"

#include <stdlib.h>

#include <deque>
#include <vector>

struct CUgraph_st
{
  std::vector<std::function<void ()>> work;
};

struct CUgraphExec_st
{
  std::vector<std::function<void ()>> work;
};

struct CUstream_st
{
  std::deque<std::function<void ()>> work;
  uint64_t n_queued, n_done;
  bool recording, spoilt; /* a graph */
  cudaStreamCaptureMode mode;
  std::vector<std::function<void ()>> graph;
};

struct CUevent_st
{
  cudaStream_t stream; /* NULL: never recorded */
  uint64_t n; /* of the stream's work */
  bool in_graph;
};

std::recursive_mutex emulate_lock;

namespace {

typedef std::lock_guard<std::recursive_mutex> Guard;

CUstream_st default_stream;
std::vector<cudaStream_t> &streams =
    *new std::vector<cudaStream_t>{ &default_stream };
cudaError_t last_error;
cudaError_t broken; /* cudaSuccess: not */

cudaStream_t
stream_of (cudaStream_t stream)
{
  return stream ? stream : &default_stream;
}

/* Until @n pieces of the stream's work are done. */
void
run_until (cudaStream_t stream, uint64_t n)
{
  if (stream->n_done >= n)
    return;
  emulate_open_memory ();
  while (stream->n_done < n) {
    std::function<void ()> work = std::move (stream->work.front ());

    stream->work.pop_front ();
    work ();
    stream->n_done++;
  }
  emulate_close_memory ();
}

/* What waits for a stream that records a graph spoils the graph. */
cudaError_t
wait_for (cudaStream_t stream)
{
  if (stream->recording) {
    stream->spoilt = true;
    return emulate_status (cudaErrorStreamCaptureUnsupported);
  }
  run_until (stream, stream->n_queued);
  return broken == cudaSuccess ? cudaSuccess : emulate_status (broken);
}

} // namespace

void
emulate_break (cudaError_t status)
{
  Guard guard (emulate_lock);

  broken = status;
}

cudaError_t
emulate_status (cudaError_t status)
{
  if (status != cudaSuccess && status != cudaErrorNotReady)
    last_error = status;
  return status;
}

cudaError_t
emulate_submit (cudaStream_t stream, std::function<void ()> work)
{
  static const char *eager = getenv ("UMEDPT_EMULATE_EAGER");
  Guard guard (emulate_lock);

  stream = stream_of (stream);
  if (stream->recording) {
    stream->graph.push_back (std::move (work));
    return cudaSuccess;
  }
  stream->work.push_back (std::move (work));
  stream->n_queued++;
  if (eager && strcmp (eager, "1") == 0)
    run_until (stream, stream->n_queued);
  return cudaSuccess;
}

bool
emulate_forbidden (bool relaxed)
{
  for (cudaStream_t stream : streams)
    if (stream->recording &&
        !(relaxed && stream->mode == cudaStreamCaptureModeRelaxed)) {
      stream->spoilt = true;
      return true;
    }
  return false;
}

void
emulate_drain (void)
{
  for (cudaStream_t stream : streams)
    run_until (stream, stream->n_queued);
}

/* ---- Streams ---- */

extern "C" cudaError_t
cudaStreamCreateWithFlags (cudaStream_t *stream, unsigned)
{
  Guard guard (emulate_lock);

  *stream = new CUstream_st ();
  streams.push_back (*stream);
  return cudaSuccess;
}

extern "C" cudaError_t
cudaStreamCreate (cudaStream_t *stream)
{
  return cudaStreamCreateWithFlags (stream, 0);
}

extern "C" cudaError_t
cudaStreamCreateWithPriority (cudaStream_t *stream, unsigned flags, int)
{
  return cudaStreamCreateWithFlags (stream, flags);
}

/* It stays for events that know it. */
extern "C" cudaError_t
cudaStreamDestroy (cudaStream_t stream)
{
  return cudaStreamSynchronize (stream);
}

extern "C" cudaError_t
cudaStreamSynchronize (cudaStream_t stream)
{
  Guard guard (emulate_lock);

  return wait_for (stream_of (stream));
}

extern "C" cudaError_t
cudaDeviceSynchronize (void)
{
  Guard guard (emulate_lock);

  if (emulate_forbidden (false))
    return emulate_status (cudaErrorStreamCaptureUnsupported);
  emulate_drain ();
  return broken == cudaSuccess ? cudaSuccess : emulate_status (broken);
}

extern "C" cudaError_t
cudaStreamQuery (cudaStream_t stream)
{
  Guard guard (emulate_lock);

  stream = stream_of (stream);
  return stream->n_done < stream->n_queued ? cudaErrorNotReady : cudaSuccess;
}

/* ---- Events ---- */

extern "C" cudaError_t
cudaEventCreateWithFlags (cudaEvent_t *event, unsigned)
{
  *event = new CUevent_st ();
  return cudaSuccess;
}

extern "C" cudaError_t
cudaEventCreate (cudaEvent_t *event)
{
  return cudaEventCreateWithFlags (event, 0);
}

extern "C" cudaError_t
cudaEventDestroy (cudaEvent_t event)
{
  delete event;
  return cudaSuccess;
}

extern "C" cudaError_t
cudaEventRecord (cudaEvent_t event, cudaStream_t stream)
{
  Guard guard (emulate_lock);

  event->stream = stream_of (stream);
  event->n = event->stream->n_queued;
  event->in_graph = event->stream->recording;
  return cudaSuccess;
}

extern "C" cudaError_t
cudaEventSynchronize (cudaEvent_t event)
{
  Guard guard (emulate_lock);

  if (!event->stream)
    return cudaSuccess;
  if (event->in_graph && event->stream->recording)
    return wait_for (event->stream);
  run_until (event->stream, event->n);
  return broken == cudaSuccess ? cudaSuccess : emulate_status (broken);
}

extern "C" cudaError_t
cudaEventQuery (cudaEvent_t event)
{
  Guard guard (emulate_lock);

  return event->stream && event->stream->n_done < event->n ? cudaErrorNotReady
                                                           : cudaSuccess;
}

extern "C" cudaError_t
cudaEventElapsedTime (float *milliseconds, cudaEvent_t, cudaEvent_t)
{
  *milliseconds = 0;
  return cudaSuccess;
}

/* A graph must not depend on what is outside of it. */
extern "C" cudaError_t
cudaStreamWaitEvent (cudaStream_t stream, cudaEvent_t event, unsigned)
{
  Guard guard (emulate_lock);
  cudaStream_t from = event->stream;
  uint64_t n = event->n;

  stream = stream_of (stream);
  if (!from || from == stream)
    return cudaSuccess;
  if (stream->recording) {
    stream->spoilt = true;
    return emulate_status (cudaErrorStreamCaptureIsolation);
  }
  return emulate_submit (stream, [from, n] { run_until (from, n); });
}

/* ---- Graphs ---- */

extern "C" cudaError_t
cudaStreamBeginCapture (cudaStream_t stream, cudaStreamCaptureMode mode)
{
  Guard guard (emulate_lock);

  if (!stream || stream->recording)
    return emulate_status (stream ? cudaErrorIllegalState
                                  : cudaErrorStreamCaptureUnsupported);
  stream->recording = true;
  stream->spoilt = false;
  stream->mode = mode;
  stream->graph.clear ();
  return cudaSuccess;
}

extern "C" cudaError_t
cudaStreamEndCapture (cudaStream_t stream, cudaGraph_t *graph)
{
  Guard guard (emulate_lock);

  *graph = NULL;
  if (!stream || !stream->recording)
    return emulate_status (cudaErrorIllegalState);
  stream->recording = false;
  if (stream->spoilt)
    return emulate_status (cudaErrorStreamCaptureInvalidated);
  *graph = new CUgraph_st{ std::move (stream->graph) };
  stream->graph.clear ();
  return cudaSuccess;
}

extern "C" cudaError_t
cudaStreamIsCapturing (cudaStream_t stream, cudaStreamCaptureStatus *status)
{
  Guard guard (emulate_lock);

  stream = stream_of (stream);
  *status = !stream->recording ? cudaStreamCaptureStatusNone
      : stream->spoilt         ? cudaStreamCaptureStatusInvalidated
                               : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

extern "C" cudaError_t
cudaGraphInstantiate (cudaGraphExec_t *exec, cudaGraph_t graph,
    unsigned long long)
{
  *exec = new CUgraphExec_st{ graph->work };
  return cudaSuccess;
}

extern "C" cudaError_t
cudaGraphLaunch (cudaGraphExec_t exec, cudaStream_t stream)
{
  return emulate_submit (stream, [exec] {
    for (const std::function<void ()> &work : exec->work)
      work ();
  });
}

/* A launch that is under way goes on: the driver keeps what it needs. */
extern "C" cudaError_t
cudaGraphExecDestroy (cudaGraphExec_t exec)
{
  Guard guard (emulate_lock);

  emulate_drain ();
  delete exec;
  return cudaSuccess;
}

extern "C" cudaError_t
cudaGraphDestroy (cudaGraph_t graph)
{
  delete graph;
  return cudaSuccess;
}

extern "C" cudaError_t
cudaGetLastError (void)
{
  Guard guard (emulate_lock);
  cudaError_t status = last_error;

  last_error = cudaSuccess;
  return status;
}

extern "C" cudaError_t
cudaPeekAtLastError (void)
{
  return last_error;
}
