/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Patch embedding and patch merging: pixels gathered into rows, a linear map,
 * LayerNorm. Bytes are gathered in memory order (y, x, colour), with the
 * weights permuted to match and 1/255 folded into them, so that in bf16 the
 * pixels are exact.
 */
#include <string.h>

#include "backend/cpu/rows-backward.h"

/* How output pixels are rows of source pixels. */
typedef struct
{
  UmedptTensor *src;
  gint64 H, W, C; /* of the source */
  gint64 height, width; /* of the output */
  gint64 patch;
} Geometry;

typedef struct
{
  UmedptRows rows; /* output pixels of all images */
  UmedptLinearMap map;
  Geometry geometry;
  UmedptDtype compute;
  UmedptNormTail tail;
  UmedptTensor *saved_product;
  void (*gather) (const Geometry *geometry, gint64 pixel, float *row);
  atomic_int failed;
} PatchJob;

static Geometry
geometry_new (UmedptTensor *src, UmedptTensor *dst, gint64 patch)
{
  return (Geometry){ .src = src,
    .H = src->shape[1],
    .W = src->shape[2],
    .C = src->shape[3],
    .height = dst->shape[1],
    .width = dst->shape[2],
    .patch = patch };
}

/* The patch of one output pixel as a row of y, x, colour. */
static void
gather_patch (const Geometry *g, gint64 pixel, float *row)
{
  const gint64 run = g->patch * 3;
  gint64 x = pixel % g->width, y = pixel / g->width % g->height;
  gint64 n = pixel / (g->width * g->height);
  gint64 offset = ((n * g->H + y * g->patch) * g->W + x * g->patch) * 3;

  for (gint64 i = 0; i < g->patch; i++, offset += g->W * 3)
    if (g->src->dtype == UMEDPT_DTYPE_U8)
      for (gint64 k = 0; k < run; k++)
        row[i * run + k] = UMEDPT_U8 (g->src)[offset + k];
    else
      memcpy (row + i * run, UMEDPT_F32 (g->src) + offset,
          run * sizeof (float));
}

/* The 2 x 2 pixels under one output pixel, (row, col) = (0,0) (1,0) (0,1)
 * (1,1), as offsets into the map; -1 beyond an odd edge. */
static void
find_quad (const Geometry *g, gint64 pixel, gint64 *offsets)
{
  gint64 x = pixel % g->width * 2, y = pixel / g->width % g->height * 2;
  gint64 n = pixel / (g->width * g->height);

  for (int k = 0; k < 4; k++) {
    gint64 sy = y + (k & 1), sx = x + (k >> 1);
    offsets[k] =
        sy < g->H && sx < g->W ? ((n * g->H + sy) * g->W + sx) * g->C : -1;
  }
}

static void
gather_quad (const Geometry *g, gint64 pixel, float *row)
{
  gint64 offsets[4];

  find_quad (g, pixel, offsets);
  for (int k = 0; k < 4; k++)
    if (offsets[k] < 0)
      memset (row + k * g->C, 0, g->C * sizeof (float));
    else
      memcpy (row + k * g->C, UMEDPT_F32 (g->src) + offsets[k],
          g->C * sizeof (float));
}

static void
patch_chunk (gpointer data, guint worker, guint chunk)
{
  PatchJob *job = data;
  const gint64 begin = umedpt_rows_begin (&job->rows, chunk);
  const gint64 n = umedpt_rows_count (&job->rows, chunk);
  const gint64 K = job->map.K, N = job->map.N;
  gsize gathered_size = umedpt_cpu_aligned (n * K * sizeof (float));
  gsize result_size = umedpt_cpu_aligned (n * N * sizeof (float));
  char *scratch = umedpt_cpu_scratch (worker,
      gathered_size + result_size + n * K * sizeof (guint16));
  float *gathered = (float *) scratch;
  float *result = (float *) (scratch + gathered_size);
  gpointer src = gathered;

  if (!scratch) {
    atomic_store (&job->failed, 1);
    return;
  }
  for (gint64 r = 0; r < n; r++)
    job->gather (&job->geometry, begin + r, gathered + r * K);
  if (job->saved_product)
    result = umedpt_row (job->saved_product, begin, N);
  if (job->compute == UMEDPT_DTYPE_BF16) {
    src = scratch + gathered_size + result_size;
    umedpt_kernels_get ()->f32_to_bf16 (gathered, src, n * K);
  }
  if (!umedpt_linear_map_run (&job->map, &job->rows, chunk, worker, src,
          result)) {
    atomic_store (&job->failed, 1);
    return;
  }
  umedpt_kernels_get ()->norm_rows (result, n, N, job->tail.gamma,
      job->tail.beta, job->tail.epsilon, NULL, job->tail.dst + begin * N);
}

static gboolean
run_patches (PatchJob *job, UmedptTensor *dst, UmedptTensor *weight,
    UmedptTensor *bias, UmedptWeightsLayout layout, GError **error)
{
  gboolean ok;

  if (!umedpt_cpu_check_compute (job->compute, error))
    return FALSE;
  if (dst->n_elements == 0)
    return TRUE;
  job->rows = umedpt_rows_split (dst->shape[0] * dst->shape[1] * dst->shape[2]);
  ok = umedpt_linear_map_init (&job->map, weight, bias, layout, job->compute,
           UMEDPT_DTYPE_F32, &job->rows, error) &&
      umedpt_cpu_run (job->rows.n_chunks, patch_chunk, job, &job->failed,
          error);
  umedpt_linear_map_clear (&job->map);
  return ok;
}

