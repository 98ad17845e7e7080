/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * NCCL, as far as the module uses it, between processes on emulated GPUs of one
 * machine: a library of its own, which the module finds as it would find the
 * real one. A sum is queued on the caller's stream and runs when its turn comes;
 * then the processes meet in a file that all have mapped, piece by piece, and
 * each adds up what all have brought, in the order of the ranks. So it has the
 * bits of a sum by MPI.
 *
 * A process that does not come is an error after a while, where NCCL waits for
 * ever. What NCCL does not check but goes wrong on it is an error, too: memory of
 * the host, sums of different lengths.
 */
#include "emulate-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <vector>

/* ncclResult_t */
enum
{
  SUCCESS,
  UNHANDLED_CUDA_ERROR,
  SYSTEM_ERROR,
  INTERNAL_ERROR,
  INVALID_ARGUMENT,
  INVALID_USAGE,
  REMOTE_ERROR,
};

enum
{
  FLOAT32 = 7, /* ncclDataType_t */
  SUM = 0, /* ncclRedOp_t */
  MAX_RANKS = 64,
  PIECE = 1 << 14, /* floats of each rank that meet at once */
};

struct NcclId
{
  char internal[128];
};

namespace {

/* What all processes see; zeros at first. */
struct Meeting
{
  std::atomic<uint32_t> joined, refused; /* refused: one did not join */
  std::atomic<uint32_t> arrived, round, broken;
  std::atomic<uint64_t> n[MAX_RANKS]; /* floats that each wants to add */
  float pieces[][PIECE];
};

struct Group
{
  Meeting *meeting;
  size_t size; /* of the file */
  unsigned rank, n_ranks;
  std::atomic<bool> left{ false };

