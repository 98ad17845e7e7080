/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a features format implements, and what it is told. features.c does
 * what is the same for all (choice, checks, bad tiles); a format lays out
 * bytes. Formats write through UmedptAtomicFile, in constant memory.
 */
#pragma once

#include "output/features.h"

/* A tile that could not be read. */
typedef struct
{
  gint64 index, x, y;
  const char *reason; /* valid UTF-8 */
} UmedptBadTile;

/* The writer's own copy of what is recorded beside the rows. */
typedef struct
{
  UmedptFeatureInfo info; /* strings are valid UTF-8 or NULL */
  const char *folder; /* where the file will lie ("savetodir") */
  GStringChunk *strings;
  GArray *bad_tiles; /* of UmedptBadTile */
} UmedptFeatureRecord;

typedef enum
{
  UMEDPT_ATTRIBUTE_INT,
  UMEDPT_ATTRIBUTE_DOUBLE,
  UMEDPT_ATTRIBUTE_STRING,
} UmedptAttributeKind;

typedef struct
{
  const char *name;
  UmedptAttributeKind kind;
  gint64 i;
  double d;
  const char *s;
} UmedptAttribute;

#define UMEDPT_MAX_ATTRIBUTES 12

/* One array of attributes each; the number written. The first two are
 * TRIDENT's, the third is ours. */
guint
umedpt_feature_record_coords_attributes (const UmedptFeatureRecord *record,
    UmedptAttribute *attributes);
guint
umedpt_feature_record_features_attributes (const UmedptFeatureRecord *record,
    UmedptAttribute *attributes);
guint umedpt_feature_record_file_attributes (const UmedptFeatureRecord *record,
    UmedptAttribute *attributes);
/* All of them and the bad tiles as JSON, for formats without attributes. */
char *umedpt_feature_record_to_json (const UmedptFeatureRecord *record);

/* A format. The file is NULL-safe to free; after a failed append or finish
 * only free is called. Every row has the same @n_features, never 0. */
typedef struct
{
  const char *suffixes[3]; /* lower case, NULL-terminated */
  gpointer (*open) (const char *path, gboolean overwrite,
      const UmedptFeatureRecord *record, GError **error);
  gboolean (*append) (gpointer file, gint64 x, gint64 y, const gfloat *row,
      guint n_features, GError **error);
  gboolean (*finish) (gpointer file, GError **error);
  void (*free) (gpointer file);
} UmedptFeatureFormat;

extern const UmedptFeatureFormat umedpt_feature_format_h5;
extern const UmedptFeatureFormat umedpt_feature_format_pt;
extern const UmedptFeatureFormat umedpt_feature_format_npy;
