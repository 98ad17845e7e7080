/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedpt-train adapt: a new task on a trained model. Frozen, only its head is
 * trained (and decoders that the model lacks), which needs few images and
 * leaves the model's own tasks as they were; fine-tuned, everything moves.
 */
#include "train-adapt.h"

static struct
{
  char *output;
  char **changes;
  gboolean fine_tune;
  double fraction;
  TrainShow show;
} options = { .show.pictures = 8 };

static const GOptionEntry entries[] = {
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output,
      "folder of the run, made if it is missing", "FOLDER" },
  { "fine-tune", 'f', 0, G_OPTION_ARG_NONE, &options.fine_tune,
      "train the shared blocks as well; else they stay as they are", NULL },
  { "fraction", 0, 0, G_OPTION_ARG_DOUBLE, &options.fraction,
      "share of the training images to use, as 0.05", "X" },
  { "set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options.changes,
      "change the configuration; may be given several times",
      "GROUP.KEY=VALUE" },
  { "quiet", 'q', 0, G_OPTION_ARG_NONE, &options.show.quiet, "no progress",
      NULL },
  { "json-lines", 'j', 0, G_OPTION_ARG_NONE, &options.show.json_lines,
      "every event as a line of JSON on standard output", NULL },
  { "pictures", 'p', 0, G_OPTION_ARG_INT, &options.show.pictures,
      "images per task drawn at each validation (8)", "N" },
  { NULL },
};

/* The blocks that a description has, as [model] freeze names them. */
static char *
list_blocks (const UmedptDescription *description)
{
  GString *text = g_string_new ("encoder;squeezer");

  if (description->pixel_decoder)
    g_string_append (text, ";decoder");
  if (description->detection_decoder)
    g_string_append (text, ";fcosfpn");
  if (description->grouper != UMEDPT_GROUPER_NONE)
    g_string_append (text, ";grouper");
  return g_string_free (text, FALSE);
}

static void
set_fraction (GKeyFile *keys, double fraction)
{
  g_auto (GStrv) groups = g_key_file_get_groups (keys, NULL);

  for (guint i = 0; groups[i]; i++)
    if (g_str_has_prefix (groups[i], "task "))
      g_key_file_set_double (keys, groups[i], "fraction", fraction);
}

gboolean
train_adapt_keys (GKeyFile *keys, const char *model, gboolean frozen,
    double fraction, GError **error)
{
  static const char *const decided[] = { "arch", "embed-dim", "depths", "heads",
    "window", "norm", "pool-order", "pooling", "squeeze-dense",
    "squeezer-channels", NULL };
  g_autoptr (UmedptModel) start = umedpt_model_new_from_file (model, error);
  g_autofree char *path = g_canonicalize_filename (model, NULL);
  g_autofree char *blocks = NULL;

  if (!start)
    return FALSE;
  for (guint i = 0; decided[i]; i++)
    g_key_file_remove_key (keys, "model", decided[i], NULL);
  blocks = list_blocks (umedpt_model_get_description (start));
  g_key_file_set_string (keys, "model", "start", path);
  g_key_file_set_string (keys, "model", "freeze", frozen ? blocks : "");
  g_key_file_set_boolean (keys, "model", "keep-tasks", frozen);
  if (fraction > 0)
    set_fraction (keys, fraction);
  return TRUE;
}

static UmedptTrainer *
make_trainer (const char *model, const char *path, GError **error)
{
  g_autoptr (GKeyFile) keys = train_load_keys (path, options.changes, error);
  g_autofree char *folder = g_path_get_dirname (path);
  UmedptTrainConfig *config;

  if (!keys ||
      !train_adapt_keys (keys, model, !options.fine_tune, options.fraction,
          error))
    return NULL;
  config = umedpt_train_config_new_from_keys (keys, path, folder, error);
  return config ? umedpt_trainer_new (config, options.output, error) : NULL;
}

int
train_adapt (char **args)
{
  g_auto (GStrv) rest = train_parse (args, entries,
      "MODEL CONFIG - train the tasks of CONFIG on the trained MODEL", 2, 2,
      "Its [model] group is replaced by MODEL. What MODEL can do already stays "
      "in the\nresult, unless it is fine-tuned.\n");
  g_autoptr (UmedptTrainer) trainer = NULL;
  g_autoptr (GError) error = NULL;

  if (!rest)
    return PROGRAM_USAGE;
  if (!options.output)
    return program_complain (PROGRAM_USAGE, "adapt needs --output FOLDER");
  if (!(options.fraction >= 0 && options.fraction <= 1))
    return program_complain (PROGRAM_USAGE,
        "--fraction is %g; expected a number above 0 and up to 1",
        options.fraction);
  train_catch_signals ();
  trainer = make_trainer (rest[0], rest[1], &error);
  if (!trainer)
    return train_fail (error);
  return train_go (trainer, options.output, &options.show);
}
