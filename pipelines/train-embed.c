/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedpt-train embed: image vectors of a data set in one features file, with a
 * table beside it that says which row is which image.
 */
#include <string.h>

#include "train-eval.h"

static struct
{
  char *task, *split, *output, *device, *precision;
  char **changes;
  gboolean force;
} options;

static const GOptionEntry entries[] = {
  { "task", 't', 0, G_OPTION_ARG_STRING, &options.task,
      "whose data set; needed where CONFIG has several", "NAME" },
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output,
      "features file to write: .h5, .npy or .pt; a table FILE.csv comes with it",
      "FILE" },
  { "split", 0, 0, G_OPTION_ARG_STRING, &options.split,
      "part of the data: train, val, test, all (default)", "PART" },
  { "device", 'd', 0, G_OPTION_ARG_STRING, &options.device,
      "auto (default), cpu, cuda, ref", "NAME" },
  { "precision", 0, 0, G_OPTION_ARG_STRING, &options.precision,
      "auto (default), f32, bf16", "NAME" },
  { "set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options.changes,
      "change the configuration; may be given several times",
      "GROUP.KEY=VALUE" },
  { "force", 'f', 0, G_OPTION_ARG_NONE, &options.force,
      "replace FILE if it exists", NULL },
  { NULL },
};

typedef struct
{
  UmedptFeatureWriter *writer;
  GString *table;
  guint n;
} Sink;

/* RFC 4180: quotes where needed, doubled inside. */
static void
append_field (GString *table, const char *text)
{
  g_auto (GStrv) parts = NULL;
  g_autofree char *doubled = NULL;

  if (!strpbrk (text, ",\"\r\n")) {
    g_string_append (table, text);
    return;
  }
  parts = g_strsplit (text, "\"", -1);
  doubled = g_strjoinv ("\"\"", parts);
  g_string_append_printf (table, "\"%s\"", doubled);
}

static gboolean
on_vector (UmedptDataset *dataset, guint index, const gfloat *vector, guint n,
    gpointer data, GError **error)
{
  Sink *sink = data;
  gint label = umedpt_dataset_peek_label (dataset, index);
  const char *const *labels = umedpt_dataset_get_labels (dataset);

  g_string_append_printf (sink->table, "%u,", sink->n);
  append_field (sink->table, umedpt_dataset_get_name (dataset, index));
  g_string_append_c (sink->table, ',');
  append_field (sink->table, umedpt_dataset_get_case (dataset, index));
  g_string_append_c (sink->table, ',');
  if (label >= 0 && labels)
    append_field (sink->table, labels[label]);
  g_string_append_c (sink->table, '\n');
  return umedpt_feature_writer_append (sink->writer, sink->n++, 0, 0, vector, n,
      error);
}

static gboolean
embed (UmedptModel *model, UmedptTrainTask *task, UmedptSplit split,
    UmedptPrecision precision, GError **error)
{
  const UmedptFeatureInfo info = { .slide = task->name,
    .encoder = umedpt_model_get_description (model)->arch,
    .model_hash = umedpt_model_get_hash (model) };
  g_autoptr (UmedptFeatureWriter) writer =
      umedpt_feature_writer_new (options.output, &info, options.force, error);
  g_autoptr (GString) table = g_string_new ("row,file,case,label\n");
  g_autofree char *path = g_strconcat (options.output, ".csv", NULL);
  Sink sink = { writer, table, 0 };

  return writer &&
      umedpt_embed_dataset (model, task, split, options.device, precision,
          on_vector, &sink, train_get_cancellable (), error) &&
      train_write (path, table->str, error) &&
      umedpt_feature_writer_finish (writer, error);
}

static UmedptTrainConfig *
open_config (const char *path, GError **error)
{
  char *const tasks[] = { options.task, NULL };
  g_autoptr (UmedptTrainConfig) config = train_open_config (path,
      options.changes, options.task ? tasks : NULL, error);

  if (!config || config->tasks->len == 1)
    return g_steal_pointer (&config);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "'%s' has %u tasks; say with --task NAME whose images are meant", path,
      config->tasks->len);
  return NULL;
}

int
train_embed (char **args)
{
  g_auto (GStrv) rest = train_parse (args, entries,
      "MODEL CONFIG - image vectors of a data set of CONFIG", 2, 2, NULL);
  UmedptSplit split = UMEDPT_SPLIT_ALL;
  UmedptPrecision precision = UMEDPT_PRECISION_AUTO;
  g_autoptr (UmedptTrainConfig) config = NULL;
  g_autoptr (UmedptModel) model = NULL;
  g_autoptr (GError) error = NULL;

  if (!rest || (options.split && !train_parse_split (options.split, &split)) ||
      (options.precision &&
          !train_parse_precision (options.precision, &precision)))
    return PROGRAM_USAGE;
  if (!options.output)
    return program_complain (PROGRAM_USAGE, "embed needs --output FILE");
  train_catch_signals ();
  model = umedpt_model_new_from_file (rest[0], &error);
  if (model)
    config = open_config (rest[1], &error);
  if (!config ||
      !embed (model, g_ptr_array_index (config->tasks, 0), split, precision,
          &error))
    return train_fail (error);
  return program_end ();
}
