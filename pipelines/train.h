/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of umedpt-train share: one function per command, and what
 * several of them need.
 */
#pragma once

#include <umedpt.h>

#include "program.h"
#include "train/trainer.h"

G_BEGIN_DECLS

enum
{
  PROGRAM_INTERRUPTED = 130, /* as shells say it: 128 + SIGINT */
};

/* Each gets the command line from its own name on, and returns the exit
 * status. */
int train_init (char **args);
int train_check (char **args);
int train_run (char **args);
int train_resume (char **args);
int train_eval (char **args);
int train_adapt (char **args);
int train_efficiency (char **args);
int train_embed (char **args);

/* The command line of the whole program, for the log. */
extern char **train_command_line;

/* Parses options; NULL after a complaint, else the other arguments, of which
 * there are @n_min to @n_max (transfer full). @usage: as "CONFIG", for the
 * help; @help: what comes below the options. */
char **train_parse (char **args, const GOptionEntry *entries, const char *usage,
    guint n_min, guint n_max, const char *help);

/* The configuration in @path with @changes (nullable), each "GROUP.KEY=VALUE",
 * made first. */
GKeyFile *train_load_keys (const char *path, char *const *changes,
    GError **error);
UmedptTrainConfig *train_load_config (const char *path, char *const *changes,
    GError **error);
/* Says what is wrong; the status for it: 2 for a wrong command line or
 * configuration, 130 if stopped on request, else 1. */
int train_fail (const GError *error);

/* train-show.c: how much a run tells. */
typedef struct
{
  gboolean quiet, json_lines;
  int pictures; /* per task */
} TrainShow;

/* Runs @trainer (transfer none) in @folder with progress, event file, pictures,
 * Ctrl-C, and the report at the end. Returns the exit status. */
int train_go (UmedptTrainer *trainer, const char *folder,
    const TrainShow *show);
/* The same for the sake of others: nothing is printed. */
gboolean train_silently (UmedptTrainer *trainer, GError **error);

/* train-signal.c: cancelled by the first Ctrl-C or SIGTERM; the second ends
 * the program. To be called before there are other threads. */
void train_catch_signals (void);
GCancellable *train_get_cancellable (void);

/* The part of a data set that @word names, as "test". */
gboolean train_parse_split (const char *word, UmedptSplit *split);
gboolean train_parse_precision (const char *word, UmedptPrecision *precision);
/* Writes @text to @path, under its name only when it is whole. */
gboolean train_write (const char *path, const char *text, GError **error);

G_END_DECLS
