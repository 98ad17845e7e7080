/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What changes the resolution in Swin: pixels are gathered into the rows of a
 * matrix, which a linear map and a norm then take (core/backend/ref/patch.c
 * has the formulas).
 */
#include "kernels/patch-embed.h"
#include "kernels/patch.h"
#include "ops/rows.h"

/* ---- patch_embed ---- */

static UmedptCudaMap
embed_map (const UmedptPatchEmbedArgs *args)
{
  const gint64 *shape = args->src->shape; /* [N, H, W, 3] */
  const gint64 patch = args->weight->shape[2];

  return (UmedptCudaMap){ .m = shape[0] * (shape[1] / patch) *
        (shape[2] / patch),
    .n = args->weight->shape[0],
    .k = 3 * patch * patch,
    .compute = args->compute };
}

/* The patches as operands, in scratch memory. */
static const void *
gather_patches (UmedptCuda *cuda, const UmedptPatchEmbedArgs *args,
    UmedptCudaScratch *scratch, GError **error)
{
  const UmedptCudaMap map = embed_map (args);
  const gint64 *shape = args->src->shape;
  UmedptCudaPatches patches = { .n = shape[0],
    .h = shape[1],
    .w = shape[2],
    .patch = args->weight->shape[2],
    .src = args->src->data,
    .src_bytes = args->src->dtype == UMEDPT_DTYPE_U8,
    .dst_half = args->compute == UMEDPT_DTYPE_BF16 };

  patches.dst = umedpt_cuda_scratch (cuda,
      (gsize) map.m * (gsize) map.k * umedpt_cuda_element_size (map.compute),
      scratch, error);
  if (!patches.dst ||
      !umedpt_cuda_check (umedpt_cuda_gather_patches (&patches, cuda->stream),
          "gathering patches", error))
    return NULL;
  return patches.dst;
}

/* Whether one kernel does it all. */
static gboolean
is_fused (const UmedptPatchEmbedArgs *args)
{
  const gint64 *shape = args->src->shape;

  return args->compute == UMEDPT_DTYPE_BF16 && args->bias &&
      args->weight->shape[2] == 4 && shape[2] % 2 == 0 &&
      umedpt_cuda_patch_embed_has (args->weight->shape[0]) &&
      (guintptr) args->src->data % 8 == 0 &&
      (guintptr) args->dst->data % 8 == 0;
}

static gboolean
run_fused (UmedptCuda *cuda, const UmedptPatchEmbedArgs *args, GError **error)
{
  const gint64 *shape = args->src->shape;
  UmedptCudaPatchEmbed embed = { .n = shape[0],
    .h = shape[1],
    .w = shape[2],
    .channels = args->weight->shape[0],
    .src = args->src->data,
    .src_bytes = args->src->dtype == UMEDPT_DTYPE_U8,
    .weight = umedpt_cuda_bf16 (cuda, args->weight, error),
    .bias = UMEDPT_F32 (args->bias),
    .gamma = umedpt_cuda_data (args->gamma),
    .beta = umedpt_cuda_data (args->beta),
    .epsilon = args->epsilon,
    .dst = UMEDPT_F32 (args->dst),
    .saved = umedpt_cuda_output (cuda, args->saved_product) };

  if (!embed.weight)
    return FALSE;
  embed.shadow = umedpt_cuda_bf16_output (cuda, args->dst, error);
  return embed.shadow &&
      umedpt_cuda_check (umedpt_cuda_launch_patch_embed (&embed, cuda->stream),
          "the stem", error);
}

gboolean
umedpt_cuda_patch_embed (UmedptBackend *backend,
    const UmedptPatchEmbedArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptCudaMap map = embed_map (args);
  UmedptCudaNorm norm = umedpt_cuda_norm_of (map.m, map.n, args->gamma,
      args->beta, args->epsilon);
  const void *patches;

  if (args->dst->n_elements == 0)
    return TRUE;
  if (is_fused (args))
    return run_fused (cuda, args, error);
  patches = gather_patches (cuda, args, &scratch, error);
  return patches &&
      umedpt_cuda_map_and_norm (cuda, &map, patches, args->weight, args->bias,
          &norm, args->saved_product, args->dst, error);
}

gboolean
umedpt_cuda_patch_embed_backward (UmedptBackend *backend,
    const UmedptPatchEmbedBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptPatchEmbedArgs *f = &args->forward;
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  g_auto (UmedptCudaScratch) operands = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptCudaMap map = embed_map (f);
  UmedptCudaNorm norm =
      umedpt_cuda_norm_of (map.m, map.n, f->gamma, f->beta, f->epsilon);
  const void *diff, *patches;

  if (args->diff_dst->n_elements == 0)
    return TRUE;
  norm.product = f->saved_product->data;
  norm.diff_dst = UMEDPT_F32 (args->diff_dst);
  norm.diff_gamma = umedpt_cuda_output (cuda, args->diff_gamma);
  norm.diff_beta = umedpt_cuda_output (cuda, args->diff_beta);
  norm.diff_bias = umedpt_cuda_output (cuda, args->diff_bias);
  diff = umedpt_cuda_norm_diff (cuda, &norm, f->compute, &scratch, error);
  if (!diff || !args->diff_weight)
    return diff != NULL;
  patches = gather_patches (cuda, f, &operands, error);
  return patches &&
      umedpt_cuda_map_backward_weight (cuda, &map, diff, patches,
          args->diff_weight, error);
}

