/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How a forward pass runs: as in inference, or in training with its random
 * parts, which are drawn from the pass's seed and a name alone, so that a pass
 * can be repeated to the bit.
 */
#pragma once

#include "autograd/ops.h"

G_BEGIN_DECLS

/* Blocks that are frozen (no parameter requires a gradient) run as in
 * inference whatever this says. */
typedef struct
{
  gboolean training; /* dropout and stochastic depth */
  guint64 seed; /* of this pass's random numbers */
  gboolean checkpoint; /* recompute encoder blocks in the backward pass */
} UmedptPass;

/* @n numbers, each 0 with probability @rate, else 1 / (1 - @rate). */
void umedpt_pass_fill (const UmedptPass *self, const char *name, double rate,
    float *values, gsize n);
/* f32 of the given shape, where @context computes, of such numbers. */
UmedptTensor *umedpt_pass_draw (const UmedptPass *self, UmedptContext *context,
    const char *name, double rate, guint n_dims, const gint64 *shape,
    GError **error);

G_END_DECLS
