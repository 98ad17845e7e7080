/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * 2-D convolution, channels-last, by oneDNN in bands of output rows: each band
 * is a small convolution of its own with the padding that its place in the
 * image gives it, so that workers share one image without copies. At most
 * three kinds of band exist (top, middle, bottom), plus a shorter last one.
 */
#include "backend/cpu/cpu.h"

#define WANTED_PIXELS 1024 /* output pixels of a band */

typedef struct
{
  const UmedptConv2dArgs *args;
  gint64 bands, band_rows; /* per image; output rows of a band */
  UmedptPrimitive **primitives; /* one per band */
  const float *bias;
  atomic_int failed;
} ConvJob;

/* The geometry of band @index. */
static UmedptBand
describe_band (const ConvJob *job, gint64 index, gint64 *first_src_row)
{
  const UmedptConv2dArgs *args = job->args;
  const gint64 H = args->src->shape[1], W = args->src->shape[2];
  const gint64 OH = args->dst->shape[1], OW = args->dst->shape[2];
  const gint64 kh = args->weight->shape[2], kw = args->weight->shape[3];
  gint64 y0 = index * job->band_rows, y1 = MIN (y0 + job->band_rows, OH);
  gint64 top = y0 * args->stride - args->padding;
  gint64 bottom = (y1 - 1) * args->stride - args->padding + kh;
  gint64 right = (OW - 1) * args->stride - args->padding + kw - W;

  *first_src_row = CLAMP (top, 0, H);
  return (UmedptBand){ .src_rows = CLAMP (bottom, 0, H) - *first_src_row,
    .src_cols = W,
    .dst_rows = y1 - y0,
    .dst_cols = OW,
    .above = MAX (-top, 0),
    .below = MAX (bottom - H, 0),
    .left = args->padding,
    .right = right,
    .stride = args->stride };
}

static void
conv_chunk (gpointer data, guint worker, guint chunk)
{
  ConvJob *job = data;
  const UmedptConv2dArgs *args = job->args;
  const gint64 *s = args->src->shape, *d = args->dst->shape;
  gint64 n = chunk / job->bands, index = chunk % job->bands, src_row;
  UmedptBand band = describe_band (job, index, &src_row);
  gint64 src_offset = (n * s[1] + src_row) * s[2] * s[3];
  gint64 dst_offset = (n * d[1] + index * job->band_rows) * d[2] * d[3];
  gsize count = (gsize) (band.dst_rows * d[2] * d[3]);
  char *dst = (char *) args->dst->data +
      dst_offset * umedpt_dtype_size (args->dst->dtype);

  if (!umedpt_primitive_run (job->primitives[index], worker,
          (const char *) args->src->data +
              src_offset * umedpt_dtype_size (args->src->dtype),
          job->bias, dst)) {
    atomic_store (&job->failed, 1);
    return;
  }
  if (args->activation == UMEDPT_ACTIVATION_NONE)
    return;
  if (args->dst->dtype == UMEDPT_DTYPE_BF16)
    umedpt_kernels_get ()->activate_bf16 ((guint16 *) dst, count,
        args->activation);
  else
    umedpt_kernels_get ()->activate_f32 ((float *) dst, count,
        args->activation);
}

static gboolean
make_primitives (ConvJob *job, GError **error)
{
  const UmedptConv2dArgs *args = job->args;
  UmedptPacked *packed = umedpt_packed_get (args->weight, UMEDPT_WEIGHTS_CONV,
      args->compute, error);

  for (gint64 i = 0; packed && i < job->bands; i++) {
    gint64 src_row;
    UmedptBand band = describe_band (job, i, &src_row);
    if (band.src_rows < 1) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
          "a band of the convolution lies wholly in the padding.");
      return FALSE;
    }
    job->primitives[i] = umedpt_packed_get_conv (packed, &band,
        job->bias != NULL, args->dst->dtype, error);
    if (!job->primitives[i])
      return FALSE;
  }
  return packed != NULL;
}

/* With maps in types that oneDNN takes. */
static gboolean
run_conv (const UmedptConv2dArgs *args, GError **error)
{
  const gint64 *d = args->dst->shape;
  ConvJob job = { .args = args, .bias = umedpt_f32_or_null (args->bias) };
  g_autofree UmedptPrimitive **primitives = NULL;

  job.band_rows = CLAMP (WANTED_PIXELS / d[2], 1, d[1]);
  job.bands = (d[1] + job.band_rows - 1) / job.band_rows;
  job.primitives = primitives = g_new0 (UmedptPrimitive *, job.bands);
  if (!make_primitives (&job, error))
    return FALSE;
  return umedpt_cpu_run ((guint) (d[0] * job.bands), conv_chunk, &job,
      &job.failed, error);
}

static gboolean
convert (UmedptBackend *backend, UmedptTensor *src, UmedptTensor *dst,
    GError **error)
{
  const UmedptConvertArgs args = { src, dst };

  return umedpt_cpu_convert (backend, &args, error);
}

/* oneDNN takes maps in the compute type, and writes bf16 only from bf16; other
 * combinations go through a converted copy. */
gboolean
umedpt_cpu_conv2d (UmedptBackend *backend, const UmedptConv2dArgs *args,
    GError **error)
{
  g_autoptr (UmedptTensor) src = NULL, dst = NULL;
  UmedptConv2dArgs inner = *args;

  if (!umedpt_cpu_check_compute (args->compute, error))
    return FALSE;
  if (args->dst->n_elements == 0)
    return TRUE;
  if (args->src->dtype != args->compute) {
    inner.src = src =
        umedpt_tensor_new (args->compute, 4, args->src->shape, error);
    if (!src || !convert (backend, args->src, src, error))
      return FALSE;
  }
  if (args->compute == UMEDPT_DTYPE_F32 &&
      args->dst->dtype != UMEDPT_DTYPE_F32) {
    inner.dst = dst =
        umedpt_tensor_new (UMEDPT_DTYPE_F32, 4, args->dst->shape, error);
    if (!dst)
      return FALSE;
  }
  return run_conv (&inner, error) &&
      (!dst || convert (backend, dst, args->dst, error));
}
