/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Every key of a training configuration, in one table. Defaults are written
 * as a user would write them and read by the same function, so the table is
 * all there is to know. Values of the paper's library where it has them:
 * AdamW 1e-4, decay 0.01, a batch of each task in turn (Schäfer et al. 2024);
 * clipping at 1 is that of its version 1.6.
 */
#include "base/error.h"
#include "train/config-private.h"

static const char *const kinds[] = { "classification", "multilabel",
  "regression", "segmentation", "multilabel-segmentation", "detection", NULL };
static const char *const norms[] = { "affinelayernorm", "layernorm",
  "instancenorm", "nonorm", NULL };
static const char *const orders[] = { "before", "after", NULL };
static const char *const poolings[] = { "average", "max", "combined", NULL };
static const char *const groupers[] = { "none", "weighted", "attention",
  "gated", NULL };
static const char *const blocks[] = { "encoder", "squeezer", "decoder",
  "fcosfpn", "grouper", NULL };
static const char *const samplers[] = { "cyclic", "shortest", "concat",
  "balanced", NULL };
static const char *const precisions[] = { "auto", "f32", "bf16", NULL };
static const char *const optimizers[] = { "adamw", "sgd", NULL };
static const char *const schedules[] = { "constant", "cosine", "step",
  "plateau", NULL };
static const char *const augmentations[] = { "none", "weak", "histology",
  "x-ray", "tomography", "endoscopy", NULL };
static const char *const fits[] = { "stretch", "pad", "crop", NULL };

#define M(member) G_STRUCT_OFFSET (UmedptModelKeys, member)
#define C(member) G_STRUCT_OFFSET (UmedptTrainConfig, member)
#define T(member) G_STRUCT_OFFSET (UmedptTrainTask, member)
#define BOOLEAN UMEDPT_KEY_BOOLEAN
#define COUNT UMEDPT_KEY_COUNT
#define AUTO UMEDPT_KEY_AUTO
#define LONG UMEDPT_KEY_LONG
#define REAL UMEDPT_KEY_REAL
#define CHOICE UMEDPT_KEY_CHOICE
#define TEXT UMEDPT_KEY_TEXT
#define WORDS UMEDPT_KEY_WORDS
#define FOUR UMEDPT_KEY_FOUR
#define SIZE UMEDPT_KEY_SIZE
#define RANGE UMEDPT_KEY_RANGE

