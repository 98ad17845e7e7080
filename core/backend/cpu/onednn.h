/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Matrix products and convolutions by oneDNN, one thread per call: the worker
 * pool splits the rows and each worker calls a primitive on its own. Weights
 * are packed once, in oneDNN's own layout, and hang on the parameter; the
 * primitives made for them (one per number of rows) hang on the packed form.
 */
#pragma once

#include "backend/backend.h"

G_BEGIN_DECLS

/* How weights are read from the parameter. */
typedef enum
{
  UMEDPT_WEIGHTS_LINEAR, /* [N, K] as it is */
  UMEDPT_WEIGHTS_PATCH, /* [N, 3, p, p] with K in the order y, x, colour */
  UMEDPT_WEIGHTS_PATCH_U8, /* the same, divided by 255, for bytes */
  UMEDPT_WEIGHTS_CONV, /* [O, C, kh, kw] */
  UMEDPT_N_WEIGHTS,
} UmedptWeightsLayout;

/* A parameter packed for one layout and compute type. */
typedef struct _UmedptPacked UmedptPacked;

/* One oneDNN primitive with the memory objects of every worker. */
typedef struct _UmedptPrimitive UmedptPrimitive;

/* A band of rows of a convolution, with its own padding above and below. */
typedef struct
{
  gint64 src_rows, src_cols;
  gint64 dst_rows, dst_cols;
  gint64 above, below, left, right; /* zero padding */
  gint64 stride;
} UmedptBand;

UmedptPacked *umedpt_packed_get (UmedptTensor *weight,
    UmedptWeightsLayout layout, UmedptDtype compute, GError **error);
/* dst [rows, N] = src [rows, K] W^T (+ bias) */
UmedptPrimitive *umedpt_packed_get_linear (UmedptPacked *packed, gint64 rows,
    gboolean with_bias, UmedptDtype dst_dtype, GError **error);
/* dst [dst_rows, dst_cols, O] = conv (src [src_rows, src_cols, C]) (+ bias) */
UmedptPrimitive *umedpt_packed_get_conv (UmedptPacked *packed,
    const UmedptBand *band, gboolean with_bias, UmedptDtype dst_dtype,
    GError **error);
/* Called by workers; FALSE when oneDNN fails. @bias: f32, or NULL. */
gboolean umedpt_primitive_run (UmedptPrimitive *primitive, guint worker,
    gconstpointer src, const float *bias, gpointer dst);

gboolean umedpt_onednn_supports (UmedptDtype compute);
char *umedpt_onednn_version (void);

/* Between these two, OpenMP runs one thread for calls from this thread. */
int umedpt_onednn_enter (void);
void umedpt_onednn_leave (int saved);

G_END_DECLS
