/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The backward pass of the convolution, channels-last. The gradient of the
 * source is itself a convolution, of diff_dst (with zeros between its pixels
 * where the stride is 2) with the taps in reverse, and runs in bands as the
 * forward pass does. The gradient of the weights is summed in a number of
 * parts that depends on the shape alone, each over its bands in order, and
 * the parts in order: the same bits whatever the workers; or, where there are
 * few pixels, as that of a linear map of gathered rows. A 1 x 1 convolution is
 * a linear map of pixels.
 */
#include <string.h>

#include "backend/cpu/conv.h"
#include "backend/cpu/rows-backward.h"

#define WANTED_BANDS 8
#define MIN_BAND_ROWS 4
#define MAX_PARTS 8
#define MAX_GATHERED 4 /* pixels per output channel, for gathered_gradient() */
#define MAX_PARTS_SIZE ((gsize) 16 << 20)

static gboolean
point_backward (const UmedptConv2dBackwardArgs *args, GError **error)
{
  const UmedptConv2dArgs *f = &args->forward;
  UmedptRowsBackward job = { .N = f->weight->shape[0],
    .K = f->weight->shape[1],
    .M = (gint64) f->src->n_elements / MAX (f->weight->shape[1], 1),
    .weight = f->weight,
    .compute = f->compute,
    .diff_dst = args->diff_dst,
    .src = f->src,
    .diff_src = args->diff_src,
    .accumulate = args->accumulate,
    .diff_weight = (float *) umedpt_f32_or_null (args->diff_weight),
    .diff_bias = (float *) umedpt_f32_or_null (args->diff_bias) };

  return umedpt_rows_backward (&job, error);
}

/* Zeros between the pixels of a map, as a stride leaves them out. */
static UmedptTensor *
spread (UmedptTensor *map, gint64 stride, GError **error)
{
  const gint64 *s = map->shape;
  const gint64 shape[] = { s[0], (s[1] - 1) * stride + 1,
    (s[2] - 1) * stride + 1, s[3] };
  const gsize pixel = s[3] * umedpt_dtype_size (map->dtype);
  UmedptTensor *wide = umedpt_tensor_new_zeros (map->dtype, 4, shape, error);

  for (gint64 y = 0; wide && y < s[0] * s[1]; y++) {
    gint64 row = y / s[1] * shape[1] + y % s[1] * stride;
    for (gint64 x = 0; x < s[2]; x++)
      memcpy (umedpt_row (wide, row * shape[2] + x * stride, s[3]),
          umedpt_row (map, y * s[2] + x, s[3]), pixel);
  }
  return wide;
}

typedef struct
{
  UmedptTensor *src, *dst;
  UmedptRows rows;
  UmedptGroupSums *sums;
  gboolean accumulate;
} RowsJob;

static void
store_chunk (gpointer data, guint worker, guint chunk)
{
  RowsJob *job = data;
  const gint64 C = job->src->shape[3];
  const gint64 begin = umedpt_rows_begin (&job->rows, chunk);

  umedpt_store_rows (umedpt_row (job->src, begin, C),
      umedpt_row (job->dst, begin, C), job->dst->dtype,
      umedpt_rows_count (&job->rows, chunk) * C, job->accumulate);
}

static void
sum_chunk (gpointer data, guint worker, guint chunk)
{
  const UmedptRowKernels *kernels = umedpt_row_kernels_get ();
  RowsJob *job = data;
  const gint64 C = job->src->shape[3];
  gint64 row = umedpt_rows_begin (&job->rows, chunk);
  const gint64 end = row + umedpt_rows_count (&job->rows, chunk);

  for (; row < end; row += UMEDPT_GROUP) {
    gint64 n = MIN (UMEDPT_GROUP, end - row);
    float *sums = umedpt_group_sums_at (job->sums, row);
    if (job->src->dtype == UMEDPT_DTYPE_BF16)
      kernels->column_sums_bf16 (umedpt_row (job->src, row, C), n, C, sums);
    else
      kernels->column_sums_f32 (umedpt_row (job->src, row, C), n, C, sums);
  }
}

