/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedpt-train efficiency: how many images a new task needs, by the protocol
 * of the paper (Schäfer et al. 2024): a target task is trained on shares of
 * its training images, with the shared blocks frozen and fine-tuned, from one
 * or more starting models, repeated over seeds; all are measured on the same
 * images. Runs that are done are not done again, so it can be stopped.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "train-adapt.h"
#include "train-plot.h"

#define NAME_CHARACTERS \
  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static struct
{
  char **starts, **changes;
  char *output, *fractions, *modes, *split;
  int seeds;
} options = { .seeds = 3 };

static const GOptionEntry entries[] = {
  { "start", 'm', 0, G_OPTION_ARG_FILENAME_ARRAY, &options.starts,
      "model to begin with; may be given several times. 'random': a new one, "
      "by [model] of CONFIG",
      "FILE" },
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output,
      "folder for runs, table and plot", "FOLDER" },
  { "fractions", 0, 0, G_OPTION_ARG_STRING, &options.fractions,
      "shares of the training images in percent (1,5,10,25,50,100)", "LIST" },
  { "modes", 0, 0, G_OPTION_ARG_STRING, &options.modes,
      "frozen,fine-tuned (default), or one of them", "LIST" },
  { "seeds", 0, 0, G_OPTION_ARG_INT, &options.seeds, "repetitions (3)", "N" },
  { "split", 0, 0, G_OPTION_ARG_STRING, &options.split,
      "part of the data to measure on: test (default), val", "PART" },
  { "set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options.changes,
      "change the configuration; may be given several times",
      "GROUP.KEY=VALUE" },
  { NULL },
};

/* One cell of the table. */
typedef struct
{
  const char *config, *start;
  gboolean frozen;
  double fraction;
  int seed;
  UmedptSplit split;
} Cell;

typedef struct
{
  GString *csv, *json;
  GArray *points; /* of TrainPoint */
  char *measure; /* (nullable) */
} Table;

static void
point_clear (gpointer data)
{
  g_free (((TrainPoint *) data)->line);
}

/* "tiny" of "models/tiny.safetensors"; of those of one name "run-1-model", since
 * every run calls its result the same. Only what files, CSV and JSON can hold
 * as it is. */
static char *
start_name (const char *start)
{
  g_autofree char *path = g_canonicalize_filename (start, NULL);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *parent = g_path_get_basename (folder);
  g_autofree char *base = g_path_get_basename (start);
  char *dot = strrchr (base, '.');
  gboolean several = FALSE;
  char *name;

  for (guint i = 0; options.starts && options.starts[i]; i++) {
    g_autofree char *other = g_path_get_basename (options.starts[i]);
    several |=
        strcmp (options.starts[i], start) != 0 && g_str_equal (other, base);
  }
  if (dot && dot != base)
    *dot = '\0';
  name = several ? g_strconcat (parent, "-", base, NULL) : g_strdup (base);
  return g_strcanon (name, NAME_CHARACTERS, '_');
}

static const char *
mode_name (const Cell *cell)
{
  return cell->frozen ? "frozen" : "fine-tuned";
}

static GKeyFile *
make_keys (const Cell *cell, GError **error)
{
  g_autoptr (GKeyFile) keys =
      train_load_keys (cell->config, options.changes, error);
  g_auto (GStrv) groups = NULL;

  if (!keys)
    return NULL;
  g_key_file_set_int64 (keys, "train", "seed", cell->seed);
  if (!g_str_equal (cell->start, "random"))
    return train_adapt_keys (keys, cell->start, cell->frozen, cell->fraction,
               error)
        ? g_steal_pointer (&keys)
        : NULL;
  g_key_file_set_string (keys, "model", "freeze",
      cell->frozen ? "encoder;squeezer" : "");
  groups = g_key_file_get_groups (keys, NULL);
  for (guint i = 0; groups[i]; i++)
    if (g_str_has_prefix (groups[i], "task "))
      g_key_file_set_double (keys, groups[i], "fraction", cell->fraction);
  return g_steal_pointer (&keys);
}

static UmedptTrainConfig *
make_config (const Cell *cell, GError **error)
{
  g_autoptr (GKeyFile) keys = make_keys (cell, error);
  g_autofree char *folder = g_path_get_dirname (cell->config);
  g_autoptr (UmedptTrainConfig) config = NULL;

  if (keys)
    config =
        umedpt_train_config_new_from_keys (keys, cell->config, folder, error);
  if (!config || config->tasks->len == 1)
    return g_steal_pointer (&config);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "'%s' has %u tasks; expected one, the target", cell->config,
      config->tasks->len);
  return NULL;
}

/* What @keys say, but for where the data lie: comments do not count. */
static char *
to_text (GKeyFile *keys)
{
  g_autoptr (GKeyFile) bare = g_key_file_new ();
  g_autofree char *text = g_key_file_to_data (keys, NULL, NULL);

  g_key_file_load_from_data (bare, text, (gsize) -1, G_KEY_FILE_NONE, NULL);
  g_key_file_remove_key (bare, "train", "folder", NULL);
  return g_key_file_to_data (bare, NULL, NULL);
}

