/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The keys that describe a data set in a configuration: the one table of all
 * of them, and reading their values with errors that name group, key, value.
 */
#include "data/dataset-files.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/error.h"

// clang-format off
static const UmedptDatasetKey keys[] = {
  { "format", "how the data set lies on disk", "imagefolder, csv, masks, "
    "class-masks, coco, voc, yolo, instances, nifti, frames or slides" },
  { "path", "its folder; all other paths are below it", "path" },
  { "images", "folder of the images", "images, or the folder itself" },
  { "annotations", "file or folder of the annotations", "by format" },
  { "classes", "classes in order, or the file that lists them, one per line",
    "classes.txt, or as the annotations say" },
  { "ignore-labels", "classes that do not count: pixels, boxes, labels", "a;b" },
  { "colors", "a colour per class, for drawing", "#ff0000;#00ff00" },
  { "split-file", "table with the columns file and split", "split.csv if there" },
  { "split", "shares of training, validation and test, instead of the table",
    "0.7;0.15;0.15" },
  { "split-seed", "number that draws those parts", "1" },
  { "filter", "conditions on columns of the tables; all must hold",
    "coverage>=0.8;kind=stained" },
  { "file-column", "column of image files in a table",
    "image, file, filename or path" },
  { "label-column", "csv: column of the class", "label" },
  { "label-columns", "csv: columns of 0 and 1, for multilabel",
    "all but file, case and split" },
  { "value-column", "csv: column of the number, for regression", "value" },
  { "case-column", "column of the case (patient), which is not split up",
    "case if there" },
  { "split-column", "column of the part", "split if there" },
  { "window", "intensities that become black and white", "0;4095" },
  { "mask-suffix", "masks: what their names add to the image's", "_mask" },
  { "mask-values", "masks: number of each class, in order", "0;1;2" },
  { "ignore-value", "masks: number of pixels that do not count, or none",
    "255" },
  { "missing-masks", "class-masks: a class without a file is an error, absent "
    "(empty) or unknown (ignore)", "error" },
  { "box-origin", "voc: number of the first pixel, 1 or 0", "1" },
  { "axis", "nifti: axis along which slices lie, x, y or z", "z" },
  { "slices", "nifti: all, or those with a label (labelled)", "all" },
  { "slice-step", "nifti: take every n-th slice", "1" },
  { "percentiles", "nifti: of each volume, that become black and white",
    "0.5;99.5" },
  { "channel", "nifti: which of a volume's channels, from 0", "0" },
  { "table", "nifti: table of one label per volume", "path" },
  { "mpp", "slides: micrometres per pixel of windows; of several one is drawn "
    "for each", "0.5;1, or the full resolution" },
  { "slide-mpp", "slides: micrometres per pixel of their full resolution",
    "as they say" },
  { "window-size", "slides: pixels per side of a window", "256" },
  { "max-windows", "slides: windows per annotated region at most", "64" },
  { "window-seed", "slides: number that draws the windows", "1" },
  { "annotation-suffix", "slides: what replaces .svs in the annotation's name",
    ".geojson" },
  { "annotation-origin", "slides: what coordinates count from, bounds (of the "
    "scanned part, as QuPath) or slide", "bounds" },
  { "match", "slides: classes are the annotators' names (exact), parts of them "
    "(part), or expressions for their beginning (regex)", "exact" },
  { "background", "slides: class of what is not annotated; without the key it "
    "does not count", "absent" },
  { NULL }
};
// clang-format on

/**
 * umedpt_dataset_list_keys:
 *
 * The keys that a group of a configuration may have to describe a data set.
 *
 * Returns: (transfer none) (array zero-terminated=1): what each means, and its
 *   default or an example
 *
 * Since: 0.1
 */
const UmedptDatasetKey *
umedpt_dataset_list_keys (void)
{
  return keys;
}

char *
umedpt_dataset_get_key (GKeyFile *file, const char *group, const char *key,
    const char *fallback)
{
  g_autofree char *value = g_key_file_get_string (file, group, key, NULL);

  if (value != NULL && *g_strstrip (value) != '\0')
    return g_steal_pointer (&value);
  return g_strdup (fallback);
}

char **
umedpt_dataset_get_key_list (GKeyFile *file, const char *group, const char *key)
{
  g_autofree char *value = umedpt_dataset_get_key (file, group, key, NULL);
  g_autoptr (GPtrArray) list = g_ptr_array_new ();
  g_auto (GStrv) parts = NULL;

  if (value == NULL)
    return NULL;
  parts = g_strsplit (value, ";", -1);
  for (guint i = 0; parts[i] != NULL; i++)
    if (*g_strstrip (parts[i]) != '\0')
      g_ptr_array_add (list, g_strdup (parts[i]));
  g_ptr_array_add (list, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&list), FALSE);
}

gboolean
umedpt_dataset_fail_key (GKeyFile *file, const char *group, const char *key,
    GError **error, const char *format, ...)
{
  g_autofree char *value = umedpt_dataset_get_key (file, group, key, "");
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS, "[%s] %s=%s: %s.",
      group, key, value, text);
  return FALSE;
}

gboolean
umedpt_dataset_get_key_number (GKeyFile *file, const char *group,
    const char *key, double min, double max, double fallback, double *value,
    GError **error)
{
  g_autofree char *text = umedpt_dataset_get_key (file, group, key, NULL);
  char *end = NULL;

  *value = fallback;
  if (text == NULL)
    return TRUE;
  *value = g_ascii_strtod (text, &end);
  if (*end == '\0' && isfinite (*value) && *value >= min && *value <= max)
    return TRUE;
  return umedpt_dataset_fail_key (file, group, key, error,
      "expected a number from %g to %g", min, max);
}

gboolean
umedpt_dataset_get_key_choice (GKeyFile *file, const char *group,
    const char *key, const char *const *choices, gint *choice, GError **error)
{
  g_autofree char *text = umedpt_dataset_get_key (file, group, key, choices[0]);
  g_autofree char *all = g_strjoinv (", ", (char **) choices);

  for (*choice = 0; choices[*choice] != NULL; (*choice)++)
    if (strcmp (text, choices[*choice]) == 0)
      return TRUE;
  return umedpt_dataset_fail_key (file, group, key, error, "expected one of %s",
      all);
}
