/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of the ops that look at one element at a time; formulas are in
 * core/backend/ref/pointwise.c. They are bound by memory: each is a step of
 * the loop in vector.cuh. A NaN stays a NaN in all of them.
 *
 * Slopes of sigmoid and tanh are formed from exp (-|x|): 1 - y would lose its
 * digits where y is near 1.
 */
#include "kernels/elements.h"

#include "kernels/activation.cuh"
#include "kernels/vector.cuh"

/* ---- Conversion ---- */

template <typename S, typename D> struct Convert
{
  static const int width = 4;
  const S *src;
  D *dst;
  float unit;

  template <int w> __device__ __forceinline__ void run (int64_t i) const
  {
    float v[w];

    load (v, src + i);
    for (int j = 0; j < w && sizeof (S) == 1; j++)
      v[j] = v[j] / unit;
    store (dst + i, v);
  }
};

template <typename S, typename D>
static cudaError_t
convert (const S *src, D *dst, size_t n, cudaStream_t stream)
{
  const Convert<S, D> step = { src, dst, 255.0f };

  return launch_each (step,
      is_aligned (src, 4 * sizeof (S)) && is_aligned (dst, 4 * sizeof (D)),
      (int64_t) n, stream);
}

extern "C" cudaError_t
umedpt_cuda_u8_to_f32 (const uint8_t *src, float *dst, size_t n,
    cudaStream_t stream)
{
  return convert (src, dst, n, stream);
}

extern "C" cudaError_t
umedpt_cuda_u8_to_bf16 (const uint8_t *src, uint16_t *dst, size_t n,
    cudaStream_t stream)
{
  return convert (src, dst, n, stream);
}

extern "C" cudaError_t
umedpt_cuda_f32_to_bf16 (const float *src, uint16_t *dst, size_t n,
    cudaStream_t stream)
{
  return convert (src, dst, n, stream);
}

extern "C" cudaError_t
umedpt_cuda_bf16_to_f32 (const uint16_t *src, float *dst, size_t n,
    cudaStream_t stream)
{
  return convert (src, dst, n, stream);
}

/* ---- Activations ---- */

/* The derivative at @x; that of relu at 0 is 0. */
template <int activation>
static __device__ __forceinline__ float
slope (float x)
{
  const float size = fabsf (x);

  switch (activation) {
    case UMEDPT_CUDA_ACTIVATE_RELU:
      return x > 0 ? 1 : 0 * (x < 0 ? 0 : x); /* a NaN stays one */
    case UMEDPT_CUDA_ACTIVATE_GELU:
      /* Phi (x) + x phi (x); the second part vanishes far out */
      return 0.5f * erfcf (-x * inverse_sqrt_2) +
          (size > 1e15f ? 0 : x * expf (-0.5f * x * x) * inverse_sqrt_2_pi);
    case UMEDPT_CUDA_ACTIVATE_SIGMOID: {
      const float e = expf (-size);
      return e / ((1 + e) * (1 + e));
    }
    case UMEDPT_CUDA_ACTIVATE_TANH: {
      const float e = expf (-2 * size);
      return 4 * e / ((1 + e) * (1 + e));
    }
    default:
      return 1;
  }
}

template <typename T, int activation> struct Activate
{
  static const int width = 16 / sizeof (T);
  const T *src;
  T *dst;
  uint16_t *shadow; /* (nullable) dst in bf16, where it is f32 */

  template <int w> __device__ __forceinline__ void run (int64_t i) const
  {
    float v[w];

    load (v, src + i);
    for (int j = 0; j < w; j++)
      v[j] = activate (v[j], activation);
    store (dst + i, v);
    if constexpr (sizeof (T) == sizeof (float))
      if (shadow)
        store (shadow + i, v);
  }
};

template <typename T, int activation> struct ActivateBackward
{
  static const int width = 16 / sizeof (T);
  const T *src, *diff_dst;
  T *diff_src;
  bool accumulate;

  template <int w> __device__ __forceinline__ void run (int64_t i) const
  {
    float x[w], v[w];

    load (x, src + i);
    load (v, diff_dst + i);
    for (int j = 0; j < w; j++)
      v[j] *= slope<activation> (x[j]);
    put (diff_src + i, v, accumulate);
  }
};

template <typename T, int activation>
static cudaError_t
activate_as (const void *src, void *dst, uint16_t *shadow, int64_t n,
    cudaStream_t stream)
{
  const Activate<T, activation> step = { (const T *) src, (T *) dst, shadow };

  return launch_each (step,
      is_aligned (src, 16) && is_aligned (dst, 16) && is_aligned (shadow, 8), n,
      stream);
}

