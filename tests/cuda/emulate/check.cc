/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whether the emulator notices what it says that it notices: kernels and calls
 * with one defect each, and what exchanges within a warp, tensor core
 * instructions and asynchronous copies compute, by their definitions. A defect
 * ends the program, so each runs in a process of its own.
 */
#include <math.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/kernel.cuh"

static unsigned n_cases;
static int failed;

static void
tell (bool ok, const char *name)
{
  printf ("%sok %u %s\n", ok ? "" : "not ", ++n_cases, name);
  fflush (stdout);
  failed |= !ok;
}

/* @call must end its process with a message that contains @message. */
static void
check_death (const char *name, const char *message, void (*call) (void))
{
  int ends[2], status = 0;
  char buffer[4096];
  std::string text;
  ssize_t n;
  pid_t child;

  if (pipe (ends) || (child = fork ()) < 0) {
    tell (false, name);
    return;
  }
  if (child == 0) {
    dup2 (ends[1], STDERR_FILENO);
    close (ends[0]);
    call ();
    _exit (0);
  }
  close (ends[1]);
  while ((n = read (ends[0], buffer, sizeof buffer)) > 0)
    text.append (buffer, (size_t) n);
  close (ends[0]);
  waitpid (child, &status, 0);
  tell (!(WIFEXITED (status) && WEXITSTATUS (status) == 0) &&
          text.find (message) != std::string::npos,
      name);
  if (failed)
    printf ("# %s\n", text.c_str ());
}

/* @n floats of device memory. */
static float *
device (size_t n)
{
  void *data = NULL;

  if (cudaMalloc (&data, n * sizeof (float)) != cudaSuccess)
    abort ();
  return (float *) data;
}

static std::vector<float>
host (const float *data, size_t n)
{
  std::vector<float> result (n);

  cudaMemcpy (result.data (), data, n * sizeof (float), cudaMemcpyDeviceToHost);
  return result;
}

#define RUN(kernel, grid, block, shared, ...) \
  do { \
    if (UMEDPT_LAUNCH (kernel, grid, block, shared, NULL, __VA_ARGS__) != \
        cudaSuccess) \
      abort (); \
    cudaDeviceSynchronize (); \
  } while (0)

/* ---- Defects ---- */

static __global__ void
leaves_before_barrier (float *dst)
{
  if (threadIdx.x == 5)
    return;
  __syncthreads ();
  dst[threadIdx.x] = 0;
}

static __global__ void
leaves_before_shuffle (float *dst)
{
  if (threadIdx.x == 5)
    return;
  dst[threadIdx.x] = warp_sum (1);
}

static __global__ void
shuffles_in_a_branch (float *dst)
{
  if (threadIdx.x < 16)
    dst[threadIdx.x] = warp_sum (1);
  __syncthreads ();
}

static __global__ void
half_a_warp (float *dst)
{
  dst[threadIdx.x] = warp_sum (1);
}

static __global__ void
writes_behind (float *dst, int n)
{
  dst[n] = 0;
}

static __global__ void
reads_vector (const float *src, float *dst)
{
  dst[0] = reinterpret_cast<const float4 *> (src)->x;
}

static __global__ void
overruns_shared (float *dst)
{
  UMEDPT_SHARED (float, shared);

  shared[64] = 1;
  dst[0] = shared[0];
}

static void
check_defects (void)
{
  check_death ("a thread that leaves before a barrier", "wait for ever",
      [] { RUN (leaves_before_barrier, 1, 64, 0, device (64)); });
  check_death ("a lane that leaves before a shuffle", "have left",
      [] { RUN (leaves_before_shuffle, 1, 32, 0, device (64)); });
  check_death ("a shuffle of all lanes in a branch", "wait for ever",
      [] { RUN (shuffles_in_a_branch, 1, 32, 0, device (64)); });
  check_death ("a shuffle with lanes that do not exist", "do not exist",
      [] { RUN (half_a_warp, 1, 48, 0, device (64)); });
  check_death ("writing behind a block of memory", "behind the end",
      [] { RUN (writes_behind, 1, 1, 0, device (10), 10); });
  check_death ("leaving device memory", "bad access",
      [] { RUN (writes_behind, 1, 1, 0, device (10), 1 << 29); });
  check_death ("a misaligned vector", "misaligned",
      [] { RUN (reads_vector, 1, 1, 0, device (10) + 1, device (1)); });
  check_death ("more shared memory than was asked for", "bad access",
      [] { RUN (overruns_shared, 1, 1, 256, device (1)); });
  check_death ("the host follows a device pointer", "must not touch",
      [] { *(volatile float *) device (1) = 0; });
}

