/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The attributes of a features file. The first two groups have the names and
 * types that TRIDENT (Zhang et al. 2025, arXiv:2502.06750) gives the data sets
 * "coords" and "features", so that its readers and those of its descendants
 * work unchanged; the third is ours and says exactly what TRIDENT's whole
 * magnifications round: mpp, its source, and the hashes of model and settings.
 */
#include "output/features-private.h"

#include <math.h>

#include "base/json.h"
#include "base/version.h"

/* TRIDENT's classes of level-0 pixel sizes, upper bound in µm. */
static const struct
{
  double mpp;
  gint magnification;
} bands[] = {
  { 0.16, 80 },
  { 0.2, 60 },
  { 0.3, 40 },
  { 0.6, 20 },
  { 1.2, 10 },
  { 2.4, 5 },
};

typedef struct
{
  UmedptAttribute *attributes;
  guint n;
} List;

static void
add_int (List *list, const char *name, gint64 value)
{
  list->attributes[list->n++] = (UmedptAttribute){
    .name = name, .kind = UMEDPT_ATTRIBUTE_INT, .i = value
  };
}

static void
add_double (List *list, const char *name, double value)
{
  list->attributes[list->n++] = (UmedptAttribute){
    .name = name, .kind = UMEDPT_ATTRIBUTE_DOUBLE, .d = value
  };
}

/* TRIDENT writes the word "None" for what it does not know. */
static void
add_string (List *list, const char *name, const char *value)
{
  list->attributes[list->n++] = (UmedptAttribute){
    .name = name, .kind = UMEDPT_ATTRIBUTE_STRING, .s = value ? value : "None"
  };
}

/* Ours leave out what is unknown, so that a reader needs no special values. */
static void
add_known_string (List *list, const char *name, const char *value)
{
  if (value)
    add_string (list, name, value);
}

static void
add_known_double (List *list, const char *name, double value)
{
  if (isfinite (value) && value > 0)
    add_double (list, name, value);
}

/* The whole magnification of a pixel size; 0 = unknown. */
static gint
band (double mpp)
{
  if (!isfinite (mpp) || mpp <= 0)
    return 0;
  for (guint i = 0; i < G_N_ELEMENTS (bands); i++)
    if (mpp < bands[i].mpp)
      return bands[i].magnification;
  return MAX (1, (gint) lround (10 / mpp));
}

/* An integer where 10/mpp is one, as TRIDENT has it for --mag 20. */
static void
add_target_magnification (List *list, double mpp)
{
  double magnification = isfinite (mpp) && mpp > 0 ? 10 / mpp : 0;

  if (fabs (magnification - round (magnification)) < 1e-6 * magnification ||
      magnification == 0)
    add_int (list, "target_magnification", (gint64) round (magnification));
  else
    add_double (list, "target_magnification", magnification);
}

guint
umedpt_feature_record_coords_attributes (const UmedptFeatureRecord *record,
    UmedptAttribute *attributes)
{
  const UmedptFeatureInfo *info = &record->info;
  List list = { attributes, 0 };

  add_int (&list, "patch_size", info->tile_size);
  add_int (&list, "patch_size_level0",
      (gint64) round (info->tile_size * info->downsample));
  add_int (&list, "level0_magnification", band (info->level0_mpp));
  add_target_magnification (&list, info->mpp);
  add_int (&list, "overlap", info->overlap);
  add_string (&list, "name", info->slide);
  add_string (&list, "savetodir", record->folder);
  add_int (&list, "level0_width", info->level0_width);
  add_int (&list, "level0_height", info->level0_height);
  return list.n;
}

guint
umedpt_feature_record_features_attributes (const UmedptFeatureRecord *record,
    UmedptAttribute *attributes)
{
  List list = { attributes, 0 };

  add_string (&list, "name", record->info.slide);
  add_string (&list, "savetodir", record->folder);
  add_string (&list, "encoder", record->info.encoder);
  return list.n;
}

guint
umedpt_feature_record_file_attributes (const UmedptFeatureRecord *record,
    UmedptAttribute *attributes)
{
  const UmedptFeatureInfo *info = &record->info;
  List list = { attributes, 0 };

  add_known_double (&list, "level0_mpp", info->level0_mpp);
  add_known_double (&list, "mpp", info->mpp);
  add_known_double (&list, "downsample", info->downsample);
  add_known_string (&list, "mpp_source", info->mpp_source);
  add_known_string (&list, "slide_path", info->slide_path);
  add_known_string (&list, "vendor", info->vendor);
  add_known_string (&list, "model_hash", info->model_hash);
  add_known_string (&list, "config_hash", info->config_hash);
  if (info->n_expected)
    add_int (&list, "n_expected", (gint64) info->n_expected);
  add_string (&list, "umedpt_version", UMEDPT_VERSION);
  return list.n;
}

/* Begins a member of the top object. */
static void
append_name (GString *text, const char *name)
{
  g_string_append (text, text->len > 1 ? ",\n  " : "\n  ");
  umedpt_json_append_string (text, name);
  g_string_append (text, ": ");
}

static void
append_attributes (GString *text, const UmedptAttribute *attributes, guint n)
{
  for (guint i = 0; i < n; i++) {
    append_name (text, attributes[i].name);
    switch (attributes[i].kind) {
      case UMEDPT_ATTRIBUTE_INT:
        g_string_append_printf (text, "%" G_GINT64_FORMAT, attributes[i].i);
        break;
      case UMEDPT_ATTRIBUTE_DOUBLE:
        umedpt_json_append_double (text, attributes[i].d);
        break;
      case UMEDPT_ATTRIBUTE_STRING:
        umedpt_json_append_string (text, attributes[i].s);
        break;
    }
  }
}

static void
append_bad_tiles (GString *text, GArray *bad_tiles)
{
  append_name (text, "bad_tiles");
  g_string_append_c (text, '[');
  for (guint i = 0; i < bad_tiles->len; i++) {
    const UmedptBadTile *tile = &g_array_index (bad_tiles, UmedptBadTile, i);

    g_string_append_printf (text,
        "%s\n    {\"index\": %" G_GINT64_FORMAT ", \"x\": %" G_GINT64_FORMAT
        ", \"y\": %" G_GINT64_FORMAT ", \"reason\": ",
        i ? "," : "", tile->index, tile->x, tile->y);
    umedpt_json_append_string (text, tile->reason);
    g_string_append_c (text, '}');
  }
  g_string_append (text, bad_tiles->len ? "\n  ]" : "]");
}

/* A JSON object with the attributes of all three groups and "bad_tiles". */
char *
umedpt_feature_record_to_json (const UmedptFeatureRecord *record)
{
  GString *text = g_string_new ("{");
  UmedptAttribute attributes[UMEDPT_MAX_ATTRIBUTES];

  append_attributes (text, attributes,
      umedpt_feature_record_coords_attributes (record, attributes));
  /* Name and folder are in both of TRIDENT's groups. */
  append_name (text, "encoder");
  umedpt_json_append_string (text,
      record->info.encoder ? record->info.encoder : "None");
  append_attributes (text, attributes,
      umedpt_feature_record_file_attributes (record, attributes));
  append_bad_tiles (text, record->bad_tiles);
  g_string_append (text, "\n}");
  return g_string_free (text, FALSE);
}
