/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Patch embedding and patch merging: pixels gathered into rows, a linear map,
 * LayerNorm. Bytes are gathered in memory order (y, x, colour), with the
 * weights permuted to match and 1/255 folded into them, so that in bf16 the
 * pixels are exact.
 */
#include <string.h>

#include "backend/cpu/cpu.h"

typedef struct
{
  UmedptRows rows; /* output pixels of all images */
  UmedptLinearMap map;
  UmedptTensor *src;
  gint64 H, W, C; /* of the source */
  gint64 height, width; /* of the output */
  gint64 patch;
  UmedptDtype compute;
  UmedptNormTail tail;
  UmedptTensor *saved_product;
  void (*gather) (const void *job, gint64 pixel, float *row);
  atomic_int failed;
} PatchJob;

/* The patch of one output pixel as a row of y, x, colour. */
static void
gather_patch (const void *data, gint64 pixel, float *row)
{
  const PatchJob *job = data;
  const gint64 run = job->patch * 3;
  gint64 x = pixel % job->width, y = pixel / job->width % job->height;
  gint64 n = pixel / (job->width * job->height);
  gint64 offset = ((n * job->H + y * job->patch) * job->W + x * job->patch) * 3;

  for (gint64 i = 0; i < job->patch; i++, offset += job->W * 3)
    if (job->src->dtype == UMEDPT_DTYPE_U8)
      for (gint64 k = 0; k < run; k++)
        row[i * run + k] = UMEDPT_U8 (job->src)[offset + k];
    else
      memcpy (row + i * run, UMEDPT_F32 (job->src) + offset,
          run * sizeof (float));
}

/* The 2 x 2 pixels under one output pixel: (row, col) = (0,0) (1,0) (0,1)
 * (1,1); what lies beyond an odd edge is 0. */
static void
gather_quad (const void *data, gint64 pixel, float *row)
{
  const PatchJob *job = data;
  gint64 x = pixel % job->width * 2, y = pixel / job->width % job->height * 2;
  gint64 n = pixel / (job->width * job->height);

  for (int k = 0; k < 4; k++) {
    gint64 sy = y + (k & 1), sx = x + (k >> 1);
    if (sy < job->H && sx < job->W)
      memcpy (row + k * job->C,
          UMEDPT_F32 (job->src) + ((n * job->H + sy) * job->W + sx) * job->C,
          job->C * sizeof (float));
    else
      memset (row + k * job->C, 0, job->C * sizeof (float));
  }
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
    job->gather (job, begin + r, gathered + r * K);
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
  job->H = job->src->shape[1];
  job->W = job->src->shape[2];
  job->C = job->src->shape[3];
  job->height = dst->shape[1];
  job->width = dst->shape[2];
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
  PatchJob job = { .src = args->src,
    .patch = args->weight->shape[2],
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
  PatchJob job = { .src = args->src,
    .compute = args->compute,
    .gather = gather_quad,
    .tail = { umedpt_f32_or_null (args->gamma), umedpt_f32_or_null (args->beta),
        NULL, UMEDPT_F32 (args->dst), args->epsilon },
    .saved_product = args->saved_product };

  return run_patches (&job, args->dst, args->weight, NULL,
      UMEDPT_WEIGHTS_LINEAR, error);
}
