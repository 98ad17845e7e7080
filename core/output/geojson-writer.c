/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What QuPath asks of a file it imports (its GsonTools and QuPathTypeAdapters):
 * an id is a UUID or is replaced; objectType stands inside properties; a
 * classification without a colour fails the import; a colon in a name makes it
 * a derived class. Positions are relative to the slide's bounds, since QuPath
 * crops slides to them. What holds for all objects stands once, in a member
 * "umedpt" of the collection (RFC 7946, section 6.1).
 *
 * Ids are made from slide, configuration and running number as a UUID of
 * version 5 (RFC 4122, section 4.3), so that the same run gives the same bytes.
 * For the same reason gzip's header has no time.
 */
#include "output/geojson-writer.h"

#include <math.h>
#include <string.h>
#include <zlib.h>

#include "base/atomic-file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/version.h"
#include "output/geojson-shape.h"

#define BUFFER_SIZE (1 << 20)
#define GZIP_LEVEL 4 /* 6 saves a sixth and takes 2.7 times as long */
#define GZIP_WINDOW (15 + 16) /* zlib's way to say: with gzip's header */
#define MAX_POSITION 1e9 /* also the reader's */

struct _UmedptGeojsonWriter
{
  UmedptAtomicFile *file;
  GString *text; /* not yet written */
  z_stream *zip; /* (nullable): compressed */
  guint8 *packed; /* BUFFER_SIZE */
  double x, y; /* the bounds */
  double mpp;
  char *identity; /* what ids are made of, besides the number */
  guint64 n_features;
  gboolean failed;
};

static gboolean
has_suffix (const char *path, gboolean *compressed, GError **error)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);

  *compressed = g_str_has_suffix (lower, ".gz");
  if (*compressed)
    lower[strlen (lower) - 3] = '\0';
  if (g_str_has_suffix (lower, ".geojson") || g_str_has_suffix (lower, ".json"))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "'%s' is no name for objects. Use .geojson or .json, or .geojson.gz or "
      ".json.gz for a compressed file.",
      path);
  return FALSE;
}

/* Compresses what is there, at most 4 GiB, or, at the end, all that zlib still
 * holds. */
static gboolean
deflate_text (UmedptGeojsonWriter *self, const char *text, gsize size,
    gboolean end, GError **error)
{
  z_stream *zip = self->zip;
  int status = Z_OK;

  zip->next_in = (Bytef *) (gsize) text; /* zlib does not write there */
  zip->avail_in = (uInt) size;
  do {
    zip->next_out = self->packed;
    zip->avail_out = BUFFER_SIZE;
    /* fails only if the stream is damaged, which it is not */
    status = deflate (zip, end ? Z_FINISH : Z_NO_FLUSH);
    if (!umedpt_atomic_file_write (self->file, self->packed,
            BUFFER_SIZE - zip->avail_out, error))
      return FALSE;
  } while (zip->avail_out == 0 || (end && status == Z_OK));
  return TRUE;
}

static gboolean
write_packed (UmedptGeojsonWriter *self, gboolean end, GError **error)
{
  const GString *text = self->text;
  gsize at = 0, size;

  for (; at < text->len; at += size) {
    size = MIN (text->len - at, (gsize) 1 << 30);
    if (!deflate_text (self, text->str + at, size, FALSE, error))
      return FALSE;
  }
  return !end || deflate_text (self, "", 0, TRUE, error);
}

static gboolean
write_text (UmedptGeojsonWriter *self, gboolean end, GError **error)
{
  gboolean ok;

  if (!end && self->text->len < BUFFER_SIZE)
    return TRUE;
  ok = self->zip ? write_packed (self, end, error)
                 : umedpt_atomic_file_write (self->file, self->text->str,
                       self->text->len, error);
  g_string_truncate (self->text, 0);
  self->failed |= !ok;
  return ok;
}

/* zlib's memory is 256 KiB; like other small memory it is not asked for. */
static void
start_zip (UmedptGeojsonWriter *self)
{
  self->zip = g_new0 (z_stream, 1);
  self->packed = g_malloc (BUFFER_SIZE);
  if (deflateInit2 (self->zip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8,
          Z_DEFAULT_STRATEGY) != Z_OK)
    g_assert_not_reached ();
}

static void
append_member (GString *text, const char *name, const char *value)
{
  g_autofree char *valid = NULL;

  if (!value)
    return;
  valid = g_utf8_make_valid (value, -1);
  g_string_append_printf (text, ",\"%s\":", name);
  umedpt_json_append_string (text, valid);
}

static void
append_head (GString *text, const UmedptGeojsonInfo *info)
{
  g_string_append (text,
      "{\"type\":\"FeatureCollection\",\"umedpt\":{\"version\":\"" UMEDPT_VERSION
      "\"");
  append_member (text, "slide", info->slide);
  append_member (text, "model", info->model_hash);
  append_member (text, "config", info->config_hash);
  if (info->mpp > 0) {
    g_string_append (text, ",\"mpp\":");
    umedpt_json_append_double (text, info->mpp);
  }
  g_string_append (text, ",\"origin\":[");
  umedpt_json_append_double (text, info->bounds_x);
  g_string_append_c (text, ',');
  umedpt_json_append_double (text, info->bounds_y);
  g_string_append (text, "]},\"features\":[");
}

