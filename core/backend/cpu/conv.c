/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * 2-D convolution, channels-last, by oneDNN in bands of output rows: each band
 * is a small convolution of its own with the padding that its place in the
 * image gives it, so that workers share one image without copies. At most
 * three kinds of band exist (top, middle, bottom), plus a shorter last one.
 */
#include "backend/cpu/conv.h"

#define WANTED_PIXELS 512 /* output pixels of a band */

typedef struct
{
  UmedptConvGeometry geometry;
  gint64 bands, band_rows; /* per image; output rows of a band */
  UmedptProduct *products; /* one per band */
  const float *bias;
  UmedptActivation activation;
  atomic_int failed;
} ConvJob;

static void
conv_job_clear (ConvJob *job)
{
  for (gint64 i = 0; job->products && i < job->bands; i++)
    umedpt_product_clear (&job->products[i]);
  g_free (job->products);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ConvJob, conv_job_clear)

/* The convolution that gives the output rows from @first_row on. */
UmedptBand
umedpt_conv_describe_band (const UmedptConvGeometry *g, gint64 first_row,
    gint64 n_rows, gint64 *first_src_row)
{
  const gint64 H = g->src->shape[1], W = g->src->shape[2];
  const gint64 OW = g->dst->shape[2];
  gint64 top = first_row * g->stride - g->above;
  gint64 bottom = (first_row + n_rows - 1) * g->stride - g->above + g->kh;
  gint64 right = (OW - 1) * g->stride - g->left + g->kw - W;

  *first_src_row = CLAMP (top, 0, H);
  return (UmedptBand){ .src_rows = CLAMP (bottom, 0, H) - *first_src_row,
    .src_cols = W,
    .dst_rows = n_rows,
    .dst_cols = OW,
    .above = MAX (-top, 0),
    .below = MAX (bottom - H, 0),
    .left = g->left,
    .right = right,
    .stride = g->stride };
}

static UmedptBand
describe_band (const ConvJob *job, gint64 index, gint64 *first_src_row)
{
  gint64 first = index * job->band_rows;

  return umedpt_conv_describe_band (&job->geometry, first,
      MIN (job->band_rows, job->geometry.dst->shape[1] - first), first_src_row);
}

static void
conv_chunk (gpointer data, guint worker, guint chunk)
{
  ConvJob *job = data;
  UmedptTensor *src = job->geometry.src, *dst = job->geometry.dst;
  const gint64 *s = src->shape, *d = dst->shape;
  gint64 n = chunk / job->bands, index = chunk % job->bands, src_row;
  UmedptBand band = describe_band (job, index, &src_row);
  gsize count = (gsize) (band.dst_rows * d[2] * d[3]);
  gpointer to =
      umedpt_row (dst, n * d[1] + index * job->band_rows, d[2] * d[3]);

  if (!umedpt_product_run (&job->products[index], worker,
          umedpt_row (src, n * s[1] + src_row, s[2] * s[3]), job->bias, to)) {
    atomic_store (&job->failed, 1);
    return;
  }
  if (job->activation == UMEDPT_ACTIVATION_NONE)
    return;
  if (dst->dtype == UMEDPT_DTYPE_BF16)
    umedpt_kernels_get ()->activate_bf16 (to, count, job->activation);
  else
    umedpt_kernels_get ()->activate_f32 (to, count, job->activation);
}

gboolean
umedpt_conv_run (const UmedptConvGeometry *geometry, UmedptTensor *weight,
    UmedptWeightsLayout layout, UmedptTensor *bias, UmedptActivation activation,
    UmedptDtype compute, GError **error)
{
  const gint64 *d = geometry->dst->shape;
  g_auto (ConvJob) job = { .geometry = *geometry,
    .bias = umedpt_f32_or_null (bias),
    .activation = activation };
  UmedptPacked *packed = umedpt_packed_get (weight, layout, compute, error);

  if (!packed)
    return FALSE;
  job.band_rows = CLAMP (WANTED_PIXELS / d[2], 1, d[1]);
  job.bands = (d[1] + job.band_rows - 1) / job.band_rows;
  job.products = g_new0 (UmedptProduct, job.bands);
  for (gint64 i = 0; i < job.bands; i++) {
    gint64 src_row;
    UmedptBand band = describe_band (&job, i, &src_row);
    if (band.src_rows < 1) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
          "a band of the convolution lies wholly in the padding.");
      return FALSE;
    }
    if (!umedpt_packed_get_conv (packed, &band, bias != NULL,
            geometry->dst->dtype, &job.products[i], error))
      return FALSE;
  }
  return umedpt_cpu_run ((guint) (d[0] * job.bands), conv_chunk, &job,
      &job.failed, error);
}

UmedptTensor *
umedpt_conv_as_type (UmedptBackend *backend, UmedptTensor *tensor,
    UmedptDtype dtype, GError **error)
{
  g_autoptr (UmedptTensor) copy = NULL;

  if (tensor->dtype == dtype)
    return umedpt_tensor_ref (tensor);
  copy = umedpt_tensor_new (dtype, tensor->n_dims, tensor->shape, error);
  if (!copy ||
      !umedpt_cpu_convert (backend, &(UmedptConvertArgs){ tensor, copy },
          error))
    return NULL;
  return g_steal_pointer (&copy);
}

/* oneDNN takes maps in the compute type, and writes bf16 only from bf16; other
 * combinations go through a converted copy. */
gboolean
umedpt_cpu_conv2d (UmedptBackend *backend, const UmedptConv2dArgs *args,
    GError **error)
{
  g_autoptr (UmedptTensor) src = NULL, dst = NULL;
  UmedptConvGeometry geometry = { .dst = args->dst,
    .kh = args->weight->shape[2],
    .kw = args->weight->shape[3],
    .stride = args->stride,
    .above = args->padding,
    .left = args->padding };

  if (!umedpt_cpu_check_compute (args->compute, error))
    return FALSE;
  if (args->dst->n_elements == 0)
    return TRUE;
  geometry.src = src =
      umedpt_conv_as_type (backend, args->src, args->compute, error);
  if (!src)
    return FALSE;
  if (args->compute == UMEDPT_DTYPE_F32 &&
      args->dst->dtype != UMEDPT_DTYPE_F32) {
    geometry.dst = dst =
        umedpt_tensor_new (UMEDPT_DTYPE_F32, 4, args->dst->shape, error);
    if (!dst)
      return FALSE;
  }
  return umedpt_conv_run (&geometry, args->weight, UMEDPT_WEIGHTS_CONV,
             args->bias, args->activation, args->compute, error) &&
      (!dst ||
          umedpt_cpu_convert (backend, &(UmedptConvertArgs){ dst, args->dst },
              error));
}
