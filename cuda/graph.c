/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Graphs: what the ops of one pass queue is recorded once and then queued as a
 * whole. A pass of a small encoder at batch 1 is some hundred kernels of a few
 * microseconds; launched one by one, the launches take longer than the work.
 * Memory that the pass takes is the graph's own (pool.c), so that its
 * addresses stay valid.
 */
#include "graph.h"

#include "pool.h"

typedef struct
{
  cudaGraphExec_t exec;
  UmedptCudaArena *arena;
} Graph;

static UmedptCudaArena *recording; /* under the queue's lock */

gboolean
umedpt_cuda_graph_begin (UmedptBackend *backend, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);

  /* relaxed: new memory may be asked for meanwhile */
  if (!umedpt_cuda_check (cudaStreamBeginCapture (cuda->stream,
                              cudaStreamCaptureModeRelaxed),
          "recording a graph", error))
    return FALSE;
  recording = umedpt_cuda_pool_open_arena (cuda->pool);
  return TRUE;
}

/* Ends the recording in any case; NULL with @error set if it is no graph. */
gpointer
umedpt_cuda_graph_end (UmedptBackend *backend, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  UmedptCudaArena *arena = g_steal_pointer (&recording);
  cudaGraph_t graph = NULL;
  cudaGraphExec_t exec = NULL;
  Graph *self;
  gboolean ok;

  umedpt_cuda_pool_leave_arena (cuda->pool);
  ok = umedpt_cuda_check (cudaStreamEndCapture (cuda->stream, &graph),
           "recording a graph", error) &&
      umedpt_cuda_check (cudaGraphInstantiate (&exec, graph, 0),
          "making a graph", error);
  if (graph)
    cudaGraphDestroy (graph);
  if (!ok) {
    cudaGetLastError ();
    umedpt_cuda_pool_close_arena (cuda->pool, arena);
    return NULL;
  }
  self = g_new (Graph, 1);
  self->exec = exec;
  self->arena = arena;
  return self;
}

gboolean
umedpt_cuda_graph_run (UmedptBackend *backend, gpointer graph, GError **error)
{
  Graph *self = graph;

  if (umedpt_cuda_check (cudaGraphLaunch (self->exec,
                             umedpt_cuda (backend)->stream),
          "running a graph", error))
    return TRUE;
  cudaGetLastError (); /* it may be done op by op instead */
  return FALSE;
}

void
umedpt_cuda_graph_free (UmedptBackend *backend, gpointer graph)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  Graph *self = graph;

  if (!self)
    return;
  cudaStreamSynchronize (cuda->stream); /* it may be running */
  cudaGraphExecDestroy (self->exec);
  umedpt_cuda_pool_close_arena (cuda->pool, self->arena);
  g_free (self);
}
