/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The Swin V2 encoder: stem, four stages of blocks, patch merging between
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
#include "net/swin.h"

#include <math.h>

#include "base/error.h"

/* Everything prepared for one backend and one state of the parameters. */
typedef struct
{
  UmedptBackend *backend;
  guint64 generation;
  guint n_blocks;
  UmedptSwinPrepared *blocks;
} Prepared;

struct _UmedptSwin
{
  UmedptParameters *parameters; /* not owned */
  gint embed_dim;
  UmedptConv stem;
  UmedptNorm stem_norm;
  UmedptLinear reductions[UMEDPT_SWIN_LEVELS - 1];
  UmedptNorm reduction_norms[UMEDPT_SWIN_LEVELS - 1];
  UmedptNorm final_norm; /* unused */
  gint depths[UMEDPT_SWIN_LEVELS];
  guint n_blocks;
  UmedptSwinBlock *blocks; /* of all stages, in order */

  GMutex lock;
  Prepared *prepared; /* guarded by lock; shared by reference */
};

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
      description->patch);
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

static void
prepared_clear (gpointer data)
{
  Prepared *prepared = data;

  for (guint i = 0; i < prepared->n_blocks; i++)
    umedpt_swin_prepared_clear (&prepared->blocks[i]);
  g_free (prepared->blocks);
}

static void
prepared_unref (Prepared *prepared)
{
  g_atomic_rc_box_release_full (prepared, prepared_clear);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Prepared, prepared_unref)

void
umedpt_swin_free (UmedptSwin *self)
{
  if (!self)
    return;
  g_clear_pointer (&self->prepared, prepared_unref);
  g_mutex_clear (&self->lock);
  g_free (self->blocks);
  g_free (self);
}

static Prepared *
prepare (UmedptSwin *self, UmedptContext *context, guint64 generation,
    GError **error)
{
  g_autoptr (Prepared) prepared = g_atomic_rc_box_new0 (Prepared);

  prepared->backend = umedpt_context_get_backend (context);
  prepared->generation = generation;
  prepared->n_blocks = self->n_blocks;
  prepared->blocks = g_new0 (UmedptSwinPrepared, self->n_blocks);
  for (guint i = 0; i < self->n_blocks; i++)
    if (!umedpt_swin_block_prepare (&self->blocks[i], context,
            &prepared->blocks[i], error))
      return NULL;
  return g_steal_pointer (&prepared);
}

/* (transfer full): made on first use and again when the parameters or the
 * backend are others; who computes with the old one keeps it meanwhile. */
static Prepared *
get_prepared (UmedptSwin *self, UmedptContext *context, GError **error)
{
  const guint64 generation =
      umedpt_parameters_get_generation (self->parameters);
  Prepared *result = NULL;

  g_mutex_lock (&self->lock);
  if (self->prepared &&
      (self->prepared->generation != generation ||
          self->prepared->backend != umedpt_context_get_backend (context)))
    g_clear_pointer (&self->prepared, prepared_unref);
  if (!self->prepared)
    self->prepared = prepare (self, context, generation, error);
  if (self->prepared)
    result = g_atomic_rc_box_acquire (self->prepared);
  g_mutex_unlock (&self->lock);
  return result;
}

static gboolean
check_images (const UmedptTensor *images, GError **error)
{
  g_autofree char *is = NULL;

  if (images->n_dims == 4 && images->shape[3] == 3 &&
      images->shape[1] >= UMEDPT_SWIN_MIN_SIZE &&
      images->shape[2] >= UMEDPT_SWIN_MIN_SIZE)
    return TRUE;
  is = umedpt_tensor_describe (images);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "The encoder got images %s; it needs [N, H, W, 3] with H and W of at "
      "least %d pixels.",
      is, UMEDPT_SWIN_MIN_SIZE);
  return FALSE;
}

/* Runs the blocks of a stage on @x, (transfer full) in and out. */
static UmedptTensor *
run_stage (const UmedptSwinBlock *blocks, const UmedptSwinPrepared *prepared,
    gint n, UmedptContext *context, UmedptTensor *x, GError **error)
{
  for (gint i = 0; x && i < n; i++) {
    UmedptTensor *y =
        umedpt_swin_block_forward (&blocks[i], &prepared[i], context, x, error);
    umedpt_tensor_unref (x);
    x = y;
  }
  return x;
}

/* images: u8 (0 … 255) or f32 (0 … 1) [N, H, W, 3], RGB, no mean or standard
 * deviation taken off. @pyramid receives F1..F4 (transfer full), f32
 * [N, H/4, W/4, C0], [N, H/8, W/8, 2 C0], [N, H/16, W/16, 4 C0],
 * [N, H/32, W/32, 8 C0] (rounding: see the head of this file). */
gboolean
umedpt_swin_forward (UmedptSwin *self, UmedptContext *context,
    UmedptTensor *images, UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS],
    GError **error)
{
  g_autoptr (Prepared) prepared = NULL;
  UmedptTensor *levels[UMEDPT_SWIN_LEVELS] = { NULL };
  UmedptTensor *x;
  guint block = 0;

  if (!check_images (images, error))
    return FALSE;
  prepared = get_prepared (self, context, error);
  if (!prepared)
    return FALSE;
  x = umedpt_op_patch_embed (context, images, self->stem.weight,
      self->stem.bias, self->stem_norm.gamma, self->stem_norm.beta,
      UMEDPT_NORM_EPSILON, error);
  for (gint i = 0; x && i < UMEDPT_SWIN_LEVELS; i++) {
    levels[i] = run_stage (self->blocks + block, prepared->blocks + block,
        self->depths[i], context, g_steal_pointer (&x), error);
    block += (guint) self->depths[i];
    if (levels[i] && i + 1 < UMEDPT_SWIN_LEVELS)
      x = umedpt_op_patch_merge (context, levels[i], self->reductions[i].weight,
          self->reduction_norms[i].gamma, self->reduction_norms[i].beta,
          UMEDPT_NORM_EPSILON, error);
  }
  if (!levels[UMEDPT_SWIN_LEVELS - 1]) {
    for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
      g_clear_pointer (&levels[i], umedpt_tensor_unref);
    return FALSE;
  }
  for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
    pyramid[i] = levels[i];
  return TRUE;
}
