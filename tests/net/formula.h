/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Parameters and images that C and Python (tests/reference/formula.py)
 * compute alike, so that reference vectors need not store them.
 */
#pragma once

#include "nn/parameters.h"

/* Overwrites all parameters of the store. */
void formula_fill (UmedptParameters *parameters);
/* u8 [1, height, width, 3] */
UmedptTensor *formula_image (guint index, gint height, gint width);

/* Largest difference over largest expected value; Euclidean norm of the
 * difference over that of the expected; cosine. */
typedef struct
{
  double max, norm, cosine;
} Difference;

/* Of found[i * stride] and expected[i], i < n; not finite: all are NaN. */
Difference formula_compare (const float *found, gsize stride,
    const float *expected, gsize n);