// clang-format off
static const UmedptConfigKey keys[] = {
  { "model", "arch", TEXT, M (arch), 0, 0, NULL, NULL,
    "architecture of a new model: swinv2-nano, -tiny, -small, -base, -large; with another name, embed-dim, depths, heads and window say its sizes" },
  { "model", "start", TEXT, M (start), 0, 0, NULL, NULL,
    "model file to begin with, instead of arch" },
  { "model", "keep-tasks", BOOLEAN, M (keep_tasks), 0, 0, NULL, "false",
    "whether tasks of start that this file does not name stay in the model, as they are" },
  { "model", "freeze", WORDS, M (freeze), 0, 0, blocks, "",
    "blocks that are not trained" },
  { "model", "embed-dim", COUNT, M (embed_dim), 1, 1024, NULL, "0",
    "channels of the first stage of an architecture of one's own" },
  { "model", "depths", FOUR, M (depths), 1, 64, NULL, NULL,
    "its blocks per stage" },
  { "model", "heads", FOUR, M (heads), 1, 256, NULL, NULL,
    "its attention heads per stage" },
  { "model", "window", COUNT, M (window), 2, 64, NULL, "8",
    "its attention window, in positions" },
  { "model", "norm", CHOICE, M (norm), 0, 0, norms, "affinelayernorm",
    "norms of encoder, squeezer and pixel decoder" },
  { "model", "pool-order", CHOICE, M (pool_order), 0, 0, orders, "before",
    "squeezer pools before its norm (releases 1.0.2 to 1.0.4) or after it (the paper)" },
  { "model", "pooling", CHOICE, M (pooling), 0, 0, poolings, "average",
    "how the squeezer pools" },
  { "model", "squeeze-dense", BOOLEAN, M (squeeze_dense), 0, 0, NULL, "true",
    "whether dense heads get the squeezed last level" },
  { "model", "squeezer-channels", COUNT, M (squeezer_channels), 0, 65536, NULL, "0",
    "length of the image vector; 0: as many as the encoder's last level has" },
  { "model", "grouper", CHOICE, M (grouper), 0, 0, groupers, "none",
    "how many images become one case; weighted if a task is grouped and nothing is said" },
  { "model", "pixel-channels", COUNT, M (pixel_channels), 1, 1024, NULL, "16",
    "channels of the pixel decoder's result" },
  { "model", "pixel-hidden", COUNT, M (pixel_hidden), 1, 4096, NULL, "96",
    "most channels of a block of the pixel decoder" },
  { "model", "detection-channels", COUNT, M (detection_channels), 32, 2048, NULL, "128",
    "channels of the detection decoder, a multiple of 32" },
  { "model", "stochastic-depth", REAL, M (stochastic_depth), 0, 0.99, NULL, NULL,
    "largest probability of leaving out a block; by architecture" },
  { "model", "residual-init", REAL, M (residual_init), 0, 1, NULL, "0.1",
    "scale with which the branches of a new encoder's blocks begin; 1: as in torchvision, from which small data sets hardly learn classes" },
  { "model", "size", SIZE, M (size), 32, 4096, NULL, "256",
    "width and height of its images, pixels" },
  { "model", "mpp", REAL, M (mpp), 0, 1000, NULL, "0",
    "micrometres per pixel of its images; 0: unknown" },

  { "train", "seed", LONG, C (seed), 0, 1e15, NULL, "1",
    "of everything random; the same seed, the same model" },
  { "train", "epochs", COUNT, C (epochs), 1, 1e6, NULL, "100",
    "how often the longest data set is gone through, at most" },
  { "train", "rounds", LONG, C (rounds), 0, 1e12, NULL, "0",
    "steps of the shared blocks at most; 0: as epochs say" },
  { "train", "round-tasks", COUNT, C (round_tasks), 0, 100000, NULL, "0",
    "batches per step of the shared blocks; 0: one of each task" },
  { "train", "micro-batch", AUTO, C (micro_batch), 0, 100000, NULL, "auto",
    "images in memory at once, where the loss allows; the result is the same but for rounding; 0: the whole batch; auto: 1, on a GPU the whole batch" },
  { "train", "checkpoint-activations", BOOLEAN, C (checkpoint_activations), 0, 0, NULL, "false",
    "compute encoder blocks twice instead of keeping what they made" },
  { "train", "dropout", BOOLEAN, C (dropout), 0, 0, NULL, "true",
    "whether heads leave out features, and the encoder blocks, at random" },
  { "train", "sampler", CHOICE, C (sampler), 0, 0, samplers, "cyclic",
    "order of the tasks: in turn until the longest is through, until the shortest is, one after another, or at random" },
  { "train", "precision", CHOICE, C (precision), 0, 0, precisions, "auto",
    "of matrix products; auto: bf16 where processor or GPU has it" },
  { "train", "device", TEXT, C (device), 0, 0, NULL, "auto",
    "auto, cpu, cuda, cuda:0, or ref" },
  { "train", "validate-every", COUNT, C (validate_every), 0, 1e6, NULL, "1",
    "epochs between validations; 0: none" },
  { "train", "save-every", COUNT, C (save_every), 0, 1e9, NULL, "0",
    "rounds between checkpoints, besides that of each epoch" },
  { "train", "keep", COUNT, C (keep), 0, 100000, NULL, "0",
    "older checkpoints that stay, besides latest and best" },
  { "train", "patience", COUNT, C (patience), 0, 1e6, NULL, "0",
    "validations without improvement after which training stops; 0: none" },
  { "train", "average", REAL, C (average), 0, 0.999999, NULL, "0",
    "decay of a moving average of the weights, which is then validated and saved; 0: none" },
  { "train", "folder", TEXT, C (folder), 0, 0, NULL, NULL,
    "where relative paths begin; that of this file" },

  { "optimizer", "kind", CHOICE, C (optimizer.kind), 0, 0, optimizers, "adamw",
    "AdamW, or SGD with momentum" },
  { "optimizer", "lr", REAL, C (optimizer.lr), 0, 100, NULL, "1e-4",
    "learning rate" },
  { "optimizer", "weight-decay", REAL, C (optimizer.weight_decay), 0, 10, NULL, "0.01",
    "decoupled weight decay" },
  { "optimizer", "beta1", REAL, C (optimizer.beta1), 0, 0.999999, NULL, "0.9",
    "AdamW: decay of the mean" },
  { "optimizer", "beta2", REAL, C (optimizer.beta2), 0, 0.999999, NULL, "0.999",
    "AdamW: decay of the mean square" },
  { "optimizer", "epsilon", REAL, C (optimizer.epsilon), 1e-12, 1, NULL, "1e-8",
    "AdamW: added to the root" },
  { "optimizer", "momentum", REAL, C (optimizer.momentum), 0, 0.999999, NULL, "0.8",
    "SGD" },
  { "optimizer", "nesterov", BOOLEAN, C (optimizer.nesterov), 0, 0, NULL, "true",
    "SGD: Nesterov's form" },
  { "optimizer", "clip", REAL, C (optimizer.clip), 0, 1e9, NULL, "1",
    "largest norm of the gradient of the shared blocks, and of each head; 0: no limit" },
  { "optimizer", "decay-all", BOOLEAN, C (optimizer.decay_all), 0, 0, NULL, "false",
    "decay biases, norms and scales as well" },

  { "schedule", "kind", CHOICE, C (schedule.kind), 0, 0, schedules, "constant",
    "of the learning rate" },
  { "schedule", "warmup", LONG, C (schedule.warmup), 0, 1e12, NULL, "0",
    "rounds of linear rise from 0" },
  { "schedule", "total", LONG, C (schedule.total), 0, 1e12, NULL, "0",
    "cosine: rounds to its end; 0: the whole training" },
  { "schedule", "minimum", REAL, C (schedule.minimum), 0, 1, NULL, "0.01",
    "cosine: factor at the end" },
  { "schedule", "gamma", REAL, C (schedule.gamma), 1e-6, 1, NULL, "0.1",
    "step, plateau: factor of a step" },
  { "schedule", "step", COUNT, C (schedule.step), 1, 1e6, NULL, "30",
    "step: epochs from step to step" },
  { "schedule", "patience", COUNT, C (schedule.patience), 0, 1e6, NULL, "4",
    "plateau: validations without improvement before a step" },
  { "schedule", "threshold", REAL, C (schedule.threshold), 0, 1, NULL, "1e-4",
    "plateau: relative change that counts as improvement" },
  { "schedule", "heads", BOOLEAN, C (schedule.heads), 0, 0, NULL, "true",
    "whether heads follow the schedule; the paper's library keeps theirs constant" },

  { "task", "kind", CHOICE, T (kind), 0, 0, kinds, NULL,
    "what is learnt" },
  { "task", "batch", COUNT, T (train.batch), 1, 4096, NULL, "8",
    "images (of grouped tasks: cases) per batch" },
  { "task", "val-batch", COUNT, T (val.batch), 1, 4096, NULL, NULL,
    "the same in validation; as batch" },
  { "task", "size", SIZE, T (train.augment.width), 32, 4096, NULL, NULL,
    "width and height to which images are brought, pixels; those of the model" },
  { "task", "augment", CHOICE, T (train.augment.augmentation), 0, 0, augmentations, "none",
    "set of random changes" },
  { "task", "fit", CHOICE, T (train.augment.fit), 0, 0, fits, "stretch",
    "how images are brought to size: stretched, padded, or a random part" },
  { "task", "scale", REAL, T (train.augment.scale), 0.01, 100, NULL, "1",
    "crop: pixels of the result per pixel of the image" },
  { "task", "fraction", REAL, T (fraction), 0.0001, 1, NULL, "1",
    "share of the training images that is used" },
  { "task", "balanced", BOOLEAN, T (train.balanced), 0, 0, NULL, "false",
    "classification: draw classes equally often" },
  { "task", "grouped", BOOLEAN, T (train.grouped), 0, 0, NULL, "false",
    "one label per case of many images" },
  { "task", "max-group", COUNT, T (train.max_group), 0, 100000, NULL, "0",
    "images per case at most, drawn anew each epoch; 0: all" },
  { "task", "focal-gamma", REAL, T (focal_gamma), 0, 10, NULL, "0",
    "classification: exponent of the focal loss; 0: cross-entropy" },
  { "task", "lr-factor", REAL, T (lr_factor), 0, 1000, NULL, "1",
    "learning rate of the head over that of the shared blocks" },
  { "task", "range", RANGE, T (range_min), -1e12, 1e12, NULL, "0;1",
    "regression: smallest and largest value" },
  { "task", "threshold", REAL, T (threshold), 0, 1, NULL, "0.5",
    "probability from which a label or pixel counts" },
  { "task", "threads", COUNT, T (train.threads), 1, 256, NULL, "1",
    "threads that read images" },
  { "task", "cache", COUNT, T (cache), 0, 1e6, NULL, "0",
    "MiB of memory for training images that were read already; worth it where reading is slow" },
};
// clang-format on