static gboolean
bias_gradient (const UmedptConv2dBackwardArgs *args, GError **error)
{
  const gint64 C = args->diff_dst->shape[3];
  UmedptGroupSums sums = { 0 };
  RowsJob job = { .src = args->diff_dst, .sums = &sums };

  job.rows = umedpt_rows_split_groups ((gint64) args->diff_dst->n_elements / C);
  if (!umedpt_group_sums_init (&sums, job.rows.rows, C, error))
    return FALSE;
  sums.parts[0] = (UmedptSumPart){ 0, C, UMEDPT_F32 (args->diff_bias) };
  umedpt_pool_run (umedpt_pool_get_default (), job.rows.n_chunks, sum_chunk,
      &job);
  umedpt_group_sums_finish (&sums);
  umedpt_group_sums_clear (&sums);
  return TRUE;
}

/* @diff: diff_dst in the compute type */
static gboolean
source_gradient (const UmedptConv2dBackwardArgs *args, UmedptTensor *diff,
    GError **error)
{
  const UmedptConv2dArgs *f = &args->forward;
  const gboolean direct = !args->accumulate &&
      (f->compute == UMEDPT_DTYPE_BF16 ||
          args->diff_src->dtype == UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) wide = f->stride > 1
      ? spread (diff, f->stride, error)
      : umedpt_tensor_ref (diff);
  g_autoptr (UmedptTensor) dst = direct
      ? umedpt_tensor_ref (args->diff_src)
      : umedpt_tensor_new (UMEDPT_DTYPE_F32, 4, args->diff_src->shape, error);
  UmedptConvGeometry geometry = { .src = wide,
    .dst = dst,
    .kh = f->weight->shape[2],
    .kw = f->weight->shape[3],
    .stride = 1,
    .above = f->weight->shape[2] - 1 - f->padding,
    .left = f->weight->shape[3] - 1 - f->padding };
  RowsJob job = {
    .src = dst, .dst = args->diff_src, .accumulate = args->accumulate
  };

  if (!wide || !dst ||
      !umedpt_conv_run (&geometry, f->weight, UMEDPT_WEIGHTS_CONV_FLIPPED, NULL,
          UMEDPT_ACTIVATION_NONE, f->compute, error))
    return FALSE;
  if (direct)
    return TRUE;
  job.rows =
      umedpt_rows_split ((gint64) dst->n_elements / MAX (dst->shape[3], 1));
  umedpt_pool_run (umedpt_pool_get_default (), job.rows.n_chunks, store_chunk,
      &job);
  return TRUE;
}

typedef struct
{
  UmedptConvGeometry geometry; /* of the forward pass; dst = diff_dst */
  gint64 bands, band_rows; /* per image */
  UmedptPrimitive **primitives; /* one per band of an image */
  guint n_parts;
  gsize size; /* of one part, in floats */
  UmedptTensor *parts;
  atomic_int failed;
} WeightJob;

