/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Data sets for tests: the images are written by libpng and compressed by
 * zlib, headers of volumes byte by byte after nifti1.h.
 */
#include "labelled.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <glib/gstdio.h>
#include <png.h>
#include <zlib.h>

#include "base/error.h"

static char *folder;

static void
remove_tree (const char *path)
{
  GDir *dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *below = g_build_filename (path, name, NULL);

    if (g_file_test (below, G_FILE_TEST_IS_DIR) &&
        !g_file_test (below, G_FILE_TEST_IS_SYMLINK))
      remove_tree (below);
    else
      g_unlink (below);
  }
  g_clear_pointer (&dir, g_dir_close);
  g_rmdir (path);
}

void
labelled_end (void)
{
  if (folder != NULL)
    remove_tree (folder);
  g_clear_pointer (&folder, g_free);
}

void
labelled_begin (void)
{
  labelled_end ();
  folder = g_dir_make_tmp ("umedpt-labelled-XXXXXX", NULL);
  g_assert_nonnull (folder);
}

char *
labelled_path (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static char *
make_place (const char *name)
{
  char *path = labelled_path (name);
  g_autofree char *parent = g_path_get_dirname (path);

  g_assert_cmpint (g_mkdir_with_parents (parent, 0755), ==, 0);
  return path;
}

void
labelled_write (const char *name, const char *content, gssize length)
{
  g_autofree char *path = make_place (name);

  g_assert_true (g_file_set_contents (path, content, length, NULL));
}

void
labelled_png (const char *name, gint width, gint height, gint bits,
    const guint16 *numbers, gboolean palette)
{
  g_autofree char *path = make_place (name);
  FILE *file = g_fopen (path, "wb");
  png_structp png =
      png_create_write_struct (PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct (png);
  g_autofree guint8 *row = g_malloc0 ((gsize) width * 2);
  png_color colors[256];

  g_assert_nonnull (file);
  png_init_io (png, file);
  png_set_IHDR (png, info, (guint32) width, (guint32) height, bits,
      palette ? PNG_COLOR_TYPE_PALETTE : PNG_COLOR_TYPE_GRAY, 0, 0, 0);
  for (guint i = 0; i < 256; i++)
    colors[i] = (png_color){ (guint8) (255 - i), (guint8) i, 7 };
  if (palette)
    png_set_PLTE (png, info, colors, 1 << bits);
  png_write_info (png, info);
  if (bits < 8)
    png_set_packing (png);
  for (gint y = 0; y < height; y++) {
    for (gint x = 0; x < width; x++) {
      guint16 number = numbers[y * width + x];

      if (bits == 16) {
        row[2 * x] = (guint8) (number >> 8);
        row[2 * x + 1] = (guint8) number;
      } else {
        row[x] = (guint8) number;
      }
    }
    png_write_row (png, row);
  }
  png_write_end (png, NULL);
  png_destroy_write_struct (&png, &info);
  fclose (file);
}

void
labelled_grey (const char *name, gint width, gint height, guint seed)
{
  g_autofree guint16 *numbers = g_new (guint16, (gsize) width * height);

  for (gint i = 0; i < width * height; i++)
    numbers[i] =
        (guint16) ((seed + 3 * (guint) (i % width) + 5 * (guint) (i / width)) &
            255);
  labelled_png (name, width, height, 8, numbers, FALSE);
}

/* Appends @size bytes of @value, turned round if @swapped. */
static void
put (GByteArray *bytes, gsize at, const void *value, gsize size,
    gboolean swapped)
{
  const guint8 *from = value;

  if (bytes->len < at + size)
    g_byte_array_set_size (bytes, (guint) (at + size));
  for (gsize i = 0; i < size; i++)
    bytes->data[at + i] = from[swapped ? size - 1 - i : i];
}

static void
put_number (GByteArray *bytes, gsize i, gint datatype, gboolean swapped,
    double value)
{
  gfloat real = (gfloat) value;
  gint16 integer = (gint16) value;
  guint8 byte = (guint8) value;

  if (datatype == 16)
    put (bytes, 352 + 4 * i, &real, 4, swapped);
  else if (datatype == 4)
    put (bytes, 352 + 2 * i, &integer, 2, swapped);
  else
    put (bytes, 352 + i, &byte, 1, swapped);
}

void
labelled_nifti (const char *name, gint width, gint height, gint depth,
    gint datatype, gboolean swapped, double slope, double inter,
    const double *numbers)
{
  g_autofree char *path = make_place (name);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  gint32 size = 348;
  gint16 dims[8] = { 3, (gint16) width, (gint16) height, (gint16) depth, 1, 1,
    1, 1 };
  gint16 type = (gint16) datatype;
  gfloat scale[3] = { 352, (gfloat) slope, (gfloat) inter };
  gzFile file;

  g_byte_array_set_size (bytes, 352);
  memset (bytes->data, 0, 352);
  put (bytes, 0, &size, 4, swapped);
  for (gsize i = 0; i < 8; i++)
    put (bytes, 40 + 2 * i, &dims[i], 2, swapped);
  put (bytes, 70, &type, 2, swapped);
  for (gsize i = 0; i < 3; i++)
    put (bytes, 108 + 4 * i, &scale[i], 4, swapped);
  memcpy (bytes->data + 344, "n+1", 4);
  for (gsize i = 0; i < (gsize) width * height * depth; i++)
    put_number (bytes, i, datatype, swapped, numbers[i]);
  file = gzopen (path, g_str_has_suffix (name, ".gz") ? "wb" : "wbT");
  g_assert_nonnull (file);
  g_assert_cmpint (gzwrite (file, bytes->data, bytes->len), ==,
      (gint) bytes->len);
  g_assert_cmpint (gzclose (file), ==, Z_OK);
}

UmedptDataset *
labelled_open (const char *keys, UmedptTaskKind kind, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *text = g_strdup_printf ("[task t]\npath=.\n%s", keys);

  g_assert_true (g_key_file_load_from_data (file, text, -1, 0, NULL));
  return umedpt_dataset_new_from_keyfile (file, "task t", folder, kind, error);
}

UmedptDataset *
labelled_get (const char *keys, UmedptTaskKind kind)
{
  g_autoptr (GError) error = NULL;
  UmedptDataset *dataset = labelled_open (keys, kind, &error);

  g_assert_no_error (error);
  g_assert_nonnull (dataset);
  return dataset;
}

static void
check_words (const GError *error, va_list args)
{
  const char *word;

  g_assert_nonnull (error);
  g_assert_true (error->domain == UMEDPT_ERROR);
  g_test_message ("%s", error->message);
  while ((word = va_arg (args, const char *)) != NULL)
    if (strstr (error->message, word) == NULL)
      g_error ("“%s” is not in “%s”", word, error->message);
}

void
labelled_fails (const char *keys, UmedptTaskKind kind, ...)
{
  g_autoptr (GError) error = NULL;
  va_list args;

  g_assert_null (labelled_open (keys, kind, &error));
  va_start (args, kind);
  check_words (error, args);
  va_end (args);
}

void
labelled_read_fails (UmedptDataset *dataset, guint index, ...)
{
  g_autoptr (GError) error = NULL;
  va_list args;

  g_assert_null (umedpt_dataset_read (dataset, index, &error));
  va_start (args, index);
  check_words (error, args);
  va_end (args);
}

guint
labelled_find (UmedptDataset *dataset, const char *name)
{
  for (guint i = 0; i < umedpt_dataset_get_n_samples (dataset); i++)
    if (strcmp (umedpt_dataset_get_name (dataset, i), name) == 0)
      return i;
  g_error ("there is no sample “%s”", name);
}

guint
labelled_count (UmedptDataset *dataset, UmedptSplit split)
{
  g_autoptr (GArray) indices = umedpt_dataset_get_split (dataset, split);

  return indices->len;
}

static void
on_problem (const char *where, const char *problem, gboolean fatal,
    gpointer data)
{
  g_string_append_printf (data, "%s%s: %s\n", fatal ? "!" : "", where, problem);
}

char *
labelled_check (UmedptDataset *dataset, gint *n_fatal)
{
  GString *text = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  double progress = 0;

  *n_fatal =
      umedpt_dataset_check (dataset, on_problem, text, &progress, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (progress, ==, 1);
  g_test_message ("%s", text->str);
  return g_string_free (text, FALSE);
}
