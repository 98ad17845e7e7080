/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Nearest-neighbour resizing with what follows it in decoders.
 *
 *   upsample_concat  the resized map and a map of the encoder side by side
 *                    (U-Net: Ronneberger et al. 2015, arXiv:1505.04597)
 *   upsample_add     the resized map and a lateral one, added (feature
 *                    pyramid: Lin et al. 2017, arXiv:1612.03144)
 *
 * Row y of H is row floor (y h / H) of h. Backward, a source pixel gathers
 * what all its copies get.
 */
#include "backend/ref/ref.h"

/* Of channel 0: the element of @src [N, h, w, C] that pixel (@y, @x) of a map
 * of @height by @width shows. */
static gsize
nearest (const UmedptTensor *src, gsize n, gsize y, gsize x, gsize height,
    gsize width)
{
  gsize h = src->shape[1], w = src->shape[2];

  return ((n * h + y * h / height) * w + x * w / width) * src->shape[3];
}

gboolean
umedpt_ref_upsample_concat (UmedptBackend *backend,
    const UmedptUpsampleConcatArgs *args, GError **error)
{
  const gint64 *out = args->dst->shape; /* [N, H, W, C + S] */
  gsize c = args->src->shape[3], s = out[3] - c, pixel = 0;

  for (gsize n = 0; n < out[0]; n++)
    for (gsize y = 0; y < out[1]; y++)
      for (gsize x = 0; x < out[2]; x++, pixel++) {
        gsize from = nearest (args->src, n, y, x, out[1], out[2]);

        for (gsize j = 0; j < c; j++)
          umedpt_ref_set (args->dst, pixel * out[3] + j,
              UMEDPT_F32 (args->src)[from + j]);
        for (gsize j = 0; j < s; j++)
          umedpt_ref_set (args->dst, pixel * out[3] + c + j,
              UMEDPT_F32 (args->skip)[pixel * s + j]);
      }
  return TRUE;
}

/* The first channels of @diff_dst, summed over the copies of each pixel of
 * @src, whose gradient is @diff_src (nullable). */
static void
gather_copies (const UmedptTensor *src, const UmedptTensor *diff_dst,
    UmedptTensor *diff_src, gboolean accumulate)
{
  const gint64 *out = diff_dst->shape; /* [N, H, W, C or more] */
  gsize c = src->shape[3], pixel = 0;
  g_autofree double *sums = g_new0 (double, src->n_elements);

  for (gsize n = 0; n < out[0]; n++)
    for (gsize y = 0; y < out[1]; y++)
      for (gsize x = 0; x < out[2]; x++, pixel++)
        for (gsize j = 0; j < c; j++)
          sums[nearest (src, n, y, x, out[1], out[2]) + j] +=
              UMEDPT_F32 (diff_dst)[pixel * out[3] + j];
  for (gsize i = 0; i < src->n_elements; i++)
    umedpt_ref_put (diff_src, i, sums[i], accumulate);
}

gboolean
umedpt_ref_upsample_concat_backward (UmedptBackend *backend,
    const UmedptUpsampleConcatBackwardArgs *args, GError **error)
{
  gsize all = umedpt_ref_columns (args->diff_dst);
  gsize c = args->forward.src->shape[3], s = all - c;

  gather_copies (args->forward.src, args->diff_dst, args->diff_src,
      args->accumulate);
  for (gsize p = 0; p < umedpt_ref_rows (args->diff_dst); p++)
    for (gsize j = 0; j < s; j++)
      umedpt_ref_put (args->diff_skip, p * s + j,
          UMEDPT_F32 (args->diff_dst)[p * all + c + j], args->accumulate_skip);
  return TRUE;
}

gboolean
umedpt_ref_upsample_add (UmedptBackend *backend,
    const UmedptUpsampleAddArgs *args, GError **error)
{
  const gint64 *out = args->dst->shape; /* [N, H, W, C] */
  gsize i = 0;

  for (gsize n = 0; n < out[0]; n++)
    for (gsize y = 0; y < out[1]; y++)
      for (gsize x = 0; x < out[2]; x++)
        for (gsize j = 0; j < out[3]; j++, i++)
          umedpt_ref_set (args->dst, i,
              UMEDPT_F32 (args->lateral)[i] +
                  UMEDPT_F32 (args->src)
                      [nearest (args->src, n, y, x, out[1], out[2]) + j]);
  return TRUE;
}

gboolean
umedpt_ref_upsample_add_backward (UmedptBackend *backend,
    const UmedptUpsampleAddBackwardArgs *args, GError **error)
{
  gather_copies (args->forward.src, args->diff_dst, args->diff_src,
      args->accumulate);
  return TRUE;
}