gboolean
umedpt_cpu_patch_embed (UmedptBackend *backend,
    const UmedptPatchEmbedArgs *args, GError **error)
{
  PatchJob job = { .geometry = geometry_new (args->src, args->dst,
                       args->weight->shape[2]),
    .compute = args->compute,
    .gather = gather_patch,
    .tail = { umedpt_f32_or_null (args->gamma), umedpt_f32_or_null (args->beta),
        NULL, UMEDPT_F32 (args->dst), args->epsilon },
    .saved_product = args->saved_product };

  return run_patches (&job, args->dst, args->weight, args->bias,
      args->src->dtype == UMEDPT_DTYPE_U8 ? UMEDPT_WEIGHTS_PATCH_U8
                                          : UMEDPT_WEIGHTS_PATCH,
      error);
}

gboolean
umedpt_cpu_patch_merge (UmedptBackend *backend,
    const UmedptPatchMergeArgs *args, GError **error)
{
  PatchJob job = { .geometry = geometry_new (args->src, args->dst, 0),
    .compute = args->compute,
    .gather = gather_quad,
    .tail = { umedpt_f32_or_null (args->gamma), umedpt_f32_or_null (args->beta),
        NULL, UMEDPT_F32 (args->dst), args->epsilon },
    .saved_product = args->saved_product };

  return run_patches (&job, args->dst, args->weight, NULL,
      UMEDPT_WEIGHTS_LINEAR, error);
}

static void
gather_patch_row (const UmedptRowsBackward *job, gint64 row, float *dst)
{
  gather_patch (job->geometry, row, dst);
}

static void
gather_quad_row (const UmedptRowsBackward *job, gint64 row, float *dst)
{
  gather_quad (job->geometry, row, dst);
}

/* A source pixel belongs to one output pixel: no two rows meet. */
static void
scatter_quad_row (const UmedptRowsBackward *job, gint64 row, const float *src)
{
  const Geometry *g = job->geometry;
  gint64 offsets[4];

  find_quad (g, row, offsets);
  for (int k = 0; k < 4; k++)
    if (offsets[k] >= 0)
      umedpt_store_rows (src + k * g->C,
          UMEDPT_F32 (job->diff_src) + offsets[k], UMEDPT_DTYPE_F32, g->C,
          job->accumulate);
}

/* @src [C, p, p, 3], of patches in memory order, to @dst [C, 3, p, p] */
static void
add_patch_gradient (const float *src, float scale, gint64 C, gint64 patch,
    float *dst)
{
  const gint64 area = patch * patch;

  for (gint64 n = 0; n < C; n++)
    for (gint64 c = 0; c < 3; c++)
      for (gint64 i = 0; i < area; i++)
        dst[(n * 3 + c) * area + i] += scale * src[(n * area + i) * 3 + c];
}

gboolean
umedpt_cpu_patch_embed_backward (UmedptBackend *backend,
    const UmedptPatchEmbedBackwardArgs *args, GError **error)
{
  const UmedptPatchEmbedArgs *f = &args->forward;
  const gint64 C = f->weight->shape[0], patch = f->weight->shape[2];
  const gint64 shape[] = { C, patch * patch * 3 };
  const Geometry geometry = geometry_new (f->src, args->diff_dst, patch);
  g_autoptr (UmedptTensor) diff_weight = NULL;
  UmedptRowsBackward job = { .N = C,
    .K = shape[1],
    .M = (gint64) args->diff_dst->n_elements / MAX (C, 1),
    .weight = f->weight,
    .compute = f->compute,
    .diff_dst = args->diff_dst,
    .product = f->saved_product,
    .gamma = f->gamma,
    .epsilon = f->epsilon,
    .gather = gather_patch_row,
    .geometry = &geometry,
    .diff_bias = (float *) umedpt_f32_or_null (args->diff_bias),
    .diff_gamma = (float *) umedpt_f32_or_null (args->diff_gamma),
    .diff_beta = (float *) umedpt_f32_or_null (args->diff_beta) };

  if (args->diff_weight) {
    diff_weight = umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 2, shape, error);
    if (!diff_weight)
      return FALSE;
    job.diff_weight = UMEDPT_F32 (diff_weight);
  }
  if (!umedpt_rows_backward (&job, error))
    return FALSE;
  if (diff_weight)
    add_patch_gradient (UMEDPT_F32 (diff_weight),
        f->src->dtype == UMEDPT_DTYPE_U8 ? 1.0f / 255 : 1, C, patch,
        UMEDPT_F32 (args->diff_weight));
  return TRUE;
}

gboolean
umedpt_cpu_patch_merge_backward (UmedptBackend *backend,
    const UmedptPatchMergeBackwardArgs *args, GError **error)
{
  const UmedptPatchMergeArgs *f = &args->forward;
  const gint64 N = f->weight->shape[0];
  const Geometry geometry = geometry_new (f->src, args->diff_dst, 0);
  UmedptRowsBackward job = { .N = N,
    .K = f->weight->shape[1],
    .M = (gint64) args->diff_dst->n_elements / MAX (N, 1),
    .weight = f->weight,
    .compute = f->compute,
    .diff_dst = args->diff_dst,
    .product = f->saved_product,
    .gamma = f->gamma,
    .epsilon = f->epsilon,
    .gather = gather_quad_row,
    .scatter = scatter_quad_row,
    .geometry = &geometry,
    .diff_src = args->diff_src,
    .accumulate = args->accumulate,
    .diff_weight = (float *) umedpt_f32_or_null (args->diff_weight),
    .diff_gamma = (float *) umedpt_f32_or_null (args->diff_gamma),
    .diff_beta = (float *) umedpt_f32_or_null (args->diff_beta) };

  return umedpt_rows_backward (&job, error);
}
