/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The squeezer (UMedPT, Schäfer et al. 2024, figure 2: the image
 * representation). With f = gelu (norm (conv1x1 (·))), conv optional:
 *
 *   dense map      Z = f (F4)
 *   pool before    z = f (pool (F4))   releases 1.0.2 to 1.0.4
 *   pool after     z = pool (f (F4))   the paper's version, and 1.6
 *
 * The norm is a GroupNorm with one group, so the two orders normalise over D
 * or over D*H*W values and give different vectors from the same weights: the
 * model file says which one a model was trained with.
 */
#include "net/squeezer.h"

#include "base/error.h"

struct _UmedptSqueezer
{
  gint64 channels; /* of F4 */
  gint64 size; /* D */
  UmedptPoolOrder order;
  UmedptPooling pooling;
  UmedptLinear conv; /* weight NULL: none */
  UmedptPolicyNorm norm;
};

static gboolean
parse_pooling (const char *name, UmedptPooling *pooling, GError **error)
{
  if (g_strcmp0 (name, "average") == 0)
    *pooling = UMEDPT_POOLING_AVERAGE;
  else if (g_strcmp0 (name, "max") == 0)
    *pooling = UMEDPT_POOLING_MAX;
  else if (g_strcmp0 (name, "combined") == 0)
    *pooling = UMEDPT_POOLING_COMBINED;
  else {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "The squeezer's pooling is '%s'; it must be average, max or combined.",
        name ? name : "");
    return FALSE;
  }
  return TRUE;
}

/* Declares the squeezer's parameters in @parameters under names that begin
 * with @prefix ("squeezer."). */
UmedptSqueezer *
umedpt_squeezer_new (const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix, GError **error)
{
  g_autoptr (UmedptSqueezer) self = g_new0 (UmedptSqueezer, 1);
  g_autofree char *conv = g_strconcat (prefix, "conv.", NULL);
  g_autofree char *norm = g_strconcat (prefix, "norm.", NULL);

  if (!parse_pooling (description->pooling, &self->pooling, error))
    return NULL;
  if (description->squeezer_channels < 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "The squeezer has %d channels; it must have more, or 0 to keep the "
        "encoder's.",
        description->squeezer_channels);
    return NULL;
  }
  if (description->squeezer_norm == UMEDPT_NORM_INSTANCE &&
      description->pool_order == UMEDPT_POOL_BEFORE) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "The squeezer pools before an instance norm, which makes every value "
        "0: one position has no variance. Use the pool order 'after' or "
        "another norm policy.");
    return NULL;
  }
  self->channels = (gint64) description->embed_dim << 3;
  self->size = description->squeezer_channels ? description->squeezer_channels
                                              : self->channels;
  self->order = description->pool_order;
  if (description->squeezer_channels)
    umedpt_conv1x1_declare (&self->conv, parameters, conv, self->channels,
        self->size, UMEDPT_CONV_DEFAULT);
  umedpt_policy_norm_declare (&self->norm, description->squeezer_norm,
      parameters, norm, self->size);
  return g_steal_pointer (&self);
}

void
umedpt_squeezer_free (UmedptSqueezer *self)
{
  g_free (self);
}

/* gelu (norm (conv (x))): f32 [N, H, W, C4] -> f32 [N, H, W, D]. */
static UmedptTensor *
squeeze (UmedptSqueezer *self, UmedptContext *context, UmedptTensor *x,
    GError **error)
{
  g_autoptr (UmedptTensor) projected = NULL;
  g_autoptr (UmedptTensor) normed = NULL;

  projected = self->conv.weight
      ? umedpt_op_linear (context, x, self->conv.weight, self->conv.bias,
            UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32, error)
      : umedpt_tensor_ref (x);
  if (!projected)
    return NULL;
  normed = umedpt_policy_norm_forward (&self->norm, context, projected, error);
  if (!normed)
    return NULL;
  return umedpt_op_activate (context, normed, UMEDPT_ACTIVATION_GELU, error);
}

/* Pools, squeezes the single position, and drops the spatial dimensions. */
static UmedptTensor *
vector_pooled_first (UmedptSqueezer *self, UmedptContext *context,
    UmedptTensor *f4, GError **error)
{
  const gint64 n = f4->shape[0];
  const gint64 position[] = { n, 1, 1, self->channels };
  const gint64 vector[] = { n, self->size };
  g_autoptr (UmedptTensor) pooled = NULL; /* [N, C4] */
  g_autoptr (UmedptTensor) point = NULL; /* [N, 1, 1, C4] */
  g_autoptr (UmedptTensor) squeezed = NULL; /* [N, 1, 1, D] */

  pooled = umedpt_op_global_pool (context, f4, self->pooling, error);
  if (!pooled)
    return NULL;
  point = umedpt_op_reshape (context, pooled, 4, position, error);
  if (!point)
    return NULL;
  squeezed = squeeze (self, context, point, error);
  if (!squeezed)
    return NULL;
  return umedpt_op_reshape (context, squeezed, 2, vector, error);
}

/* f4: f32 [N, H, W, C4] -> z, f32 [N, D]. @map: (nullable) Z of f4, if it is
 * there already. */
UmedptTensor *
umedpt_squeezer_vector (UmedptSqueezer *self, UmedptContext *context,
    UmedptTensor *f4, UmedptTensor *map, GError **error)
{
  g_autoptr (UmedptTensor) own = NULL;

  if (self->order == UMEDPT_POOL_BEFORE)
    return vector_pooled_first (self, context, f4, error);
  own = map ? umedpt_tensor_ref (map) : squeeze (self, context, f4, error);
  if (!own)
    return NULL;
  return umedpt_op_global_pool (context, own, self->pooling, error);
}

/* f4: f32 [N, H, W, C4] -> Z, f32 [N, H, W, D]. */
UmedptTensor *
umedpt_squeezer_map (UmedptSqueezer *self, UmedptContext *context,
    UmedptTensor *f4, GError **error)
{
  return squeeze (self, context, f4, error);
}
