/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A small reader of NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz), by zlib.
 * Offsets are those of nifti1.h and nifti2.h. What the header claims is
 * checked before memory is taken, and a file that ends early is an error. The
 * numbers are converted a stretch at a time.
 */
#include "data/nifti.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include <glib/gstdio.h>
#include <zlib.h>

#include "base/error.h"

#define MAX_SIDE 32768
#define MAX_VOXELS ((guint64) 1 << 29) /* of a channel: 2 GiB of floats */
#define MAX_CHANNELS 65536
#define STRETCH 65536 /* numbers converted at once */

enum
{
  TYPE_UINT8 = 2,
  TYPE_INT16 = 4,
  TYPE_INT32 = 8,
  TYPE_FLOAT32 = 16,
  TYPE_FLOAT64 = 64,
  TYPE_INT8 = 256,
  TYPE_UINT16 = 512,
  TYPE_UINT32 = 768,
  TYPE_INT64 = 1024,
  TYPE_UINT64 = 1280,
};

static gboolean fail (const char *path, UmedptError code, GError **error,
    const char *format, ...) G_GNUC_PRINTF (4, 5);

static gboolean
fail (const char *path, UmedptError code, GError **error, const char *format,
    ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, UMEDPT_ERROR, code, "Cannot read the volume “%s”: %s.",
      path, text);
  return FALSE;
}

static gsize
find_size (gint datatype)
{
  switch (datatype) {
    case TYPE_UINT8:
    case TYPE_INT8:
      return 1;
    case TYPE_INT16:
    case TYPE_UINT16:
      return 2;
    case TYPE_INT32:
    case TYPE_UINT32:
    case TYPE_FLOAT32:
      return 4;
    case TYPE_FLOAT64:
    case TYPE_INT64:
    case TYPE_UINT64:
      return 8;
    default:
      return 0;
  }
}

/* Bytes in this machine's order. */
static void
get (const guint8 *bytes, gsize size, gboolean swapped, void *value)
{
  guint8 *out = value;

  for (gsize i = 0; i < size; i++)
    out[i] = bytes[swapped ? size - 1 - i : i];
}

static gint16
get_i16 (const guint8 *bytes, gboolean swapped)
{
  gint16 value;

  get (bytes, sizeof value, swapped, &value);
  return value;
}

static gint32
get_i32 (const guint8 *bytes, gboolean swapped)
{
  gint32 value;

  get (bytes, sizeof value, swapped, &value);
  return value;
}

static gint64
get_i64 (const guint8 *bytes, gboolean swapped)
{
  gint64 value;

  get (bytes, sizeof value, swapped, &value);
  return value;
}

static double
get_f32 (const guint8 *bytes, gboolean swapped)
{
  gfloat value;

  get (bytes, sizeof value, swapped, &value);
  return (double) value;
}

static double
get_f64 (const guint8 *bytes, gboolean swapped)
{
  double value;

  get (bytes, sizeof value, swapped, &value);
  return value;
}

/* dim[0 … 7] into the header, or why not. */
static gboolean
check_dims (const char *path, const gint64 *dims, UmedptNiftiHeader *header,
    GError **error)
{
  if (dims[0] < 2 || dims[0] > 7)
    return fail (path, UMEDPT_ERROR_FORMAT, error,
        "it has %" G_GINT64_FORMAT " dimensions; expected 2 to 7", dims[0]);
  for (gint i = 1; i <= dims[0]; i++)
    if (dims[i] < 1 || dims[i] > (i <= 3 ? MAX_SIDE : MAX_CHANNELS) ||
        (i > 4 && dims[i] > 1))
      return fail (path, UMEDPT_ERROR_UNSUPPORTED, error,
          "dimension %d is %" G_GINT64_FORMAT "; a volume has three of 1 to %d "
          "and perhaps channels",
          i, dims[i], MAX_SIDE);
  header->width = (gint) dims[1];
  header->height = (gint) dims[2];
  header->depth = dims[0] >= 3 ? (gint) dims[3] : 1;
  header->channels = dims[0] >= 4 ? (gint) dims[4] : 1;
  if ((guint64) header->width * (guint64) header->height *
          (guint64) header->depth >
      MAX_VOXELS)
    return fail (path, UMEDPT_ERROR_UNSUPPORTED, error,
        "%d x %d x %d voxels are more than %d million", header->width,
        header->height, header->depth, (gint) (MAX_VOXELS / 1000000));
  return TRUE;
}

