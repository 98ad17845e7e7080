/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * TensorBoard's event file: TFRecords (length, masked CRC-32C of the length,
 * data, masked CRC-32C of the data; little-endian) of Event protocol buffers
 * (tensorflow/core/util/event.proto: wall_time = 1, step = 2, file_version =
 * 3, summary = 5; Summary.value = 1 with tag = 1 and simple_value = 2).
 *
 * What goes in is the run's log. A writer first replays the log of its
 * folder into a new file and removes the ones it left before, so that a
 * resumed run shows one curve, without what was done twice.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <glib/gstdio.h>

#include "base/error.h"
#include "output/run-log.h"
#include "output/run-report.h"

#define PREFIX "events.out.tfevents."
#define SUFFIX ".umedpt"

struct _UmedptEventWriter
{
  FILE *file;
  char *path;
};

/* CRC-32C (Castagnoli; RFC 3720, appendix B.4), bit by bit: records are short. */
static guint32
crc32c (const guint8 *data, gsize size)
{
  guint32 crc = 0xffffffff;

  for (gsize i = 0; i < size; i++) {
    crc ^= data[i];
    for (guint bit = 0; bit < 8; bit++)
      crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

/* TFRecord's masking: checksums of data that hold checksums. */
static guint32
masked_crc (const guint8 *data, gsize size)
{
  const guint32 crc = crc32c (data, size);

  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static void
append_u32 (GByteArray *bytes, guint32 value)
{
  value = GUINT32_TO_LE (value);
  g_byte_array_append (bytes, (const guint8 *) &value, sizeof value);
}

static void
append_varint (GByteArray *bytes, guint64 value)
{
  do {
    guint8 byte = (guint8) (value & 0x7f) | (value > 0x7f ? 0x80 : 0);

    g_byte_array_append (bytes, &byte, 1);
    value >>= 7;
  } while (value);
}

/* A field of wire type 2: strings and messages. */
static void
append_field (GByteArray *bytes, guint field, gconstpointer data, gsize size)
{
  append_varint (bytes, field << 3 | 2);
  append_varint (bytes, size);
  g_byte_array_append (bytes, data, (guint) size);
}

static gboolean
write_record (UmedptEventWriter *self, const GByteArray *event, GError **error)
{
  g_autoptr (GByteArray) record = g_byte_array_new ();
  const guint64 length = GUINT64_TO_LE (event->len);

  g_byte_array_append (record, (const guint8 *) &length, sizeof length);
  append_u32 (record, masked_crc (record->data, record->len));
  g_byte_array_append (record, event->data, event->len);
  append_u32 (record, masked_crc (event->data, event->len));
  if (fwrite (record->data, 1, record->len, self->file) == record->len)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
      "The event file '%s' could not be written: %s.", self->path,
      g_strerror (errno));
  return FALSE;
}

static void
append_time (GByteArray *event)
{
  const double now = g_get_real_time () / 1e6;
  guint64 bits;

  memcpy (&bits, &now, sizeof bits);
  bits = GUINT64_TO_LE (bits);
  append_varint (event, 1 << 3 | 1);
  g_byte_array_append (event, (const guint8 *) &bits, sizeof bits);
}

static gboolean
write_version (UmedptEventWriter *self, GError **error)
{
  static const char version[] = "brain.Event:2";
  g_autoptr (GByteArray) event = g_byte_array_new ();

  append_time (event);
  append_field (event, 3, version, strlen (version));
  return write_record (self, event, error);
}

static void
append_value (GByteArray *summary, const char *tag, double value)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  const float single = (float) value;
  guint32 bits;

  memcpy (&bits, &single, sizeof bits);
  append_field (bytes, 1, tag, strlen (tag));
  append_varint (bytes, 2 << 3 | 5);
  append_u32 (bytes, bits);
  append_field (summary, 1, bytes->data, bytes->len);
}

/* "tasks/nuclei/metrics/dice" of a validation is shown as
 * "validation/nuclei/dice"; NULL: not a curve. */
static char *
make_tag (const UmedptRunEvent *event, const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  const guint n = g_strv_length (parts);

  if (g_str_equal (event->type, "round")) {
    if (n > 1 || !(g_str_equal (path, "round") || g_str_equal (path, "epoch")))
      return g_strconcat ("train/", path, NULL);
  } else if (g_str_equal (event->type, "validation")) {
    if (n == 3 && g_str_equal (parts[2], "loss"))
      return g_strconcat ("validation/", parts[1], "/loss", NULL);
    if (n == 4 && g_str_equal (parts[2], "metrics"))
      return g_strconcat ("validation/", parts[1], "/", parts[3], NULL);
    if (g_str_equal (path, "score"))
      return g_strdup ("validation/score");
  }
  return NULL;
}

static gboolean
write_event (UmedptEventWriter *self, const UmedptRunEvent *event,
    GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GByteArray) summary = g_byte_array_new ();

  for (guint i = 0; i < event->leaves->len; i++) {
    const UmedptLeaf *leaf = g_ptr_array_index (event->leaves, i);
    g_autofree char *tag = make_tag (event, leaf->path);

    if (tag && leaf->kind == UMEDPT_LEAF_NUMBER && isfinite (leaf->number))
      append_value (summary, tag, leaf->number);
  }
  if (!summary->len)
    return TRUE;
  append_time (bytes);
  append_varint (bytes, 2 << 3 | 0);
  append_varint (bytes, (guint64) event->round);
  append_field (bytes, 5, summary->data, summary->len);
  return write_record (self, bytes, error);
}