static gboolean
check_info (const char *path, const UmedptGeojsonInfo *info, GError **error)
{
  if (fabs (info->bounds_x) <= MAX_POSITION &&
      fabs (info->bounds_y) <= MAX_POSITION && isfinite (info->mpp) &&
      info->mpp >= 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "Cannot write '%s': the slide's bounds begin at (%g, %g), with %g µm per "
      "pixel; expected positions within %g, and 0 µm or more.",
      path, info->bounds_x, info->bounds_y, info->mpp, MAX_POSITION);
  return FALSE;
}

/**
 * umedpt_geojson_writer_new: (skip)
 * @path: the file to make: .geojson or .json, or .geojson.gz or .json.gz
 * @info: what is known about the slide and the run; copied
 * @overwrite: whether an existing file may be replaced
 * @error: return location for an error
 *
 * Begins a file of objects for QuPath.
 *
 * Returns: (transfer full): the writer, or %NULL with @error set
 *   (%UMEDPT_ERROR_SETTINGS for the name, %UMEDPT_ERROR_DATA for a figure of
 *   @info, %UMEDPT_ERROR_EXISTS, %UMEDPT_ERROR_NOT_FOUND, %UMEDPT_ERROR_IO,
 *   %UMEDPT_ERROR_NO_SPACE)
 *
 * Since: 0.1
 */
UmedptGeojsonWriter *
umedpt_geojson_writer_new (const char *path, const UmedptGeojsonInfo *info,
    gboolean overwrite, GError **error)
{
  g_autoptr (UmedptGeojsonWriter) self = NULL;
  gboolean compressed;

  g_return_val_if_fail (path != NULL && info != NULL, NULL);

  if (!has_suffix (path, &compressed, error) || !check_info (path, info, error))
    return NULL;
  self = g_new0 (UmedptGeojsonWriter, 1);
  self->text = g_string_new (NULL);
  self->x = info->bounds_x;
  self->y = info->bounds_y;
  self->mpp = info->mpp;
  self->identity = g_strdup_printf ("%s\n%s", info->slide ? info->slide : "",
      info->config_hash ? info->config_hash : "");
  self->file = umedpt_atomic_file_new (path, overwrite, error);
  if (!self->file)
    return NULL;
  if (compressed)
    start_zip (self);
  append_head (self->text, info);
  return g_steal_pointer (&self);
}

/**
 * umedpt_geojson_writer_free: (skip)
 * @self: (nullable): the writer
 *
 * Without a successful umedpt_geojson_writer_finish() nothing is left.
 *
 * Since: 0.1
 */
void
umedpt_geojson_writer_free (UmedptGeojsonWriter *self)
{
  if (!self)
    return;
  if (self->zip)
    deflateEnd (self->zip);
  g_free (self->zip);
  g_free (self->packed);
  g_clear_pointer (&self->file, umedpt_atomic_file_free);
  g_string_free (self->text, TRUE);
  g_free (self->identity);
  g_free (self);
}

/* Follows from slide, configuration, kind and number: the same in every run, and
 * another one in each of a slide's files. */
static void
append_id (GString *text, UmedptGeojsonWriter *self, const char *object_type)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA1);
  g_autofree char *number = g_strdup_printf ("\n%s\n%" G_GUINT64_FORMAT,
      object_type, self->n_features);
  guint8 id[20];
  gsize size = sizeof id;

  g_checksum_update (checksum, (const guchar *) self->identity, -1);
  g_checksum_update (checksum, (const guchar *) number, -1);
  g_checksum_get_digest (checksum, id, &size);
  id[6] = 0x50 | (id[6] & 0x0f); /* the version */
  id[8] = 0x80 | (id[8] & 0x3f); /* the variant */
  for (guint i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      g_string_append_c (text, '-');
    g_string_append_c (text, "0123456789abcdef"[id[i] >> 4]);
    g_string_append_c (text, "0123456789abcdef"[id[i] & 15]);
  }
}

/* A colon would make it a derived class, a line break two lines. */
static void
append_class_name (GString *text, const char *name)
{
  g_autofree char *valid = g_utf8_make_valid (name, -1);

  for (char *c = valid; *c; c++)
    *c = *c == ':' ? '-' : (guint8) *c < 0x20 || *c == 0x7f ? ' ' : *c;
  umedpt_json_append_string (text, g_strstrip (valid));
}

static void
append_class (GString *text, const UmedptObject *object,
    const UmedptClassNames *names)
{
  guint label = names->labels ? (guint) object->label : 0;
  guint32 color = names->colors[label];

  g_string_append (text, "\"classification\":{\"name\":");
  append_class_name (text, names->labels ? names->labels[label] : names->task);
  g_string_append_printf (text, ",\"color\":[%u,%u,%u]}", color >> 16 & 255,
      color >> 8 & 255, color & 255);
}

