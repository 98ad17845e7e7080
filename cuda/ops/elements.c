/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Slots of the ops that look at one element at a time.
 */
#include "cuda.h"
#include "kernels/elements.h"

#define IS_SAME(name) \
  G_STATIC_ASSERT ((int) UMEDPT_CUDA_ACTIVATE_##name == \
      (int) UMEDPT_ACTIVATION_##name)
IS_SAME (NONE);
IS_SAME (RELU);
IS_SAME (GELU);
IS_SAME (SIGMOID);
IS_SAME (TANH);

static cudaError_t
convert (UmedptCuda *cuda, const UmedptTensor *src, UmedptTensor *dst)
{
  const gsize n = src->n_elements;
  const gboolean to_bf16 = umedpt_cuda_is_bf16 (dst);

  if (n == 0)
    return cudaSuccess;
  if (src->dtype == dst->dtype)
    return cudaMemcpyAsync (dst->data, src->data,
        n * (to_bf16 ? sizeof (guint16) : sizeof (float)),
        cudaMemcpyDeviceToDevice, cuda->stream);
  if (src->dtype == UMEDPT_DTYPE_U8)
    return to_bf16 ? umedpt_cuda_u8_to_bf16 (UMEDPT_U8 (src), UMEDPT_BF16 (dst),
                         n, cuda->stream)
                   : umedpt_cuda_u8_to_f32 (UMEDPT_U8 (src), UMEDPT_F32 (dst),
                         n, cuda->stream);
  return to_bf16 ? umedpt_cuda_f32_to_bf16 (UMEDPT_F32 (src), UMEDPT_BF16 (dst),
                       n, cuda->stream)
                 : umedpt_cuda_bf16_to_f32 (UMEDPT_BF16 (src), UMEDPT_F32 (dst),
                       n, cuda->stream);
}

static gboolean
is_float (const UmedptTensor *tensor)
{
  return tensor->dtype == UMEDPT_DTYPE_F32 ||
      tensor->dtype == UMEDPT_DTYPE_BF16;
}

gboolean
umedpt_cuda_convert (UmedptBackend *backend, const UmedptConvertArgs *args,
    GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);

  if (!is_float (args->dst) ||
      (!is_float (args->src) && args->src->dtype != UMEDPT_DTYPE_U8)) {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "cuda converts f32, bf16 and u8 to f32 and bf16.");
    return FALSE;
  }
  umedpt_cuda_output (cuda, args->dst);
  return umedpt_cuda_check (convert (cuda, args->src, args->dst), "convert",
      error);
}

/* The result is the operand of a product, as a rule. */
gboolean
umedpt_cuda_activate (UmedptBackend *backend, const UmedptActivateArgs *args,
    GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const gboolean is_bf16 = umedpt_cuda_is_bf16 (args->src);
  guint16 *shadow = NULL;

  umedpt_cuda_output (cuda, args->dst);
  if (cuda->half && !is_bf16 && args->src->n_elements > 0 &&
      !(shadow = umedpt_cuda_bf16_output (cuda, args->dst, error)))
    return FALSE;
  return umedpt_cuda_check (umedpt_cuda_launch_activate (args->src->data,
                                args->dst->data, shadow,
                                (gint64) args->src->n_elements,
                                args->activation, is_bf16, cuda->stream),
      "activate", error);
}

gboolean
umedpt_cuda_activate_backward (UmedptBackend *backend,
    const UmedptActivateBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);

  if (!args->diff_src)
    return TRUE;
  return umedpt_cuda_check (umedpt_cuda_launch_activate_backward (args->forward
                                                                      .src
                                                                      ->data,
                                args->diff_dst->data,
                                umedpt_cuda_output (cuda, args->diff_src),
                                args->accumulate,
                                (gint64) args->diff_dst->n_elements,
                                args->forward.activation,
                                umedpt_cuda_is_bf16 (args->diff_dst),
                                cuda->stream),
      "activate_backward", error);
}

gboolean
umedpt_cuda_add (UmedptBackend *backend, const UmedptAddArgs *args,
    GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);

  return umedpt_cuda_check (umedpt_cuda_launch_add (UMEDPT_F32 (args->a),
                                UMEDPT_F32 (args->b), args->b->n_elements == 1,
                                umedpt_cuda_output (cuda, args->dst),
                                (gint64) args->a->n_elements, cuda->stream),
      "add", error);
}

gboolean
umedpt_cuda_multiply (UmedptBackend *backend, const UmedptMultiplyArgs *args,
    GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);

  return umedpt_cuda_check (umedpt_cuda_launch_multiply (UMEDPT_F32 (args->a),
                                UMEDPT_F32 (args->b), args->b->n_elements == 1,
                                umedpt_cuda_output (cuda, args->dst),
                                (gint64) args->a->n_elements, cuda->stream),
      "multiply", error);
}

gboolean
umedpt_cuda_multiply_backward (UmedptBackend *backend,
    const UmedptMultiplyBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptTensor *a = args->forward.a, *b = args->forward.b;
  const gboolean one = b->n_elements == 1;
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  float *partials = NULL;

  if (one && args->diff_b) {
    partials = umedpt_cuda_scratch (cuda, UMEDPT_CUDA_MULTIPLY_SCRATCH,
        &scratch, error);
    if (!partials)
      return FALSE;
  }
  return umedpt_cuda_check (
      umedpt_cuda_launch_multiply_backward (UMEDPT_F32 (a), UMEDPT_F32 (b), one,
          UMEDPT_F32 (args->diff_dst), umedpt_cuda_output (cuda, args->diff_a),
          args->accumulate_a, umedpt_cuda_output (cuda, args->diff_b),
          args->accumulate_b, (gint64) a->n_elements, partials, cuda->stream),
      "multiply_backward", error);
}

gboolean
umedpt_cuda_logit_scale (UmedptBackend *backend,
    const UmedptLogitScaleArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);

  return umedpt_cuda_check (
      umedpt_cuda_launch_logit_scale (UMEDPT_F32 (args->src),
          umedpt_cuda_output (cuda, args->dst), (gint64) args->src->n_elements,
          cuda->stream),
      "logit_scale", error);
}

gboolean
umedpt_cuda_logit_scale_backward (UmedptBackend *backend,
    const UmedptLogitScaleBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);

  if (!args->diff_src)
    return TRUE;
  return umedpt_cuda_check (
      umedpt_cuda_launch_logit_scale_backward (UMEDPT_F32 (args->forward.src),
          UMEDPT_F32 (args->diff_dst),
          umedpt_cuda_output (cuda, args->diff_src),
          (gint64) args->diff_dst->n_elements, cuda->stream),
      "logit_scale_backward", error);
}

gboolean
umedpt_cuda_mask_key_bias (UmedptBackend *backend,
    const UmedptMaskKeyBiasArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);

  return umedpt_cuda_check (
      umedpt_cuda_launch_mask_key_bias (UMEDPT_F32 (args->src),
          umedpt_cuda_output (cuda, args->dst), (gint64) args->src->n_elements,
          cuda->stream),
      "mask_key_bias", error);
}

gboolean
umedpt_cuda_mask_key_bias_backward (UmedptBackend *backend,
    const UmedptMaskKeyBiasBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);

  if (!args->diff_src)
    return TRUE;
  return umedpt_cuda_check (
      umedpt_cuda_launch_mask_key_bias_backward (UMEDPT_F32 (args->diff_dst),
          umedpt_cuda_output (cuda, args->diff_src),
          (gint64) args->diff_dst->n_elements, cuda->stream),
      "mask_key_bias_backward", error);
}
