/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Image files of data sets: every number as the file stores it, whatever the
 * kind; as indices where they are names; and what is refused. The files are
 * written by libpng, libjpeg and libtiff.
 */
#include "labelled.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <jpeglib.h>
#include <tiffio.h>

#include "base/error.h"
#include "data/image-file.h"

static UmedptImageFile *
read_file (const char *name, UmedptImageRead what)
{
  g_autofree char *path = labelled_path (name);
  g_autoptr (GError) error = NULL;
  UmedptImageFile *image = umedpt_image_file_read_as (path, what, &error);

  g_assert_no_error (error);
  return image;
}

static void
file_fails (const char *name, UmedptImageRead what, const char *word)
{
  g_autofree char *path = labelled_path (name);
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_image_file_read_as (path, what, &error));
  g_assert_true (error->domain == UMEDPT_ERROR);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, name));
  g_assert_nonnull (strstr (error->message, word));
}

static void
test_png (void)
{
  static const gint depths[] = { 1, 2, 4, 8, 16 };
  static const guint16 numbers[] = { 0, 1, 1, 0, 1, 0 };

  labelled_begin ();
  for (guint i = 0; i < G_N_ELEMENTS (depths); i++) {
    g_autoptr (UmedptImageFile) grey = NULL, indices = NULL;
    double top = (1 << depths[i]) - 1;

    labelled_png ("a.png", 3, 2, depths[i], numbers, FALSE);
    grey = read_file ("a.png", UMEDPT_IMAGE_READ_PIXELS);
    g_assert_cmpint (grey->width, ==, 3);
    g_assert_cmpint (grey->height, ==, 2);
    g_assert_cmpint (grey->channels, ==, 1);
    g_assert_cmpfloat (grey->max, ==, MAX (top, 255));
    g_assert_cmpfloat (grey->data[1], ==, MAX (255 / top, 1));
    indices = read_file ("a.png", UMEDPT_IMAGE_READ_INDICES);
    g_assert_cmpfloat (indices->data[1], ==, 1);
    g_assert_cmpfloat (indices->max, ==, top);
  }
}

static void
test_png_palette (void)
{
  static const guint16 numbers[] = { 0, 3, 2, 0, 1, 0 };
  g_autoptr (UmedptImageFile) pixels = NULL, indices = NULL;

  labelled_begin ();
  labelled_png ("a.png", 3, 2, 4, numbers, TRUE);
  pixels = read_file ("a.png", UMEDPT_IMAGE_READ_PIXELS);
  g_assert_cmpint (pixels->channels, ==, 3);
  g_assert_cmpfloat (pixels->data[3], ==, 252);
  g_assert_cmpfloat (pixels->data[4], ==, 3);
  g_assert_cmpfloat (pixels->data[5], ==, 7);
  indices = read_file ("a.png", UMEDPT_IMAGE_READ_INDICES);
  g_assert_cmpint (indices->channels, ==, 1);
  g_assert_cmpfloat (indices->data[1], ==, 3);
}

/* 16 bits keep their precision, and a window picks from them. */
static void
test_sample (void)
{
  static const guint16 numbers[] = { 0, 1000, 1001, 4095, 65535, 2 };
  g_autoptr (UmedptImageFile) image = NULL;
  g_autoptr (UmedptSample) all = NULL, part = NULL;

  labelled_begin ();
  labelled_png ("a.png", 3, 2, 16, numbers, FALSE);
  image = read_file ("a.png", UMEDPT_IMAGE_READ_PIXELS);
  all = umedpt_image_file_to_sample (image, 0, 0);
  part = umedpt_image_file_to_sample (image, 1000, 4095);
  for (guint c = 0; c < 3; c++) {
    g_assert_cmpfloat_with_epsilon (all->image[3 + c], 1000 / 65535.0, 1e-7);
    g_assert_cmpfloat (all->image[12 + c], ==, 1);
    g_assert_cmpfloat (part->image[3 + c], ==, 0);
    g_assert_cmpfloat_with_epsilon (part->image[6 + c], 1 / 3095.0, 1e-7);
    g_assert_cmpfloat (part->image[9 + c], ==, 1);
    g_assert_cmpfloat (part->image[12 + c], ==, 1); /* clipped */
  }
}