const UmedptConfigKey *
umedpt_config_list_keys (gsize *n)
{
  *n = G_N_ELEMENTS (keys);
  return keys;
}

void
umedpt_model_keys_clear (UmedptModelKeys *self)
{
  g_clear_pointer (&self->arch, g_free);
  g_clear_pointer (&self->start, g_free);
  g_clear_pointer (&self->freeze, g_strfreev);
}

/* What a key takes, in words: for messages and for the documentation. */
static void
append_allowed (GString *text, const UmedptConfigKey *key)
{
  g_autofree char *words =
      key->choices ? g_strjoinv (", ", (char **) key->choices) : NULL;

  switch (key->type) {
    case UMEDPT_KEY_BOOLEAN:
      g_string_append (text, "true or false");
      break;
    case UMEDPT_KEY_COUNT:
    case UMEDPT_KEY_LONG:
      g_string_append_printf (text, "a whole number from %.15g to %.15g",
          key->min, key->max);
      break;
    case UMEDPT_KEY_AUTO:
      g_string_append_printf (text,
          "auto or a whole number from %.15g to %.15g", key->min, key->max);
      break;
    case UMEDPT_KEY_REAL:
      g_string_append_printf (text, "a number from %g to %g", key->min,
          key->max);
      break;
    case UMEDPT_KEY_CHOICE:
      g_string_append_printf (text, "one of %s", words);
      break;
    case UMEDPT_KEY_TEXT:
      g_string_append (text, "text");
      break;
    case UMEDPT_KEY_WORDS:
      g_string_append_printf (text, "any of %s, with ; between them", words);
      break;
    case UMEDPT_KEY_FOUR:
      g_string_append_printf (text,
          "four whole numbers from %g to %g, as 2;2;6;2", key->min, key->max);
      break;
    case UMEDPT_KEY_SIZE:
      g_string_append_printf (text, "pixels from %g to %g, as 256 or 320x256",
          key->min, key->max);
      break;
    case UMEDPT_KEY_RANGE:
      g_string_append (text, "two numbers, the smaller first, as 0;100");
      break;
  }
}

