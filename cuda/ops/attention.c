/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Slots of window attention and its gradients; the kernels, and which of them
 * do what, are in kernels/attention.h.
 */
#include "cuda.h"

#include "kernels/attention.h"

/* What the forward args say; FALSE if the kernels cannot count so far. */
static gboolean
describe (UmedptCuda *cuda, const UmedptWindowAttentionArgs *args,
    UmedptCudaAttention *self, GError **error)
{
  const gint64 *shape = args->qkv->shape; /* [N, H, W, 3C] */

  *self = (UmedptCudaAttention){ .n = shape[0],
    .height = shape[1],
    .width = shape[2],
    .heads = args->heads,
    .dim = shape[3] / 3 / args->heads,
    .window = args->window,
    .shift = args->shift,
    .multiprocessors = cuda->properties.multiProcessorCount,
    .bf16 = umedpt_cuda_is_bf16 (args->qkv),
    .qkv = args->qkv->data,
    .qkv_bias = UMEDPT_F32 (args->qkv_bias),
    .scale = UMEDPT_F32 (args->scale),
    .position_bias = UMEDPT_F32 (args->position_bias) };
  if (!umedpt_cuda_attention_fits (self)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "window_attention: a map of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
        " x %" G_GINT64_FORMAT " pixels with %" G_GINT64_FORMAT
        " channels is too large for the kernels, which count in 32 bits.",
        shape[0], shape[1], shape[2], shape[3]);
    return FALSE;
  }
  return TRUE;
}

gboolean
umedpt_cuda_window_attention (UmedptBackend *backend,
    const UmedptWindowAttentionArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  UmedptCudaAttention self;

  if (args->qkv->n_elements == 0)
    return TRUE;
  if (!describe (cuda, args, &self, error))
    return FALSE;
  return umedpt_cuda_check (umedpt_cuda_attention (&self,
                                umedpt_cuda_output (cuda, args->dst),
                                cuda->stream),
      "window attention", error);
}

gboolean
umedpt_cuda_window_attention_backward (UmedptBackend *backend,
    const UmedptWindowAttentionBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  UmedptCudaAttentionGradients gradients;
  UmedptCudaAttention self;
  gpointer memory;

  if (args->forward.qkv->n_elements == 0 ||
      (!args->diff_qkv && !args->diff_qkv_bias && !args->diff_scale &&
          !args->diff_position_bias))
    return TRUE;
  if (!describe (cuda, &args->forward, &self, error))
    return FALSE;
  memory = umedpt_cuda_scratch (cuda,
      umedpt_cuda_attention_backward_scratch (&self), &scratch, error);
  if (!memory)
    return FALSE;
  gradients = (UmedptCudaAttentionGradients){
    .diff_dst = args->diff_dst->data,
    .diff_qkv = umedpt_cuda_output (cuda, args->diff_qkv),
    .diff_qkv_bias = umedpt_cuda_output (cuda, args->diff_qkv_bias),
    .diff_scale = umedpt_cuda_output (cuda, args->diff_scale),
    .diff_position_bias = umedpt_cuda_output (cuda, args->diff_position_bias),
  };
  return umedpt_cuda_check (umedpt_cuda_attention_backward (&self, &gradients,
                                memory, cuda->stream),
      "window attention, backward", error);
}
