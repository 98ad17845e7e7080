/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * [model]: from an architecture, or from a model file to begin with, to the
 * description of the model that will be trained. A file brings its sizes with
 * it; keys that would contradict them are refused.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "net/model-private.h"
#include "train/config-private.h"

#define GROUP UMEDPT_CONFIG_MODEL

static const struct
{
  const char *block, *prefix;
} blocks[] = {
  { "encoder", UMEDPT_ENCODER_PREFIX },
  { "squeezer", UMEDPT_SQUEEZER_PREFIX },
  { "decoder", UMEDPT_PIXEL_DECODER_PREFIX },
  { "fcosfpn", UMEDPT_DETECTION_DECODER_PREFIX },
  { "grouper", UMEDPT_GROUPER_PREFIX },
};

const char *
umedpt_config_block_prefix (const char *block)
{
  for (gsize i = 0; i < G_N_ELEMENTS (blocks); i++)
    if (g_str_equal (blocks[i].block, block))
      return blocks[i].prefix;
  return NULL;
}

/* An architecture of one's own: the sizes of the smallest, changed. */
static UmedptDescription *
make_own (const UmedptTrainConfig *config, const UmedptModelKeys *keys,
    GError **error)
{
  UmedptDescription *description;

  if (g_strv_contains (umedpt_description_list_archs (), keys->arch)) {
    umedpt_config_fail (config, GROUP, "embed-dim", error,
        "the sizes of '%s' are known. Leave embed-dim, depths, heads and "
        "window out, or give arch a name of your own.",
        keys->arch);
    return NULL;
  }
  if (!umedpt_config_has (config, GROUP, "depths") ||
      !umedpt_config_has (config, GROUP, "heads")) {
    umedpt_config_fail (config, GROUP, "embed-dim", error,
        "an architecture of your own needs depths and heads as well");
    return NULL;
  }
  description = umedpt_description_new ("swinv2-nano", error);
  if (!description)
    return NULL;
  g_free (description->arch);
  description->arch = g_strdup (keys->arch);
  description->embed_dim = (gint) keys->embed_dim;
  memcpy (description->depths, keys->depths, sizeof keys->depths);
  memcpy (description->heads, keys->heads, sizeof keys->heads);
  description->window = (gint) keys->window;
  return description;
}

static UmedptDescription *
make_new (const UmedptTrainConfig *config, const UmedptModelKeys *keys,
    GError **error)
{
  static const char *const poolings[] = { "average", "max", "combined" };
  UmedptDescription *description;

  if (umedpt_config_has (config, GROUP, "embed-dim"))
    description = make_own (config, keys, error);
  else
    description = umedpt_description_new (keys->arch, error);
  if (!description) {
    g_prefix_error (error, "'%s', [%s] arch: ", config->path, GROUP);
    return NULL;
  }
  description->encoder_norm = (UmedptNormPolicy) keys->norm;
  description->squeezer_norm = (UmedptNormPolicy) keys->norm;
  description->decoder_norm = (UmedptNormPolicy) keys->norm;
  description->pool_order = (UmedptPoolOrder) keys->pool_order;
  description->squeeze_dense = keys->squeeze_dense;
  g_free (description->pooling);
  description->pooling = g_strdup (poolings[keys->pooling]);
  description->squeezer_channels = (gint) keys->squeezer_channels;
  description->pixel_channels = (gint) keys->pixel_channels;
  description->pixel_hidden = (gint) keys->pixel_hidden;
  description->detection_channels = (gint) keys->detection_channels;
  description->input_width = keys->size[0];
  description->input_height = keys->size[1];
  description->mpp = keys->mpp;
  return description;
}

/* What the file to begin with has already decided. */
static gboolean
check_start_keys (const UmedptTrainConfig *config, GError **error)
{
  static const char *const decided[] = { "arch", "embed-dim", "depths", "heads",
    "window", "norm", "pool-order", "pooling", "squeeze-dense",
    "squeezer-channels", NULL };

  for (guint i = 0; decided[i]; i++)
    if (umedpt_config_has (config, GROUP, decided[i]))
      return umedpt_config_fail (config, GROUP, decided[i], error,
          "the model file that 'start' names says this already. Leave one of "
          "the two out.");
  return TRUE;
}

static UmedptDescription *
make_started (UmedptTrainConfig *config, const UmedptModelKeys *keys,
    GError **error)
{
  g_autoptr (UmedptModel) model = NULL;
  UmedptDescription *description;

  if (!check_start_keys (config, error))
    return NULL;
  config->start = umedpt_config_resolve (config, keys->start);
  model = umedpt_model_new_from_file (config->start, error);
  if (!model) {
    g_prefix_error (error, "'%s', [%s] start: ", config->path, GROUP);
    return NULL;
  }
  description = umedpt_description_copy (umedpt_model_get_description (model));
  if (umedpt_config_has (config, GROUP, "size")) {
    description->input_width = keys->size[0];
    description->input_height = keys->size[1];
  }
  if (umedpt_config_has (config, GROUP, "mpp"))
    description->mpp = keys->mpp;
  /* blocks that the file does not have may still be chosen */
  if (!description->pixel_decoder) {
    description->pixel_channels = (gint) keys->pixel_channels;
    description->pixel_hidden = (gint) keys->pixel_hidden;
  }
  if (!description->detection_decoder)
    description->detection_channels = (gint) keys->detection_channels;
  return description;
}

static gboolean
check_channels (const UmedptTrainConfig *config, const UmedptModelKeys *keys,
    GError **error)
{
  if (keys->detection_channels % 32 == 0)
    return TRUE;
  return umedpt_config_fail (config, GROUP, "detection-channels", error,
      "found %u; expected a multiple of 32, the groups of its norms",
      keys->detection_channels);
}

/* What could not be read back must not be trained. */
static gboolean
check_description (const UmedptTrainConfig *config, GError **error)
{
  g_autofree char *json = umedpt_description_to_json (config->description);
  g_autoptr (UmedptDescription) read =
      umedpt_description_new_from_json (json, -1, error);

  if (!read)
    g_prefix_error (error, "'%s', [%s]: ", config->path, GROUP);
  return read != NULL;
}

gboolean
umedpt_config_read_model (UmedptTrainConfig *config, GError **error)
{
  g_auto (UmedptModelKeys) keys = { .stochastic_depth = NAN };

  if (!umedpt_config_read_group (config, GROUP, GROUP, &keys, error) ||
      !check_channels (config, &keys, error))
    return FALSE;
  if (!keys.arch && !keys.start)
    return umedpt_config_fail (config, GROUP, "arch", error,
        "it is missing; expected an architecture, as swinv2-nano, or 'start' "
        "with a model file");
  config->keep_tasks = keys.keep_tasks;
  config->residual_init = keys.residual_init;
  config->frozen = g_steal_pointer (&keys.freeze);
  config->description = keys.start ? make_started (config, &keys, error)
                                   : make_new (config, &keys, error);
  if (!config->description)
    return FALSE;
  if (!isnan (keys.stochastic_depth))
    config->description->stochastic_depth = keys.stochastic_depth;
  if (keys.grouper != UMEDPT_GROUPER_NONE)
    config->description->grouper = (UmedptGrouper) keys.grouper;
  return check_description (config, error);
}
