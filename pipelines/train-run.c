/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedpt-train run and resume.
 */
#include "train.h"

static struct
{
  char *output;
  char **changes;
  TrainShow show;
} options = { .show.pictures = 8 };

#define SHOW_ENTRIES \
  { "quiet", 'q', 0, G_OPTION_ARG_NONE, &options.show.quiet, "no progress", \
    NULL }, \
      { "json-lines", 'j', 0, G_OPTION_ARG_NONE, &options.show.json_lines, \
        "every event as a line of JSON on standard output", NULL }, \
  { \
    "pictures", 'p', 0, G_OPTION_ARG_INT, &options.show.pictures, \
        "images per task drawn at each validation (8)", "N" \
  }

static const GOptionEntry run_entries[] = {
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output,
      "folder of the run, made if it is missing", "FOLDER" },
  { "set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options.changes,
      "change the configuration; may be given several times",
      "GROUP.KEY=VALUE" },
  SHOW_ENTRIES,
  { NULL },
};

static const GOptionEntry resume_entries[] = {
  SHOW_ENTRIES,
  { NULL },
};

int
train_run (char **args)
{
  g_auto (GStrv) rest = train_parse (args, run_entries,
      "CONFIG - train as CONFIG says", 1, 1,
      "Ctrl-C finishes the round and writes a checkpoint; a second one stops at "
      "once.\n'umedpt-train resume FOLDER' continues, with the same result.\n");
  g_autoptr (UmedptTrainer) trainer = NULL;
  g_autoptr (GError) error = NULL;
  UmedptTrainConfig *config;

  if (!rest)
    return PROGRAM_USAGE;
  if (!options.output)
    return program_complain (PROGRAM_USAGE, "run needs --output FOLDER");
  train_catch_signals ();
  config = train_load_config (rest[0], options.changes, &error);
  if (config)
    trainer = umedpt_trainer_new (config, options.output, &error);
  if (!trainer)
    return train_fail (error);
  return train_go (trainer, options.output, &options.show);
}

int
train_resume (char **args)
{
  g_auto (GStrv) rest = train_parse (args, resume_entries,
      "FOLDER - continue the run in FOLDER", 1, 1,
      "The run goes on where its latest checkpoint left it, and ends as it "
      "would have\nwithout the stop.\n");
  g_autoptr (UmedptTrainer) trainer = NULL;
  g_autoptr (GError) error = NULL;

  if (!rest)
    return PROGRAM_USAGE;
  train_catch_signals ();
  trainer = umedpt_trainer_resume (rest[0], &error);
  if (!trainer)
    return train_fail (error);
  return train_go (trainer, rest[0], &options.show);
}
