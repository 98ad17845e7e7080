/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Slots of norms and pooling over whole maps [N, H, W, C].
 */
#include "cuda.h"
#include "kernels/global-pool.h"
#include "kernels/group-norm.h"
#include "pool.h"

static UmedptCudaGroupNorm
norm_of (const UmedptGroupNormArgs *args)
{
  const gint64 *shape = args->src->shape;

  return (UmedptCudaGroupNorm){ .samples = shape[0],
    .pixels = shape[1] * shape[2],
    .channels = shape[3],
    .groups = args->groups,
    .epsilon = args->epsilon };
}

/* ---- Moments, which hang on the source from the forward pass on ---- */

typedef struct
{
  UmedptCuda *cuda;
  float *data;
} Moments;

typedef struct
{
  UmedptCuda *cuda;
  const UmedptCudaGroupNorm *norm;
  gsize size;
} MomentsRequest;

static const char moments_key;

static void
moments_free (gpointer data)
{
  Moments *self = data;

  umedpt_cuda_pool_give (self->cuda->pool, self->data);
  g_free (self);
}

static gpointer
moments_make (UmedptTensor *src, gpointer user_data, GError **error)
{
  const MomentsRequest *request = user_data;
  UmedptCuda *cuda = request->cuda;
  float *data = umedpt_cuda_pool_take (cuda->pool, request->size, error);
  Moments *self;

  if (!data)
    return NULL;
  self = g_new (Moments, 1);
  self->cuda = cuda;
  self->data = data;
  if (umedpt_cuda_check (umedpt_cuda_launch_group_norm_moments (request->norm,
                             UMEDPT_F32 (src), data, cuda->stream),
          "group_norm", error))
    return self;
  moments_free (self);
  return NULL;
}

/* *@moments = NULL if the norm wants none. FALSE sets @error. */
static gboolean
get_moments (UmedptCuda *cuda, const UmedptCudaGroupNorm *norm,
    UmedptTensor *src, const float **moments, GError **error)
{
  const MomentsRequest request = { cuda, norm,
    umedpt_cuda_group_norm_moments_size (norm, UMEDPT_F32 (src)) };
  const Moments *found;

  *moments = NULL;
  if (request.size == 0)
    return TRUE;
  found = cuda->host->attach (src, &moments_key, moments_make,
      (gpointer) &request, moments_free, error);
  if (found)
    *moments = found->data;
  return found != NULL;
}

/* ---- Group norm ---- */

gboolean
umedpt_cuda_group_norm (UmedptBackend *backend, const UmedptGroupNormArgs *args,
    GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaGroupNorm norm = norm_of (args);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const float *moments;
  gpointer memory;
  gboolean ok;

  if (args->src->n_elements == 0)
    return TRUE;
  memory = umedpt_cuda_scratch (cuda, umedpt_cuda_group_norm_scratch (&norm),
      &scratch, error);
  if (!memory || !get_moments (cuda, &norm, args->src, &moments, error))
    return FALSE;
  ok = umedpt_cuda_check (umedpt_cuda_launch_group_norm (&norm,
                              UMEDPT_F32 (args->src), moments,
                              umedpt_cuda_data (args->gamma),
                              umedpt_cuda_data (args->beta), args->dst->data,
                              memory, cuda->stream),
      "group_norm", error);
  /* not before: where dst is src, the moments go with the values */
  umedpt_cuda_output (cuda, args->dst);
  return ok;
}

static gboolean
run_backward (UmedptCuda *cuda, const UmedptGroupNormBackwardArgs *args,
    const UmedptCudaGroupNorm *norm, const float *moments, guint16 *shadow,
    GError **error)
{
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  gpointer memory = umedpt_cuda_scratch (cuda,
      umedpt_cuda_group_norm_scratch (norm), &scratch, error);

  return memory &&
      umedpt_cuda_check (umedpt_cuda_launch_group_norm_backward (norm,
                             UMEDPT_F32 (args->forward.src), moments,
                             umedpt_cuda_data (args->forward.gamma),
                             UMEDPT_F32 (args->diff_dst),
                             umedpt_cuda_data (args->diff_src),
                             args->accumulate, shadow,
                             umedpt_cuda_output (cuda, args->diff_gamma),
                             umedpt_cuda_output (cuda, args->diff_beta), memory,
                             cuda->stream),
          "group_norm_backward", error);
}

gboolean
umedpt_cuda_group_norm_backward (UmedptBackend *backend,
    const UmedptGroupNormBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaGroupNorm norm = norm_of (&args->forward);
  const float *moments;
  guint16 *shadow = NULL;

  if (args->diff_dst->n_elements == 0 ||
      (!args->diff_src && !args->diff_gamma && !args->diff_beta))
    return TRUE;
  if (!get_moments (cuda, &norm, args->forward.src, &moments, error))
    return FALSE;
  umedpt_cuda_output (cuda, args->diff_src);
  /* the gradient of a convolution's result, as a rule */
  if (args->diff_src && cuda->half && !args->accumulate &&
      !(shadow = umedpt_cuda_bf16_output (cuda, args->diff_src, error)))
    return FALSE;
  return run_backward (cuda, args, &norm, moments, shadow, error);
}

static UmedptCudaPooling
pooling_of (const UmedptGlobalPoolArgs *args)
{
  const gint64 *shape = args->src->shape;

  return (UmedptCudaPooling){ .samples = shape[0],
    .pixels = shape[1] * shape[2],
    .channels = shape[3],
    .average = args->pooling != UMEDPT_POOLING_MAX,
    .maximum = args->pooling != UMEDPT_POOLING_AVERAGE };
}

gboolean
umedpt_cuda_global_pool (UmedptBackend *backend,
    const UmedptGlobalPoolArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaPooling pooling = pooling_of (args);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  gpointer memory;

  if (args->src->n_elements == 0)
    return TRUE;
  memory = umedpt_cuda_scratch (cuda,
      umedpt_cuda_global_pool_scratch (&pooling), &scratch, error);
  return memory &&
      umedpt_cuda_check (umedpt_cuda_launch_global_pool (&pooling,
                             UMEDPT_F32 (args->src),
                             umedpt_cuda_output (cuda, args->dst), memory,
                             cuda->stream),
          "global_pool", error);
}

gboolean
umedpt_cuda_global_pool_backward (UmedptBackend *backend,
    const UmedptGlobalPoolBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaPooling pooling = pooling_of (&args->forward);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  gpointer memory = NULL;

  if (!args->diff_src || args->diff_src->n_elements == 0)
    return TRUE;
  /* an average needs no search */
  if (pooling.maximum) {
    memory = umedpt_cuda_scratch (cuda,
        umedpt_cuda_global_pool_scratch (&pooling), &scratch, error);
    if (!memory)
      return FALSE;
  }
  return umedpt_cuda_check (umedpt_cuda_launch_global_pool_backward (&pooling,
                                UMEDPT_F32 (args->forward.src),
                                UMEDPT_F32 (args->diff_dst),
                                umedpt_cuda_output (cuda, args->diff_src),
                                args->accumulate, memory, cuda->stream),
      "global_pool_backward", error);
}
