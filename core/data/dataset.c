/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The data set as an object: it finds the format that the configuration names,
 * lets it list its records, and brings them into parts. After opening nothing
 * changes any more, so reading needs no lock. Formats are a table; each is a
 * file dataset-NAME.c.
 */
#include "data/dataset-files.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

G_DEFINE_FINAL_TYPE (UmedptDataset, umedpt_dataset, G_TYPE_OBJECT)

static const UmedptDatasetFormat *const formats[] = {
  &umedpt_dataset_imagefolder,
  &umedpt_dataset_csv,
  &umedpt_dataset_masks,
  &umedpt_dataset_class_masks,
  &umedpt_dataset_coco,
  &umedpt_dataset_voc,
  &umedpt_dataset_yolo,
  &umedpt_dataset_instances,
  &umedpt_dataset_nifti,
  &umedpt_dataset_frames,
  &umedpt_dataset_slides,
};

static const char *const kind_names[UMEDPT_N_TASK_KINDS] = { "classification",
  "multilabel", "regression", "segmentation", "multilabel-segmentation",
  "detection" };

static void
record_clear (UmedptDataset *self, UmedptRecord *record)
{
  g_free (record->name);
  g_free (record->case_id);
  if (self->record_free != NULL)
    self->record_free (record->data);
}

static void
umedpt_dataset_finalize (GObject *object)
{
  UmedptDataset *self = UMEDPT_DATASET (object);

  for (guint i = 0; i < self->records->len; i++)
    record_clear (self, &g_array_index (self->records, UmedptRecord, i));
  g_array_unref (self->records);
  if (self->state_free != NULL)
    self->state_free (self->state);
  g_ptr_array_unref (self->warnings);
  g_strfreev (self->labels);
  g_free (self->colors);
  g_free (self->root);
  G_OBJECT_CLASS (umedpt_dataset_parent_class)->finalize (object);
}

static void
umedpt_dataset_class_init (UmedptDatasetClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = umedpt_dataset_finalize;
}

static void
umedpt_dataset_init (UmedptDataset *self)
{
  self->records = g_array_new (FALSE, FALSE, sizeof (UmedptRecord));
  self->warnings = g_ptr_array_new_with_free_func (g_free);
}

static char *
describe_formats (void)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    g_string_append_printf (text, "%s%s", i > 0 ? ", " : "", formats[i]->name);
  return g_string_free (text, FALSE);
}

static char *
describe_kinds (guint kinds)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < UMEDPT_N_TASK_KINDS; i++)
    if (kinds & (1u << i))
      g_string_append_printf (text, "%s%s", text->len > 0 ? ", " : "",
          kind_names[i]);
  return g_string_free (text, FALSE);
}

static gboolean
find_format (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_autofree char *name = umedpt_dataset_get_key (file, group, "format", NULL);
  g_autofree char *known = describe_formats ();
  g_autofree char *kinds = NULL;

  if (name == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "[%s]: the key “format” is missing; expected one of %s.", group, known);
    return FALSE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (strcmp (formats[i]->name, name) == 0)
      self->format = formats[i];
  if (self->format == NULL)
    return umedpt_dataset_fail_key (file, group, "format", error,
        "expected one of %s", known);
  if (self->format->kinds & (1u << self->kind))
    return TRUE;
  kinds = describe_kinds (self->format->kinds);
  return umedpt_dataset_fail_key (file, group, "format", error,
      "it cannot serve a task of the kind %s, only %s", kind_names[self->kind],
      kinds);
}

static gboolean
find_root (UmedptDataset *self, GKeyFile *file, const char *group,
    const char *base, GError **error)
{
  g_autofree char *path = umedpt_dataset_get_key (file, group, "path", NULL);

  if (path == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "[%s]: the key “path” is missing; expected the data set's folder.",
        group);
    return FALSE;
  }
  self->root = g_canonicalize_filename (path, base);
  if (g_file_test (self->root, G_FILE_TEST_IS_DIR))
    return TRUE;
  return umedpt_dataset_fail_key (file, group, "path", error,
      "there is no folder “%s”", self->root);
}

static gboolean
read_window (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_auto (GStrv) list = umedpt_dataset_get_key_list (file, group, "window");
  double *ends[] = { &self->window_low, &self->window_high };

  if (list == NULL)
    return TRUE;
  for (guint i = 0; i < 2 && g_strv_length (list) == 2; i++) {
    char *end = NULL;

    *ends[i] = g_ascii_strtod (list[i], &end);
    if (*end != '\0' || !isfinite (*ends[i]))
      *ends[i] = NAN;
  }
  if (self->window_low < self->window_high)
    return TRUE;
  return umedpt_dataset_fail_key (file, group, "window", error,
      "expected two numbers, black and white: 0;4095");
}

static gboolean
has_samples (UmedptDataset *self, const char *group, GError **error)
{
  if (self->records->len > 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "[%s]: “%s” has no sample%s%s%s.", group, self->root,
      self->warnings->len > 0 ? " (" : "",
      self->warnings->len > 0 ? (char *) self->warnings->pdata[0] : "",
      self->warnings->len > 0 ? " …)" : "");
  return FALSE;
}

/* An index mask of one class says the same everywhere. */
static gboolean
check_segmentation (UmedptDataset *self, const char *group, GError **error)
{
  if (self->kind != UMEDPT_TASK_SEGMENTATION || self->labels == NULL ||
      g_strv_length (self->labels) > 1)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "[%s]: the masks of “%s” have the one class “%s”, which leaves nothing to "
      "learn. List the background as a class before it, or set "
      "kind=multilabel-segmentation.",
      group, self->root, self->labels[0]);
  return FALSE;
}

