/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the formats of data sets share: keys of the configuration, files and
 * folders below the data set's own, classes, records, warnings, and the item:
 * an image file with labels or boxes.
 */
#pragma once

#include "data/csv.h"
#include "data/dataset-private.h"

G_BEGIN_DECLS

/* Keys. An empty value counts as none. */
char *umedpt_dataset_get_key (GKeyFile *file, const char *group,
    const char *key, const char *fallback);
/* (nullable) NULL-terminated. */
char **umedpt_dataset_get_key_list (GKeyFile *file, const char *group,
    const char *key);
gboolean umedpt_dataset_get_key_number (GKeyFile *file, const char *group,
    const char *key, double min, double max, double fallback, double *value,
    GError **error);
/* @choices: NULL-terminated, the first is the default. */
gboolean umedpt_dataset_get_key_choice (GKeyFile *file, const char *group,
    const char *key, const char *const *choices, gint *choice, GError **error);
/* Sets @error: "[group] key=value: " and the text. */
gboolean umedpt_dataset_fail_key (GKeyFile *file, const char *group,
    const char *key, GError **error, const char *format, ...)
    G_GNUC_PRINTF (5, 6);

/* Files. Names are relative to the data set's folder and stay inside it. */
gboolean umedpt_dataset_name_is_inside (const char *name);
char *umedpt_dataset_path (UmedptDataset *self, const char *name);
gboolean umedpt_dataset_has (UmedptDataset *self, const char *name);
/* "folder/name", or @name if the folder is "". */
char *umedpt_dataset_join (const char *folder, const char *name);
char *umedpt_dataset_load_text (const char *path, gsize *length,
    GError **error);
/* A folder or file that a key names, checked to exist; if the key is absent,
 * @fallback; if that does not exist and @optional, "". */
char *umedpt_dataset_find_place (UmedptDataset *self, GKeyFile *file,
    const char *group, const char *key, const char *fallback, gboolean optional,
    GError **error);
/* Names of the files with one of @suffixes (NULL: images), sorted. */
GPtrArray *umedpt_dataset_list (UmedptDataset *self, const char *folder,
    const char *const *suffixes, GError **error);
/* Folders below @folder, sorted. */
GPtrArray *umedpt_dataset_list_folders (UmedptDataset *self,
    const char *folder);
/* "a.b.png" → "a.b"; of ".nii.gz" both go. */
char *umedpt_dataset_stem (const char *name);

/* The mask of image @name (inside its own folder): stem, suffix and one of the
 * types that masks may have; NULL: there is none. */
char *umedpt_dataset_find_mask (UmedptDataset *self, const char *folder,
    const char *suffix, const char *name);

/* Problems that opening survives, and those that it does not: the message
 * begins with the path of @name. */
void umedpt_dataset_warn (UmedptDataset *self, const char *where,
    const char *format, ...) G_GNUC_PRINTF (3, 4);
gboolean umedpt_dataset_fail (UmedptDataset *self, const char *name,
    GError **error, const char *format, ...) G_GNUC_PRINTF (4, 5);

/* Classes. */
gboolean umedpt_dataset_load_classes (UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error);
gboolean umedpt_dataset_check_classes (UmedptDataset *self, const char *group,
    GError **error);
/* The key colors, one per class that is left. */
gboolean umedpt_dataset_load_colors (UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error);
/* -1: unknown. */
gint umedpt_dataset_find_label (UmedptDataset *self, const char *name);
/* Takes the classes of the key ignore-labels out of self->labels. Returns the
 * new number (or UMEDPT_IGNORE_LABEL) of every class so far, NULL on error. */
gint *umedpt_dataset_ignore_labels (UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error);
guint umedpt_dataset_get_n_labels (UmedptDataset *self);
char *umedpt_dataset_describe_labels (UmedptDataset *self);

/* A new record; the array may move with the next. */
UmedptRecord *umedpt_dataset_add (UmedptDataset *self, const char *name,
    gpointer data);

/* The item: what formats with one image file per record keep of it. */
typedef struct
{
  gint width, height; /* as the annotation says; 0: not said */
  double value;
  gfloat *labels, *weights; /* (nullable) [K] */
  GArray *boxes; /* (nullable) */
  guint n_seen; /* boxes met, also those left out */
} UmedptItem;

UmedptItem *umedpt_item_new (UmedptDataset *self);
void umedpt_item_free (gpointer item);
/* Clips, drops and warns, or refuses. @where: file, with line or record. */
gboolean umedpt_item_add_box (UmedptDataset *self, UmedptItem *item,
    const char *where, const UmedptBox *box, GError **error);
/* The image's class by its boxes or labels; -1 (none, several). */
gint umedpt_item_get_class (UmedptDataset *self, const UmedptItem *item);
/* Adds the record of an item whose boxes are complete; for classification
 * images of no or several classes are left out, with a warning. */
void umedpt_dataset_add_item (UmedptDataset *self, const char *name,
    UmedptItem *item);
/* Value, labels and weights. */
void umedpt_item_fill (UmedptDataset *self, const UmedptItem *item,
    UmedptSample *sample);
UmedptSample *umedpt_item_read (UmedptDataset *self, const UmedptRecord *record,
    GError **error);
/* The image of a record as a sample, without annotation. */
UmedptSample *umedpt_dataset_read_image (UmedptDataset *self, const char *name,
    GError **error);

/* Masks, dataset-masks.c: numbers to classes. */
typedef struct
{
  gint classes[256]; /* by number: class, UMEDPT_IGNORE_LABEL, or -2: unknown */
  guint n_declared;
} UmedptMaskMap;

gboolean umedpt_mask_map_init (UmedptMaskMap *map, UmedptDataset *self,
    GKeyFile *file, const char *group, GError **error);
/* @values: [height, width]; makes mask or labels of them, by the kind. Sets
 * @error with value, count and first pixel if a number is no class. */
gboolean umedpt_mask_map_apply (const UmedptMaskMap *map, UmedptDataset *self,
    const gfloat *values, UmedptSample *sample, const char *where,
    GError **error);

/* The mask @name of an image that @sample has already. */
gboolean umedpt_mask_map_load (const UmedptMaskMap *map, UmedptDataset *self,
    const char *name, UmedptSample *sample, GError **error);

/* Tables, dataset-csv.c: a record with an item per row of the table that @key
 * names. */
gboolean umedpt_dataset_open_table (UmedptDataset *self, GKeyFile *file,
    const char *group, const char *key, GError **error);

/* Parts, dataset-split.c and dataset-subset.c. */
GPtrArray *umedpt_dataset_draw_cases (UmedptDataset *self,
    const GArray *indices, guint64 seed, gboolean by_class);
gboolean umedpt_dataset_split (UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error);
/* "train", "val", "test" and their usual other names; -1: none. */
gint umedpt_split_parse (const char *name);
/* FALSE with @keep FALSE: a condition of the key `filter` does not hold. Those
 * about columns that @csv lacks are skipped. */
gboolean umedpt_dataset_filter (GKeyFile *file, const char *group,
    const UmedptCsv *csv, const UmedptCsvRow *row, gboolean *keep,
    GError **error);

G_END_DECLS