  ~Group ()
  {
    munmap (meeting, size);
  }
};

typedef std::shared_ptr<Group> Comm;

struct Sum
{
  Comm comm;
  const float *src;
  float *dst;
  size_t n;
  cudaStream_t stream;
};

thread_local unsigned depth; /* of groups */
thread_local int group_status;
thread_local std::vector<Sum> queued;
int own_rank = -1; /* in the last group joined */

/* Whether the user wants this function to fail here. */
bool
is_to_fail (const char *function)
{
  const char *text = getenv ("UMEDPT_EMULATE_NCCL_FAIL");
  size_t length = strlen (function);

  if (!text || strncmp (text, function, length) != 0)
    return false;
  return text[length] == '\0' ||
      (text[length] == '@' && atoi (text + length + 1) == own_rank);
}

double
now (void)
{
  struct timespec time;

  clock_gettime (CLOCK_MONOTONIC, &time);
  return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

/* Until @done, or one process has given up; false then. */
template <typename F>
bool
wait_until (Meeting *meeting, F done)
{
  const char *text = getenv ("UMEDPT_EMULATE_NCCL_TIMEOUT");
  double end = now () + (text ? atof (text) : 60);

  for (unsigned i = 0; !done (); i++) {
    if (meeting->broken || (i % 64 == 63 && now () > end)) {
      meeting->broken = 1;
      return false;
    }
    if (i < 1000)
      sched_yield ();
    else
      usleep (100);
  }
  return true;
}

/* Until all are here. */
bool
meet (const Group &group)
{
  Meeting *meeting = group.meeting;
  const uint32_t round = meeting->round;

  if (++meeting->arrived == group.n_ranks) {
    meeting->arrived = 0;
    ++meeting->round;
    return !meeting->broken;
  }
  return wait_until (meeting, [=] { return meeting->round != round; });
}

/* Nobody may write his next piece before all have read this one. */
bool
add_piece (const Group &group, const float *src, float *dst, size_t n)
{
  Meeting *meeting = group.meeting;

  memcpy (meeting->pieces[group.rank], src, n * sizeof *src);
  if (!meet (group))
    return false;
  for (size_t i = 0; i < n; i++) {
    float sum = meeting->pieces[0][i];

    for (unsigned r = 1; r < group.n_ranks; r++)
      sum += meeting->pieces[r][i];
    dst[i] = sum;
  }
  return meet (group);
}

/* What is left of a sum whose group has broken has no meaning. */
void
run (const Sum &sum)
{
  const Group &group = *sum.comm;
  Meeting *meeting = group.meeting;
  bool ok;

  if (group.left)
    return;
  meeting->n[group.rank] = sum.n;
  ok = meet (group);
  for (unsigned r = 0; ok && r < group.n_ranks; r++)
    ok = meeting->n[r] == sum.n;
  ok = ok && meet (group); /* before somebody writes the next length */
  for (size_t at = 0; ok && at < sum.n; at += PIECE)
    ok = add_piece (group, sum.src + at, sum.dst + at,
        sum.n - at < PIECE ? sum.n - at : (size_t) PIECE);
  if (ok)
    return;
  meeting->broken = 1;
  emulate_break (cudaErrorUnknown);
}

int
submit_all (void)
{
  for (const Sum &sum : queued)
    if (emulate_submit (sum.stream, [sum] { run (sum); }) != cudaSuccess)
      return UNHANDLED_CUDA_ERROR;
  return SUCCESS;
}

/* The file, which goes when all have it. */
int
open_meeting (const char *name, unsigned n_ranks, Comm &comm)
{
  size_t size = sizeof (Meeting) + n_ranks * sizeof (float[PIECE]);
  int fd = shm_open (name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void *memory;

  if (fd < 0 || ftruncate (fd, (off_t) size) != 0) {
    if (fd >= 0)
      close (fd);
    return SYSTEM_ERROR;
  }
  memory = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close (fd);
  if (memory == MAP_FAILED)
    return SYSTEM_ERROR;
  comm = std::make_shared<Group> ();
  comm->meeting = (Meeting *) memory;
  comm->size = size;
  comm->n_ranks = n_ranks;
  return SUCCESS;
}

} // namespace

#define EXPORT extern "C" __attribute__ ((visibility ("default")))

EXPORT const char *
ncclGetErrorString (int status)
{
  static const char *const texts[] = { "no error", "unhandled cuda error",
    "unhandled system error", "internal error", "invalid argument",
    "invalid usage", "remote process exited" };

  return status >= 0 && status <= REMOTE_ERROR ? texts[status]
                                               : "unknown result code";
}

EXPORT int
ncclGetUniqueId (NcclId *id)
{
  uint64_t number[2];

  if (is_to_fail ("ncclGetUniqueId") ||
      getrandom (number, sizeof number, 0) != sizeof number)
    return SYSTEM_ERROR;
  memset (id, 0, sizeof *id);
  snprintf (id->internal, sizeof id->internal, "/umedpt-nccl-%016llx%016llx",
      (unsigned long long) number[0], (unsigned long long) number[1]);
  return SUCCESS;
}

EXPORT int
ncclCommInitRank (void **comm, int n_ranks, NcclId id, int rank)
{
  Comm made;
  Meeting *meeting;
  bool there;
  int status;

  *comm = NULL;
  if (n_ranks < 1 || n_ranks > MAX_RANKS || rank < 0 || rank >= n_ranks ||
      strncmp (id.internal, "/umedpt-nccl-", 13) != 0 ||
      !memchr (id.internal, 0, sizeof id.internal))
    return INVALID_ARGUMENT;
  own_rank = rank;
  status = open_meeting (id.internal, (unsigned) n_ranks, made);
  if (status != SUCCESS)
    return status;
  made->rank = (unsigned) rank;
  meeting = made->meeting;
  if (is_to_fail ("ncclCommInitRank"))
    meeting->refused = 1;
  ++meeting->joined;
  there = wait_until (meeting,
      [=] { return meeting->joined == (uint32_t) n_ranks; });
  if (rank == 0 || !there)
    shm_unlink (id.internal);
  if (!there || meeting->refused)
    return SYSTEM_ERROR;
  *comm = new Comm (made);
  return SUCCESS;
}

static void
begin (void)
{
  if (depth++ > 0)
    return;
  queued.clear ();
  group_status = SUCCESS;
}

EXPORT int
ncclGroupStart (void)
{
  if (is_to_fail ("ncclGroupStart"))
    return SYSTEM_ERROR;
  begin ();
  return SUCCESS;
}

/* Queues all of a group, or nothing if a call in it has failed. */
EXPORT int
ncclGroupEnd (void)
{
  int status;

  if (depth == 0)
    return INVALID_USAGE;
  if (--depth > 0)
    return SUCCESS;
  status = is_to_fail ("ncclGroupEnd") ? SYSTEM_ERROR : group_status;
  if (status == SUCCESS)
    status = submit_all ();
  queued.clear ();
  return status;
}

static int
check_sum (const void *src, const void *dst, size_t n, int type, int op,
    void *comm, cudaStream_t stream)
{
  const size_t size = n * sizeof (float);

  if (is_to_fail ("ncclAllReduce"))
    return SYSTEM_ERROR;
  if (!comm || !stream || type != FLOAT32 || op != SUM ||
      n > SIZE_MAX / sizeof (float))
    return INVALID_ARGUMENT;
  if (n > 0 &&
      (!emulate_is_device (src, size) || !emulate_is_device (dst, size)))
    return INVALID_ARGUMENT;
  return (*(Comm *) comm)->meeting->broken ? REMOTE_ERROR : SUCCESS;
}

EXPORT int
ncclAllReduce (const void *src, void *dst, size_t n, int type, int op,
    void *comm, cudaStream_t stream)
{
  int status = check_sum (src, dst, n, type, op, comm, stream);

  begin (); /* alone it is a group of its own */
  if (status == SUCCESS)
    queued.push_back ({ *(Comm *) comm, (const float *) src, (float *) dst, n,
        stream });
  else
    group_status = status;
  if (depth == 1)
    return ncclGroupEnd ();
  depth--;
  return status;
}

/* What is queued does nothing when its turn comes; the others are told. */
EXPORT int
ncclCommAbort (void *comm)
{
  Comm *made = (Comm *) comm;

  if (!made)
    return INVALID_ARGUMENT;
  (*made)->left = true;
  (*made)->meeting->broken = 1;
  delete made;
  return SUCCESS;
}
