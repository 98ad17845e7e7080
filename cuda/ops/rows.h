/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the ops on rows share: operands of matrix products in the type in
 * which they are formed, the three products of a linear map, and the norm at
 * the end of a branch.
 */
#pragma once

#include "gemm.h"
#include "kernels/layer-norm.h"

G_BEGIN_DECLS

static inline gsize
umedpt_cuda_element_size (UmedptDtype dtype)
{
  return dtype == UMEDPT_DTYPE_BF16 ? 2 : 4;
}

/* @tensor's values in the type @compute. A bf16 form stays with the tensor, an
 * f32 form goes to @scratch. NULL sets @error. */
const void *umedpt_cuda_operand (UmedptCuda *cuda, UmedptTensor *tensor,
    UmedptDtype compute, UmedptCudaScratch *scratch, GError **error);
/* The same for a gradient, which nobody reads twice: nothing stays with it. */
const void *umedpt_cuda_diff_operand (UmedptCuda *cuda, UmedptTensor *tensor,
    UmedptDtype compute, UmedptCudaScratch *scratch, GError **error);

/* Of @m rows, how many at a time make at most @bytes: equal parts, of whole
 * tiles of a product. */
gint64 umedpt_cuda_rows_per_part (gint64 m, gint64 bytes_per_row, gint64 bytes);

/* A linear map from [m, k] to [m, n] with weight [n, k]; operands in the type
 * @compute. */
typedef struct
{
  gint64 m, n, k;
  UmedptDtype compute;
} UmedptCudaMap;

/* diff_src [m, k] (f32 or bf16; nullable) = diff [m, n] weight, or added to. */
gboolean umedpt_cuda_map_backward_data (UmedptCuda *cuda,
    const UmedptCudaMap *map, const void *diff, UmedptTensor *weight,
    UmedptTensor *diff_src, gboolean accumulate, GError **error);
/* diff_weight [n, k] (f32, nullable) += diff^T [n, m] src [m, k]. */
gboolean umedpt_cuda_map_backward_weight (UmedptCuda *cuda,
    const UmedptCudaMap *map, const void *diff, const void *src,
    UmedptTensor *diff_weight, GError **error);

/* A norm of @rows x @columns in f32; @gamma, @beta are (nullable). */
UmedptCudaNorm umedpt_cuda_norm_of (gint64 rows, gint64 columns,
    const UmedptTensor *gamma, const UmedptTensor *beta, float epsilon);
void umedpt_cuda_norm_set_branch (UmedptCudaNorm *norm,
    const UmedptTensor *branch_scale);
/* Sets where the result goes; with bf16 products its bf16 form, too. */
gboolean umedpt_cuda_norm_set_dst (UmedptCuda *cuda, UmedptCudaNorm *norm,
    UmedptTensor *dst, UmedptDtype compute, GError **error);
gboolean umedpt_cuda_norm_run (UmedptCuda *cuda, const UmedptCudaNorm *norm,
    GError **error);
gboolean umedpt_cuda_norm_run_backward (UmedptCuda *cuda,
    const UmedptCudaNorm *norm, GError **error);

/* dst = the norm of src [m, k] weight^T + bias, with what @norm says about
 * residual and branch. @product: (nullable) where the product is kept in f32
 * for the backward pass. */
gboolean umedpt_cuda_map_and_norm (UmedptCuda *cuda, const UmedptCudaMap *map,
    const void *src, UmedptTensor *weight, UmedptTensor *bias,
    UmedptCudaNorm *norm, UmedptTensor *product, UmedptTensor *dst,
    GError **error);

/* The backward pass of that norm: @norm's product, diff_dst and gradients are
 * set; the gradient of the product, an operand in the type @compute, goes to
 * @scratch. NULL sets @error. */
const void *umedpt_cuda_norm_diff (UmedptCuda *cuda, UmedptCudaNorm *norm,
    UmedptDtype compute, UmedptCudaScratch *scratch, GError **error);

G_END_DECLS
