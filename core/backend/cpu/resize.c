/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Nearest-neighbour resizing with what follows it in decoders, forwards and
 * backwards; see ref/resize.c. Row y of H shows row floor (y h / H) of h, so
 * row r of h is seen by rows [ceil (r H / h), ceil ((r + 1) H / h)): a block
 * of pixels, which a source pixel sums backwards. All are bound by memory.
 */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels-train.h"

/* The sizes of a map @src [N, h, w, C] and of what it becomes,
 * [N, H, W, C + S]. */
typedef struct
{
  gint64 h, w, H, W;
  gsize C, S;
} Sizes;

typedef struct
{
  Sizes sizes;
  const float *src, *other; /* skip or lateral */
  float *dst;
} ResizeJob;

typedef struct
{
  Sizes sizes;
  const float *diff_dst;
  float *diff_src, *diff_skip; /* each may be NULL */
  gboolean accumulate, accumulate_skip;
} ResizeDiffJob;

static Sizes
make_sizes (const UmedptTensor *src, const UmedptTensor *dst)
{
  return (Sizes){ src->shape[1], src->shape[2], dst->shape[1], dst->shape[2],
    (gsize) src->shape[3], (gsize) (dst->shape[3] - src->shape[3]) };
}

/* One row of the result; chunks count rows of all images. */
static void
concat_chunk (gpointer data, guint worker, guint chunk)
{
  const ResizeJob *job = data;
  const Sizes *s = &job->sizes;
  gint64 n = chunk / s->H, y = chunk % s->H;
  const float *src =
      job->src + (gsize) ((n * s->h + y * s->h / s->H) * s->w) * s->C;
  const float *skip = job->other + (gsize) chunk * s->W * s->S;
  float *dst = job->dst + (gsize) chunk * s->W * (s->C + s->S);

  for (gint64 x = 0; x < s->W; x++, dst += s->C + s->S) {
    memcpy (dst, src + (gsize) (x * s->w / s->W) * s->C, s->C * sizeof (float));
    if (s->S)
      memcpy (dst + s->C, skip + x * s->S, s->S * sizeof (float));
  }
}

gboolean
umedpt_cpu_upsample_concat (UmedptBackend *backend,
    const UmedptUpsampleConcatArgs *args, GError **error)
{
  ResizeJob job = { .sizes = make_sizes (args->src, args->dst),
    .src = UMEDPT_F32 (args->src),
    .other = args->skip ? UMEDPT_F32 (args->skip) : UMEDPT_F32 (args->src),
    .dst = UMEDPT_F32 (args->dst) };

  if (args->dst->n_elements == 0)
    return TRUE;
  return umedpt_cpu_run ((guint) (args->dst->shape[0] * job.sizes.H),
      concat_chunk, &job, NULL, error);
}

static void
add_chunk (gpointer data, guint worker, guint chunk)
{
  const ResizeJob *job = data;
  const UmedptTrainKernels *kernels = umedpt_train_kernels_get ();
  const Sizes *s = &job->sizes;
  gint64 n = chunk / s->H, y = chunk % s->H;
  gsize row = (gsize) chunk * s->W * s->C;
  const float *src =
      job->src + (gsize) ((n * s->h + y * s->h / s->H) * s->w) * s->C;

  for (gint64 x = 0; x < s->W; x++)
    kernels->add (job->other + row + x * s->C,
        src + (gsize) (x * s->w / s->W) * s->C, FALSE,
        job->dst + row + x * s->C, s->C);
}

gboolean
umedpt_cpu_upsample_add (UmedptBackend *backend,
    const UmedptUpsampleAddArgs *args, GError **error)
{
  ResizeJob job = { .sizes = make_sizes (args->src, args->dst),
    .src = UMEDPT_F32 (args->src),
    .other = UMEDPT_F32 (args->lateral),
    .dst = UMEDPT_F32 (args->dst) };

  if (args->dst->n_elements == 0)
    return TRUE;
  return umedpt_cpu_run ((guint) (args->dst->shape[0] * job.sizes.H), add_chunk,
      &job, NULL, error);
}