/* What both versions need. */
static gboolean
check_rest (const char *path, UmedptNiftiHeader *header, double offset,
    guint64 smallest, GError **error)
{
  header->number_size = find_size (header->datatype);
  if (header->number_size == 0)
    return fail (path, UMEDPT_ERROR_UNSUPPORTED, error,
        "its numbers are of type %d; integers and floats of one number per "
        "voxel can be read, no colours and no complex numbers",
        header->datatype);
  if (!(offset >= (double) smallest && offset <= 1e9))
    return fail (path, UMEDPT_ERROR_FORMAT, error,
        "its numbers begin at byte %g; expected %" G_GUINT64_FORMAT
        " or a little more",
        offset, smallest);
  header->offset = (guint64) offset;
  /* both say: there is no scaling */
  if (header->slope == 0 || !isfinite (header->slope) ||
      !isfinite (header->inter)) {
    header->slope = 1;
    header->inter = 0;
  }
  return TRUE;
}

static gboolean
parse_1 (const char *path, const guint8 *bytes, UmedptNiftiHeader *header,
    GError **error)
{
  gboolean swapped = header->swapped;
  gint64 dims[8];

  if (memcmp (bytes + 344, "ni1", 4) == 0)
    return fail (path, UMEDPT_ERROR_UNSUPPORTED, error,
        "its numbers are in another file (.img); convert it to one .nii.gz");
  if (memcmp (bytes + 344, "n+1", 4) != 0)
    return fail (path, UMEDPT_ERROR_FORMAT, error,
        "it is no NIfTI (the mark n+1 is missing)");
  for (gint i = 0; i < 8; i++)
    dims[i] = get_i16 (bytes + 40 + 2 * i, swapped);
  header->datatype = get_i16 (bytes + 70, swapped);
  header->slope = get_f32 (bytes + 112, swapped);
  header->inter = get_f32 (bytes + 116, swapped);
  return check_dims (path, dims, header, error) &&
      check_rest (path, header, get_f32 (bytes + 108, swapped), 348, error);
}

static gboolean
parse_2 (const char *path, const guint8 *bytes, UmedptNiftiHeader *header,
    GError **error)
{
  gboolean swapped = header->swapped;
  gint64 dims[8];

  if (memcmp (bytes + 4, "n+2\0\r\n\032\n", 8) != 0)
    return fail (path, UMEDPT_ERROR_FORMAT, error,
        "it is no NIfTI (the mark n+2 is missing)");
  header->datatype = get_i16 (bytes + 12, swapped);
  for (gint i = 0; i < 8; i++)
    dims[i] = get_i64 (bytes + 16 + 8 * i, swapped);
  header->slope = get_f64 (bytes + 176, swapped);
  header->inter = get_f64 (bytes + 184, swapped);
  return check_dims (path, dims, header, error) &&
      check_rest (path, header, (double) get_i64 (bytes + 168, swapped), 540,
          error);
}

/* Exactly @n bytes. */
static gboolean
read_bytes (gzFile file, const char *path, void *out, gsize n, GError **error)
{
  gint got = gzread (file, out, (unsigned) n), code = Z_OK;
  const char *why = gzerror (file, &code);

  if (got == (gint) n)
    return TRUE;
  return fail (path, UMEDPT_ERROR_FORMAT, error,
      "it is truncated or damaged%s%s", got < 0 && code != Z_ERRNO ? ": " : "",
      got < 0 && code != Z_ERRNO ? why : "");
}

static gboolean
parse_header (gzFile file, const char *path, UmedptNiftiHeader *header,
    GError **error)
{
  guint8 bytes[540];
  gint size;

  memset (header, 0, sizeof *header);
  if (!read_bytes (file, path, bytes, 348, error))
    return FALSE;
  for (gint i = 0; i < 2; i++) {
    header->swapped = i == 1;
    size = get_i32 (bytes, header->swapped);
    if (size == 348)
      return parse_1 (path, bytes, header, error);
    if (size == 540)
      return read_bytes (file, path, bytes + 348, 540 - 348, error) &&
          parse_2 (path, bytes, header, error);
  }
  return fail (path, UMEDPT_ERROR_FORMAT, error,
      "it is no NIfTI by its first bytes");
}

static gzFile
open_file (const char *path, GError **error)
{
  GStatBuf info;
  gzFile file = NULL;

  if (g_stat (path, &info) != 0)
    fail (path, UMEDPT_ERROR_NOT_FOUND, error,
        "it does not exist or its folder cannot be entered");
  else if (!S_ISREG (info.st_mode))
    fail (path, UMEDPT_ERROR_UNSUPPORTED, error, "it is no regular file");
  else if ((file = gzopen (path, "rb")) == NULL)
    fail (path, UMEDPT_ERROR_IO, error, "it cannot be read (is it yours?)");
  if (file != NULL)
    gzbuffer (file, 128 * 1024);
  return file;
}

