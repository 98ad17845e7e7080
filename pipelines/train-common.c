/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What several commands of umedpt-train do alike: options, configurations
 * with changes from the command line, failures, files.
 */
#include <string.h>

#include "train.h"

char **
train_parse (char **args, const GOptionEntry *entries, const char *usage,
    guint n_min, guint n_max, const char *help)
{
  g_autoptr (GOptionContext) context = g_option_context_new (usage);
  g_autofree char *name = g_strdup_printf ("umedpt-train %s", args[0]);
  g_auto (GStrv) rest = g_strdupv (args);
  g_autoptr (GError) error = NULL;
  gboolean ok;
  guint n;

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_set_description (context, help);
  g_set_prgname (name); /* for the usage line */
  ok = g_option_context_parse_strv (context, &rest, &error);
  g_set_prgname ("umedpt-train");
  if (!ok) {
    program_complain (PROGRAM_USAGE, "%s", error->message);
    return NULL;
  }
  n = g_strv_length (rest) - 1;
  if (n > n_max) {
    program_complain (PROGRAM_USAGE, "'%s' is not expected after %s",
        rest[n_max + 1], n_max ? rest[n_max] : args[0]);
    return NULL;
  }
  if (n < n_min) {
    program_complain (PROGRAM_USAGE, "%s needs %.*s", args[0],
        (int) strcspn (usage, "-"), usage);
    return NULL;
  }
  g_free (rest[0]);
  memmove (rest, rest + 1, (n + 1) * sizeof *rest);
  return g_steal_pointer (&rest);
}

/* "task nuclei.batch=4" */
static gboolean
apply_change (GKeyFile *keys, const char *change, GError **error)
{
  const char *equals = strchr (change, '=');
  const char *dot =
      equals ? g_strrstr_len (change, equals - change, ".") : NULL;
  g_autofree char *group = NULL;
  g_autofree char *key = NULL;

  if (!dot || dot == change || dot + 1 == equals) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "found --set '%s'; expected GROUP.KEY=VALUE, as 'train.epochs=3' or "
        "'task nuclei.batch=4'",
        change);
    return FALSE;
  }
  group = g_strndup (change, (gsize) (dot - change));
  key = g_strndup (dot + 1, (gsize) (equals - dot - 1));
  g_key_file_set_string (keys, group, key, equals + 1);
  return TRUE;
}

GKeyFile *
train_load_keys (const char *path, char *const *changes, GError **error)
{
  g_autoptr (GKeyFile) keys = g_key_file_new ();
  g_autoptr (GError) problem = NULL;

  if (!g_key_file_load_from_file (keys, path, G_KEY_FILE_KEEP_COMMENTS,
          &problem)) {
    g_set_error (error, UMEDPT_ERROR,
        g_error_matches (problem, G_FILE_ERROR, G_FILE_ERROR_NOENT)
            ? UMEDPT_ERROR_NOT_FOUND
            : UMEDPT_ERROR_FORMAT,
        "Cannot read the configuration '%s': %s.", path, problem->message);
    return NULL;
  }
  for (guint i = 0; changes && changes[i]; i++)
    if (!apply_change (keys, changes[i], error))
      return NULL;
  return g_steal_pointer (&keys);
}

UmedptTrainConfig *
train_load_config (const char *path, char *const *changes, GError **error)
{
  g_autoptr (GKeyFile) keys = train_load_keys (path, changes, error);
  g_autofree char *folder = g_path_get_dirname (path);

  return keys ? umedpt_train_config_new_from_keys (keys, path, folder, error)
              : NULL;
}

int
train_fail (const GError *error)
{
  /* of several processes that failed together, one says so */
  if (umedpt_trainer_get_rank () != 0)
    return g_error_matches (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED)
        ? PROGRAM_INTERRUPTED
        : PROGRAM_FAILED;
  if (g_error_matches (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED))
    return program_complain (PROGRAM_INTERRUPTED, "%s", error->message);
  /* the usage hint would not help: the message says what is allowed */
  return program_complain (PROGRAM_FAILED, "%s", error->message);
}

gboolean
train_parse_split (const char *word, UmedptSplit *split)
{
  static const char *const words[] = { "train", "val", "test", "all" };

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (g_str_equal (word, words[i])) {
      *split = (UmedptSplit) i;
      return TRUE;
    }
  program_complain (PROGRAM_USAGE,
      "--split is '%s'; expected train, val, test or all", word);
  return FALSE;
}

gboolean
train_parse_precision (const char *word, UmedptPrecision *precision)
{
  static const char *const words[] = { "auto", "f32", "bf16" };

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (g_str_equal (word, words[i])) {
      *precision = (UmedptPrecision) i;
      return TRUE;
    }
  program_complain (PROGRAM_USAGE,
      "--precision is '%s'; expected auto, f32 or bf16", word);
  return FALSE;
}

gboolean
train_write (const char *path, const char *text, GError **error)
{
  return g_file_set_contents_full (path, text, -1,
      G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0666,
      error);
}