/* The first row of H that shows row @r of h. */
static gint64
first_copy (gint64 r, gint64 h, gint64 H)
{
  return (r * H + h - 1) / h;
}

/* One row of the source: each pixel sums its copies. */
static void
gather_chunk (gpointer data, guint worker, guint chunk)
{
  const ResizeDiffJob *job = data;
  const UmedptTrainKernels *kernels = umedpt_train_kernels_get ();
  const Sizes *s = &job->sizes;
  gint64 n = chunk / s->h, y = chunk % s->h;
  gint64 top = first_copy (y, s->h, s->H);
  gint64 rows = first_copy (y + 1, s->h, s->H) - top;
  gsize pixel = s->C + s->S;
  const float *diff = job->diff_dst + (gsize) ((n * s->H + top) * s->W) * pixel;

  for (gint64 x = 0; x < s->w; x++) {
    gint64 left = first_copy (x, s->w, s->W);
    gint64 columns = first_copy (x + 1, s->w, s->W) - left;
    kernels->sum_pixels (diff + left * pixel, (gsize) rows, s->W * pixel,
        (gsize) columns, pixel, s->C,
        job->diff_src + ((gsize) chunk * s->w + x) * s->C, job->accumulate);
  }
}

/* One row of the skip's gradient. */
static void
skip_chunk (gpointer data, guint worker, guint chunk)
{
  const ResizeDiffJob *job = data;
  const UmedptTrainKernels *kernels = umedpt_train_kernels_get ();
  const Sizes *s = &job->sizes;
  gsize first = (gsize) chunk * s->W, pixel = s->C + s->S;

  for (gsize p = first; p < first + s->W; p++)
    if (job->accumulate_skip)
      kernels->add (job->diff_skip + p * s->S, job->diff_dst + p * pixel + s->C,
          FALSE, job->diff_skip + p * s->S, s->S);
    else
      memcpy (job->diff_skip + p * s->S, job->diff_dst + p * pixel + s->C,
          s->S * sizeof (float));
}

gboolean
umedpt_cpu_upsample_concat_backward (UmedptBackend *backend,
    const UmedptUpsampleConcatBackwardArgs *args, GError **error)
{
  ResizeDiffJob job = { .sizes = make_sizes (args->forward.src, args->diff_dst),
    .diff_dst = UMEDPT_F32 (args->diff_dst),
    .diff_src = args->diff_src ? UMEDPT_F32 (args->diff_src) : NULL,
    .diff_skip = args->diff_skip ? UMEDPT_F32 (args->diff_skip) : NULL,
    .accumulate = args->accumulate,
    .accumulate_skip = args->accumulate_skip };
  guint n = (guint) args->diff_dst->shape[0];

  if (job.diff_src && args->diff_src->n_elements &&
      !umedpt_cpu_run (n * (guint) job.sizes.h, gather_chunk, &job, NULL,
          error))
    return FALSE;
  return !job.diff_skip || args->diff_skip->n_elements == 0 ||
      umedpt_cpu_run (n * (guint) job.sizes.H, skip_chunk, &job, NULL, error);
}

gboolean
umedpt_cpu_upsample_add_backward (UmedptBackend *backend,
    const UmedptUpsampleAddBackwardArgs *args, GError **error)
{
  ResizeDiffJob job = { .sizes = make_sizes (args->forward.src, args->diff_dst),
    .diff_dst = UMEDPT_F32 (args->diff_dst),
    .diff_src = args->diff_src ? UMEDPT_F32 (args->diff_src) : NULL,
    .accumulate = args->accumulate };

  if (!job.diff_src || args->diff_src->n_elements == 0)
    return TRUE;
  return umedpt_cpu_run ((guint) (args->diff_dst->shape[0] * job.sizes.h),
      gather_chunk, &job, NULL, error);
}