/* A run of this name that another command made is not this cell's. */
static gboolean
check_same (const Cell *cell, const char *begun, GError **error)
{
  g_autoptr (GKeyFile) keys = make_keys (cell, error);
  g_autoptr (GKeyFile) old = NULL;
  g_autofree char *is = NULL;
  g_autofree char *was = NULL;

  if (!keys)
    return FALSE;
  old = train_load_keys (begun, NULL, error);
  if (!old)
    return FALSE;
  is = to_text (keys);
  was = to_text (old);
  if (g_str_equal (is, was))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS,
      "'%s' is of another study: it has another model to begin with, or other "
      "settings. Choose another --output, or remove that run.",
      begun);
  return FALSE;
}

/* Before anything is trained for nothing. */
static gboolean
check_split (const Cell *cell, UmedptTrainConfig *config, GError **error)
{
  const UmedptTrainTask *task = g_ptr_array_index (config->tasks, 0);
  g_autoptr (GArray) indices = NULL;

  if (!umedpt_train_config_open_data (config, error))
    return FALSE;
  indices = umedpt_dataset_get_split (task->dataset, cell->split);
  if (indices->len)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "The data set of task '%s' has no images in the part to measure on. Name "
      "another with --split.",
      task->name);
  return FALSE;
}

/* Trains what is not trained yet. */
static gboolean
train_cell (const Cell *cell, const char *folder, gboolean begun,
    GError **error)
{
  g_autoptr (UmedptTrainer) trainer = NULL;
  g_autoptr (UmedptTrainConfig) config = NULL;

  if (begun) {
    trainer = umedpt_trainer_resume (folder, error);
  } else {
    config = make_config (cell, error);
    if (config && check_split (cell, config, error))
      trainer = umedpt_trainer_new (g_steal_pointer (&config), folder, error);
  }
  return trainer && train_silently (trainer, error);
}

static char *
evaluate_cell (const Cell *cell, const char *folder, GError **error)
{
  g_autofree char *path = g_build_filename (folder, "model.safetensors", NULL);
  g_autoptr (UmedptTrainConfig) config = make_config (cell, error);
  g_autoptr (UmedptModel) model = NULL;

  if (!config || !umedpt_train_config_open_data (config, error))
    return NULL;
  model = umedpt_model_new_from_file (path, error);
  return model ? umedpt_evaluate (model, g_ptr_array_index (config->tasks, 0),
                     cell->split, config->device, config->precision, NULL,
                     train_get_cancellable (), error)
               : NULL;
}

/* The evaluation of a cell, from the file of an earlier time or made now. */
static char *
get_result (const Cell *cell, GError **error)
{
  g_autofree char *start = start_name (cell->start);
  g_autofree char *name = g_strdup_printf ("%s-%s-%g-%d", start,
      mode_name (cell), 100 * cell->fraction, cell->seed);
  g_autofree char *folder =
      g_build_filename (options.output, "runs", name, NULL);
  g_autofree char *file = g_strdup_printf ("%s/result-%s.json", folder,
      options.split ? options.split : "test");
  g_autofree char *config = g_build_filename (folder, "config.ini", NULL);
  const gboolean begun = g_file_test (config, G_FILE_TEST_EXISTS);
  char *json = NULL;

  if (begun && !check_same (cell, config, error))
    return NULL;
  if (begun && g_file_get_contents (file, &json, NULL, NULL))
    return json;
  if (!train_cell (cell, folder, begun, error))
    return NULL;
  json = evaluate_cell (cell, folder, error);
  if (json && !train_write (file, json, error))
    g_clear_pointer (&json, g_free);
  return json;
}

static gboolean
add_cell (const Cell *cell, Table *table, GError **error)
{
  g_autofree char *json = get_result (cell, error);
  g_autofree char *start = start_name (cell->start);
  g_autofree char *measure = NULL;
  TrainPoint point = { NULL, cell->fraction, NAN };

  if (!json ||
      !umedpt_evaluation_get_main (json, &measure, &point.value, error))
    return FALSE;
  point.line = g_strdup_printf ("%s, %s", start, mode_name (cell));
  g_array_append_val (table->points, point);
  g_string_append_printf (table->csv, "%s,%s,%g,%d,%s,%.6g\n", start,
      mode_name (cell), cell->fraction, cell->seed, measure, point.value);
  g_string_append_printf (table->json,
      "%s{\"start\":\"%s\",\"mode\":\"%s\",\"fraction\":%g,\"seed\":%d,"
      "\"evaluation\":%s}",
      table->points->len > 1 ? "," : "", start, mode_name (cell),
      cell->fraction, cell->seed, json);
  g_print ("%-16s %-10s %5g %%  seed %d  %s %.4f\n", start, mode_name (cell),
      100 * cell->fraction, cell->seed, measure, point.value);
  g_free (table->measure);
  table->measure = g_steal_pointer (&measure);
  return TRUE;
}

