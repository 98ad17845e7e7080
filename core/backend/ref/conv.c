/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Two-dimensional convolution (in the sense of the field: a correlation), in
 * channels-last maps with the weights of the checkpoints, [O, C, kh, kw]:
 *
 *   y[n, i, j, o] = f (b[o] + sum over c, u, v of
 *       x[n, i stride + u - padding, j stride + v - padding, c] w[o, c, u, v])
 *
 * where pixels outside of the map are 0, and
 * OH = (H + 2 padding - kh) / stride + 1, rounded down.
 */
#include "backend/ref/ref.h"

/* row [C, kh, kw] = what output pixel (@y, @x) of sample @n sees of @src. */
static void
gather (const UmedptConv2dArgs *args, const UmedptTensor *src, gsize n,
    gint64 y, gint64 x, float *row)
{
  const gint64 *shape = src->shape; /* [N, H, W, C] */
  gint64 kh = args->weight->shape[2], kw = args->weight->shape[3];

  for (gint64 u = 0; u < kh; u++)
    for (gint64 v = 0; v < kw; v++) {
      gint64 sy = y * args->stride + u - args->padding;
      gint64 sx = x * args->stride + v - args->padding;
      gboolean inside = sy >= 0 && sx >= 0 && sy < shape[1] && sx < shape[2];

      for (gint64 c = 0; c < shape[3]; c++)
        row[(c * kh + u) * kw + v] = inside
            ? UMEDPT_F32 (src)[((n * shape[1] + sy) * shape[2] + sx) *
                      shape[3] +
                  c]
            : 0;
    }
}

gboolean
umedpt_ref_conv2d (UmedptBackend *backend, const UmedptConv2dArgs *args,
    GError **error)
{
  const gint64 *out = args->dst->shape; /* [N, OH, OW, O] */
  const gint64 *kernel = args->weight->shape;
  gsize k = kernel[1] * kernel[2] * kernel[3], o = out[3], at = 0;
  g_autoptr (UmedptTensor) src =
      umedpt_ref_operand (args->src, args->compute, error);
  g_autoptr (UmedptTensor) weight =
      src ? umedpt_ref_operand (args->weight, args->compute, error) : NULL;
  g_autofree float *operands = g_new (float, k);
  g_autofree double *row = g_new (double, o);

  if (!weight)
    return FALSE;
  for (gsize n = 0; n < out[0]; n++)
    for (gsize y = 0; y < out[1]; y++)
      for (gsize x = 0; x < out[2]; x++) {
        gather (args, src, n, y, x, operands);
        umedpt_ref_product (operands, weight, args->bias, o, k, row);
        for (gsize j = 0; j < o; j++)
          umedpt_ref_set (args->dst, at++,
              umedpt_ref_activation (row[j], args->activation));
      }
  return TRUE;
}

/* The opposite of gather(): what pixel (@y, @x) of the output gives back to
 * the pixels that it has seen; they overlap. */
static void
scatter (const UmedptConv2dArgs *args, gsize n, gint64 y, gint64 x,
    const double *row, double *diff_src)
{
  const gint64 *shape = args->src->shape; /* [N, H, W, C] */
  gint64 kh = args->weight->shape[2], kw = args->weight->shape[3];

  for (gint64 u = 0; u < kh; u++)
    for (gint64 v = 0; v < kw; v++) {
      gint64 sy = y * args->stride + u - args->padding;
      gint64 sx = x * args->stride + v - args->padding;
      double *pixel;

      if (sy < 0 || sx < 0 || sy >= shape[1] || sx >= shape[2])
        continue;
      pixel =
          diff_src + ((n * shape[1] + sy) * shape[2] + sx) * (gsize) shape[3];
      for (gint64 c = 0; c < shape[3]; c++)
        pixel[c] += row[(c * kh + u) * kw + v];
    }
}

gboolean
umedpt_ref_conv2d_backward (UmedptBackend *backend,
    const UmedptConv2dBackwardArgs *args, GError **error)
{
  const UmedptConv2dArgs *f = &args->forward;
  const gint64 *out = args->diff_dst->shape; /* [N, OH, OW, O] */
  const gint64 *kernel = f->weight->shape;
  gsize k = kernel[1] * kernel[2] * kernel[3], o = out[3], at = 0;
  g_auto (UmedptRefProductSums) product = { 0 };
  g_autoptr (UmedptTensor) src = umedpt_ref_operand (f->src, f->compute, error);
  g_autofree float *operands = g_new (float, k);
  g_autofree double *diff = g_new (double, o);
  g_autofree double *diff_row = g_new (double, k);
  g_autofree double *diff_src = g_new0 (double, f->src->n_elements);

  if (!src ||
      !umedpt_ref_product_sums_init (&product, o, k, f->weight, f->compute,
          args->diff_weight != NULL, error))
    return FALSE;
  for (gsize n = 0; n < out[0]; n++)
    for (gsize y = 0; y < out[1]; y++)
      for (gsize x = 0; x < out[2]; x++) {
        for (gsize j = 0; j < o; j++)
          diff[j] = umedpt_ref_get (args->diff_dst, at++);
        gather (f, src, n, y, x, operands);
        umedpt_ref_product_backward (&product, diff, operands, diff_row);
        scatter (f, n, y, x, diff_row, diff_src);
      }
  for (gsize i = 0; i < src->n_elements; i++)
    umedpt_ref_put (args->diff_src, i, diff_src[i], args->accumulate);
  umedpt_ref_product_sums_add (&product, args->diff_weight, args->diff_bias);
  return TRUE;
}
