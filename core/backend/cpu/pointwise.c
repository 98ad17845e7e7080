/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Ops without products: conversions, activations, norms, pooling. They are
 * bound by memory, and in inference all are small.
 */
#include <string.h>

#include "backend/cpu/cpu.h"

#define CHUNK_ELEMENTS 16384

typedef struct
{
  UmedptTensor *src, *dst;
  UmedptActivation activation;
} ElementJob;

static gsize
chunk_length (gsize n, guint chunk)
{
  return MIN (CHUNK_ELEMENTS, n - (gsize) chunk * CHUNK_ELEMENTS);
}

static guint
count_chunks (gsize n)
{
  return (guint) ((n + CHUNK_ELEMENTS - 1) / CHUNK_ELEMENTS);
}

static void
convert_chunk (gpointer data, guint worker, guint chunk)
{
  const ElementJob *job = data;
  const UmedptKernels *kernels = umedpt_kernels_get ();
  gsize begin = (gsize) chunk * CHUNK_ELEMENTS;
  gsize n = chunk_length (job->src->n_elements, chunk);

  if (job->src->dtype == UMEDPT_DTYPE_U8)
    kernels->u8_to_f32 (UMEDPT_U8 (job->src) + begin,
        UMEDPT_F32 (job->dst) + begin, n, 1.0f / 255);
  else if (job->dst->dtype == UMEDPT_DTYPE_BF16)
    kernels->f32_to_bf16 (UMEDPT_F32 (job->src) + begin,
        UMEDPT_BF16 (job->dst) + begin, n);
  else
    kernels->bf16_to_f32 (UMEDPT_BF16 (job->src) + begin,
        UMEDPT_F32 (job->dst) + begin, n);
}

gboolean
umedpt_cpu_convert (UmedptBackend *backend, const UmedptConvertArgs *args,
    GError **error)
{
  const UmedptDtype src = args->src->dtype, dst = args->dst->dtype;
  ElementJob job = { .src = args->src, .dst = args->dst };

  if (src == dst) {
    memcpy (args->dst->data, args->src->data,
        args->src->n_elements * umedpt_dtype_size (src));
    return TRUE;
  }
  if (!(src == UMEDPT_DTYPE_U8 && dst == UMEDPT_DTYPE_F32) &&
      !(src == UMEDPT_DTYPE_F32 && dst == UMEDPT_DTYPE_BF16) &&
      !(src == UMEDPT_DTYPE_BF16 && dst == UMEDPT_DTYPE_F32)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "conversion from %s to %s has no kernel.", umedpt_dtype_name (src),
        umedpt_dtype_name (dst));
    return FALSE;
  }
  return umedpt_cpu_run (count_chunks (args->src->n_elements), convert_chunk,
      &job, NULL, error);
}

static void
activate_chunk (gpointer data, guint worker, guint chunk)
{
  const ElementJob *job = data;
  const UmedptKernels *kernels = umedpt_kernels_get ();
  gsize size = umedpt_dtype_size (job->src->dtype);
  gsize begin = (gsize) chunk * CHUNK_ELEMENTS * size;
  gsize n = chunk_length (job->src->n_elements, chunk);
  char *dst = (char *) job->dst->data + begin;

  if (job->dst->data != job->src->data)
    memcpy (dst, (const char *) job->src->data + begin, n * size);
  if (size == 2)
    kernels->activate_bf16 ((guint16 *) dst, n, job->activation);
  else
    kernels->activate_f32 ((float *) dst, n, job->activation);
}

gboolean
umedpt_cpu_activate (UmedptBackend *backend, const UmedptActivateArgs *args,
    GError **error)
{
  ElementJob job = { args->src, args->dst, args->activation };

  return umedpt_cpu_run (count_chunks (args->src->n_elements), activate_chunk,
      &job, NULL, error);
}

typedef struct
{
  const UmedptLayerNormArgs *args;
  UmedptRows rows;
  gint64 C;
} NormJob;

static void
layer_norm_chunk (gpointer data, guint worker, guint chunk)
{
  const NormJob *job = data;
  const UmedptLayerNormArgs *args = job->args;
  gint64 begin = umedpt_rows_begin (&job->rows, chunk);

  umedpt_kernels_get ()->norm_rows (UMEDPT_F32 (args->src) + begin * job->C,
      umedpt_rows_count (&job->rows, chunk), job->C,
      umedpt_f32_or_null (args->gamma), umedpt_f32_or_null (args->beta),
      args->epsilon, NULL, UMEDPT_F32 (args->dst) + begin * job->C);
}

gboolean
umedpt_cpu_layer_norm (UmedptBackend *backend, const UmedptLayerNormArgs *args,
    GError **error)
{
  NormJob job = { .args = args, .C = args->src->shape[args->src->n_dims - 1] };

  if (args->src->n_elements == 0)
    return TRUE;
  job.rows = umedpt_rows_split ((gint64) args->src->n_elements / job.C);
  return umedpt_cpu_run (job.rows.n_chunks, layer_norm_chunk, &job, NULL,
      error);
}

static void
group_norm_chunk (gpointer data, guint worker, guint sample)
{
  const UmedptGroupNormArgs *args = data;
  const gint64 *s = args->src->shape;
  gsize size = (gsize) (s[1] * s[2] * s[3]);

  umedpt_kernels_get ()->norm_sample (UMEDPT_F32 (args->src) + sample * size,
      s[1] * s[2], s[3], umedpt_f32_or_null (args->gamma),
      umedpt_f32_or_null (args->beta), args->epsilon,
      UMEDPT_F32 (args->dst) + sample * size);
}

gboolean
umedpt_cpu_group_norm (UmedptBackend *backend, const UmedptGroupNormArgs *args,
    GError **error)
{
  if (args->groups != 1) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "group norm has a kernel for 1 group; here are %" G_GINT64_FORMAT ".",
        args->groups);
    return FALSE;
  }
  if (args->src->n_elements == 0)
    return TRUE;
  return umedpt_cpu_run ((guint) args->src->shape[0], group_norm_chunk,
      (gpointer) args, NULL, error);
}

static void
pool_chunk (gpointer data, guint worker, guint sample)
{
  const UmedptGlobalPoolArgs *args = data;
  const gint64 *s = args->src->shape;

  umedpt_kernels_get ()->pool (UMEDPT_F32 (args->src) +
          (gsize) (sample * s[1] * s[2] * s[3]),
      s[1] * s[2], s[3], args->pooling, UMEDPT_F32 (args->dst) + sample * s[3]);
}

gboolean
umedpt_cpu_global_pool (UmedptBackend *backend,
    const UmedptGlobalPoolArgs *args, GError **error)
{
  if (args->src->n_elements == 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "an empty map has no pooled value.");
    return FALSE;
  }
  return umedpt_cpu_run ((guint) args->src->shape[0], pool_chunk,
      (gpointer) args, NULL, error);
}