template <typename T, int activation>
static cudaError_t
activate_backward_as (const void *src, const void *diff_dst, void *diff_src,
    int accumulate, int64_t n, cudaStream_t stream)
{
  const ActivateBackward<T, activation> step = { (const T *) src,
    (const T *) diff_dst, (T *) diff_src, accumulate != 0 };

  return launch_each (step,
      is_aligned (src, 16) && is_aligned (diff_dst, 16) &&
          is_aligned (diff_src, 16),
      n, stream);
}

/* One kernel for each activation and type. */
#define CHOOSE(function, ...) \
  switch (activation) { \
    case UMEDPT_CUDA_ACTIVATE_NONE: \
      return half ? function<bf16, UMEDPT_CUDA_ACTIVATE_NONE> (__VA_ARGS__) \
                  : function<float, UMEDPT_CUDA_ACTIVATE_NONE> (__VA_ARGS__); \
    case UMEDPT_CUDA_ACTIVATE_RELU: \
      return half ? function<bf16, UMEDPT_CUDA_ACTIVATE_RELU> (__VA_ARGS__) \
                  : function<float, UMEDPT_CUDA_ACTIVATE_RELU> (__VA_ARGS__); \
    case UMEDPT_CUDA_ACTIVATE_GELU: \
      return half ? function<bf16, UMEDPT_CUDA_ACTIVATE_GELU> (__VA_ARGS__) \
                  : function<float, UMEDPT_CUDA_ACTIVATE_GELU> (__VA_ARGS__); \
    case UMEDPT_CUDA_ACTIVATE_SIGMOID: \
      return half \
          ? function<bf16, UMEDPT_CUDA_ACTIVATE_SIGMOID> (__VA_ARGS__) \
          : function<float, UMEDPT_CUDA_ACTIVATE_SIGMOID> (__VA_ARGS__); \
    case UMEDPT_CUDA_ACTIVATE_TANH: \
      return half ? function<bf16, UMEDPT_CUDA_ACTIVATE_TANH> (__VA_ARGS__) \
                  : function<float, UMEDPT_CUDA_ACTIVATE_TANH> (__VA_ARGS__); \
    default: \
      return cudaErrorInvalidValue; \
  }

extern "C" cudaError_t
umedpt_cuda_launch_activate (const void *src, void *dst, uint16_t *shadow,
    int64_t n, int activation, int half, cudaStream_t stream)
{
  CHOOSE (activate_as, src, dst, shadow, n, stream);
}

extern "C" cudaError_t
umedpt_cuda_launch_activate_backward (const void *src, const void *diff_dst,
    void *diff_src, int accumulate, int64_t n, int activation, int half,
    cudaStream_t stream)
{
  CHOOSE (activate_backward_as, src, diff_dst, diff_src, accumulate, n, stream);
}

/* ---- Sums and products ---- */

/* b at @i; its only element where it has one. */
template <int w>
static __device__ __forceinline__ void
load_second (float (&v)[w], const float *b, bool one, int64_t i)
{
  if (one)
    for (int j = 0; j < w; j++)
      v[j] = *b;
  else
    load (v, b + i);
}

template <bool product> struct Combine
{
  static const int width = 4;
  const float *a, *b;
  float *dst;
  bool one;

  template <int w> __device__ __forceinline__ void run (int64_t i) const
  {
    float x[w], y[w];

    load (x, a + i);
    load_second (y, b, one, i);
    for (int j = 0; j < w; j++)
      x[j] = product ? x[j] * y[j] : x[j] + y[j];
    store (dst + i, x);
  }
};

template <bool product>
static cudaError_t
combine (const float *a, const float *b, int one, float *dst, int64_t n,
    cudaStream_t stream)
{
  const Combine<product> step = { a, b, dst, one != 0 };

  return launch_each (step,
      is_aligned (a, 16) && is_aligned (dst, 16) && (one || is_aligned (b, 16)),
      n, stream);
}

extern "C" cudaError_t
umedpt_cuda_launch_add (const float *a, const float *b, int one, float *dst,
    int64_t n, cudaStream_t stream)
{
  return combine<false> (a, b, one, dst, n, stream);
}

extern "C" cudaError_t
umedpt_cuda_launch_multiply (const float *a, const float *b, int one,
    float *dst, int64_t n, cudaStream_t stream)
{
  return combine<true> (a, b, one, dst, n, stream);
}

/* Gradients may be NULL; diff_b not for a b of one element. */
struct MultiplyBackward
{
  static const int width = 4;
  const float *a, *b, *diff_dst;
  float *diff_a, *diff_b;
  bool one, accumulate_a, accumulate_b;

  template <int w> __device__ __forceinline__ void run (int64_t i) const
  {
    float diff[w], v[w];

    load (diff, diff_dst + i);
    if (diff_a) {
      load_second (v, b, one, i);
      for (int j = 0; j < w; j++)
        v[j] *= diff[j];
      put (diff_a + i, v, accumulate_a);
    }
    if (diff_b) {
      load (v, a + i);
      for (int j = 0; j < w; j++)
        v[j] *= diff[j];
      put (diff_b + i, v, accumulate_b);
    }
  }
};

