/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedpt-train init: a model file with initial values.
 */
#include "train.h"

#include "base/error.h"

static struct
{
  char *arch, *output, *norm, *pool_order;
  char **tasks;
  gint64 seed;
  double mpp;
  gint input_size;
  gboolean force;
} options = { .seed = 1 };

static const GOptionEntry init_entries[] = {
  { "arch", 'a', 0, G_OPTION_ARG_STRING, &options.arch,
      "architecture: swinv2-nano, -tiny, -small, -base or -large", "NAME" },
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output,
      "model file to write", "FILE" },
  { "seed", 's', 0, G_OPTION_ARG_INT64, &options.seed,
      "seed of the initial values (1); the same seed, the same file", "N" },
  { "mpp", 'm', 0, G_OPTION_ARG_DOUBLE, &options.mpp,
      "micrometres per pixel of the images it is for (unknown)", "X" },
  { "input-size", 'i', 0, G_OPTION_ARG_INT, &options.input_size,
      "width and height of its images in pixels (256)", "N" },
  { "norm", 'n', 0, G_OPTION_ARG_STRING, &options.norm,
      "norms: affinelayernorm (default), layernorm, instancenorm, nonorm",
      "POLICY" },
  { "pool-order", 'p', 0, G_OPTION_ARG_STRING, &options.pool_order,
      "squeezer pools before its norm (default: as releases 1.0.2 to 1.0.4) or "
      "after it (the paper, and 1.6)",
      "before|after" },
  { "task", 't', 0, G_OPTION_ARG_STRING_ARRAY, &options.tasks,
      "a task, as cells:detection:lymphocyte,tumour; may be given again",
      "NAME:KIND[:LABELS]" },
  { "force", 'f', 0, G_OPTION_ARG_NONE, &options.force,
      "replace FILE if it exists", NULL },
  { NULL },
};

/* @text: NAME:KIND[:LABEL,LABEL…] */
static gboolean
add_task (UmedptDescription *description, const char *text, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ":", 3);
  g_auto (GStrv) labels = NULL;
  UmedptTaskKind kind;

  if (g_strv_length (parts) < 2) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "--task '%s' does not tell name and kind; write it as "
        "NAME:KIND:LABEL,LABEL, as cells:detection:lymphocyte,tumour.",
        text);
    return FALSE;
  }
  if (!umedpt_task_kind_parse (parts[1], &kind, error))
    return FALSE;
  if (parts[2] && *parts[2])
    labels = g_strsplit (parts[2], ",", -1);
  return umedpt_description_add_task (description, parts[0], kind,
             (const char *const *) labels, error) != NULL;
}

/* What the options say; NULL with @error set. */
static UmedptDescription *
make_description (GError **error)
{
  g_autoptr (UmedptDescription) description =
      umedpt_description_new (options.arch, error);
  g_autoptr (UmedptDescription) checked = NULL;
  g_autofree char *json = NULL;

  if (!description)
    return NULL;
  if (options.norm &&
      !umedpt_norm_policy_parse (options.norm, &description->encoder_norm,
          error))
    return NULL;
  description->squeezer_norm = description->encoder_norm;
  if (options.pool_order &&
      !umedpt_pool_order_parse (options.pool_order, &description->pool_order,
          error))
    return NULL;
  if (options.input_size)
    description->input_width = description->input_height = options.input_size;
  description->mpp = options.mpp;
  description->source =
      g_strdup_printf ("random initial values, seed %" G_GINT64_FORMAT,
          options.seed);
  for (guint i = 0; options.tasks && options.tasks[i]; i++)
    if (!add_task (description, options.tasks[i], error))
      return NULL;
  /* What could not be read back must not be written. */
  json = umedpt_description_to_json (description);
  checked = umedpt_description_new_from_json (json, -1, error);
  return checked ? g_steal_pointer (&description) : NULL;
}

/* Whether the numbers can be right; else complains and returns FALSE. */
static gboolean
check_numbers (void)
{
  if (options.seed < 0) {
    program_complain (PROGRAM_USAGE,
        "--seed is %" G_GINT64_FORMAT "; it must not be negative",
        options.seed);
    return FALSE;
  }
  /* written so that NaN fails */
  if (!(options.mpp >= 0 && options.mpp <= 1000)) {
    program_complain (PROGRAM_USAGE,
        "--mpp is %g; expected micrometres per pixel, above 0 and up to 1000, "
        "as 0.5",
        options.mpp);
    return FALSE;
  }
  if (options.input_size &&
      (options.input_size < 32 || options.input_size > 4096)) {
    program_complain (PROGRAM_USAGE,
        "--input-size is %d; expected 32 to 4096 pixels", options.input_size);
    return FALSE;
  }
  return TRUE;
}

static int
write_model (const UmedptDescription *description)
{
  g_autoptr (UmedptModel) model = NULL;
  g_autoptr (GError) error = NULL;

  if (!options.force && g_file_test (options.output, G_FILE_TEST_EXISTS))
    return program_complain (PROGRAM_FAILED,
        "'%s' exists already. Choose another name, or give --force to replace "
        "it.",
        options.output);
  model = umedpt_model_new_initialised (description, (guint64) options.seed,
      &error);
  if (!model || !umedpt_model_save (model, options.output, &error))
    return program_complain (PROGRAM_FAILED, "%s", error->message);
  g_print ("%s: %s, %.1f million parameters, hash %.12s…\n", options.output,
      description->arch, umedpt_model_get_n_parameters (model) / 1e6,
      umedpt_model_get_hash (model));
  return program_end ();
}

int
train_init (char **args)
{
  g_autoptr (UmedptDescription) description = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) rest = train_parse (args, init_entries,
      "- write a model with initial values", 0, 0,
      "Example:\n"
      "  umedpt-train init --arch swinv2-tiny --seed 1 --mpp 0.5 -o "
      "tiny.safetensors\n"
      "  umedpt-train init --arch swinv2-nano --task "
      "tissue:segmentation:background,tumour -o nano.safetensors\n"
      "\n"
      "The values are random: the model must be trained before its results "
      "mean\nanything.\n");

  if (!rest)
    return PROGRAM_USAGE;
  if (!options.arch || !options.output)
    return program_complain (PROGRAM_USAGE, "init needs %s",
        options.arch ? "--output FILE" : "--arch NAME, as swinv2-tiny");
  if (!check_numbers ())
    return PROGRAM_USAGE;
  description = make_description (&error);
  if (!description)
    return program_complain (PROGRAM_USAGE, "%s", error->message);
  return write_model (description);
}