static void
weight_job_clear (WeightJob *job)
{
  for (gint64 i = 0; job->primitives && i < job->bands; i++)
    umedpt_primitive_unref (job->primitives[i]);
  g_clear_pointer (&job->primitives, g_free);
  g_clear_pointer (&job->parts, umedpt_tensor_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (WeightJob, weight_job_clear)

static UmedptBand
describe_band (const WeightJob *job, gint64 index, gint64 *src_row)
{
  gint64 first = index * job->band_rows;

  return umedpt_conv_describe_band (&job->geometry, first,
      MIN (job->band_rows, job->geometry.dst->shape[1] - first), src_row);
}

/* All bands of one part, one after the other. */
static void
weight_chunk (gpointer data, guint worker, guint part)
{
  WeightJob *job = data;
  UmedptTensor *src = job->geometry.src, *dst = job->geometry.dst;
  const gint64 *s = src->shape, *d = dst->shape;
  float *sum = UMEDPT_F32 (job->parts) + part * job->size;
  float *scratch = umedpt_cpu_scratch (worker, job->size * sizeof (float));

  for (gint64 i = part; i < d[0] * job->bands; i += job->n_parts) {
    const gboolean first = i == part;
    gint64 n = i / job->bands, index = i % job->bands, src_row;
    describe_band (job, index, &src_row);
    if (!scratch ||
        !umedpt_gradient_run (job->primitives[index], worker,
            umedpt_row (dst, n * d[1] + index * job->band_rows, d[2] * d[3]),
            umedpt_row (src, n * s[1] + src_row, s[2] * s[3]),
            first ? sum : scratch)) {
      atomic_store (&job->failed, 1);
      return;
    }
    if (!first)
      umedpt_row_kernels_get ()->add_f32 (scratch, sum, sum, job->size);
  }
}

/* @bands per image, at most. */
static gboolean
prepare_weights (WeightJob *job, UmedptDtype compute, const gint64 *shape,
    gint64 bands, GError **error)
{
  const gint64 OH = job->geometry.dst->shape[1];
  gint64 size;

  job->band_rows = (OH + bands - 1) / bands;
  job->bands = (OH + job->band_rows - 1) / job->band_rows;
  job->primitives = g_new0 (UmedptPrimitive *, job->bands);
  for (gint64 i = 0; i < job->bands; i++) {
    gint64 src_row;
    UmedptBand band = describe_band (job, i, &src_row);
    if (band.src_rows < 1) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
          "a band of the convolution lies wholly in the padding.");
      return FALSE;
    }
    job->primitives[i] = umedpt_gradient_get_conv (compute, &band, shape,
        i > 0 ? job->primitives[0] : NULL, error);
    if (!job->primitives[i])
      return FALSE;
  }
  job->size = umedpt_gradient_get_size (job->primitives[0]) / sizeof (float);
  job->size = (job->size + 15) / 16 * 16;
  job->n_parts = (guint) CLAMP (MAX_PARTS_SIZE / (job->size * sizeof (float)),
      2, MAX_PARTS);
  job->n_parts =
      MIN (job->n_parts, (guint) (job->geometry.dst->shape[0] * job->bands));
  size = (gint64) job->size * job->n_parts;
  job->parts = umedpt_tensor_new (UMEDPT_DTYPE_F32, 1, &size, error);
  return job->parts != NULL;
}

static gboolean
weight_gradient (const UmedptConv2dBackwardArgs *args, UmedptTensor *src,
    UmedptTensor *diff, GError **error)
{
  const UmedptConv2dArgs *f = &args->forward;
  const UmedptRowKernels *kernels = umedpt_row_kernels_get ();
  const gint64 bands = CLAMP (WANTED_BANDS / diff->shape[0], 1,
      MAX (diff->shape[1] / MIN_BAND_ROWS, 1));
  const gsize n = args->diff_weight->n_elements;
  const gint64 length = (gint64) n;
  g_autoptr (UmedptTensor) plain = NULL;
  g_auto (WeightJob) job = { .geometry = { .src = src,
                                 .dst = diff,
                                 .kh = f->weight->shape[2],
                                 .kw = f->weight->shape[3],
                                 .stride = f->stride,
                                 .above = f->padding,
                                 .left = f->padding } };

  if (!prepare_weights (&job, f->compute, f->weight->shape, bands, NULL)) {
    /* bands do not suit: image by image */
    weight_job_clear (&job);
    if (!prepare_weights (&job, f->compute, f->weight->shape, 1, error))
      return FALSE;
  }
  plain = umedpt_tensor_new (UMEDPT_DTYPE_F32, 1, &length, error);
  if (!plain ||
      !umedpt_cpu_run (job.n_parts, weight_chunk, &job, &job.failed, error))
    return FALSE;
  for (guint i = 1; i < job.n_parts; i++)
    kernels->add_f32 (UMEDPT_F32 (job.parts) + i * job.size,
        UMEDPT_F32 (job.parts), UMEDPT_F32 (job.parts), job.size);
  if (!umedpt_gradient_unpack (job.primitives[0], UMEDPT_F32 (job.parts),
          UMEDPT_F32 (plain), error))
    return FALSE;
  kernels->add_f32 (UMEDPT_F32 (plain), UMEDPT_F32 (args->diff_weight),
      UMEDPT_F32 (args->diff_weight), n);
  return TRUE;
}