/* ---- patch_merge ---- */

static UmedptCudaQuads
merge_quads (const UmedptPatchMergeArgs *args)
{
  const gint64 *shape = args->src->shape;

  return (UmedptCudaQuads){ shape[0], shape[1], shape[2], shape[3] };
}

static UmedptCudaMap
merge_map (const UmedptPatchMergeArgs *args)
{
  const UmedptCudaQuads quads = merge_quads (args);

  return (UmedptCudaMap){ .m = quads.n * ((quads.h + 1) / 2) *
        ((quads.w + 1) / 2),
    .n = args->weight->shape[0],
    .k = 4 * quads.c,
    .compute = args->compute };
}

/* The rows of four pixels as operands, in scratch memory. */
static const void *
gather_quads (UmedptCuda *cuda, const UmedptPatchMergeArgs *args,
    UmedptCudaScratch *scratch, GError **error)
{
  const UmedptCudaMap map = merge_map (args);
  const UmedptCudaQuads quads = merge_quads (args);
  /* src is f32: no scratch for its operands */
  const void *src =
      umedpt_cuda_operand (cuda, args->src, args->compute, NULL, error);
  void *rows;

  if (!src)
    return NULL;
  rows = umedpt_cuda_scratch (cuda,
      (gsize) map.m * (gsize) map.k * umedpt_cuda_element_size (map.compute),
      scratch, error);
  if (!rows ||
      !umedpt_cuda_check (umedpt_cuda_gather_quads (&quads, src, rows,
                              args->compute == UMEDPT_DTYPE_BF16, cuda->stream),
          "gathering pixels", error))
    return NULL;
  return rows;
}

gboolean
umedpt_cuda_patch_merge (UmedptBackend *backend,
    const UmedptPatchMergeArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptCudaMap map = merge_map (args);
  UmedptCudaNorm norm = umedpt_cuda_norm_of (map.m, map.n, args->gamma,
      args->beta, args->epsilon);
  const void *rows;

  if (args->dst->n_elements == 0)
    return TRUE;
  rows = gather_quads (cuda, args, &scratch, error);
  return rows &&
      umedpt_cuda_map_and_norm (cuda, &map, rows, args->weight, NULL, &norm,
          args->saved_product, args->dst, error);
}

/* diff_src from the gradient of the rows of four pixels. */
static gboolean
scatter_diff (UmedptCuda *cuda, const UmedptPatchMergeBackwardArgs *args,
    const UmedptCudaMap *map, const void *diff, GError **error)
{
  g_auto (UmedptCudaScratch) weight = UMEDPT_CUDA_NO_SCRATCH;
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptPatchMergeArgs *f = &args->forward;
  const UmedptCudaQuads quads = merge_quads (f);
  UmedptCudaGemm gemm = { .m = map->m,
    .n = map->k,
    .k = map->n,
    .a = diff,
    .half = map->compute == UMEDPT_DTYPE_BF16 };

  if (!args->diff_src)
    return TRUE;
  gemm.b = umedpt_cuda_operand (cuda, f->weight, map->compute, &weight, error);
  if (!gemm.b)
    return FALSE;
  gemm.c = umedpt_cuda_scratch (cuda,
      (gsize) map->m * (gsize) map->k * sizeof (float), &scratch, error);
  return gemm.c && umedpt_cuda_gemm (cuda, &gemm, error) &&
      umedpt_cuda_check (umedpt_cuda_scatter_quads (&quads, gemm.c,
                             umedpt_cuda_output (cuda, args->diff_src),
                             args->accumulate, cuda->stream),
          "scattering pixels", error);
}

gboolean
umedpt_cuda_patch_merge_backward (UmedptBackend *backend,
    const UmedptPatchMergeBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptPatchMergeArgs *f = &args->forward;
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  g_auto (UmedptCudaScratch) operands = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptCudaMap map = merge_map (f);
  UmedptCudaNorm norm =
      umedpt_cuda_norm_of (map.m, map.n, f->gamma, f->beta, f->epsilon);
  const void *diff, *rows;

  if (args->diff_dst->n_elements == 0)
    return TRUE;
  norm.product = f->saved_product->data;
  norm.diff_dst = UMEDPT_F32 (args->diff_dst);
  norm.diff_gamma = umedpt_cuda_output (cuda, args->diff_gamma);
  norm.diff_beta = umedpt_cuda_output (cuda, args->diff_beta);
  diff = umedpt_cuda_norm_diff (cuda, &norm, f->compute, &scratch, error);
  if (!diff || !scatter_diff (cuda, args, &map, diff, error))
    return FALSE;
  if (!args->diff_weight)
    return TRUE;
  rows = gather_quads (cuda, f, &operands, error);
  return rows &&
      umedpt_cuda_map_backward_weight (cuda, &map, diff, rows,
          args->diff_weight, error);
}