static void
describe_group (GString *text, const char *group)
{
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++) {
    const UmedptConfigKey *key = &keys[i];

    if (!g_str_equal (key->group, group))
      continue;
    g_string_append_printf (text, "  %s: %s.\n      ", key->key, key->meaning);
    append_allowed (text, key);
    if (key->fallback && *key->fallback)
      g_string_append_printf (text, "; default %s", key->fallback);
    g_string_append_c (text, '\n');
  }
}

/**
 * umedpt_train_config_describe_keys:
 *
 * Returns: (transfer full): every group and key with meaning, what is allowed,
 *   and default, as text for people
 *
 * Since: 0.1
 */
char *
umedpt_train_config_describe_keys (void)
{
  static const char *const groups[] = { "model", "train", "optimizer",
    "schedule", "task", NULL };
  const UmedptDatasetKey *data = umedpt_dataset_list_keys ();
  GString *text = g_string_new (NULL);

  for (guint i = 0; groups[i]; i++) {
    g_string_append_printf (text, "%s[%s%s]\n", i ? "\n" : "", groups[i],
        g_str_equal (groups[i], "task") ? " NAME" : "");
    describe_group (text, groups[i]);
  }
  g_string_append (text, "  and of its data set:\n");
  for (; data->key; data++)
    g_string_append_printf (text, "  %s: %s.\n      %s\n", data->key,
        data->meaning, data->value ? data->value : "");
  return g_string_free (text, FALSE);
}

static gboolean
parse_whole (const char *text, double min, double max, guint64 *value)
{
  return g_ascii_string_to_unsigned (text, 10, (guint64) min, (guint64) max,
      value, NULL);
}

static gboolean
parse_real (const char *text, double min, double max, double *value)
{
  char *end = NULL;

  *value = g_ascii_strtod (text, &end);
  /* written so that NaN fails */
  return end != text && !*end && *value >= min && *value <= max;
}

static gboolean
parse_choice (const char *text, const char *const *choices, gint *value)
{
  for (gint i = 0; choices[i]; i++)
    if (g_str_equal (text, choices[i])) {
      *value = i;
      return TRUE;
    }
  return FALSE;
}

/* "a;b;c": a last ; ends the list as in any key file. */
static char **
split (const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, ";", -1);
  GPtrArray *list = g_ptr_array_new ();

  for (guint i = 0; parts[i]; i++) {
    g_strstrip (parts[i]);
    if (*parts[i] || parts[i + 1])
      g_ptr_array_add (list, g_strdup (parts[i]));
  }
  g_ptr_array_add (list, NULL);
  return (char **) g_ptr_array_free (list, FALSE);
}

static gboolean
parse_words (const UmedptConfigKey *key, const char *text, char ***value)
{
  g_auto (GStrv) words = split (text);

  for (guint i = 0; key->choices && words[i]; i++)
    if (!g_strv_contains (key->choices, words[i]))
      return FALSE;
  g_strfreev (*value);
  *value = g_steal_pointer (&words);
  return TRUE;
}

