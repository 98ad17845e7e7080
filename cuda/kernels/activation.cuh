/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The activations of the op table, for kernels of all kinds. @activation is
 * the same for all threads, as a rule a constant.
 */
#pragma once

#include "kernels/elements.h"
#include "kernels/kernel.cuh"

static const float inverse_sqrt_2 = 0.70710678118654752f;
static const float inverse_sqrt_2_pi = 0.39894228040143268f;

static __device__ __forceinline__ float
activate (float x, int activation)
{
  switch (activation) {
    case UMEDPT_CUDA_ACTIVATE_RELU:
      return x < 0 ? 0 : x; /* a NaN stays one */
    case UMEDPT_CUDA_ACTIVATE_GELU:
      /* erfc: 1 + erf loses all digits in the negative tail, in which the
       * product with -inf would be a NaN */
      return x < -1e30f ? 0 : x * (0.5f * erfcf (-x * inverse_sqrt_2));
    case UMEDPT_CUDA_ACTIVATE_SIGMOID:
      return 1 / (1 + expf (-x));
    case UMEDPT_CUDA_ACTIVATE_TANH:
      return tanhf (x);
    default:
      return x;
  }
}
