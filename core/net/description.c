/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The description of a model in memory: the table of architectures (Swin V2:
 * Liu et al., "Swin Transformer V2", CVPR 2022, table of variants; stochastic
 * depth as in torchvision), defaults, copies. Its JSON form is in
 * description-json.c, the words of its enums in description-words.c.
 *
 * Defaults are those of the released checkpoints 1.0.2-1.0.4: affine norms,
 * pooling before the squeezer's norm, dense heads on the squeezed map.
 */
#include "net/description-private.h"

#include <string.h>

#include "base/error.h"

G_DEFINE_BOXED_TYPE (UmedptDescription, umedpt_description,
    umedpt_description_copy, umedpt_description_free)

typedef struct
{
  const char *name;
  gint embed_dim;
  gint depths[4];
  gint heads[4];
  gint window;
  double stochastic_depth;
} Arch;

/* nano is our own, for tests and small machines; large is of version 1.6. */
// clang-format off
static const Arch archs[] = {
  { "swinv2-nano",   32, { 2, 2,  6, 2 }, { 1,  2,  4,  8 },  8, 0.1 },
  { "swinv2-tiny",   96, { 2, 2,  6, 2 }, { 3,  6, 12, 24 },  8, 0.2 },
  { "swinv2-small",  96, { 2, 2, 18, 2 }, { 3,  6, 12, 24 },  8, 0.3 },
  { "swinv2-base",  128, { 2, 2, 18, 2 }, { 4,  8, 16, 32 },  8, 0.5 },
  { "swinv2-large", 192, { 2, 2, 18, 2 }, { 6, 12, 24, 48 }, 16, 0.2 },
};
// clang-format on

static const char *const arch_names[] = { "swinv2-nano", "swinv2-tiny",
  "swinv2-small", "swinv2-base", "swinv2-large", NULL };

/**
 * umedpt_description_list_archs:
 *
 * Returns: (transfer none) (array zero-terminated=1): the known names
 *
 * Since: 0.1
 */
const char *const *
umedpt_description_list_archs (void)
{
  return arch_names;
}

static const Arch *
find_arch (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (archs); i++)
    if (strcmp (name, archs[i].name) == 0)
      return &archs[i];
  return NULL;
}

static void
fill (UmedptDescription *self, const Arch *arch)
{
  self->arch = g_strdup (arch->name);
  self->embed_dim = arch->embed_dim;
  memcpy (self->depths, arch->depths, sizeof self->depths);
  memcpy (self->heads, arch->heads, sizeof self->heads);
  self->window = arch->window;
  self->patch = 4;
  self->mlp_ratio = 4;
  self->stochastic_depth = arch->stochastic_depth;
  self->encoder_norm = UMEDPT_NORM_AFFINE;
  self->squeezer_norm = UMEDPT_NORM_AFFINE;
  self->pool_order = UMEDPT_POOL_BEFORE;
  self->squeeze_dense = TRUE;
  self->pooling = g_strdup ("average");
  self->input_width = 256;
  self->input_height = 256;
}

/* Sizes of blocks that a file may leave out: those of the paper's library. */
static void
fill_blocks (UmedptDescription *self)
{
  self->pixel_channels = 16;
  self->pixel_hidden = 96;
  self->detection_channels = 128;
  self->decoder_norm = UMEDPT_NORM_AFFINE;
  self->grouper = UMEDPT_GROUPER_NONE;
}

void
umedpt_task_description_free (UmedptTaskDescription *task)
{
  if (!task)
    return;
  g_free (task->name);
  g_strfreev (task->labels);
  g_free (task->colors);
  g_free (task);
}

static void
task_destroy (gpointer data)
{
  umedpt_task_description_free (data);
}

/* Without architecture, but with the defaults of optional fields: for the
 * parser. */
UmedptDescription *
umedpt_description_alloc (void)
{
  UmedptDescription *self = g_new0 (UmedptDescription, 1);

  self->tasks = g_ptr_array_new_with_free_func (task_destroy);
  fill_blocks (self);
  return self;
}

/**
 * umedpt_description_new:
 * @arch: the name of an architecture, as "swinv2-tiny"
 * @error: return location for a #GError
 *
 * Describes a model of this architecture with the defaults of the released
 * checkpoints, 256 x 256 pixels, without tasks.
 *
 * Returns: (transfer full): the description, or %NULL with @error set
 *   (%UMEDPT_ERROR_SETTINGS: no such architecture; the message lists them)
 *
 * Since: 0.1
 */
UmedptDescription *
umedpt_description_new (const char *arch, GError **error)
{
  const Arch *found;
  UmedptDescription *self;

  g_return_val_if_fail (arch != NULL, NULL);
  found = find_arch (arch);
  if (!found) {
    g_autofree char *names = g_strjoinv (", ", (char **) arch_names);
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "There is no architecture '%s'; there are %s.", arch, names);
    return NULL;
  }
  self = umedpt_description_alloc ();
  fill (self, found);
  return self;
}

/* Whether the numbers of @self are those of the table under its name; other
 * names are free. */
gboolean
umedpt_description_check_arch (const UmedptDescription *self, GError **error)
{
  const Arch *arch = find_arch (self->arch);

  if (!arch ||
      (self->embed_dim == arch->embed_dim && self->window == arch->window &&
          self->patch == 4 && self->mlp_ratio == 4 &&
          memcmp (self->depths, arch->depths, sizeof arch->depths) == 0 &&
          memcmp (self->heads, arch->heads, sizeof arch->heads) == 0))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      "'arch' is '%s', but embed_dim, depths, heads, window, patch or "
      "mlp_ratio differ from that architecture; a model of other sizes needs "
      "another name",
      self->arch);
  return FALSE;
}

static gpointer
copy_task (gconstpointer source, gpointer data)
{
  const UmedptTaskDescription *task = source;
  UmedptTaskDescription *copy = g_memdup2 (task, sizeof *task);

  copy->name = g_strdup (task->name);
  copy->labels = g_strdupv (task->labels);
  if (task->colors)
    copy->colors = g_memdup2 (task->colors,
        g_strv_length (task->labels) * sizeof *task->colors);
  return copy;
}

/**
 * umedpt_description_copy:
 * @self: a description
 *
 * Returns: (transfer full): a deep copy
 *
 * Since: 0.1
 */
UmedptDescription *
umedpt_description_copy (const UmedptDescription *self)
{
  UmedptDescription *copy;

  g_return_val_if_fail (self != NULL, NULL);
  copy = g_memdup2 (self, sizeof *self);
  copy->arch = g_strdup (self->arch);
  copy->pooling = g_strdup (self->pooling);
  copy->training = g_strdup (self->training);
  copy->source = g_strdup (self->source);
  copy->tasks = g_ptr_array_copy (self->tasks, copy_task, NULL);
  g_ptr_array_set_free_func (copy->tasks, task_destroy);
  return copy;
}

/**
 * umedpt_description_free:
 * @self: (transfer full): a description
 *
 * Since: 0.1
 */
void
umedpt_description_free (UmedptDescription *self)
{
  if (!self)
    return;
  g_free (self->arch);
  g_free (self->pooling);
  g_free (self->training);
  g_free (self->source);
  g_ptr_array_unref (self->tasks);
  g_free (self);
}

/**
 * umedpt_description_get_embedding_size:
 * @self: a description
 *
 * Returns: the length D of the image vector z
 *
 * Since: 0.1
 */
gint
umedpt_description_get_embedding_size (const UmedptDescription *self)
{
  g_return_val_if_fail (self != NULL, 0);
  return self->squeezer_channels ? self->squeezer_channels
                                 : 8 * self->embed_dim;
}
