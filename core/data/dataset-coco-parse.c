/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * COCO's JSON into three arrays. Segmentations, licences and whatever else
 * tools add are skipped; ids must be unique, and a key twice in one object is
 * an error, since one of the two would be lost unnoticed.
 */
#include "data/dataset-annotations.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "data/dataset-private.h"

#define MAX_COORDINATE 1e7

/* Reads the value of @key into @item; FALSE with @error set. @bit: which key
 * it was, to find doubles and gaps; -1 for one that is skipped. */
typedef gboolean (*ReadMember) (UmedptJson *json, const char *key,
    gpointer item, gint *bit, GError **error);

static gboolean
read_object (UmedptJson *json, ReadMember read, gpointer item, guint *seen,
    GError **error)
{
  gboolean first = TRUE;

  *seen = 0;
  if (!umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *key = NULL;
    gint bit = -1;

    if (!umedpt_json_next_key (json, &first, &key, error))
      return FALSE;
    if (key == NULL)
      return TRUE;
    if (!read (json, key, item, &bit, error)) {
      g_prefix_error (error, "“%s”: ", key);
      return FALSE;
    }
    if (bit >= 0 && (*seen & (1u << bit)))
      return umedpt_json_fail (error, "the key “%s” is given twice", key);
    if (bit >= 0)
      *seen |= 1u << bit;
  }
}

static gint
find (const char *key, const char *const *keys)
{
  for (gint i = 0; keys[i] != NULL; i++)
    if (strcmp (keys[i], key) == 0)
      return i;
  return -1;
}

static gboolean
read_id (UmedptJson *json, gint64 *id, GError **error)
{
  return umedpt_json_get_integer (json, G_MININT64, G_MAXINT64, id, error);
}

/* A string that a key given twice must not leak. */
static gboolean
read_string (UmedptJson *json, char **value, GError **error)
{
  g_clear_pointer (value, g_free);
  return umedpt_json_get_string (json, value, error);
}

static gboolean
read_side (UmedptJson *json, gint *side, GError **error)
{
  double value;

  /* some tools write 640.0 */
  if (!umedpt_json_get_double (json, 1, UMEDPT_IMAGE_MAX_SIDE, &value, error))
    return FALSE;
  *side = (gint) value;
  return TRUE;
}

static gboolean
read_image_member (UmedptJson *json, const char *key, gpointer data, gint *bit,
    GError **error)
{
  static const char *const keys[] = { "id", "file_name", "width", "height",
    NULL };
  UmedptCocoImage *image = data;

  *bit = find (key, keys);
  switch (*bit) {
    case 0:
      return read_id (json, &image->id, error);
    case 1:
      return read_string (json, &image->file_name, error);
    case 2:
      return read_side (json, &image->width, error);
    case 3:
      return read_side (json, &image->height, error);
    default:
      return umedpt_json_skip (json, error);
  }
}

static gboolean
read_category_member (UmedptJson *json, const char *key, gpointer data,
    gint *bit, GError **error)
{
  static const char *const keys[] = { "id", "name", NULL };
  UmedptCocoCategory *category = data;

  *bit = find (key, keys);
  switch (*bit) {
    case 0:
      return read_id (json, &category->id, error);
    case 1:
      return read_string (json, &category->name, error);
    default:
      return umedpt_json_skip (json, error);
  }
}

static gboolean
read_box (UmedptJson *json, UmedptCocoAnnotation *annotation, GError **error)
{
  double *numbers[] = { &annotation->x, &annotation->y, &annotation->width,
    &annotation->height };
  gboolean first = TRUE, more;
  guint n = 0;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;;) {
    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more || n == 4)
      break;
    if (!umedpt_json_get_double (json, -MAX_COORDINATE, MAX_COORDINATE,
            numbers[n++], error))
      return FALSE;
  }
  annotation->has_box = n == 4;
  if (!more && (n == 4 || n == 0)) /* [] where there is none */
    return TRUE;
  return umedpt_json_fail (error, "expected x, y, width and height");
}

