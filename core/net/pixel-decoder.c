/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The pixel-wise decoder (UMedPT, Schäfer et al. 2024, figure 2), built like
 * the U-Net decoder of segmentation-models and named as it is there. Four
 * blocks, each
 *
 *   nearest upsampling → concatenation with the finer map (after the
 *   upsampled channels) → [conv 3x3 → norm → ReLU] twice
 *
 * then conv 3x3 → norm → GELU. Skips are F3, F2, F1; the last block has none
 * and doubles the size of F1.
 *
 * The result has half the image's resolution: F1 has a quarter of it, and
 * there are only four doublings. Losses and masks are computed there, as in
 * the paper's library. Maps are resized to the size of their skip, so images
 * of any size work: of an image H pixels high the result is 2 floor (H / 4).
 */
#include "net/pixel-decoder.h"

#include "net/policy-norm.h"

#define N_BLOCKS 4

typedef struct
{
  UmedptConv conv;
  UmedptPolicyNorm norm;
} Layer;

struct _UmedptPixelDecoder
{
  Layer layers[N_BLOCKS][2];
  Layer final;
};

/* The channels of block @i: doubled from the last to the first, up to a cap. */
static gint64
block_width (const UmedptDescription *description, gint i)
{
  return MIN ((gint64) description->pixel_channels << (N_BLOCKS - 1 - i),
      (gint64) description->pixel_hidden);
}

static void
declare_block (UmedptPixelDecoder *self, const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix, gint i, gint64 inputs)
{
  const gint64 width = block_width (description, i);

  for (gint j = 0; j < 2; j++) {
    Layer *layer = &self->layers[i][j];
    g_autofree char *conv =
        g_strdup_printf ("%smodel.decoder.blocks.%d.conv%d.0.", prefix, i,
            j + 1);
    g_autofree char *norm =
        g_strdup_printf ("%smodel.decoder.blocks.%d.conv%d.1.", prefix, i,
            j + 1);

    umedpt_conv_declare (&layer->conv, parameters, conv, j ? width : inputs,
        width, 3, UMEDPT_CONV_NO_BIAS);
    umedpt_policy_norm_declare (&layer->norm, description->decoder_norm,
        parameters, norm, width);
  }
}

/* Declares all parameters in @parameters under names that begin with @prefix
 * ("decoder."). */
UmedptPixelDecoder *
umedpt_pixel_decoder_new (const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix)
{
  UmedptPixelDecoder *self = g_new0 (UmedptPixelDecoder, 1);
  const gint64 c0 = description->embed_dim;
  const gint64 channels = description->pixel_channels;
  const gint64 skips[N_BLOCKS] = { 4 * c0, 2 * c0, c0, 0 };
  gint64 inputs = description->squeeze_dense
      ? umedpt_description_get_embedding_size (description)
      : 8 * c0;
  g_autofree char *conv = g_strconcat (prefix, "model.final_conv.", NULL);
  g_autofree char *norm = g_strconcat (prefix, "model.norm.", NULL);

  for (gint i = 0; i < N_BLOCKS; i++) {
    declare_block (self, description, parameters, prefix, i, inputs + skips[i]);
    inputs = block_width (description, i);
  }
  umedpt_conv_declare (&self->final.conv, parameters, conv, inputs, channels, 3,
      UMEDPT_CONV_DEFAULT);
  umedpt_policy_norm_declare (&self->final.norm, description->decoder_norm,
      parameters, norm, channels);
  return self;
}

void
umedpt_pixel_decoder_free (UmedptPixelDecoder *self)
{
  g_free (self);
}

/* activation (norm (conv (x))), (transfer full) in and out. */
static UmedptTensor *
run_layer (const Layer *layer, UmedptContext *context,
    UmedptActivation activation, UmedptTensor *x, GError **error)
{
  g_autoptr (UmedptTensor) src = x;
  g_autoptr (UmedptTensor) convolved = NULL;
  g_autoptr (UmedptTensor) normed = NULL;

  if (!src)
    return NULL;
  convolved = umedpt_op_conv2d (context, src, layer->conv.weight,
      layer->conv.bias, 1, 1, UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32, error);
  if (!convolved)
    return NULL;
  g_clear_pointer (&src, umedpt_tensor_unref);
  normed = umedpt_policy_norm_forward (&layer->norm, context, convolved, error);
  if (!normed)
    return NULL;
  g_clear_pointer (&convolved, umedpt_tensor_unref);
  return umedpt_op_activate (context, normed, activation, error);
}

/* dense: f32 [N, h, w, D], at the size of F4; result f32
 * [N, 2 floor (H / 4), 2 floor (W / 4), channels]. */
UmedptTensor *
umedpt_pixel_decoder_forward (UmedptPixelDecoder *self, UmedptContext *context,
    UmedptTensor *const pyramid[UMEDPT_SWIN_LEVELS], UmedptTensor *dense,
    GError **error)
{
  UmedptTensor *const skips[N_BLOCKS] = { pyramid[2], pyramid[1], pyramid[0],
    NULL };
  g_autoptr (UmedptTensor) x = umedpt_tensor_ref (dense);

  for (gint i = 0; i < N_BLOCKS; i++) {
    UmedptTensor *y = umedpt_op_upsample_concat (context, x, skips[i],
        2 * x->shape[1], 2 * x->shape[2], error);

    for (gint j = 0; j < 2; j++)
      y = run_layer (&self->layers[i][j], context, UMEDPT_ACTIVATION_RELU, y,
          error);
    if (!y)
      return NULL;
    umedpt_tensor_unref (x);
    x = y;
  }
  return run_layer (&self->final, context, UMEDPT_ACTIVATION_GELU,
      g_steal_pointer (&x), error);
}