static gboolean
open_all (UmedptDataset *self, GKeyFile *file, const char *group,
    const char *base, GError **error)
{
  if (!find_format (self, file, group, error) ||
      !find_root (self, file, group, base, error) ||
      !read_window (self, file, group, error) ||
      !self->format->open (self, file, group, error) ||
      (self->labels != NULL &&
          !umedpt_dataset_check_classes (self, group, error)) ||
      !check_segmentation (self, group, error) ||
      !umedpt_dataset_load_colors (self, file, group, error) ||
      !has_samples (self, group, error) ||
      !umedpt_dataset_split (self, file, group, error) ||
      !has_samples (self, group, error))
    return FALSE;
  return TRUE;
}

UmedptDataset *
umedpt_dataset_new_from_keyfile (GKeyFile *file, const char *group,
    const char *base, UmedptTaskKind kind, GError **error)
{
  g_autoptr (UmedptDataset) self = g_object_new (UMEDPT_TYPE_DATASET, NULL);

  self->kind = kind;
  if (!open_all (self, file, group, base, error))
    return NULL;
  if (self->labels == NULL) {
    self->labels = g_new0 (char *, 2);
    self->labels[0] = g_strdup ("value");
  }
  return g_steal_pointer (&self);
}

/**
 * umedpt_dataset_get_kind:
 * @self: a data set
 *
 * Returns: the kind of task that its labels are for
 *
 * Since: 0.1
 */
UmedptTaskKind
umedpt_dataset_get_kind (UmedptDataset *self)
{
  return self->kind;
}

/**
 * umedpt_dataset_get_labels:
 * @self: a data set
 *
 * Returns: (transfer none) (array zero-terminated=1): the names of its classes,
 *   in the order of the network's outputs; one name for regression
 *
 * Since: 0.1
 */
const char *const *
umedpt_dataset_get_labels (UmedptDataset *self)
{
  return (const char *const *) self->labels;
}

/**
 * umedpt_dataset_get_colors: (skip)
 * @self: a data set
 *
 * Returns: (transfer none) (nullable): a colour 0xRRGGBB per label, where the
 *   configuration says
 *
 * Since: 0.1
 */
const guint32 *
umedpt_dataset_get_colors (UmedptDataset *self)
{
  return self->colors;
}

/**
 * umedpt_dataset_get_n_samples:
 * @self: a data set
 *
 * Returns: the number of samples of all parts
 *
 * Since: 0.1
 */
guint
umedpt_dataset_get_n_samples (UmedptDataset *self)
{
  return self->records->len;
}

static const UmedptRecord *
get_record (UmedptDataset *self, guint index)
{
  return &g_array_index (self->records, UmedptRecord, index);
}

/**
 * umedpt_dataset_get_name:
 * @self: a data set
 * @index: a sample, below umedpt_dataset_get_n_samples()
 *
 * Returns: (transfer none) (nullable): the file relative to the data set, with
 *   a slice or region where there are several per file
 *
 * Since: 0.1
 */
const char *
umedpt_dataset_get_name (UmedptDataset *self, guint index)
{
  g_return_val_if_fail (index < self->records->len, NULL);
  return get_record (self, index)->name;
}

/**
 * umedpt_dataset_get_case:
 * @self: a data set
 * @index: a sample, below umedpt_dataset_get_n_samples()
 *
 * Returns: (transfer none) (nullable): the case (patient, volume, slide) that
 *   must not be split
 *
 * Since: 0.1
 */
const char *
umedpt_dataset_get_case (UmedptDataset *self, guint index)
{
  g_return_val_if_fail (index < self->records->len, NULL);
  return get_record (self, index)->case_id;
}

/**
 * umedpt_dataset_peek_label:
 * @self: a data set
 * @index: a sample, below umedpt_dataset_get_n_samples()
 *
 * Returns: the class of a sample, without reading its image; -1 if the kind of
 *   task has no class per sample
 *
 * Since: 0.1
 */
gint
umedpt_dataset_peek_label (UmedptDataset *self, guint index)
{
  g_return_val_if_fail (index < self->records->len, UMEDPT_IGNORE_LABEL);
  return get_record (self, index)->label;
}

/**
 * umedpt_dataset_read: (skip)
 * @self: a data set
 * @index: a sample, below umedpt_dataset_get_n_samples()
 * @error: return location for a #GError that names the file
 *
 * Reads image and annotation at full size. May be called from several threads.
 *
 * Returns: (transfer full): the sample, or %NULL with @error set
 *
 * Since: 0.1
 */
UmedptSample *
umedpt_dataset_read (UmedptDataset *self, guint index, GError **error)
{
  g_return_val_if_fail (index < self->records->len, NULL);
  return self->format->read (self, get_record (self, index), error);
}

/**
 * umedpt_dataset_get_split: (skip)
 * @self: a data set
 * @split: a part, or %UMEDPT_SPLIT_ALL
 *
 * Returns: (transfer full): the indices of its samples, ascending, of guint
 *
 * Since: 0.1
 */
GArray *
umedpt_dataset_get_split (UmedptDataset *self, UmedptSplit split)
{
  GArray *indices = g_array_new (FALSE, FALSE, sizeof (guint));

  for (guint i = 0; i < self->records->len; i++)
    if (split == UMEDPT_SPLIT_ALL ||
        get_record (self, i)->split == (gint) split)
      g_array_append_val (indices, i);
  return indices;
}
