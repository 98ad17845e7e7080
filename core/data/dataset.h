/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A labelled data set as it lies on disk, for one kind of task: which images
 * there are, in which part (train, val, test) and case each is, and reading
 * one with its annotation. Opening reads the lists and annotations, not the
 * images, and finds every problem it can without them; checking reads all.
 */
#pragma once

#include <gio/gio.h>

#include "data/sample.h"

G_BEGIN_DECLS

typedef enum
{
  UMEDPT_SPLIT_TRAIN,
  UMEDPT_SPLIT_VAL,
  UMEDPT_SPLIT_TEST,
  UMEDPT_SPLIT_ALL,
} UmedptSplit;

#define UMEDPT_TYPE_DATASET (umedpt_dataset_get_type ())
UMEDPT_API
G_DECLARE_FINAL_TYPE (UmedptDataset, umedpt_dataset, UMEDPT, DATASET, GObject)

/**
 * umedpt_dataset_new_from_keyfile:
 * @file: a configuration
 * @group: the group that describes the data set; its keys are those of
 *   umedpt_dataset_list_keys(), of which `format` and `path` are needed
 * @base: folder to which relative paths in it refer
 * @kind: what the labels shall be; a format may serve several kinds (boxes
 *   and classes of one COCO file, classes present in masks)
 * @error: return location for a #GError
 *
 * Opens a data set with all its parts. The message of an error names file and
 * line (or record), what was found, what was expected.
 *
 * Returns: (transfer full): the data set, or %NULL with @error set
 */
UMEDPT_API
UmedptDataset *umedpt_dataset_new_from_keyfile (GKeyFile *file,
    const char *group, const char *base, UmedptTaskKind kind, GError **error);
/* (transfer none) NULL-terminated, with what each means: for `check` and for
 * the documentation. */
typedef struct
{
  const char *key, *meaning, *value; /* value: "path", "a;b;c", default */
} UmedptDatasetKey;
UMEDPT_API
const UmedptDatasetKey *umedpt_dataset_list_keys (void);

UMEDPT_API
UmedptTaskKind umedpt_dataset_get_kind (UmedptDataset *self);
/* (transfer none) NULL-terminated; one label for regression. */
UMEDPT_API
const char *const *umedpt_dataset_get_labels (UmedptDataset *self);
/* (nullable) 0xRRGGBB per label, where the data set says. */
UMEDPT_API
const guint32 *umedpt_dataset_get_colors (UmedptDataset *self);

/* The samples of a part, as indices into the data set, ascending; of
 * (transfer full) guint. Without split.csv the parts are drawn by the seed and
 * fractions of the configuration, whole cases at a time. */
UMEDPT_API
GArray *umedpt_dataset_get_split (UmedptDataset *self, UmedptSplit split);
/* A subset of @indices of about @fraction, whole cases, drawn by @seed; for
 * classification every class keeps at least one. (transfer full) */
UMEDPT_API
GArray *umedpt_dataset_subset (UmedptDataset *self, const GArray *indices,
    double fraction, guint64 seed);

UMEDPT_API
guint umedpt_dataset_get_n_samples (UmedptDataset *self);
/* The file, relative to the data set, with a slice or region where there are
 * several per file: "images/a.png", "a.nii.gz#17". (transfer none) */
UMEDPT_API
const char *umedpt_dataset_get_name (UmedptDataset *self, guint index);
/* The case (patient, volume, slide) that must not be split. */
UMEDPT_API
const char *umedpt_dataset_get_case (UmedptDataset *self, guint index);
/* Image and annotation at full size. Thread-safe. (transfer full) */
UMEDPT_API
UmedptSample *umedpt_dataset_read (UmedptDataset *self, guint index,
    GError **error);
/* The class of a sample without reading the image; -1 where it has none. */
UMEDPT_API
gint umedpt_dataset_peek_label (UmedptDataset *self, guint index);

/* Called for each problem found: a file (with line or record) and what is
 * wrong. @fatal: training cannot use the sample or the set. */
typedef void (*UmedptProblemFunc) (const char *where, const char *problem,
    gboolean fatal, gpointer data);
/* Reads every image and annotation. Returns the number of fatal problems, or
 * -1 with @error set when cancelled. @progress: (nullable) from 0 to 1. */
UMEDPT_API
gint umedpt_dataset_check (UmedptDataset *self, UmedptProblemFunc problem,
    gpointer data, gdouble *progress, GCancellable *cancellable,
    GError **error);

G_END_DECLS
