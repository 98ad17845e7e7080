/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * bf16 forms of f32 tensors. Parameters and the residual stream are f32, and
 * matrix products read bf16; a form that is made once, or written along by the
 * kernel that makes the values, halves what a product reads. It hangs on the
 * tensor as an attachment and goes when the values change.
 */
#include "cuda.h"
#include "kernels/elements.h"
#include "pool.h"

typedef struct
{
  UmedptCuda *cuda;
  gpointer data; /* bf16 */
} Shadow;

static const char shadow_key;

static void
shadow_free (gpointer data)
{
  Shadow *self = data;

  umedpt_cuda_pool_give (self->cuda->pool, self->data);
  g_free (self);
}

static gpointer
shadow_new (UmedptTensor *tensor, gpointer user_data, GError **error)
{
  UmedptCuda *cuda = user_data;
  gpointer data = umedpt_cuda_pool_take (cuda->pool,
      MAX (tensor->n_elements, 1) * sizeof (guint16), error);
  Shadow *self;

  if (!data)
    return NULL;
  self = g_new (Shadow, 1);
  self->cuda = cuda;
  self->data = data;
  return self;
}

static gpointer
shadow_convert (UmedptTensor *tensor, gpointer user_data, GError **error)
{
  UmedptCuda *cuda = user_data;
  Shadow *self = shadow_new (tensor, cuda, error);

  if (self &&
      !umedpt_cuda_check (umedpt_cuda_f32_to_bf16 (UMEDPT_F32 (tensor),
                              self->data, tensor->n_elements, cuda->stream),
          "converting to bf16", error)) {
    shadow_free (self);
    return NULL;
  }
  return self;
}

const void *
umedpt_cuda_bf16 (UmedptCuda *cuda, UmedptTensor *tensor, GError **error)
{
  Shadow *shadow;

  if (tensor->dtype == UMEDPT_DTYPE_BF16)
    return tensor->data;
  shadow = cuda->host->attach (tensor, &shadow_key, shadow_convert, cuda,
      shadow_free, error);
  return shadow ? shadow->data : NULL;
}

void *
umedpt_cuda_bf16_output (UmedptCuda *cuda, UmedptTensor *dst, GError **error)
{
  Shadow *shadow;

  cuda->host->drop_attachments (dst);
  shadow = cuda->host->attach (dst, &shadow_key, shadow_new, cuda, shadow_free,
      error);
  return shadow ? shadow->data : NULL;
}

gpointer
umedpt_cuda_output (UmedptCuda *cuda, UmedptTensor *tensor)
{
  if (!tensor)
    return NULL;
  cuda->host->drop_attachments (tensor);
  return tensor->data;
}