static gboolean
write_table (const Table *table, GError **error)
{
  g_autofree char *csv =
      g_build_filename (options.output, "efficiency.csv", NULL);
  g_autofree char *json =
      g_build_filename (options.output, "efficiency.json", NULL);
  g_autofree char *svg =
      g_build_filename (options.output, "efficiency.svg", NULL);
  g_autofree char *text = g_strdup_printf ("[%s]\n", table->json->str);
  g_autofree char *plot = train_plot (table->points, "Data efficiency",
      table->measure ? table->measure : "");

  return train_write (csv, table->csv->str, error) &&
      train_write (json, text, error) && train_write (svg, plot, error);
}

/* "1,5,10": percent. NULL after a complaint. */
static GArray *
parse_fractions (void)
{
  g_auto (GStrv) words =
      g_strsplit (options.fractions ? options.fractions : "1,5,10,25,50,100",
          ",", -1);
  g_autoptr (GArray) fractions = g_array_new (FALSE, FALSE, sizeof (double));

  for (guint i = 0; words[i]; i++) {
    char *end = NULL;
    double fraction = g_ascii_strtod (words[i], &end) / 100;

    if (end == words[i] || *end || !(fraction >= 0.0001 && fraction <= 1)) {
      program_complain (PROGRAM_USAGE,
          "--fractions has '%s'; expected percent from 0.01 to 100, as 1,10,100",
          words[i]);
      return NULL;
    }
    g_array_append_val (fractions, fraction);
  }
  return g_steal_pointer (&fractions);
}

static gboolean
run_cells (Cell *cell, const GArray *fractions, Table *table, GError **error)
{
  static char *const random_only[] = { (char *) "random", NULL };
  char *const *starts = options.starts ? options.starts : random_only;
  const char *modes = options.modes ? options.modes : "frozen,fine-tuned";

  for (guint s = 0; starts[s]; s++)
    for (guint mode = 0; mode < 2; mode++)
      for (guint f = 0; f < fractions->len; f++)
        for (int seed = 1; seed <= options.seeds; seed++) {
          cell->start = starts[s];
          cell->frozen = mode == 0;
          cell->fraction = g_array_index (fractions, double, f);
          cell->seed = seed;
          if (strstr (modes, mode_name (cell)) &&
              (!add_cell (cell, table, error) || !write_table (table, error)))
            return FALSE;
        }
  return TRUE;
}

/* "frozen", "fine-tuned", or both with a comma. */
static gboolean
is_modes (const char *text)
{
  g_auto (GStrv) words = g_strsplit (text, ",", -1);

  for (guint i = 0; words[i]; i++)
    if (!g_str_equal (words[i], "frozen") &&
        !g_str_equal (words[i], "fine-tuned"))
      return FALSE;
  return words[0] != NULL;
}

static gboolean
check_options (UmedptSplit *split)
{
  *split = UMEDPT_SPLIT_TEST;
  if (options.split && !train_parse_split (options.split, split))
    return FALSE;
  if (!options.output) {
    program_complain (PROGRAM_USAGE, "efficiency needs --output FOLDER");
    return FALSE;
  }
  if (options.seeds < 1) {
    program_complain (PROGRAM_USAGE, "--seeds is %d; expected 1 or more",
        options.seeds);
    return FALSE;
  }
  if (options.modes && !is_modes (options.modes)) {
    program_complain (PROGRAM_USAGE,
        "--modes is '%s'; expected frozen, fine-tuned, or both with a comma",
        options.modes);
    return FALSE;
  }
  return TRUE;
}

int
train_efficiency (char **args)
{
  g_auto (GStrv) rest = train_parse (args, entries,
      "CONFIG - measure how few images the task of CONFIG needs", 1, 1,
      "FOLDER then has efficiency.csv, efficiency.json, efficiency.svg, and the "
      "runs.\nThe same command again continues where it was stopped.\n");
  g_autoptr (GArray) fractions = NULL;
  g_autoptr (GError) error = NULL;
  UmedptSplit split;
  Table table;
  gboolean ok;

  if (!rest || !check_options (&split))
    return PROGRAM_USAGE;
  fractions = parse_fractions ();
  if (!fractions)
    return PROGRAM_USAGE;
  if (g_mkdir_with_parents (options.output, 0777) != 0)
    return program_complain (PROGRAM_FAILED, "Cannot make the folder '%s': %s.",
        options.output, g_strerror (errno));
  train_catch_signals ();
  table = (Table){ g_string_new ("start,mode,fraction,seed,metric,value\n"),
    g_string_new (NULL), g_array_new (FALSE, FALSE, sizeof (TrainPoint)) };
  g_array_set_clear_func (table.points, point_clear);
  ok = run_cells (&(Cell){ .config = rest[0], .split = split }, fractions,
      &table, &error);
  g_string_free (table.csv, TRUE);
  g_string_free (table.json, TRUE);
  g_array_unref (table.points);
  g_free (table.measure);
  return ok ? program_end () : train_fail (error);
}
