/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The Swin V2 encoder's layers: stem, four stages of blocks, patch merging between
 * them. Under its prefix the names are those of torchvision:
 *
 *   features.0          stem: 4x4 patches, linear, LayerNorm
 *   features.1 3 5 7    stages; their outputs are F1..F4
 *   features.2 4 6      patch merging
 *   norm                in the checkpoints, but not applied: UMedPT takes
 *                       the stages' outputs, and only a classifier used it
 *
 * Images of any height and width of at least 32 pixels work. Rows and columns
 * beyond a multiple of 4 do not fill a patch and are ignored; where a map is
 * odd, merging pads it with zeros, and attention pads to whole windows, so
 * that F4 is ceil (ceil (ceil (floor (H / 4) / 2) / 2) / 2) high.
 */
#include "net/swin-private.h"

#include "base/error.h"

/* Refuses what the ops cannot compute, before anything is allocated. */
static gboolean
check_description (const UmedptDescription *description, GError **error)
{
  for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++) {
    const gint64 channels = (gint64) description->embed_dim << i;
    const gint heads = description->heads[i];

    if (description->embed_dim < 1 || description->embed_dim > 4096 ||
        description->depths[i] < 1 || description->depths[i] > 256 ||
        heads < 1 || channels % heads != 0) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
          "Stage %d of the encoder has %" G_GINT64_FORMAT
          " channels, %d blocks and %d heads; it must have at least one block, "
          "and the heads must divide the channels.",
          i + 1, channels, description->depths[i], heads);
      return FALSE;
    }
  }
  if (description->window < 2 || description->window > 64 ||
      description->patch != 4 || !(description->mlp_ratio > 0) ||
      description->mlp_ratio > 64) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "The encoder has windows of %d, patches of %d and an MLP ratio of %g; "
        "windows must be 2 to 64 wide, patches 4, the ratio above 0.",
        description->window, description->patch, description->mlp_ratio);
    return FALSE;
  }
  return TRUE;
}

static void
declare_merging (UmedptSwin *self, const UmedptDescription *description,
    gint stage, UmedptParameters *parameters, const char *prefix)
{
  const gint64 channels = (gint64) self->embed_dim << stage;
  g_autofree char *linear =
      g_strdup_printf ("%sfeatures.%d.reduction.", prefix, 2 * stage + 2);
  g_autofree char *norm =
      g_strdup_printf ("%sfeatures.%d.norm.", prefix, 2 * stage + 2);

  umedpt_linear_declare (&self->reductions[stage], parameters, linear,
      4 * channels, 2 * channels, FALSE);
  if (description->encoder_norm != UMEDPT_NORM_PLAIN)
    umedpt_norm_declare (&self->reduction_norms[stage], parameters, norm,
        2 * channels, UMEDPT_PARAMETER_PLAIN);
}

static void
declare_stem (UmedptSwin *self, const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix)
{
  g_autofree char *conv = g_strconcat (prefix, "features.0.0.", NULL);
  g_autofree char *norm = g_strconcat (prefix, "features.0.2.", NULL);
  g_autofree char *final = g_strconcat (prefix, "norm.", NULL);

  umedpt_conv_declare (&self->stem, parameters, conv, 3, self->embed_dim,
      description->patch, UMEDPT_CONV_DEFAULT);
  if (description->encoder_norm == UMEDPT_NORM_PLAIN)
    return;
  umedpt_norm_declare (&self->stem_norm, parameters, norm, self->embed_dim,
      UMEDPT_PARAMETER_PLAIN);
  umedpt_norm_declare (&self->final_norm, parameters, final,
      (gint64) self->embed_dim << (UMEDPT_SWIN_LEVELS - 1),
      UMEDPT_PARAMETER_UNUSED);
}

/* Declares all parameters of the encoder in @parameters, under names that
 * begin with @prefix ("encoder.model.wrapped_model."); @parameters must
 * outlive the encoder. */
UmedptSwin *
umedpt_swin_new (const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix, GError **error)
{
  UmedptSwin *self;
  UmedptSwinBuffers buffers;
  guint block = 0;

  if (!check_description (description, error))
    return NULL;
  self = g_new0 (UmedptSwin, 1);
  g_mutex_init (&self->lock);
  self->parameters = parameters;
  self->embed_dim = description->embed_dim;
  self->stochastic_depth = description->stochastic_depth;
  for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++) {
    self->depths[i] = description->depths[i];
    self->n_blocks += (guint) description->depths[i];
  }
  self->blocks = g_new0 (UmedptSwinBlock, self->n_blocks);

  declare_stem (self, description, parameters, prefix);
  umedpt_swin_buffers_init (&buffers, description->window);
  for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++) {
    for (gint j = 0; j < self->depths[i]; j++) {
      g_autofree char *path =
          g_strdup_printf ("%sfeatures.%d.%d.", prefix, 2 * i + 1, j);
      umedpt_swin_block_declare (&self->blocks[block++], description, &buffers,
          i, j, parameters, path);
    }
    if (i + 1 < UMEDPT_SWIN_LEVELS)
      declare_merging (self, description, i, parameters, prefix);
  }
  umedpt_swin_buffers_clear (&buffers);
  return self;
}

void
umedpt_swin_free (UmedptSwin *self)
{
  if (!self)
    return;
  umedpt_swin_drop_prepared (self);
  g_mutex_clear (&self->lock);
  g_free (self->blocks);
  g_free (self);
}
