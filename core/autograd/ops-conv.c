/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checked ops that gather pixels for a matrix product: patches and
 * convolutions. Formulas: backend/backend.h.
 */
#include "autograd/ops-private.h"

#include "base/error.h"

/* src [N, H, W, 3], weight [C, 3, patch, patch] */
static gboolean
check_patch_embed (const UmedptTensor *src, const UmedptTensor *weight,
    const UmedptTensor *bias, GError **error)
{
  const char *op = "patch_embed";
  gint64 c, patch;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32 | UMEDPT_IS_U8, 4,
          error) ||
      !umedpt_check_shape (op, "src", src,
          UMEDPT_SHAPE (src->shape[0], src->shape[1], src->shape[2], 3),
          error) ||
      !umedpt_check_input (op, "weight", weight, UMEDPT_IS_F32, 4, error))
    return FALSE;
  c = weight->shape[0];
  patch = weight->shape[2];
  if (!umedpt_check_shape (op, "weight", weight,
          UMEDPT_SHAPE (c, 3, patch, patch), error) ||
      !umedpt_check_param (op, "bias", bias, UMEDPT_SHAPE (c), error))
    return FALSE;
  if (patch > 0 && src->shape[1] >= patch && src->shape[2] >= patch)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "%s: an image of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
      " pixels holds no patch of %" G_GINT64_FORMAT "; use a larger image.",
      op, src->shape[2], src->shape[1], patch);
  return FALSE;
}

/* src [N, H, W, 3] -> [N, H / patch, W / patch, C] */
UmedptTensor *
umedpt_op_patch_embed (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, UmedptTensor *gamma,
    UmedptTensor *beta, float epsilon, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  g_autoptr (UmedptTensor) product = NULL;
  gboolean recorded =
      umedpt_tape_wants (context, UMEDPT_TENSORS (weight, bias, gamma, beta));
  UmedptPatchEmbedArgs args;
  gint64 patch;

  if (!check_patch_embed (src, weight, bias, error) ||
      !umedpt_check_affine ("patch_embed", gamma, beta, weight->shape[0],
          error))
    return NULL;
  patch = weight->shape[2];
  dst = umedpt_tensor_new_in (src->memory, UMEDPT_DTYPE_F32,
      UMEDPT_SHAPE (src->shape[0], src->shape[1] / patch, src->shape[2] / patch,
          weight->shape[0]),
      error);
  if (!dst)
    return NULL;
  if (recorded && !(product = umedpt_new_like (dst, UMEDPT_DTYPE_F32, error)))
    return NULL;
  args = (UmedptPatchEmbedArgs){ .src = src,
    .weight = weight,
    .bias = bias,
    .gamma = gamma,
    .beta = beta,
    .dst = dst,
    .saved_product = product,
    .epsilon = epsilon,
    .compute = context->compute };
  if (!UMEDPT_RUN (context, patch_embed, &args, error, src, dst))
    return NULL;
  if (recorded)
    umedpt_record_patch_embed (context, &args);
  return g_steal_pointer (&dst);
}

/* src [N, H, W, C] -> [N, ceil (H / 2), ceil (W / 2), 2C] */
UmedptTensor *
umedpt_op_patch_merge (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *gamma, UmedptTensor *beta,
    float epsilon, GError **error)
{
  const char *op = "patch_merge";
  g_autoptr (UmedptTensor) dst = NULL;
  g_autoptr (UmedptTensor) product = NULL;
  gboolean recorded =
      umedpt_tape_wants (context, UMEDPT_TENSORS (src, weight, gamma, beta));
  UmedptPatchMergeArgs args;
  gint64 c;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 4, error))
    return NULL;
  c = src->shape[3];
  if (!umedpt_check_param (op, "weight", weight, UMEDPT_SHAPE (2 * c, 4 * c),
          error) ||
      !umedpt_check_affine (op, gamma, beta, 2 * c, error))
    return NULL;
  dst = umedpt_tensor_new_in (src->memory, UMEDPT_DTYPE_F32,
      UMEDPT_SHAPE (src->shape[0], (src->shape[1] + 1) / 2,
          (src->shape[2] + 1) / 2, 2 * c),
      error);
  if (!dst)
    return NULL;
  if (recorded && !(product = umedpt_new_like (dst, UMEDPT_DTYPE_F32, error)))
    return NULL;
  args = (UmedptPatchMergeArgs){ .src = src,
    .weight = weight,
    .gamma = gamma,
    .beta = beta,
    .dst = dst,
    .saved_product = product,
    .epsilon = epsilon,
    .compute = context->compute };
  if (!UMEDPT_RUN (context, patch_merge, &args, error, src, dst))
    return NULL;
  if (recorded)
    umedpt_record_patch_merge (context, &args);
  return g_steal_pointer (&dst);
}