/* With @decimals, at most, and none that say nothing. */
static void
append_rounded (GString *text, double value, guint decimals)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE + 320], format[8];
  gsize length;

  g_snprintf (format, sizeof format, "%%.%uf", decimals);
  g_ascii_formatd (buffer, sizeof buffer, format, value);
  length = strlen (buffer);
  while (buffer[length - 1] == '0')
    length--;
  if (buffer[length - 1] == '.')
    length--;
  g_string_append_len (text, buffer, (gssize) length);
}

static void
append_measurements (GString *text, UmedptGeojsonWriter *self,
    const UmedptObject *object)
{
  gboolean known = self->mpp > 0;

  g_string_append (text, "\"measurements\":{\"score\":");
  append_rounded (text, (double) object->score, 4);
  g_string_append (text, known ? ",\"Area µm^2\":" : ",\"Area px^2\":");
  append_rounded (text,
      known ? object->area * self->mpp * self->mpp : object->area, 2);
  g_string_append_c (text, '}');
}

static gboolean
check_object (const UmedptObject *object, const UmedptClassNames *names,
    GError **error)
{
  const guint n = names->labels ? g_strv_length ((char **) names->labels) : 0;

  if (names->labels && (object->label < 0 || (guint) object->label >= n)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "An object of '%s' has class %d; expected 0 to %d.", names->task,
        object->label, (gint) n - 1);
    return FALSE;
  }
  if (object->x1 <= object->x2 && object->y1 <= object->y2 &&
      fabs (object->x1) <= MAX_POSITION && fabs (object->x2) <= MAX_POSITION &&
      fabs (object->y1) <= MAX_POSITION && fabs (object->y2) <= MAX_POSITION &&
      isfinite (object->score) && isfinite (object->area))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "An object of '%s' reaches from (%g, %g) to (%g, %g), with area %g and "
      "score %g; expected finite numbers and positions within %g.",
      names->task, object->x1, object->y1, object->x2, object->y2, object->area,
      (double) object->score, MAX_POSITION);
  return FALSE;
}

/**
 * umedpt_geojson_writer_add: (skip)
 * @self: the writer
 * @object: an object, in absolute level-0 pixels; one without an outline
 *   becomes a rectangle
 * @names: what its task's classes are called
 * @object_type: "detection", or "annotation", which is locked
 * @error: return location for an error
 *
 * Adds one feature.
 *
 * Returns: %FALSE with @error set if a number cannot be right
 *   (%UMEDPT_ERROR_DATA) or could not be written (%UMEDPT_ERROR_NO_SPACE,
 *   %UMEDPT_ERROR_IO), after which the writer can only be freed
 *
 * Since: 0.1
 */
gboolean
umedpt_geojson_writer_add (UmedptGeojsonWriter *self,
    const UmedptObject *object, const UmedptClassNames *names,
    const char *object_type, GError **error)
{
  GString *text;

  g_return_val_if_fail (self != NULL && object != NULL, FALSE);
  g_return_val_if_fail (names != NULL && object_type != NULL, FALSE);
  g_return_val_if_fail (!self->failed, FALSE);

  if (!check_object (object, names, error))
    return FALSE;
  text = self->text;
  g_string_append (text,
      self->n_features ? ",\n{\"type\":\"Feature\",\"id\":\""
                       : "\n{\"type\":\"Feature\",\"id\":\"");
  append_id (text, self, object_type);
  g_string_append (text, "\",\"geometry\":");
  umedpt_geojson_append_shape (text, object, self->x, self->y);
  g_string_append_printf (text, ",\"properties\":{\"objectType\":\"%s\",",
      object_type);
  append_class (text, object, names);
  g_string_append (text,
      g_str_equal (object_type, "annotation") ? ",\"isLocked\":true," : ",");
  append_measurements (text, self, object);
  if (names->labels) {
    g_autofree char *task = g_utf8_make_valid (names->task, -1);

    g_string_append (text, ",\"metadata\":{\"task\":");
    umedpt_json_append_string (text, task);
    g_string_append_c (text, '}');
  }
  g_string_append (text, "}}");
  self->n_features++;
  return write_text (self, FALSE, error);
}

/**
 * umedpt_geojson_writer_get_n_features: (skip)
 * @self: the writer
 *
 * Returns: how many features were added
 *
 * Since: 0.1
 */
guint64
umedpt_geojson_writer_get_n_features (UmedptGeojsonWriter *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->n_features;
}

/**
 * umedpt_geojson_writer_finish: (skip)
 * @self: the writer
 * @error: return location for an error
 *
 * Completes the file and gives it its name.
 *
 * Returns: %FALSE with @error set if it could not be written
 *   (%UMEDPT_ERROR_NO_SPACE, %UMEDPT_ERROR_IO, %UMEDPT_ERROR_EXISTS)
 *
 * Since: 0.1
 */
gboolean
umedpt_geojson_writer_finish (UmedptGeojsonWriter *self, GError **error)
{
  g_return_val_if_fail (self != NULL && !self->failed, FALSE);

  self->failed = TRUE; /* it ends here, one way or the other */
  g_string_append (self->text, "\n]}\n");
  return write_text (self, TRUE, error) &&
      umedpt_atomic_file_commit (self->file, error);
}