static void
write_jpeg (const char *name, gint components, J_COLOR_SPACE space)
{
  g_autofree char *path = labelled_path (name);
  struct jpeg_error_mgr manager;
  struct jpeg_compress_struct info = { .err = jpeg_std_error (&manager) };
  FILE *file = g_fopen (path, "wb");
  guint8 row[16 * 4];

  g_assert_nonnull (file);
  memset (row, 100, sizeof row);
  jpeg_create_compress (&info);
  jpeg_stdio_dest (&info, file);
  info.image_width = 16;
  info.image_height = 9;
  info.input_components = components;
  info.in_color_space = space;
  jpeg_set_defaults (&info);
  jpeg_start_compress (&info, TRUE);
  while (info.next_scanline < 9) {
    JSAMPROW rows[] = { row };

    jpeg_write_scanlines (&info, rows, 1);
  }
  jpeg_finish_compress (&info);
  jpeg_destroy_compress (&info);
  fclose (file);
}

static void
test_jpeg (void)
{
  g_autoptr (UmedptImageFile) grey = NULL, rgb = NULL;
  g_autofree char *path = NULL;
  gint width, height;

  labelled_begin ();
  write_jpeg ("grey.jpg", 1, JCS_GRAYSCALE);
  write_jpeg ("rgb.jpg", 3, JCS_RGB);
  write_jpeg ("cmyk.jpg", 4, JCS_CMYK);
  grey = read_file ("grey.jpg", UMEDPT_IMAGE_READ_PIXELS);
  g_assert_cmpint (grey->channels, ==, 1);
  g_assert_cmpfloat_with_epsilon (grey->data[5], 100, 2);
  rgb = read_file ("rgb.jpg", UMEDPT_IMAGE_READ_PIXELS);
  g_assert_cmpint (rgb->channels, ==, 3);
  g_assert_cmpfloat_with_epsilon (rgb->data[16 * 9 * 3 - 1], 100, 3);
  file_fails ("cmyk.jpg", UMEDPT_IMAGE_READ_PIXELS, "CMYK");
  file_fails ("rgb.jpg", UMEDPT_IMAGE_READ_INDICES, "PNG or TIFF");
  path = labelled_path ("rgb.jpg");
  g_assert_true (umedpt_image_file_size (path, &width, &height, NULL));
  g_assert_true (width == 16 && height == 9);
}

typedef struct
{
  gint bits, samples, format, photometric, planar, tile, compression;
} TiffKind;

