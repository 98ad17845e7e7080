/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One block of Swin V2 (Liu et al. 2022, figure 1, right): windowed cosine
 * attention and an MLP, each followed by a LayerNorm and added to what came
 * in ("residual post-norm", section 3.2). Windows are shifted by half their
 * size in every second block. The key's bias is 0 whatever the parameter
 * says, as in torchvision.
 */
#include "net/swin.h"

#include <math.h>

/* Log-spaced coordinates of all offsets of a window (section 3.3), f32
 * [1, 2w-1, 2w-1, 2] as (dy, dx). */
static UmedptTensor *
make_coords_table (gint64 window)
{
  const gint64 side = 2 * window - 1;
  const gint64 shape[] = { 1, side, side, 2 };
  UmedptTensor *table = umedpt_tensor_new (UMEDPT_DTYPE_F32, 4, shape, NULL);

  if (!table)
    return NULL;
  for (gint64 i = 0; i < side * side * 2; i++) {
    const gint64 offset = (i % 2 ? i / 2 % side : i / 2 / side) - (window - 1);
    const double d = 8.0 * (double) offset / (double) (window - 1);
    UMEDPT_F32 (table)
    [i] = (float) (copysign (log2 (fabs (d) + 1), d) / 3);
  }
  return table;
}

/* For each pair of pixels of a window the row of that table, as
 * i64 [window^4]; row = query. */
static UmedptTensor *
make_position_index (gint64 window)
{
  const gint64 area = window * window;
  const gint64 n = area * area;
  UmedptTensor *index = umedpt_tensor_new (UMEDPT_DTYPE_I64, 1, &n, NULL);

  if (!index)
    return NULL;
  for (gint64 k = 0; k < n; k++) {
    const gint64 i = k / area, j = k % area;
    const gint64 dy = i / window - j / window + window - 1;
    const gint64 dx = i % window - j % window + window - 1;
    ((gint64 *) index->data)[k] = dy * (2 * window - 1) + dx;
  }
  return index;
}

void
umedpt_swin_buffers_init (UmedptSwinBuffers *self, gint64 window)
{
  self->coords_table = make_coords_table (window);
  self->position_index = make_position_index (window);
}

void
umedpt_swin_buffers_clear (UmedptSwinBuffers *self)
{
  g_clear_pointer (&self->coords_table, umedpt_tensor_unref);
  g_clear_pointer (&self->position_index, umedpt_tensor_unref);
}

static void
declare_buffers (const UmedptSwinBuffers *buffers, UmedptParameters *parameters,
    const char *prefix)
{
  if (buffers->coords_table)
    umedpt_parameters_add_buffer (parameters, buffers->coords_table, prefix,
        "attn.relative_coords_table");
  if (buffers->position_index)
    umedpt_parameters_add_buffer (parameters, buffers->position_index, prefix,
        "attn.relative_position_index");
}

static void
declare_linear (UmedptLinear *linear, UmedptParameters *parameters,
    const char *prefix, const char *name, gint64 inputs, gint64 outputs,
    gboolean bias)
{
  g_autofree char *path = g_strconcat (prefix, name, NULL);

  umedpt_linear_declare (linear, parameters, path, inputs, outputs, bias);
}

static void
declare_norm (UmedptNorm *norm, UmedptParameters *parameters,
    const char *prefix, const char *name, gint64 channels)
{
  g_autofree char *path = g_strconcat (prefix, name, NULL);

  umedpt_norm_declare (norm, parameters, path, channels,
      UMEDPT_PARAMETER_PLAIN);
}

