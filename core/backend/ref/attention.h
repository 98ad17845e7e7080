/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Inside of the reference's window attention: how a map is cut into windows
 * and tokens (attention.c), for the forward and the backward pass.
 */
#pragma once

#include "backend/ref/ref.h"

G_BEGIN_DECLS

/* One axis of the map. */
typedef struct
{
  gint64 size; /* of the map */
  gint64 padded; /* to whole windows */
  gint64 window;
  gint64 shift; /* the effective one */
} UmedptRefAxis;

/* One token of a window, for one head. */
typedef struct
{
  gint64 y, x; /* in the padded map */
  gint64 region; /* tokens of different regions do not see each other */
  gboolean inside; /* of the map */
} UmedptRefToken;

UmedptRefAxis umedpt_ref_make_axis (gint64 size, gint64 window, gint64 shift);
UmedptRefToken umedpt_ref_make_token (const UmedptRefAxis *rows,
    const UmedptRefAxis *columns, gint64 y, gint64 x);
void umedpt_ref_load_token (const UmedptWindowAttentionArgs *args, gint64 n,
    const UmedptRefToken *token, gint64 part, gint64 h, float *out);
double umedpt_ref_norm (const float *x, gint64 d);
void umedpt_ref_softmax (double *s, gint64 l);

G_END_DECLS