static gboolean
read_annotation_member (UmedptJson *json, const char *key, gpointer data,
    gint *bit, GError **error)
{
  static const char *const keys[] = { "id", "image_id", "category_id", "bbox",
    "iscrowd", NULL };
  UmedptCocoAnnotation *annotation = data;
  gint64 crowd = 0;

  *bit = find (key, keys);
  switch (*bit) {
    case 0:
      return read_id (json, &annotation->id, error);
    case 1:
      return read_id (json, &annotation->image_id, error);
    case 2:
      return read_id (json, &annotation->category_id, error);
    case 3:
      return read_box (json, annotation, error);
    case 4:
      if (umedpt_json_peek (json) == UMEDPT_JSON_BOOLEAN)
        return umedpt_json_get_boolean (json, &annotation->crowd, error);
      if (!umedpt_json_get_integer (json, 0, 1, &crowd, error))
        return FALSE;
      annotation->crowd = crowd == 1;
      return TRUE;
    default:
      return umedpt_json_skip (json, error);
  }
}

/* An array of objects into @items. @needed: bits of the keys each must have. */
static gboolean
read_array (UmedptJson *json, const char *what, GArray *items, ReadMember read,
    guint needed, GError **error)
{
  gboolean first = TRUE, more;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;;) {
    guint seen = 0;

    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more)
      return TRUE;
    g_array_set_size (items, items->len + 1); /* cleared */
    if (!read_object (json, read,
            items->data +
                (gsize) (items->len - 1) * g_array_get_element_size (items),
            &seen, error)) {
      g_prefix_error (error, "number %u of “%s”: ", items->len, what);
      return FALSE;
    }
    if ((seen & needed) != needed)
      return umedpt_json_fail (error,
          "number %u of “%s” lacks a key (images need id and file_name, "
          "annotations image_id and category_id, categories id and name)",
          items->len, what);
  }
}

static gboolean
read_top (UmedptJson *json, const char *key, gpointer data, gint *bit,
    GError **error)
{
  static const char *const keys[] = { "images", "annotations", "categories",
    NULL };
  UmedptCoco *self = data;

  *bit = find (key, keys);
  switch (*bit) {
    case 0:
      return read_array (json, key, self->images, read_image_member, 3, error);
    case 1:
      return read_array (json, key, self->annotations, read_annotation_member,
          6, error);
    case 2:
      return read_array (json, key, self->categories, read_category_member, 3,
          error);
    default:
      return umedpt_json_skip (json, error);
  }
}

/* The id is the first field of all three structures. */
static gboolean
check_ids (const char *what, const GArray *items, gboolean zero_is_none,
    GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_int64_hash, g_int64_equal);
  gsize size = g_array_get_element_size ((GArray *) items);

  for (guint i = 0; i < items->len; i++) {
    gint64 *id = (gint64 *) (items->data + i * size);

    if (*id == 0 && zero_is_none)
      continue;
    if (!g_hash_table_add (seen, id))
      return umedpt_json_fail (error,
          "two of “%s” have the id %" G_GINT64_FORMAT, what, *id);
  }
  return TRUE;
}

static void
image_clear (gpointer image)
{
  g_free (((UmedptCocoImage *) image)->file_name);
}

static void
category_clear (gpointer category)
{
  g_free (((UmedptCocoCategory *) category)->name);
}

UmedptCoco *
umedpt_coco_parse (const char *text, gsize length, GError **error)
{
  g_autoptr (UmedptCoco) self = g_new0 (UmedptCoco, 1);
  UmedptJson json;
  guint seen = 0;

  self->images = g_array_new (FALSE, TRUE, sizeof (UmedptCocoImage));
  self->annotations = g_array_new (FALSE, TRUE, sizeof (UmedptCocoAnnotation));
  self->categories = g_array_new (FALSE, TRUE, sizeof (UmedptCocoCategory));
  g_array_set_clear_func (self->images, image_clear);
  g_array_set_clear_func (self->categories, category_clear);
  if (!umedpt_json_init (&json, text, length, error) ||
      !read_object (&json, read_top, self, &seen, error) ||
      !umedpt_json_finish (&json, error))
    return NULL;
  if (seen != 7) {
    umedpt_json_fail (error,
        "expected an object with images, annotations and categories");
    return NULL;
  }
  if (!check_ids ("images", self->images, FALSE, error) ||
      !check_ids ("annotations", self->annotations, TRUE, error) ||
      !check_ids ("categories", self->categories, FALSE, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
umedpt_coco_free (UmedptCoco *self)
{
  g_array_unref (self->images);
  g_array_unref (self->annotations);
  g_array_unref (self->categories);
  g_free (self);
}