/* 20 x 18, numbers = 3 i + 1 below 100, all samples alike. */
static void
write_tiff (const char *name, const TiffKind *kind)
{
  g_autofree char *path = labelled_path (name);
  TIFF *tiff = TIFFOpen (path, "w");
  gsize side_x = kind->tile ? kind->tile : 20, side_y = kind->tile ? 32 : 5;
  gsize per = kind->planar == PLANARCONFIG_SEPARATE ? 1 : kind->samples;
  gsize n = side_x * side_y * per;
  g_autofree guint8 *buffer = g_malloc (n * kind->bits / 8);

  g_assert_nonnull (tiff);
  TIFFSetField (tiff, TIFFTAG_IMAGEWIDTH, 20);
  TIFFSetField (tiff, TIFFTAG_IMAGELENGTH, 18);
  TIFFSetField (tiff, TIFFTAG_BITSPERSAMPLE, kind->bits);
  TIFFSetField (tiff, TIFFTAG_SAMPLESPERPIXEL, kind->samples);
  TIFFSetField (tiff, TIFFTAG_SAMPLEFORMAT, kind->format);
  TIFFSetField (tiff, TIFFTAG_PHOTOMETRIC, kind->photometric);
  TIFFSetField (tiff, TIFFTAG_PLANARCONFIG, kind->planar);
  TIFFSetField (tiff, TIFFTAG_COMPRESSION, kind->compression);
  if (kind->tile) {
    TIFFSetField (tiff, TIFFTAG_TILEWIDTH, kind->tile);
    TIFFSetField (tiff, TIFFTAG_TILELENGTH, 32);
  } else {
    TIFFSetField (tiff, TIFFTAG_ROWSPERSTRIP, 5);
  }
  for (gint plane = 0; plane < (per == 1 ? kind->samples : 1); plane++)
    for (gsize y = 0; y < 18; y += side_y)
      for (gsize x = 0; x < 20; x += side_x) {
        gsize rows = kind->tile ? side_y : MIN (5, 18 - y);

        for (gsize i = 0; i < n; i++) {
          gsize px = x + i / per % side_x, py = y + i / per / side_x;
          gint value = (gint) ((py * 20 + px) * 3 % 99 + 1);
          gfloat real = (gfloat) value;
          guint32 word = (guint32) value;

          if (kind->format == SAMPLEFORMAT_IEEEFP)
            memcpy (buffer + i * 4, &real, 4);
          else
            memcpy (buffer + i * kind->bits / 8, &word, kind->bits / 8);
        }
        if (kind->tile)
          g_assert_cmpint (TIFFWriteTile (tiff, buffer, (guint32) x,
                               (guint32) y, 0, (guint16) plane),
              >, 0);
        else
          g_assert_cmpint (TIFFWriteEncodedStrip (tiff,
                               TIFFComputeStrip (tiff, (guint32) y,
                                   (guint16) plane),
                               buffer,
                               (tmsize_t) (20 * rows * per * kind->bits / 8)),
              >, 0);
      }
  TIFFClose (tiff);
}

static void
test_tiff (void)
{
  // clang-format off
  static const TiffKind kinds[] = {
    { 8, 1, SAMPLEFORMAT_UINT, PHOTOMETRIC_MINISBLACK, 1, 0, COMPRESSION_NONE },
    { 16, 1, SAMPLEFORMAT_UINT, PHOTOMETRIC_MINISBLACK, 1, 0, COMPRESSION_LZW },
    { 16, 1, SAMPLEFORMAT_INT, PHOTOMETRIC_MINISBLACK, 1, 16, COMPRESSION_LZW },
    { 32, 1, SAMPLEFORMAT_UINT, PHOTOMETRIC_MINISBLACK, 1, 16,
      COMPRESSION_ADOBE_DEFLATE },
    { 32, 1, SAMPLEFORMAT_IEEEFP, PHOTOMETRIC_MINISBLACK, 1, 0,
      COMPRESSION_ADOBE_DEFLATE },
    { 8, 3, SAMPLEFORMAT_UINT, PHOTOMETRIC_RGB, 1, 16, COMPRESSION_NONE },
    { 8, 3, SAMPLEFORMAT_UINT, PHOTOMETRIC_RGB, 2, 16, COMPRESSION_LZW },
    { 16, 3, SAMPLEFORMAT_UINT, PHOTOMETRIC_RGB, 2, 0, COMPRESSION_NONE },
    { 8, 4, SAMPLEFORMAT_UINT, PHOTOMETRIC_RGB, 1, 0, COMPRESSION_PACKBITS },
  };
  // clang-format on

  labelled_begin ();
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    g_autoptr (UmedptImageFile) image = NULL;

    write_tiff ("a.tif", &kinds[i]);
    image = read_file ("a.tif", UMEDPT_IMAGE_READ_PIXELS);
    g_assert_cmpint (image->width, ==, 20);
    g_assert_cmpint (image->height, ==, 18);
    g_assert_cmpint (image->channels, ==, kinds[i].samples > 1 ? 3 : 1);
    for (gint j = 0; j < 20 * 18 * image->channels; j++)
      g_assert_cmpfloat (image->data[j], ==, j / image->channels * 3 % 99 + 1);
    g_clear_pointer (&image, umedpt_image_file_free);
    image = read_file ("a.tif", UMEDPT_IMAGE_READ_INDICES);
    g_assert_cmpint (image->channels, ==, 1);
  }
}