/* The output's size along one axis; -1: the kernel does not fit. */
static gint64
conv_size (gint64 size, gint64 kernel, gint64 stride, gint64 padding)
{
  gint64 room = size + 2 * padding - kernel;

  return kernel > 0 && room >= 0 ? room / stride + 1 : -1;
}

static gboolean
check_conv2d (const UmedptTensor *src, const UmedptTensor *weight,
    const UmedptTensor *bias, gint64 stride, gint64 padding, GError **error)
{
  const char *op = "conv2d";

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_FLOAT, 4, error) ||
      !umedpt_check_input (op, "weight", weight, UMEDPT_IS_F32, 4, error) ||
      !umedpt_check_shape (op, "weight", weight,
          UMEDPT_SHAPE (weight->shape[0], src->shape[3], weight->shape[2],
              weight->shape[3]),
          error) ||
      !umedpt_check_range (op, "channels", src->shape[3], 1, G_MAXINT64,
          error) ||
      !umedpt_check_range (op, "stride", stride, 1, 1 << 16, error) ||
      !umedpt_check_range (op, "padding", padding, 0, 1 << 16, error))
    return FALSE;
  return !bias ||
      umedpt_check_param (op, "bias", bias, UMEDPT_SHAPE (weight->shape[0]),
          error);
}

/* [N, OH, OW, O] for checked arguments. */
static UmedptTensor *
new_conv_output (const UmedptTensor *src, const UmedptTensor *weight,
    gint64 stride, gint64 padding, UmedptDtype dtype, GError **error)
{
  gint64 oh = conv_size (src->shape[1], weight->shape[2], stride, padding);
  gint64 ow = conv_size (src->shape[2], weight->shape[3], stride, padding);
  g_autofree char *map = NULL, *kernel = NULL;

  if (oh >= 0 && ow >= 0)
    return umedpt_tensor_new_in (src->memory, dtype,
        UMEDPT_SHAPE (src->shape[0], oh, ow, weight->shape[0]), error);
  map = umedpt_tensor_describe (src);
  kernel = umedpt_tensor_describe (weight);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "conv2d: the kernel, %s, does not fit into the map, %s, with a padding "
      "of %" G_GINT64_FORMAT ".",
      kernel, map, padding);
  return NULL;
}

/* src [N, H, W, C], weight [O, C, kh, kw] -> [N, OH, OW, O]. Recorded without
 * the activation, whose derivative needs its input. */
UmedptTensor *
umedpt_op_conv2d (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, gint64 stride, gint64 padding,
    UmedptActivation activation, UmedptDtype dst_dtype, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  gboolean recorded =
      umedpt_tape_wants (context, UMEDPT_TENSORS (src, weight, bias));
  UmedptConv2dArgs args;

  if (!check_conv2d (src, weight, bias, stride, padding, error) ||
      !umedpt_check_float ("conv2d", dst_dtype, error))
    return NULL;
  if (recorded && activation != UMEDPT_ACTIVATION_NONE) {
    g_autoptr (UmedptTensor) sum = umedpt_op_conv2d (context, src, weight, bias,
        stride, padding, UMEDPT_ACTIVATION_NONE, dst_dtype, error);

    return sum ? umedpt_op_activate (context, sum, activation, error) : NULL;
  }
  dst = new_conv_output (src, weight, stride, padding, dst_dtype, error);
  if (!dst)
    return NULL;
  args = (UmedptConv2dArgs){ .src = src,
    .weight = weight,
    .bias = bias,
    .dst = dst,
    .stride = stride,
    .padding = padding,
    .activation = activation,
    .compute = context->compute };
  if (!UMEDPT_RUN (context, conv2d, &args, error, src, dst))
    return NULL;
  if (recorded)
    umedpt_record_conv2d (context, &args);
  return g_steal_pointer (&dst);
}