static gboolean
parse_four (const UmedptConfigKey *key, const char *text, gint *values)
{
  g_auto (GStrv) words = split (text);
  guint64 value;

  if (g_strv_length (words) != 4)
    return FALSE;
  for (guint i = 0; i < 4; i++) {
    if (!parse_whole (words[i], key->min, key->max, &value))
      return FALSE;
    values[i] = (gint) value;
  }
  return TRUE;
}

static gboolean
parse_size (const UmedptConfigKey *key, const char *text, gint *size)
{
  g_auto (GStrv) sides = g_strsplit (text, "x", 2);
  guint64 width, height;

  if (!sides[0] || !parse_whole (sides[0], key->min, key->max, &width))
    return FALSE;
  height = width;
  if (sides[1] && !parse_whole (sides[1], key->min, key->max, &height))
    return FALSE;
  size[0] = (gint) width;
  size[1] = (gint) height;
  return TRUE;
}

static gboolean
parse_range (const UmedptConfigKey *key, const char *text, double *range)
{
  g_auto (GStrv) words = split (text);

  return g_strv_length (words) == 2 &&
      parse_real (words[0], key->min, key->max, &range[0]) &&
      parse_real (words[1], key->min, key->max, &range[1]) &&
      range[0] < range[1];
}

static gboolean
parse_value (const UmedptConfigKey *key, const char *text, gpointer at)
{
  guint64 whole;

  switch (key->type) {
    case UMEDPT_KEY_BOOLEAN:
      *(gboolean *) at = g_str_equal (text, "true");
      return *(gboolean *) at || g_str_equal (text, "false");
    case UMEDPT_KEY_AUTO:
    case UMEDPT_KEY_COUNT:
      if (key->type == UMEDPT_KEY_AUTO && g_str_equal (text, "auto")) {
        *(guint *) at = UMEDPT_TRAIN_AUTO;
        return TRUE;
      }
      if (!parse_whole (text, key->min, key->max, &whole))
        return FALSE;
      *(guint *) at = (guint) whole;
      return TRUE;
    case UMEDPT_KEY_LONG:
      return parse_whole (text, key->min, key->max, at);
    case UMEDPT_KEY_REAL:
      return parse_real (text, key->min, key->max, at);
    case UMEDPT_KEY_CHOICE:
      return parse_choice (text, key->choices, at);
    case UMEDPT_KEY_TEXT:
      g_free (*(char **) at);
      *(char **) at = g_strdup (text);
      return *text != '\0';
    case UMEDPT_KEY_WORDS:
      return parse_words (key, text, at);
    case UMEDPT_KEY_FOUR:
      return parse_four (key, text, at);
    case UMEDPT_KEY_SIZE:
      return parse_size (key, text, at);
    case UMEDPT_KEY_RANGE:
      return parse_range (key, text, at);
  }
  g_return_val_if_reached (FALSE);
}

static gboolean
fail_value (const UmedptTrainConfig *config, const UmedptConfigKey *key,
    const char *name, const char *value, GError **error)
{
  g_autoptr (GString) allowed = g_string_new (NULL);
  const char *meant =
      key->choices ? umedpt_config_suggest (value, key->choices) : NULL;

  append_allowed (allowed, key);
  if (meant)
    g_string_append_printf (allowed, ". Did you mean '%s'?", meant);
  else
    g_string_append_c (allowed, '.');
  return umedpt_config_fail (config, name, key->key, error,
      "found '%.80s'; expected %s", value, allowed->str);
}

gboolean
umedpt_config_read_group (const UmedptTrainConfig *config, const char *group,
    const char *name, gpointer target, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++) {
    const UmedptConfigKey *key = &keys[i];
    gpointer at = G_STRUCT_MEMBER_P (target, key->offset);
    g_autofree char *value = NULL;
    UmedptConfigKey lax = *key;

    if (!g_str_equal (key->group, group))
      continue;
    if (umedpt_config_has (config, name, key->key)) {
      value = g_key_file_get_string (config->keys, name, key->key, error);
      if (!value) {
        g_prefix_error (error, "'%s', [%s] %s: ", config->path, name, key->key);
        return FALSE;
      }
      g_strchomp (value);
      if (!parse_value (key, value, at))
        return fail_value (config, key, name, value, error);
    } else if (key->fallback) {
      lax.min = 0; /* a default may mean "not said" */
      if (!parse_value (&lax, key->fallback, at))
        g_return_val_if_reached (FALSE);
    }
  }
  return TRUE;
}