gboolean
umedpt_nifti_read_header (const char *path, UmedptNiftiHeader *header,
    GError **error)
{
  gzFile file = open_file (path, error);
  gboolean ok;

  if (file == NULL)
    return FALSE;
  ok = parse_header (file, path, header, error);
  gzclose (file);
  return ok;
}

static double
get_number (const UmedptNiftiHeader *header, const guint8 *bytes)
{
  gboolean swapped = header->swapped;

  switch (header->datatype) {
    case TYPE_UINT8:
      return bytes[0];
    case TYPE_INT8:
      return (gint8) bytes[0];
    case TYPE_INT16:
      return get_i16 (bytes, swapped);
    case TYPE_UINT16:
      return (guint16) get_i16 (bytes, swapped);
    case TYPE_INT32:
      return get_i32 (bytes, swapped);
    case TYPE_UINT32:
      return (guint32) get_i32 (bytes, swapped);
    case TYPE_INT64:
      return (double) get_i64 (bytes, swapped);
    case TYPE_UINT64:
      return (double) (guint64) get_i64 (bytes, swapped);
    case TYPE_FLOAT32:
      return get_f32 (bytes, swapped);
    default:
      return get_f64 (bytes, swapped);
  }
}

static gboolean
skip_bytes (gzFile file, const char *path, guint64 n, GError **error)
{
  g_autofree guint8 *buffer = g_malloc (STRETCH);

  while (n > 0) {
    gsize now = (gsize) MIN (n, STRETCH);

    if (!read_bytes (file, path, buffer, now, error))
      return FALSE;
    n -= now;
  }
  return TRUE;
}

static gboolean
read_numbers (gzFile file, const char *path, const UmedptNiftiHeader *header,
    gfloat *out, gsize n, GError **error)
{
  g_autofree guint8 *buffer = g_malloc_n (STRETCH, header->number_size);

  for (gsize first = 0; first < n; first += STRETCH) {
    gsize now = MIN (STRETCH, n - first);

    if (!read_bytes (file, path, buffer, now * header->number_size, error))
      return FALSE;
    for (gsize i = 0; i < now; i++) {
      double value = get_number (header, buffer + i * header->number_size);

      out[first + i] = (gfloat) (value * header->slope + header->inter);
      if (!isfinite (out[first + i]))
        return fail (path, UMEDPT_ERROR_DATA, error,
            "voxel %d, %d, %d is no finite number",
            (gint) ((first + i) % header->width),
            (gint) ((first + i) / header->width % header->height),
            (gint) ((first + i) / header->width / header->height));
    }
  }
  return TRUE;
}

static gboolean
read_channel (gzFile file, const char *path, gint channel,
    UmedptNiftiHeader *header, gfloat **out, GError **error)
{
  guint64 n, at = header->offset, before = header->offset;
  guint8 byte;

  if (channel >= header->channels)
    return fail (path, UMEDPT_ERROR_SETTINGS, error,
        "it has %d channels and no channel %d (they count from 0)",
        header->channels, channel);
  n = (guint64) header->width * header->height * header->depth;
  *out = g_try_new (gfloat, n);
  if (*out == NULL)
    return fail (path, UMEDPT_ERROR_NO_MEMORY, error,
        "there is no memory for %" G_GUINT64_FORMAT " voxels", n);
  before = (guint64) gztell (file);
  at += n * header->number_size * (guint64) channel;
  if (!skip_bytes (file, path, at - before, error) ||
      !read_numbers (file, path, header, *out, n, error))
    return FALSE;
  /* on to the end of a last channel, where gzip keeps its checksum */
  if (channel == header->channels - 1 && gzread (file, &byte, 1) < 0)
    return fail (path, UMEDPT_ERROR_FORMAT, error,
        "it is damaged: its checksum is wrong");
  return TRUE;
}

gfloat *
umedpt_nifti_read (const char *path, gint channel, UmedptNiftiHeader *header,
    GError **error)
{
  gzFile file = open_file (path, error);
  gfloat *data = NULL;

  if (file == NULL)
    return NULL;
  if (!parse_header (file, path, header, error) ||
      !read_channel (file, path, channel, header, &data, error))
    g_clear_pointer (&data, g_free);
  gzclose (file);
  return data;
}