/* ---- Memory that is not written, work that is not waited for ---- */

static __global__ void
lacks_a_barrier (float *dst)
{
  __shared__ float last[256];

  last[threadIdx.x] = (float) threadIdx.x;
  dst[threadIdx.x] = last[255 - threadIdx.x];
  __syncthreads ();
  last[threadIdx.x] = -1;
}

static __global__ void
reads_shared (float *dst)
{
  UMEDPT_SHARED (float, shared);

  dst[0] = shared[3];
}

static bool
finds_missing_barrier (void)
{
  float *dst = device (256);
  bool found = false;

  for (int i = 0; i < 8; i++) {
    RUN (lacks_a_barrier, 1, 256, 0, dst);
    std::vector<float> values = host (dst, 256);
    for (int j = 0; j < 256; j++)
      found = found || values[(size_t) j] != (float) (255 - j);
  }
  return found;
}

static void
check_timing (void)
{
  float *dst = device (4);
  float *pinned = NULL;
  std::vector<float> values;

  tell (std::isnan (host (dst, 4)[2]), "new device memory is NaN");
  RUN (reads_shared, 1, 1, 64, dst);
  tell (std::isnan (host (dst, 1)[0]), "new shared memory is NaN");
  tell (finds_missing_barrier (), "a missing barrier shows in the results");
  cudaMallocHost ((void **) &pinned, 16);
  pinned[0] = 1;
  cudaMemcpyAsync (dst, pinned, 16, cudaMemcpyHostToDevice, NULL);
  pinned[0] = 2;
  tell (host (dst, 1)[0] == 2, "a pinned buffer is read late");
  cudaMemcpyAsync (pinned, dst, 16, cudaMemcpyDeviceToHost, NULL);
  pinned[0] = 3;
  tell (pinned[0] == 3, "a result is written late");
  cudaDeviceSynchronize ();
  tell (pinned[0] == 2, "a result is there after waiting");
}

/* ---- Launches ---- */

static __global__ void
nothing (void)
{
}

#define LAUNCH(grid, block, shared) \
  UMEDPT_LAUNCH (nothing, grid, block, shared, NULL)

static void
check_launches (void)
{
  tell (LAUNCH (0, 32, 0) == cudaErrorInvalidConfiguration, "no blocks");
  tell (LAUNCH (dim3 (1, 65536), 32, 0) == cudaErrorInvalidConfiguration,
      "too many blocks in y");
  tell (LAUNCH (1, 1025, 0) == cudaErrorInvalidConfiguration,
      "too many threads");
  tell (cudaGetLastError () == cudaErrorInvalidConfiguration &&
          cudaGetLastError () == cudaSuccess,
      "errors are remembered once");
  tell (LAUNCH (1, 32, 49153) == cudaErrorInvalidValue,
      "shared memory that nobody allowed");
  tell (UMEDPT_ALLOW_SHARED (nothing, 100000) == cudaSuccess &&
          LAUNCH (1, 32, 49153) == cudaSuccess,
      "shared memory that is allowed");
  tell (UMEDPT_ALLOW_SHARED (nothing, 232449) == cudaErrorInvalidValue,
      "more shared memory than there is");
}

/* ---- What is computed ---- */

static __global__ void
shuffle (float *dst)
{
  int lane = threadIdx.x;
  float x = (float) lane;

  dst[lane] = __shfl_sync (0xffffffffu, x, 3);
  dst[32 + lane] = __shfl_up_sync (0xffffffffu, x, 2);
  dst[64 + lane] = __shfl_down_sync (0xffffffffu, x, 2, 8);
  dst[96 + lane] = __shfl_xor_sync (0xffffffffu, x, 5);
  dst[128 + lane] = __ballot_sync (0xffffffffu, lane % 2) == 0xaaaaaaaau;
  dst[160 + lane] = warp_sum (x);
}

static bool
is_shuffled (void)
{
  float *dst = device (192);
  bool ok = true;

  RUN (shuffle, 1, 32, 0, dst);
  std::vector<float> v = host (dst, 192);
  for (int i = 0; i < 32; i++)
    ok = ok && v[(size_t) i] == 3 &&
        v[(size_t) (32 + i)] == (float) (i < 2 ? i : i - 2) &&
        v[(size_t) (64 + i)] == (float) (i % 8 < 6 ? i + 2 : i) &&
        v[(size_t) (96 + i)] == (float) (i ^ 5) && v[(size_t) (128 + i)] == 1 &&
        v[(size_t) (160 + i)] == 31 * 16;
  return ok;
}

