/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Ops that look at one element at a time: conversions, activations, sums and
 * products, and their gradients. They are bound by memory. A sum over all
 * elements is made of sums over chunks, in order.
 */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels-train.h"

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

static void
activate_backward_chunk (gpointer data, guint worker, guint chunk)
{
  const UmedptActivateBackwardArgs *args = data;
  const UmedptTrainKernels *kernels = umedpt_train_kernels_get ();
  const UmedptTensor *src = args->forward.src;
  gsize begin = (gsize) chunk * CHUNK_ELEMENTS;
  gsize n = chunk_length (src->n_elements, chunk);

  if (src->dtype == UMEDPT_DTYPE_BF16)
    kernels->activate_diff_bf16 (UMEDPT_BF16 (src) + begin,
        UMEDPT_BF16 (args->diff_dst) + begin,
        UMEDPT_BF16 (args->diff_src) + begin, n, args->forward.activation,
        args->accumulate);
  else
    kernels->activate_diff_f32 (UMEDPT_F32 (src) + begin,
        UMEDPT_F32 (args->diff_dst) + begin,
        UMEDPT_F32 (args->diff_src) + begin, n, args->forward.activation,
        args->accumulate);
}

gboolean
umedpt_cpu_activate_backward (UmedptBackend *backend,
    const UmedptActivateBackwardArgs *args, GError **error)
{
  if (!args->diff_src)
    return TRUE;
  return umedpt_cpu_run (count_chunks (args->diff_src->n_elements),
      activate_backward_chunk, (gpointer) args, NULL, error);
}

/* b has one element, which stands for all. */
static gboolean
is_one (const UmedptAddArgs *args)
{
  return args->b->n_elements == 1 && args->a->n_elements != 1;
}

static void
add_chunk (gpointer data, guint worker, guint chunk)
{
  const UmedptAddArgs *args = data;
  gsize begin = (gsize) chunk * CHUNK_ELEMENTS;
  gboolean one = is_one (args);

  umedpt_train_kernels_get ()->add (UMEDPT_F32 (args->a) + begin,
      UMEDPT_F32 (args->b) + (one ? 0 : begin), one,
      UMEDPT_F32 (args->dst) + begin,
      chunk_length (args->a->n_elements, chunk));
}

gboolean
umedpt_cpu_add (UmedptBackend *backend, const UmedptAddArgs *args,
    GError **error)
{
  return umedpt_cpu_run (count_chunks (args->a->n_elements), add_chunk,
      (gpointer) args, NULL, error);
}

static void
multiply_chunk (gpointer data, guint worker, guint chunk)
{
  const UmedptMultiplyArgs *args = data;
  gsize begin = (gsize) chunk * CHUNK_ELEMENTS;
  gboolean one = is_one (args);

  umedpt_train_kernels_get ()->multiply (UMEDPT_F32 (args->a) + begin,
      UMEDPT_F32 (args->b) + (one ? 0 : begin), one,
      UMEDPT_F32 (args->dst) + begin, chunk_length (args->a->n_elements, chunk),
      FALSE);
}

gboolean
umedpt_cpu_multiply (UmedptBackend *backend, const UmedptMultiplyArgs *args,
    GError **error)
{
  return umedpt_cpu_run (count_chunks (args->a->n_elements), multiply_chunk,
      (gpointer) args, NULL, error);
}

typedef struct
{
  const UmedptMultiplyBackwardArgs *args;
  float *sums; /* [chunks] of the gradient of a b of one element, or NULL */
} MultiplyJob;

static void
multiply_backward_chunk (gpointer data, guint worker, guint chunk)
{
  const MultiplyJob *job = data;
  const UmedptMultiplyBackwardArgs *args = job->args;
  const UmedptTrainKernels *kernels = umedpt_train_kernels_get ();
  gsize begin = (gsize) chunk * CHUNK_ELEMENTS;
  gsize n = chunk_length (args->diff_dst->n_elements, chunk);
  const float *diff = UMEDPT_F32 (args->diff_dst) + begin;
  const float *a = UMEDPT_F32 (args->forward.a) + begin;
  gboolean one = is_one (&args->forward);

  if (job->sums)
    job->sums[chunk] = kernels->dot (diff, a, n);
  if (args->diff_a)
    kernels->multiply (diff, UMEDPT_F32 (args->forward.b) + (one ? 0 : begin),
        one, UMEDPT_F32 (args->diff_a) + begin, n, args->accumulate_a);
  if (args->diff_b && !one)
    kernels->multiply (diff, a, FALSE, UMEDPT_F32 (args->diff_b) + begin, n,
        args->accumulate_b);
}

gboolean
umedpt_cpu_multiply_backward (UmedptBackend *backend,
    const UmedptMultiplyBackwardArgs *args, GError **error)
{
  guint n = count_chunks (args->diff_dst->n_elements);
  g_autofree float *sums =
      args->diff_b && is_one (&args->forward) ? g_new (float, n) : NULL;
  MultiplyJob job = { args, sums };
  double sum = 0;

  if (!umedpt_cpu_run (n, multiply_backward_chunk, &job, NULL, error))
    return FALSE;
  for (guint i = 0; sums && i < n; i++)
    sum += sums[i];
  if (sums)
    UMEDPT_F32 (args->diff_b)[0] += (float) sum;
  return TRUE;
}
