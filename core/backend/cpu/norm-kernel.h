/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sums over rows, for the kernels of norms and of their gradients. Variances
 * are means of squared differences: the difference of two large sums would
 * cancel for rows with a large mean.
 */
#pragma once

#include "backend/cpu/simd.h"

/* Sum of x - shift, or of its square; four accumulators hide the latency. */
static inline float
sum_shifted (const float *x, gsize n, float shift, gboolean square)
{
  vf s[4] = { { 0 } };
  const vf m = vf_set (shift);
  gsize i = 0;
  float sum;

  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    UNROLL (4)
    for (int k = 0; k < 4; k++) {
      vf d = vf_load (x + i + k * LANES) - m;
      s[k] = square ? d * d + s[k] : s[k] + d;
    }
  }
  for (; i + LANES <= n; i += LANES) {
    vf d = vf_load (x + i) - m;
    s[0] = square ? d * d + s[0] : s[0] + d;
  }
  sum = vf_sum ((s[0] + s[1]) + (s[2] + s[3]));
  for (; i < n; i++)
    sum += square ? (x[i] - shift) * (x[i] - shift) : x[i] - shift;
  return sum;
}