/* The pixels under all taps of one output pixel, tap by tap. */
static void
gather_taps (const UmedptRowsBackward *job, gint64 row, float *dst)
{
  const UmedptConvGeometry *g = job->geometry;
  const gint64 *s = g->src->shape, *d = g->dst->shape;
  const gint64 x = row % d[2], y = row / d[2] % d[1], n = row / (d[1] * d[2]);

  for (gint64 i = 0; i < g->kh * g->kw; i++, dst += s[3]) {
    gint64 sy = y * g->stride - g->above + i / g->kw;
    gint64 sx = x * g->stride - g->left + i % g->kw;
    gint64 pixel = (n * s[1] + sy) * s[2] + sx;

    if (sy < 0 || sy >= s[1] || sx < 0 || sx >= s[2])
      memset (dst, 0, s[3] * sizeof *dst);
    else if (g->src->dtype == UMEDPT_DTYPE_BF16)
      umedpt_kernels_get ()->bf16_to_f32 (umedpt_row (g->src, pixel, s[3]), dst,
          s[3]);
    else
      memcpy (dst, umedpt_row (g->src, pixel, s[3]), s[3] * sizeof *dst);
  }
}

typedef struct
{
  gint64 C, taps;
  const float *src; /* [O, taps, C] */
  float *dst; /* [O, C, taps] */
} TapsJob;

static void
add_taps_chunk (gpointer data, guint worker, guint o)
{
  TapsJob *job = data;
  const float *src = job->src + o * job->taps * job->C;
  float *dst = job->dst + o * job->taps * job->C;

  for (gint64 c = 0; c < job->C; c++)
    for (gint64 i = 0; i < job->taps; i++)
      dst[c * job->taps + i] += src[i * job->C + c];
}

/* Many weights and few pixels: the product over gathered rows adds to one
 * gradient, where bands would each write one as large as the weights. Gives
 * the bias's gradient as well. */
static gboolean
gathered_gradient (const UmedptConv2dBackwardArgs *args, GError **error)
{
  const UmedptConv2dArgs *f = &args->forward;
  const gint64 *w = f->weight->shape;
  const gint64 shape[] = { w[0], w[2] * w[3] * w[1] };
  const UmedptConvGeometry geometry = { .src = f->src,
    .dst = args->diff_dst,
    .kh = w[2],
    .kw = w[3],
    .stride = f->stride,
    .above = f->padding,
    .left = f->padding };
  g_autoptr (UmedptTensor) sum =
      umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 2, shape, error);
  UmedptRowsBackward job = { .N = shape[0],
    .K = shape[1],
    .M = (gint64) args->diff_dst->n_elements / w[0],
    .weight = f->weight,
    .compute = f->compute,
    .diff_dst = args->diff_dst,
    .gather = gather_taps,
    .geometry = &geometry,
    .diff_weight = sum ? UMEDPT_F32 (sum) : NULL,
    .diff_bias = (float *) umedpt_f32_or_null (args->diff_bias) };
  TapsJob taps = { w[1], w[2] * w[3], job.diff_weight,
    UMEDPT_F32 (args->diff_weight) };

  if (!sum || !umedpt_rows_backward (&job, error))
    return FALSE;
  umedpt_pool_run (umedpt_pool_get_default (), (guint) w[0], add_taps_chunk,
      &taps);
  return TRUE;
}

gboolean
umedpt_cpu_conv2d_backward (UmedptBackend *backend,
    const UmedptConv2dBackwardArgs *args, GError **error)
{
  const UmedptConv2dArgs *f = &args->forward;
  const gint64 kh = f->weight->shape[2], kw = f->weight->shape[3];
  const gboolean gather = args->diff_weight &&
      (gint64) args->diff_dst->n_elements / MAX (f->weight->shape[0], 1) <=
          MAX_GATHERED * f->weight->shape[0];
  g_autoptr (UmedptTensor) src = NULL, diff = NULL;

  if (!umedpt_cpu_check_compute (f->compute, error))
    return FALSE;
  if (kh == 1 && kw == 1 && f->stride == 1 && f->padding == 0)
    return point_backward (args, error);
  if (f->padding > MIN (kh, kw) - 1 || args->diff_dst->n_elements == 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "a convolution padded by its kernel's size or more, or without a "
        "pixel.");
    return FALSE;
  }
  diff = umedpt_conv_as_type (backend, args->diff_dst, f->compute, error);
  if (!diff || (args->diff_src && !source_gradient (args, diff, error)))
    return FALSE;
  if (gather)
    return gathered_gradient (args, error);
  if (args->diff_bias && !bias_gradient (args, error))
    return FALSE;
  if (!args->diff_weight)
    return TRUE;
  src = umedpt_conv_as_type (backend, f->src, f->compute, error);
  return src && weight_gradient (args, src, diff, error);
}
