/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checked ops: what modules call. Each checks shapes and types, makes its
 * output, dispatches to the context's backend, and records itself on the
 * context's tape where there is one (tape.h). All return a new tensor (transfer
 * full), or NULL with @error set. Shapes and formulas: backend/backend.h.
 */
#pragma once

#include "backend/backend.h"

G_BEGIN_DECLS

typedef struct _UmedptContext UmedptContext;

UmedptContext *umedpt_context_new (UmedptBackend *backend, UmedptDtype compute);
void umedpt_context_free (UmedptContext *context);
UmedptBackend *umedpt_context_get_backend (const UmedptContext *context);
/* f32 or bf16: the type for matrix products and for what lies between them */
UmedptDtype umedpt_context_get_compute (const UmedptContext *context);

UmedptTensor *umedpt_op_convert (UmedptContext *context, UmedptTensor *src,
    UmedptDtype dtype, GError **error);
UmedptTensor *umedpt_op_activate (UmedptContext *context, UmedptTensor *src,
    UmedptActivation activation, GError **error);
UmedptTensor *umedpt_op_layer_norm (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *gamma, UmedptTensor *beta, float epsilon, GError **error);
UmedptTensor *umedpt_op_group_norm (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *gamma, UmedptTensor *beta, gint64 groups, float epsilon,
    GError **error);
UmedptTensor *umedpt_op_global_pool (UmedptContext *context, UmedptTensor *src,
    UmedptPooling pooling, GError **error);
/* dst_dtype: f32 or bf16 */
UmedptTensor *umedpt_op_linear (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, UmedptActivation activation,
    UmedptDtype dst_dtype, GError **error);
UmedptTensor *umedpt_op_linear_norm (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, UmedptTensor *gamma,
    UmedptTensor *beta, UmedptTensor *residual, UmedptTensor *branch_scale,
    float epsilon, GError **error);
UmedptTensor *umedpt_op_mlp_norm (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *fc1_weight, UmedptTensor *fc1_bias, UmedptTensor *fc2_weight,
    UmedptTensor *fc2_bias, UmedptTensor *gamma, UmedptTensor *beta,
    UmedptTensor *branch_scale, float epsilon, GError **error);
UmedptTensor *umedpt_op_patch_embed (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, UmedptTensor *gamma,
    UmedptTensor *beta, float epsilon, GError **error);
UmedptTensor *umedpt_op_patch_merge (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *gamma, UmedptTensor *beta,
    float epsilon, GError **error);
UmedptTensor *umedpt_op_position_bias (UmedptContext *context, UmedptTensor *w1,
    UmedptTensor *b1, UmedptTensor *w2, gint64 window, GError **error);
UmedptTensor *umedpt_op_window_attention (UmedptContext *context,
    UmedptTensor *qkv, UmedptTensor *qkv_bias, UmedptTensor *scale,
    UmedptTensor *position_bias, gint64 heads, gint64 window, gint64 shift,
    GError **error);
UmedptTensor *umedpt_op_conv2d (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, gint64 stride, gint64 padding,
    UmedptActivation activation, UmedptDtype dst_dtype, GError **error);
/* A view with another shape; gradients pass. */
UmedptTensor *umedpt_op_reshape (UmedptContext *context, UmedptTensor *src,
    guint n_dims, const gint64 *shape, GError **error);
UmedptTensor *umedpt_op_add (UmedptContext *context, UmedptTensor *a,
    UmedptTensor *b, GError **error);
/* b: a's shape (both activations), or one element (a parameter) */
UmedptTensor *umedpt_op_multiply (UmedptContext *context, UmedptTensor *a,
    UmedptTensor *b, GError **error);
/* skip: (nullable), then @height and @width say the size of the result */
UmedptTensor *umedpt_op_upsample_concat (UmedptContext *context,
    UmedptTensor *src, UmedptTensor *skip, gint64 height, gint64 width,
    GError **error);
UmedptTensor *umedpt_op_upsample_add (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *lateral, GError **error);
UmedptTensor *umedpt_op_logit_scale (UmedptContext *context, UmedptTensor *src,
    GError **error);
UmedptTensor *umedpt_op_mask_key_bias (UmedptContext *context,
    UmedptTensor *src, GError **error);
UmedptTensor *umedpt_op_group_reduce (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *groups, gint64 n_groups,
    UmedptGrouping grouping, GError **error);

/* Losses write values and (nullable) gradients; FALSE with @error set. Checks
 * of shapes are theirs, the tensors the caller's; see backend/backend.h. */
gboolean umedpt_op_cross_entropy (UmedptContext *context,
    const UmedptCrossEntropyArgs *args, GError **error);
gboolean umedpt_op_binary_cross_entropy (UmedptContext *context,
    const UmedptBinaryCrossEntropyArgs *args, GError **error);
gboolean umedpt_op_squared_error (UmedptContext *context,
    const UmedptSquaredErrorArgs *args, GError **error);
gboolean umedpt_op_segmentation_loss (UmedptContext *context,
    const UmedptSegmentationLossArgs *args, GError **error);
gboolean umedpt_op_detection_loss (UmedptContext *context,
    const UmedptDetectionLossArgs *args, GError **error);

/* The optimiser's ops; the same rule. They drop what is attached to the
 * parameter (packed weights). */
gboolean umedpt_op_adamw (UmedptContext *context, const UmedptAdamwArgs *args,
    GError **error);
gboolean umedpt_op_sgd (UmedptContext *context, const UmedptSgdArgs *args,
    GError **error);
gboolean umedpt_op_square_sum (UmedptContext *context, UmedptTensor *src,
    double *result, GError **error);
/* The same for @n tensors; numbers that the backend takes from the first are
 * the same for all. On an error some may have stepped. */
gboolean umedpt_op_adamw_many (UmedptContext *context,
    const UmedptAdamwArgs *steps, guint n, GError **error);
gboolean umedpt_op_sgd_many (UmedptContext *context, const UmedptSgdArgs *steps,
    guint n, GError **error);
gboolean umedpt_op_square_sum_many (UmedptContext *context,
    UmedptTensor *const *src, guint n, double *results, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptContext, umedpt_context_free)

G_END_DECLS