static void
test_tiff_refused (void)
{
  TiffKind complex = { 32, 1, SAMPLEFORMAT_COMPLEXINT, PHOTOMETRIC_MINISBLACK,
    1, 0, COMPRESSION_NONE };
  TiffKind lab = { 8, 3, SAMPLEFORMAT_UINT, PHOTOMETRIC_CIELAB, 1, 0,
    COMPRESSION_NONE };
  TiffKind fine = { 8, 1, SAMPLEFORMAT_UINT, PHOTOMETRIC_MINISBLACK, 1, 0,
    COMPRESSION_LZW };
  g_autofree char *path = NULL;

  labelled_begin ();
  write_tiff ("complex.tif", &complex);
  file_fails ("complex.tif", UMEDPT_IMAGE_READ_PIXELS, "bits per sample");
  write_tiff ("wide.tif", &lab);
  file_fails ("wide.tif", UMEDPT_IMAGE_READ_PIXELS, "colour model");
  write_tiff ("cut.tif", &fine);
  path = labelled_path ("cut.tif");
  g_assert_cmpint (truncate (path, 60), ==, 0);
  file_fails ("cut.tif", UMEDPT_IMAGE_READ_PIXELS, "truncated or damaged");
}

/* Cut off at every tenth of the file: never a picture. */
static void
test_truncated (void)
{
  static const char *const names[] = { "a.png", "a.jpg" };

  labelled_begin ();
  labelled_grey ("a.png", 33, 20, 5);
  write_jpeg ("a.jpg", 3, JCS_RGB);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = labelled_path (names[i]);
    g_autofree char *content = NULL;
    gsize size;

    g_assert_true (g_file_get_contents (path, &content, &size, NULL));
    for (guint tenth = 0; tenth < 10; tenth++) {
      labelled_write (names[i], content, (gssize) (size * tenth / 10));
      file_fails (names[i], UMEDPT_IMAGE_READ_PIXELS, "Cannot read");
    }
  }
}

static void
test_wrong (void)
{
  static const guint8 huge[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0,
    0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 0x90, 0, 0, 0, 0x90, 0, 8, 0, 0, 0, 0,
    0x28, 0x3f, 0xa4, 0xa6, 0, 0, 0, 1, 'I', 'D', 'A', 'T' };

  labelled_begin ();
  file_fails ("none.png", UMEDPT_IMAGE_READ_PIXELS, "does not exist");
  labelled_text ("empty.png", "");
  file_fails ("empty.png", UMEDPT_IMAGE_READ_PIXELS, "empty");
  labelled_text ("text.png", "Just a text.");
  file_fails ("text.png", UMEDPT_IMAGE_READ_PIXELS, "first bytes");
  labelled_write ("huge.png", (const char *) huge, sizeof huge);
  file_fails ("huge.png", UMEDPT_IMAGE_READ_PIXELS, "36864 x 36864");
  labelled_text ("folder/x", "");
  file_fails ("folder", UMEDPT_IMAGE_READ_PIXELS, "regular file");
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/image-file/png", test_png);
  g_test_add_func ("/image-file/png/palette", test_png_palette);
  g_test_add_func ("/image-file/sample", test_sample);
  g_test_add_func ("/image-file/jpeg", test_jpeg);
  g_test_add_func ("/image-file/tiff", test_tiff);
  g_test_add_func ("/image-file/tiff/refused", test_tiff_refused);
  g_test_add_func ("/image-file/truncated", test_truncated);
  g_test_add_func ("/image-file/wrong", test_wrong);
  result = g_test_run ();
  labelled_end ();
  return result;
}
