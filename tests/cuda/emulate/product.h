/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the stand-ins for cuBLASLt and cuDNN compute with: elements of f32 or
 * bf16, and sums of products in f32.
 */
#pragma once

#include <cuda_bf16.h>
#include <stddef.h>
#include <stdint.h>

static inline float
product_get (const void *data, bool is_half, int64_t i)
{
  return is_half ? __bfloat162float (((const __nv_bfloat16 *) data)[i])
                 : ((const float *) data)[i];
}

static inline void
product_put (void *data, bool is_half, int64_t i, float value)
{
  if (is_half)
    ((__nv_bfloat16 *) data)[i] = __float2bfloat16_rn (value);
  else
    ((float *) data)[i] = value;
}

/* The sum of @n products, as partial sums that fill vector registers. */
static inline float
product_dot (const float *a, const float *b, int64_t n)
{
  float sums[16] = { 0 }, sum = 0;
  int64_t i = 0;

  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; j++)
      sums[j] += a[i + j] * b[i + j];
  for (; i < n; i++)
    sums[i % 16] += a[i] * b[i];
  for (int j = 0; j < 16; j++)
    sum += sums[j];
  return sum;
}
