/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whether the emulated NCCL does what NCCL does, and notices what it says that
 * it notices. Each case runs in three processes at once.
 */
#include "emulate-private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

struct NcclId
{
  char internal[128];
};

extern "C" {
int ncclGetUniqueId (NcclId *id);
int ncclCommInitRank (void **comm, int n_ranks, NcclId id, int rank);
int ncclAllReduce (const void *src, void *dst, size_t n, int type, int op,
    void *comm, cudaStream_t stream);
int ncclGroupStart (void);
int ncclGroupEnd (void);
int ncclCommAbort (void *comm);
}

enum
{
  N = 3, /* ranks */
  LONG = (1 << 15) + 3, /* floats: several pieces */
};

static NcclId id;
static void *comm;
static cudaStream_t stream;

static float *
device (size_t n)
{
  void *data = NULL;

  if (cudaMalloc (&data, n * sizeof (float)) != cudaSuccess)
    abort ();
  return (float *) data;
}

static float *
device_of (size_t n, float value)
{
  std::vector<float> host (n, value);
  float *data = device (n);

  cudaMemcpyAsync (data, host.data (), n * sizeof (float),
      cudaMemcpyHostToDevice, stream);
  return data;
}

static bool
holds (const float *data, size_t n, float value)
{
  std::vector<float> host (n);

  if (cudaMemcpyAsync (host.data (), data, n * sizeof (float),
          cudaMemcpyDeviceToHost, stream) != cudaSuccess)
    return false;
  for (float found : host)
    if (found != value)
      return false;
  return true;
}

static int
sum (float *data, size_t n)
{
  return ncclAllReduce (data, data, n, 7, 0, comm, stream);
}

static bool
join (int rank)
{
  cudaStreamCreate (&stream);
  return ncclCommInitRank (&comm, N, id, rank) == 0;
}

/* ---- Cases; true: right ---- */

/* (1e8 + 1) - 1e8 is 0 in floats; in another order it is 1. */
static bool
adds (int rank)
{
  static const float values[N] = { 1e8f, 1, -1e8f };
  const std::string file = "/dev/shm" + std::string (id.internal);
  float *all, *one, *none, *copy = device (1);

  if (!join (rank) || (rank == 0 && access (file.c_str (), F_OK) == 0))
    return false;
  all = device_of (LONG, values[rank]);
  one = device_of (1, 5);
  none = device (1);
  cudaMemsetAsync (one, 0, sizeof (float), stream); /* before, … */
  if (ncclGroupStart () || sum (all, LONG) || sum (one, 1) || sum (none, 0) ||
      ncclGroupEnd ())
    return false;
  cudaMemcpyAsync (copy, all, sizeof (float), cudaMemcpyDeviceToDevice,
      stream); /* … after, in the order of the stream */
  if (!holds (all, LONG, 0) || !holds (one, 1, 0) || !holds (copy, 1, 0))
    return false;
  one = device_of (1, (float) rank); /* alone, and to another place */
  return ncclAllReduce (one, copy, 1, 7, 0, comm, stream) == 0 &&
      holds (copy, 1, 3) && holds (one, 1, (float) rank);
}

static bool
refuses (int rank)
{
  static float host[4];
  float *data;

  if (!join (rank))
    return false;
  data = device_of (4, 1);
  return sum (host, 4) == 4 && sum (data, 5) == 4 &&
      ncclAllReduce (data, data, 4, 8, 0, comm, stream) == 4 &&
      ncclAllReduce (data, data, 4, 7, 1, comm, stream) == 4 &&
      ncclAllReduce (data, data, 4, 7, 0, NULL, stream) == 4 &&
      ncclGroupEnd () == 5 && ncclGroupStart () == 0 && sum (data, 4) == 0 &&
      sum (host, 4) == 4 && ncclGroupEnd () == 4 && /* and nothing is queued */
      holds (data, 4, 1) && sum (data, 4) == 0 && holds (data, 4, 3);
}

static bool
finds_lengths (int rank)
{
  float *data;

  if (!join (rank))
    return false;
  data = device_of (4, 1);
  return sum (data, rank == 1 ? 3 : 4) == 0 &&
      cudaStreamSynchronize (stream) == cudaErrorUnknown;
}

static bool
finds_absence (int rank)
{
  if (!join (rank))
    return false;
  setenv ("UMEDPT_EMULATE_NCCL_TIMEOUT", "0.1", 1);
  if (rank == 1)
    return true;
  return sum (device_of (4, 1), 4) == 0 &&
      cudaStreamSynchronize (stream) == cudaErrorUnknown &&
      cudaDeviceSynchronize () == cudaErrorUnknown && sum (device (4), 4) == 6;
}

/* What all have given up keeps nobody waiting; who comes later is told. */
static bool
leaves (int rank)
{
  float *data;
  int status = 0;

  if (!join (rank))
    return false;
  data = device_of (4, 1);
  if (rank != 1)
    status = sum (data, 4);
  return (status == 0 || status == 6) && ncclCommAbort (comm) == 0 &&
      holds (data, 4, 1);
}

static bool
fails_to_join (int rank)
{
  setenv ("UMEDPT_EMULATE_NCCL_FAIL", "ncclCommInitRank@1", 1);
  return !join (rank) && !comm;
}

static bool
fails_on_one (int rank)
{
  setenv ("UMEDPT_EMULATE_NCCL_FAIL", "ncclAllReduce@2", 1);
  return join (rank) && sum (device_of (4, 1), 4) == (rank == 2 ? 2 : 0);
}

static bool
runs (bool (*call) (int rank))
{
  pid_t children[N];
  bool right = ncclGetUniqueId (&id) == 0;

  for (int r = 0; r < N; r++) {
    children[r] = fork ();
    if (children[r] == 0)
      _exit (call (r) ? 0 : 1);
  }
  for (int r = 0; r < N; r++) {
    int status = 1;

    right = waitpid (children[r], &status, 0) == children[r] && status == 0 &&
        right;
  }
  return right;
}

int
main (void)
{
  static const struct
  {
    const char *name;
    bool (*call) (int rank);
  } cases[] = {
    { "sums in the order of ranks and stream", adds },
    { "wrong calls", refuses },
    { "different lengths", finds_lengths },
    { "a process that does not come", finds_absence },
    { "giving up", leaves },
    { "a process that cannot join", fails_to_join },
    { "a sum that fails on one", fails_on_one },
  };
  unsigned n = 0;
  int failed = 0;

  for (const auto &one : cases) {
    bool right = runs (one.call);

    printf ("%sok %u %s\n", right ? "" : "not ", ++n, one.name);
    fflush (stdout);
    failed |= !right;
  }
  printf ("1..%u\n", n);
  return failed;
}