/* partials[block] = its part of the sum of a b. */
static __global__ void
dot_kernel (const float *a, const float *b, float *partials, int64_t n)
{
  __shared__ float shared[32];
  const int64_t stride = (int64_t) gridDim.x * blockDim.x;
  float sum = 0;

  for (int64_t i = (int64_t) blockIdx.x * blockDim.x + threadIdx.x; i < n;
       i += stride)
    sum += a[i] * b[i];
  sum = block_sum (sum, shared);
  if (threadIdx.x == 0)
    partials[blockIdx.x] = sum;
}

static __global__ void
add_partials_kernel (const float *partials, int count, float *result)
{
  __shared__ float shared[32];
  float sum = 0;

  for (int i = threadIdx.x; i < count; i += blockDim.x)
    sum += partials[i];
  sum = block_sum (sum, shared);
  if (threadIdx.x == 0)
    *result += sum;
}

static cudaError_t
add_dot (const float *a, const float *b, float *result, int64_t n,
    float *scratch, cudaStream_t stream)
{
  const int64_t most = UMEDPT_CUDA_MULTIPLY_SCRATCH / sizeof (float);
  int64_t blocks = ceil_div (n, 1024);
  cudaError_t status;

  if (blocks > most)
    blocks = most;
  status = UMEDPT_LAUNCH (dot_kernel, (unsigned int) blocks, 256, 0, stream, a,
      b, scratch, n);
  if (status != cudaSuccess)
    return status;
  return UMEDPT_LAUNCH (add_partials_kernel, 1, 256, 0, stream, scratch,
      (int) blocks, result);
}

extern "C" cudaError_t
umedpt_cuda_launch_multiply_backward (const float *a, const float *b, int one,
    const float *diff_dst, float *diff_a, int accumulate_a, float *diff_b,
    int accumulate_b, int64_t n, float *scratch, cudaStream_t stream)
{
  const MultiplyBackward step = { a, b, diff_dst, diff_a, one ? NULL : diff_b,
    one != 0, accumulate_a != 0, accumulate_b != 0 };
  const bool aligned = is_aligned (a, 16) && is_aligned (diff_dst, 16) &&
      is_aligned (diff_a, 16) && (one || is_aligned (b, 16)) &&
      (one || is_aligned (diff_b, 16));
  cudaError_t status = cudaSuccess;

  if (n <= 0)
    return cudaSuccess;
  if (step.diff_a || step.diff_b)
    status = launch_each (step, aligned, n, stream);
  if (status == cudaSuccess && one && diff_b)
    status = add_dot (a, diff_dst, diff_b, n, scratch, stream);
  return status;
}

/* ---- Parameters of attention ---- */

/* ln 100 is no f32: numbers are compared with it as in core/backend/ref. */
static const double max_logit = 4.605170185988092;

struct LogitScale
{
  static const int width = 1;
  const float *src, *diff_dst; /* diff_dst: backward */
  float *dst;

  template <int w> __device__ __forceinline__ void run (int64_t i) const
  {
    const float x = src[i];
    const bool bounded = x > max_logit;

    if (!diff_dst)
      dst[i] = bounded ? 100.0f : expf (x);
    else if (!bounded)
      dst[i] += diff_dst[i] * expf (x);
  }
};

extern "C" cudaError_t
umedpt_cuda_launch_logit_scale (const float *src, float *dst, int64_t n,
    cudaStream_t stream)
{
  const LogitScale step = { src, NULL, dst };

  return launch_each (step, true, n, stream);
}

extern "C" cudaError_t
umedpt_cuda_launch_logit_scale_backward (const float *src,
    const float *diff_dst, float *diff_src, int64_t n, cudaStream_t stream)
{
  const LogitScale step = { src, diff_dst, diff_src };

  return launch_each (step, true, n, stream);
}

struct MaskKeyBias
{
  static const int width = 1;
  const float *src;
  float *dst;
  int64_t third;
  bool backward;

  template <int w> __device__ __forceinline__ void run (int64_t i) const
  {
    const bool key = i >= third && i < 2 * third;

    if (!backward)
      dst[i] = key ? 0 : src[i];
    else if (!key)
      dst[i] += src[i];
  }
};

extern "C" cudaError_t
umedpt_cuda_launch_mask_key_bias (const float *src, float *dst, int64_t n,
    cudaStream_t stream)
{
  const MaskKeyBias step = { src, dst, n / 3, false };

  return launch_each (step, true, n, stream);
}

extern "C" cudaError_t
umedpt_cuda_launch_mask_key_bias_backward (const float *diff_dst,
    float *diff_src, int64_t n, cudaStream_t stream)
{
  const MaskKeyBias step = { diff_dst, diff_src, n / 3, true };

  return launch_each (step, true, n, stream);
}