/* D [16, 8] = A [16, 16] B, B^T [8, 16] as in an attention's q k^T: A by
 * ldmatrix, B^T by ldmatrix as it lies; and B [16, 8] by ldmatrix_trans. */
static __global__ void
multiply (const float *a, const float *b, float *dst)
{
  __shared__ __align__ (16) bf16 sa[16][16], sb[8][16], sbt[16][16];
  int lane = threadIdx.x, g = lane / 4, t = lane % 4;
  uint32_t fa[4], fb[4], ft[4];
  float d[4] = { 0 }, e[4] = { 0 };

  for (int i = lane; i < 256; i += 32) {
    sa[i / 16][i % 16] = from_f32<bf16> (a[i]);
    sbt[i / 16][i % 16] =
        from_f32<bf16> (i % 16 < 8 ? b[i % 16 * 16 + i / 16] : 0);
  }
  for (int i = lane; i < 128; i += 32)
    sb[i / 16][i % 16] = from_f32<bf16> (b[i]);
  __syncwarp ();
  /* matrices: rows 0-7 and 8-15 of columns 0-7, then of columns 8-15 */
  ldmatrix_x4 (fa, &sa[lane % 16][lane / 16 * 8]);
  ldmatrix_x4 (fb, &sb[lane % 8][lane / 8 % 2 * 8]);
  ldmatrix_x4_trans (ft, &sbt[lane % 16][lane / 16 * 8]);
  mma_bf16 (d, fa, { fb[0], fb[1] });
  mma_bf16 (e, fa, { ft[0], ft[1] });
  for (int i = 0; i < 4; i++) {
    int at = (g + i / 2 * 8) * 8 + 2 * t + i % 2;

    dst[at] = d[i];
    dst[128 + at] = e[i];
  }
}

static bool
is_multiplied (void)
{
  std::vector<float> a (256), b (128);
  float *da = device (256), *db = device (128), *dst = device (256);
  bool ok = true;

  for (size_t i = 0; i < 256; i++)
    a[i] = (float) ((int) (i * 7 % 23) - 11);
  for (size_t i = 0; i < 128; i++)
    b[i] = (float) ((int) (i * 5 % 17) - 8);
  cudaMemcpy (da, a.data (), 1024, cudaMemcpyHostToDevice);
  cudaMemcpy (db, b.data (), 512, cudaMemcpyHostToDevice);
  RUN (multiply, 1, 32, 0, da, db, dst);
  std::vector<float> found = host (dst, 256);
  for (size_t i = 0; i < 16; i++)
    for (size_t j = 0; j < 8; j++) {
      float sum = 0;

      for (size_t k = 0; k < 16; k++)
        sum += a[i * 16 + k] * b[j * 16 + k];
      ok = ok && found[i * 8 + j] == sum && found[128 + i * 8 + j] == sum;
    }
  return ok;
}

static __global__ void
copy_late (const float *src, float *dst)
{
  __shared__ __align__ (16) float buffer[3][4];

  copy_async_16 (buffer[0], src, true);
  copy_async_commit ();
  copy_async_16 (buffer[1], src + 4, true);
  copy_async_16 (buffer[2], src, false);
  copy_async_commit ();
  dst[0] = buffer[0][0];
  copy_async_wait<1> ();
  dst[1] = buffer[0][0];
  dst[2] = buffer[1][0];
  copy_async_wait<0> ();
  dst[3] = buffer[1][0] + buffer[2][0];
}

static bool
is_copied (void)
{
  float values[8] = { 1, 0, 0, 0, 2, 0, 0, 0 };
  float *src = device (8), *dst = device (4);

  cudaMemcpy (src, values, sizeof values, cudaMemcpyHostToDevice);
  RUN (copy_late, 1, 1, 0, src, dst);
  std::vector<float> v = host (dst, 4);
  return std::isnan (v[0]) && v[1] == 1 && std::isnan (v[2]) && v[3] == 2;
}

int
main (void)
{
  check_defects ();
  check_timing ();
  check_launches ();
  tell (is_shuffled (), "shuffles");
  tell (is_multiplied (), "products by tensor cores");
  tell (is_copied (), "asynchronous copies");
  printf ("1..%u\n", n_cases);
  return failed;
}
