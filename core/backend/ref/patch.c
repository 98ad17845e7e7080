/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Gathers of pixels followed by a linear map and LayerNorm: what changes the
 * resolution in Swin.
 *
 *   patch_embed  non-overlapping patches of the image: a convolution whose
 *                stride is its kernel, in the weight's order (channel, row,
 *                column); then LN (Liu et al. 2021, arXiv:2103.14030, 3.1)
 *   patch_merge  the pixels (2y, 2x), (2y + 1, 2x), (2y, 2x + 1),
 *                (2y + 1, 2x + 1), in this order, side by side; linear
 *                without bias, then LN (V2 norms after the reduction, V1
 *                before it). Pixels beyond an odd edge are 0.
 */
#include "backend/ref/ref.h"

/* row [3, patch, patch] = the patch of sample @n at (@y, @x) in patches. */
static void
gather_patch (const UmedptPatchEmbedArgs *args, gsize n, gsize y, gsize x,
    float *row)
{
  const gint64 *shape = args->src->shape; /* [N, H, W, 3] */
  gsize patch = args->weight->shape[2];
  float unit = args->src->dtype == UMEDPT_DTYPE_U8 ? 255 : 1;

  for (gsize c = 0; c < 3; c++)
    for (gsize i = 0; i < patch; i++)
      for (gsize j = 0; j < patch; j++) {
        gsize pixel = (n * shape[1] + y * patch + i) * shape[2] + x * patch + j;
        row[(c * patch + i) * patch + j] =
            umedpt_ref_round (umedpt_ref_get (args->src, pixel * 3 + c) / unit,
                args->compute);
      }
}

gboolean
umedpt_ref_patch_embed (UmedptBackend *backend,
    const UmedptPatchEmbedArgs *args, GError **error)
{
  const gint64 *out = args->dst->shape; /* [N, H / patch, W / patch, C] */
  gsize patch = args->weight->shape[2], k = 3 * patch * patch, c = out[3];
  g_autoptr (UmedptTensor) weight =
      umedpt_ref_operand (args->weight, args->compute, error);
  g_autofree float *operands = g_new (float, k);
  g_autofree double *row = g_new (double, c);
  gsize at = 0;

  if (!weight)
    return FALSE;
  for (gsize n = 0; n < out[0]; n++)
    for (gsize y = 0; y < out[1]; y++)
      for (gsize x = 0; x < out[2]; x++) {
        gather_patch (args, n, y, x, operands);
        umedpt_ref_product (operands, weight, args->bias, c, k, row);
        for (gsize j = 0; j < c; j++)
          umedpt_ref_put (args->saved_product, at + j, row[j], FALSE);
        umedpt_ref_normalise (row, c, args->gamma, args->beta, args->epsilon);
        for (gsize j = 0; j < c; j++)
          umedpt_ref_set (args->dst, at++, row[j]);
      }
  return TRUE;
}

static const gsize merge_offsets[4][2] = { { 0, 0 }, { 1, 0 }, { 0, 1 },
  { 1, 1 } };

/* row [4, C] = the four pixels that become (@y, @x) of the output. */
static void
gather_merge (const UmedptPatchMergeArgs *args, gsize n, gsize y, gsize x,
    float *row)
{
  const gint64 *shape = args->src->shape; /* [N, H, W, C] */
  gsize c = shape[3];

  for (guint i = 0; i < 4; i++) {
    gsize sy = 2 * y + merge_offsets[i][0], sx = 2 * x + merge_offsets[i][1];
    gboolean inside = sy < shape[1] && sx < shape[2];
    gsize pixel = (n * shape[1] + sy) * shape[2] + sx;

    for (gsize j = 0; j < c; j++)
      row[i * c + j] = inside
          ? umedpt_ref_round (UMEDPT_F32 (args->src)[pixel * c + j],
                args->compute)
          : 0;
  }
}

gboolean
umedpt_ref_patch_merge (UmedptBackend *backend,
    const UmedptPatchMergeArgs *args, GError **error)
{
  const gint64 *out = args->dst->shape; /* [N, H', W', 2C] */
  gsize k = 4 * args->src->shape[3], c = out[3];
  g_autoptr (UmedptTensor) weight =
      umedpt_ref_operand (args->weight, args->compute, error);
  g_autofree float *operands = g_new (float, k);
  g_autofree double *row = g_new (double, c);
  gsize at = 0;

  if (!weight)
    return FALSE;
  for (gsize n = 0; n < out[0]; n++)
    for (gsize y = 0; y < out[1]; y++)
      for (gsize x = 0; x < out[2]; x++) {
        gather_merge (args, n, y, x, operands);
        umedpt_ref_product (operands, weight, NULL, c, k, row);
        for (gsize j = 0; j < c; j++)
          umedpt_ref_put (args->saved_product, at + j, row[j], FALSE);
        umedpt_ref_normalise (row, c, args->gamma, args->beta, args->epsilon);
        for (gsize j = 0; j < c; j++)
          umedpt_ref_set (args->dst, at++, row[j]);
      }
  return TRUE;
}