/* Declares block @index of @stage under @prefix ("features.1.0."). */
void
umedpt_swin_block_declare (UmedptSwinBlock *self,
    const UmedptDescription *description, const UmedptSwinBuffers *buffers,
    gint stage, gint index, UmedptParameters *parameters, const char *prefix)
{
  const gint64 channels = (gint64) description->embed_dim << stage;
  const gint64 heads = description->heads[stage];
  const gint64 hidden = (gint64) ((double) channels * description->mlp_ratio);
  const gint64 position_hidden = 512;
  const UmedptParameterSpec scale = {
    .init = UMEDPT_INIT_LOGIT_SCALE,
    .n_dims = 3,
    .shape = { heads, 1, 1 },
  };

  self->channels = channels;
  self->heads = heads;
  self->window = description->window;
  self->shift = index % 2 ? description->window / 2 : 0;
  umedpt_parameters_add (parameters, &self->logit_scale, &scale, prefix,
      "attn.logit_scale");
  declare_linear (&self->qkv, parameters, prefix, "attn.qkv.", channels,
      3 * channels, TRUE);
  declare_linear (&self->proj, parameters, prefix, "attn.proj.", channels,
      channels, TRUE);
  declare_linear (&self->position1, parameters, prefix, "attn.cpb_mlp.0.", 2,
      position_hidden, TRUE);
  declare_linear (&self->position2, parameters, prefix, "attn.cpb_mlp.2.",
      position_hidden, heads, FALSE);
  declare_linear (&self->fc1, parameters, prefix, "mlp.0.", channels, hidden,
      TRUE);
  declare_linear (&self->fc2, parameters, prefix, "mlp.3.", hidden, channels,
      TRUE);
  if (description->encoder_norm != UMEDPT_NORM_PLAIN) {
    declare_norm (&self->norm1, parameters, prefix, "norm1.", channels);
    declare_norm (&self->norm2, parameters, prefix, "norm2.", channels);
  }
  declare_buffers (buffers, parameters, prefix);
}

gboolean
umedpt_swin_block_prepare (const UmedptSwinBlock *self, UmedptContext *context,
    UmedptSwinPrepared *prepared, GError **error)
{
  prepared->qkv_bias = umedpt_op_mask_key_bias (context, self->qkv.bias, error);
  if (!prepared->qkv_bias)
    return FALSE;
  prepared->scale = umedpt_op_logit_scale (context, self->logit_scale, error);
  if (!prepared->scale)
    return FALSE;
  prepared->position_bias =
      umedpt_op_position_bias (context, self->position1.weight,
          self->position1.bias, self->position2.weight, self->window, error);
  return prepared->position_bias != NULL;
}

void
umedpt_swin_prepared_clear (UmedptSwinPrepared *prepared)
{
  g_clear_pointer (&prepared->qkv_bias, umedpt_tensor_unref);
  g_clear_pointer (&prepared->scale, umedpt_tensor_unref);
  g_clear_pointer (&prepared->position_bias, umedpt_tensor_unref);
}

/* x: f32 [N, H, W, C] -> f32 [N, H, W, C]. */
UmedptTensor *
umedpt_swin_block_forward (const UmedptSwinBlock *self,
    const UmedptSwinPrepared *prepared, const UmedptSwinDrops *drops,
    UmedptContext *context, UmedptTensor *x, GError **error)
{
  g_autoptr (UmedptTensor) qkv = NULL; /* [N, H, W, 3C] */
  g_autoptr (UmedptTensor) attended = NULL; /* [N, H, W, C] */
  g_autoptr (UmedptTensor) middle = NULL; /* f32 [N, H, W, C] */

  qkv = umedpt_op_linear (context, x, self->qkv.weight, prepared->qkv_bias,
      UMEDPT_ACTIVATION_NONE, umedpt_context_get_compute (context), error);
  if (!qkv)
    return NULL;
  attended = umedpt_op_window_attention (context, qkv, prepared->qkv_bias,
      prepared->scale, prepared->position_bias, self->heads, self->window,
      self->shift, error);
  if (!attended)
    return NULL;
  g_clear_pointer (&qkv, umedpt_tensor_unref);
  middle = umedpt_op_linear_norm (context, attended, self->proj.weight,
      self->proj.bias, self->norm1.gamma, self->norm1.beta, x, drops->attention,
      UMEDPT_NORM_EPSILON, error);
  if (!middle)
    return NULL;
  g_clear_pointer (&attended, umedpt_tensor_unref);
  return umedpt_op_mlp_norm (context, middle, self->fc1.weight, self->fc1.bias,
      self->fc2.weight, self->fc2.bias, self->norm2.gamma, self->norm2.beta,
      drops->mlp, UMEDPT_NORM_EPSILON, error);
}

gboolean
umedpt_swin_block_trains (const UmedptSwinBlock *self)
{
  const UmedptTensor *const all[] = { self->logit_scale, self->qkv.weight,
    self->qkv.bias, self->proj.weight, self->proj.bias, self->fc1.weight,
    self->fc1.bias, self->fc2.weight, self->fc2.bias, self->position1.weight,
    self->position1.bias, self->position2.weight, self->norm1.gamma,
    self->norm1.beta, self->norm2.gamma, self->norm2.beta };

  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    if (all[i] && all[i]->requires_grad)
      return TRUE;
  return FALSE;
}
