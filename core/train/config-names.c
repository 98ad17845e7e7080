/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Names in a configuration: groups and keys that nobody reads are mistakes,
 * and most of them are slips of the keyboard, so the nearest known name by
 * edit distance (Levenshtein 1966) is offered.
 */
#include <string.h>

#include "base/error.h"
#include "train/config-private.h"

#define MAX_WORD 64

/* Insertions, deletions and replacements from @a to @b. */
static guint
distance (const char *a, const char *b)
{
  guint row[MAX_WORD + 1];
  gsize n = strlen (b);

  if (n > MAX_WORD || strlen (a) > MAX_WORD)
    return G_MAXUINT;
  for (guint j = 0; j <= n; j++)
    row[j] = j;
  for (guint i = 1; a[i - 1]; i++) {
    guint diagonal = row[0];

    row[0] = i;
    for (guint j = 1; j <= n; j++) {
      guint replaced = diagonal + (a[i - 1] != b[j - 1]);

      diagonal = row[j];
      row[j] = MIN (replaced, MIN (row[j], row[j - 1]) + 1);
    }
  }
  return row[n];
}

const char *
umedpt_config_suggest (const char *word, const char *const *candidates)
{
  guint least = MIN (3, (guint) strlen (word) / 2 + 1);
  const char *best = NULL;

  for (guint i = 0; candidates[i]; i++) {
    guint d = distance (word, candidates[i]);

    if (d < least || (d == least && !best)) {
      least = d;
      best = candidates[i];
    }
  }
  return best;
}

gboolean
umedpt_config_fail (const UmedptTrainConfig *config, const char *group,
    const char *key, GError **error, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS, "'%s', [%s]%s%s: %s",
      config->path, group, key ? " " : "", key ? key : "", text);
  return FALSE;
}

gboolean
umedpt_config_has (const UmedptTrainConfig *config, const char *group,
    const char *key)
{
  return g_key_file_has_key (config->keys, group, key, NULL);
}

char *
umedpt_config_resolve (const UmedptTrainConfig *config, const char *path)
{
  return g_canonicalize_filename (path, config->folder);
}

static void
add_data_keys (GPtrArray *names)
{
  for (const UmedptDatasetKey *key = umedpt_dataset_list_keys (); key->key;
       key++)
    g_ptr_array_add (names, (gpointer) key->key);
}

/* The names that the table's @group has, NULL-terminated. */
static GPtrArray *
list_names (const char *group)
{
  GPtrArray *names = g_ptr_array_new ();
  gsize n;
  const UmedptConfigKey *keys = umedpt_config_list_keys (&n);

  for (gsize i = 0; i < n; i++)
    if (g_str_equal (keys[i].group, group))
      g_ptr_array_add (names, (gpointer) keys[i].key);
  if (g_str_equal (group, UMEDPT_CONFIG_TASK))
    add_data_keys (names);
  g_ptr_array_add (names, NULL);
  return names;
}

static gboolean
fail_unknown (const UmedptTrainConfig *config, const char *group,
    const char *key, const char *const *known, GError **error)
{
  const char *meant = umedpt_config_suggest (key, known);
  g_autofree char *all = NULL;

  if (meant)
    return umedpt_config_fail (config, group, key, error,
        "there is no such key. Did you mean '%s'?", meant);
  all = g_strjoinv (", ", (char **) known);
  return umedpt_config_fail (config, group, key, error,
      "there is no such key; there are %s.", all);
}

static gboolean
check_keys (const UmedptTrainConfig *config, const char *name,
    const char *group, GError **error)
{
  g_autoptr (GPtrArray) known = list_names (group);
  g_auto (GStrv) keys = g_key_file_get_keys (config->keys, name, NULL, error);
  const char *const *names = (const char *const *) known->pdata;

  if (!keys)
    return FALSE;
  for (guint i = 0; keys[i]; i++)
    if (!g_strv_contains (names, keys[i]))
      return fail_unknown (config, name, keys[i], names, error);
  return TRUE;
}

/* The table's name of a group of the file, or NULL. */
static const char *
find_group (const char *name)
{
  static const char *const plain[] = { UMEDPT_CONFIG_MODEL, UMEDPT_CONFIG_TRAIN,
    UMEDPT_CONFIG_OPTIMIZER, UMEDPT_CONFIG_SCHEDULE, NULL };

  if (g_str_has_prefix (name, UMEDPT_CONFIG_TASK_PREFIX))
    return UMEDPT_CONFIG_TASK;
  for (guint i = 0; plain[i]; i++)
    if (g_str_equal (name, plain[i]))
      return plain[i];
  return NULL;
}

gboolean
umedpt_config_check_names (const UmedptTrainConfig *config, GError **error)
{
  static const char *const known[] = { "model", "train", "optimizer",
    "schedule", "task NAME", NULL };
  g_auto (GStrv) groups = g_key_file_get_groups (config->keys, NULL);

  for (guint i = 0; groups[i]; i++) {
    const char *group = find_group (groups[i]);
    const char *meant;

    if (group && !check_keys (config, groups[i], group, error))
      return FALSE;
    if (group)
      continue;
    meant = umedpt_config_suggest (groups[i], known);
    return umedpt_config_fail (config, groups[i], NULL, error,
        "there is no such group; there are model, train, optimizer, schedule, "
        "and 'task NAME' for each task.%s%s%s",
        meant ? " Did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
  }
  return TRUE;
}