/* Files of earlier writers: all that they held is in the log. */
static void
remove_old (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL);

    if (g_str_has_prefix (name, PREFIX) && g_str_has_suffix (name, SUFFIX))
      g_unlink (path);
  }
}

static gboolean
replay (UmedptEventWriter *self, const char *folder, GError **error)
{
  g_autofree char *log = g_build_filename (folder, "log.jsonl", NULL);
  g_autoptr (GPtrArray) events = NULL;

  if (!g_file_test (log, G_FILE_TEST_EXISTS))
    return TRUE;
  events = umedpt_run_log_read (folder, error);
  if (!events)
    return FALSE;
  for (guint i = 0; i < events->len; i++)
    if (!write_event (self, g_ptr_array_index (events, i), error))
      return FALSE;
  return TRUE;
}

/**
 * umedpt_event_writer_new: (skip)
 * @folder: the folder of a training run
 * @error: return location for a #GError
 *
 * Begins the run's TensorBoard event file with what its log already holds.
 *
 * Returns: (transfer full): the writer, or %NULL with @error set
 *   (%UMEDPT_ERROR_IO, %UMEDPT_ERROR_FORMAT for a damaged log)
 *
 * Since: 0.1
 */
UmedptEventWriter *
umedpt_event_writer_new (const char *folder, GError **error)
{
  g_autoptr (UmedptEventWriter) self = g_new0 (UmedptEventWriter, 1);
  g_autofree char *name = g_strdup_printf (PREFIX "%" G_GINT64_FORMAT SUFFIX,
      g_get_real_time () / G_USEC_PER_SEC);

  g_return_val_if_fail (folder != NULL, NULL);

  remove_old (folder);
  self->path = g_build_filename (folder, name, NULL);
  self->file = g_fopen (self->path, "wb");
  if (!self->file) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
        "The event file '%s' could not be made: %s.", self->path,
        g_strerror (errno));
    return NULL;
  }
  if (!write_version (self, error) || !replay (self, folder, error))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * umedpt_event_writer_add: (skip)
 * @self: a writer
 * @json: a line of the run's log
 * @error: return location for a #GError
 *
 * Appends the numbers of a "round" or "validation" line as scalars, and makes
 * them visible to a TensorBoard that watches; other lines add nothing.
 *
 * Returns: %TRUE, or %FALSE with @error set
 *
 * Since: 0.1
 */
gboolean
umedpt_event_writer_add (UmedptEventWriter *self, const char *json,
    GError **error)
{
  g_autoptr (UmedptRunEvent) event = NULL;

  g_return_val_if_fail (self != NULL, FALSE);

  event = umedpt_run_event_parse (json, -1, error);
  if (!event || !write_event (self, event, error))
    return FALSE;
  if (fflush (self->file) == 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
      "The event file '%s' could not be written: %s.", self->path,
      g_strerror (errno));
  return FALSE;
}

/**
 * umedpt_event_writer_free: (skip)
 * @self: (nullable): a writer
 *
 * Closes the file.
 *
 * Since: 0.1
 */
void
umedpt_event_writer_free (UmedptEventWriter *self)
{
  if (!self)
    return;
  if (self->file)
    fclose (self->file);
  g_free (self->path);
  g_free (self);
}