gboolean
umedpt_ref_patch_embed_backward (UmedptBackend *backend,
    const UmedptPatchEmbedBackwardArgs *args, GError **error)
{
  const UmedptPatchEmbedArgs *f = &args->forward;
  const gint64 *out = args->diff_dst->shape; /* [N, H / patch, W / patch, C] */
  gsize patch = f->weight->shape[2], k = 3 * patch * patch, c = out[3], at = 0;
  g_auto (UmedptRefNormSums) norm = { 0 };
  g_auto (UmedptRefProductSums) product = { 0 };
  g_autofree float *operands = g_new (float, k);
  g_autofree double *diff = g_new (double, c);

  umedpt_ref_norm_sums_init (&norm, c, umedpt_ref_values (f->gamma),
      f->epsilon);
  if (!umedpt_ref_product_sums_init (&product, c, k, f->weight, f->compute,
          args->diff_weight != NULL, error))
    return FALSE;
  for (gsize n = 0; n < out[0]; n++)
    for (gsize y = 0; y < out[1]; y++)
      for (gsize x = 0; x < out[2]; x++, at += c) {
        for (gsize j = 0; j < c; j++)
          diff[j] = UMEDPT_F32 (args->diff_dst)[at + j];
        umedpt_ref_normalise_backward (&norm,
            UMEDPT_F32 (f->saved_product) + at, diff);
        gather_patch (f, n, y, x, operands);
        umedpt_ref_product_backward (&product, diff, operands, NULL);
      }
  umedpt_ref_norm_sums_add (&norm, args->diff_gamma, args->diff_beta);
  umedpt_ref_product_sums_add (&product, args->diff_weight, args->diff_bias);
  return TRUE;
}

/* The opposite of gather_merge(): each pixel is in one row only. */
static void
scatter_merge (const UmedptPatchMergeBackwardArgs *args, gsize n, gsize y,
    gsize x, const double *row)
{
  const gint64 *shape = args->forward.src->shape; /* [N, H, W, C] */
  gsize c = shape[3];

  for (guint i = 0; i < 4; i++) {
    gsize sy = 2 * y + merge_offsets[i][0], sx = 2 * x + merge_offsets[i][1];
    gsize pixel = (n * shape[1] + sy) * shape[2] + sx;

    for (gsize j = 0; j < c && sy < shape[1] && sx < shape[2]; j++)
      umedpt_ref_put (args->diff_src, pixel * c + j, row[i * c + j],
          args->accumulate);
  }
}

gboolean
umedpt_ref_patch_merge_backward (UmedptBackend *backend,
    const UmedptPatchMergeBackwardArgs *args, GError **error)
{
  const UmedptPatchMergeArgs *f = &args->forward;
  const gint64 *out = args->diff_dst->shape; /* [N, H', W', 2C] */
  gsize k = 4 * f->src->shape[3], c = out[3], at = 0;
  g_auto (UmedptRefNormSums) norm = { 0 };
  g_auto (UmedptRefProductSums) product = { 0 };
  g_autofree float *operands = g_new (float, k);
  g_autofree double *diff = g_new (double, c);
  g_autofree double *diff_row = g_new (double, k);

  umedpt_ref_norm_sums_init (&norm, c, umedpt_ref_values (f->gamma),
      f->epsilon);
  if (!umedpt_ref_product_sums_init (&product, c, k, f->weight, f->compute,
          args->diff_weight != NULL, error))
    return FALSE;
  for (gsize n = 0; n < out[0]; n++)
    for (gsize y = 0; y < out[1]; y++)
      for (gsize x = 0; x < out[2]; x++, at += c) {
        for (gsize j = 0; j < c; j++)
          diff[j] = UMEDPT_F32 (args->diff_dst)[at + j];
        umedpt_ref_normalise_backward (&norm,
            UMEDPT_F32 (f->saved_product) + at, diff);
        gather_merge (f, n, y, x, operands);
        umedpt_ref_product_backward (&product, diff, operands, diff_row);
        scatter_merge (args, n, y, x, diff_row);
      }
  umedpt_ref_norm_sums_add (&norm, args->diff_gamma, args->diff_beta);
  umedpt_ref_product_sums_add (&product, args->diff_weight, NULL);
  return TRUE;
}
