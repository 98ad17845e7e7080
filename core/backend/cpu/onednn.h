/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Matrix products and convolutions by oneDNN, one thread per call: the worker
 * pool splits the rows and each worker calls a primitive on its own. Weights
 * are packed once, in oneDNN's own layout, and hang on the parameter; a
 * training step throws them away with the values. Primitives depend on sizes
 * and types alone, outlive both, and are kept in one bounded cache.
 */
#pragma once

#include "backend/backend.h"

G_BEGIN_DECLS

/* How weights are read from the parameter. */
typedef enum
{
  UMEDPT_WEIGHTS_LINEAR, /* [N, K] as it is */
  UMEDPT_WEIGHTS_TRANSPOSED, /* [N, K] read as [K, N]: the data gradient */
  UMEDPT_WEIGHTS_PATCH, /* [N, 3, p, p] with K in the order y, x, colour */
  UMEDPT_WEIGHTS_PATCH_U8, /* the same, divided by 255, for bytes */
  UMEDPT_WEIGHTS_CONV, /* [O, C, kh, kw] */
  UMEDPT_WEIGHTS_CONV_FLIPPED, /* read as [C, O, kh, kw], taps reversed: the
                                  data gradient of stride 1 */
  UMEDPT_N_WEIGHTS,
} UmedptWeightsLayout;

/* A parameter packed for one layout and compute type. */
typedef struct _UmedptPacked UmedptPacked;
typedef struct _UmedptPackedWeights UmedptPackedWeights;

/* One oneDNN primitive with the memory objects of every worker. */
typedef struct _UmedptPrimitive UmedptPrimitive;

/* A primitive (a reference) and the weights it multiplies with (not owned). */
typedef struct
{
  UmedptPrimitive *primitive;
  UmedptPackedWeights *weights;
} UmedptProduct;

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
gboolean umedpt_packed_get_linear (UmedptPacked *packed, gint64 rows,
    gboolean with_bias, UmedptDtype dst_dtype, UmedptProduct *product,
    GError **error);
/* dst [dst_rows, dst_cols, O] = conv (src [src_rows, src_cols, C]) (+ bias) */
gboolean umedpt_packed_get_conv (UmedptPacked *packed, const UmedptBand *band,
    gboolean with_bias, UmedptDtype dst_dtype, UmedptProduct *product,
    GError **error);
void umedpt_product_clear (UmedptProduct *product);
/* Called by workers; FALSE when oneDNN fails. @bias: f32, or NULL. */
gboolean umedpt_product_run (const UmedptProduct *product, guint worker,
    gconstpointer src, const float *bias, gpointer dst);

/* Weight gradients. A block of rows of dW [., K] += dY^T X over @rows rows;
 * dY [rows, .] has @diff_stride columns in all, of which @outputs are taken. */
UmedptPrimitive *umedpt_gradient_get_linear (UmedptDtype compute, gint64 rows,
    gint64 outputs, gint64 diff_stride, gint64 K, GError **error);
/* dW of one band of a convolution (written), in a layout of oneDNN's. */
UmedptPrimitive *umedpt_gradient_get_conv (UmedptDtype compute,
    const UmedptBand *band, const gint64 *weight_shape,
    const UmedptPrimitive *like, GError **error);
gsize umedpt_gradient_get_size (const UmedptPrimitive *primitive);
gboolean umedpt_gradient_unpack (const UmedptPrimitive *primitive, float *from,
    float *to, GError **error);
gboolean umedpt_gradient_run (UmedptPrimitive *primitive, guint worker,
    gconstpointer diff_dst, gconstpointer src, float *diff_weight);
void umedpt_primitive_unref (UmedptPrimitive *primitive);

gboolean umedpt_onednn_supports (UmedptDtype compute);
char *umedpt_onednn_version (void);

/* Between these two, OpenMP runs one thread for calls from this thread. */
int umedpt_onednn_enter (void);
void umedpt_onednn_leave (int saved);

G_END_DECLS
