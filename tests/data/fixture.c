/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Files for the tests of slides, written by the format libraries themselves,
 * so that our readers are not tested against our own idea of a format.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <jpeglib.h>
#include <png.h>
#include <tiffio.h>

static char *folder;

char *
fixture_path (const char *name)
{
  if (folder == NULL) {
    folder = g_dir_make_tmp ("umedpt-test-XXXXXX", NULL);
    g_assert_nonnull (folder);
  }
  return g_build_filename (folder, name, NULL);
}

void
fixture_remove (void)
{
  GDir *dir = folder != NULL ? g_dir_open (folder, 0, NULL) : NULL;
  const char *name;

  if (dir == NULL)
    return;
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (folder, name, NULL);

    g_unlink (path);
  }
  g_dir_close (dir);
  g_rmdir (folder);
  g_clear_pointer (&folder, g_free);
}

guint8 *
fixture_pixels (gint width, gint height, guint32 seed, gboolean alpha)
{
  GRand *rand = g_rand_new_with_seed (seed);
  guint8 *rgba = g_malloc ((gsize) width * height * 4);

  for (gint y = 0; y < height; y++)
    for (gint x = 0; x < width; x++) {
      guint8 *p = rgba + ((gsize) y * width + x) * 4;

      p[0] = (guint8) ((x * 5 + g_rand_int_range (rand, 0, 60)) & 255);
      p[1] = (guint8) ((y * 3 + g_rand_int_range (rand, 0, 60)) & 255);
      p[2] = (guint8) (((x + y) * 2 + g_rand_int_range (rand, 0, 60)) & 255);
      p[3] = 255;
      if (alpha && (x / 16 + y / 16) % 3 == 0)
        p[3] = (guint8) ((x / 16) % 2 ? 0 : 128);
    }
  g_rand_free (rand);
  return rgba;
}

void
fixture_write_png (const char *path, gint width, gint height,
    const guint8 *rgba)
{
  png_image image = { .version = PNG_IMAGE_VERSION,
    .width = (guint32) width,
    .height = (guint32) height,
    .format = PNG_FORMAT_RGBA };

  g_assert_true (png_image_write_to_file (&image, path, 0, rgba, 0, NULL));
}

void
fixture_write_jpeg (const char *path, gint width, gint height,
    const guint8 *rgba)
{
  struct jpeg_error_mgr manager;
  struct jpeg_compress_struct info = { .err = jpeg_std_error (&manager) };
  FILE *file = g_fopen (path, "wb");
  g_autofree guint8 *row = g_malloc ((gsize) width * 3);

  g_assert_nonnull (file);
  jpeg_create_compress (&info);
  jpeg_stdio_dest (&info, file);
  info.image_width = (guint) width;
  info.image_height = (guint) height;
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults (&info);
  jpeg_start_compress (&info, TRUE);
  for (gint y = 0; y < height; y++) {
    for (gint x = 0; x < width; x++)
      memcpy (row + 3 * x, rgba + ((gsize) y * width + x) * 4, 3);
    jpeg_write_scanlines (&info, &row, 1);
  }
  jpeg_finish_compress (&info);
  jpeg_destroy_compress (&info);
  fclose (file);
}

static guint
sample_bytes (FixtureKind kind)
{
  static const guint bytes[] = { 3, 4, 1, 2, 1 };

  return bytes[kind];
}

static void
convert (FixtureKind kind, const guint8 *p, guint8 *out)
{
  guint16 wide = (guint16) (p[0] << 8 | p[1]);

  memcpy (out, p, MIN (sample_bytes (kind), 4));
  if (kind == FIXTURE_GREY16)
    memcpy (out, &wide, 2);
}

static void
set_tags (TIFF *tiff, gint width, gint height, const FixtureTiff *o)
{
  gboolean grey = o->kind == FIXTURE_GREY || o->kind == FIXTURE_GREY16;
  guint16 extra = EXTRASAMPLE_UNASSALPHA, map[3][256];

  TIFFSetField (tiff, TIFFTAG_IMAGEWIDTH, width);
  TIFFSetField (tiff, TIFFTAG_IMAGELENGTH, height);
  TIFFSetField (tiff, TIFFTAG_BITSPERSAMPLE,
      o->kind == FIXTURE_GREY16 ? 16 : 8);
  TIFFSetField (tiff, TIFFTAG_SAMPLESPERPIXEL,
      o->kind == FIXTURE_GREY16 ? 1 : (int) sample_bytes (o->kind));
  TIFFSetField (tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField (tiff, TIFFTAG_PHOTOMETRIC,
      grey                             ? PHOTOMETRIC_MINISBLACK
          : o->kind == FIXTURE_PALETTE ? PHOTOMETRIC_PALETTE
                                       : PHOTOMETRIC_RGB);
  if (o->kind == FIXTURE_RGBA)
    TIFFSetField (tiff, TIFFTAG_EXTRASAMPLES, 1, &extra);
  if (o->kind == FIXTURE_PALETTE) {
    for (guint i = 0; i < 256; i++) {
      map[0][i] = (guint16) (i * 257);
      map[1][i] = (guint16) ((255 - i) * 257);
      map[2][i] = 77 * 257;
    }
    TIFFSetField (tiff, TIFFTAG_COLORMAP, map[0], map[1], map[2]);
  }
  if (o->deflate)
    TIFFSetField (tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
  if (o->rows_per_strip > 0) {
    TIFFSetField (tiff, TIFFTAG_ROWSPERSTRIP, o->rows_per_strip);
  } else {
    TIFFSetField (tiff, TIFFTAG_TILEWIDTH, 64);
    TIFFSetField (tiff, TIFFTAG_TILELENGTH, 64);
  }
  if (o->x_per_cm > 0) {
    TIFFSetField (tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_CENTIMETER);
    TIFFSetField (tiff, TIFFTAG_XRESOLUTION, o->x_per_cm);
    TIFFSetField (tiff, TIFFTAG_YRESOLUTION, o->y_per_cm);
  }
}

static void
write_strips (TIFF *tiff, gint width, gint height, const guint8 *rgba,
    const FixtureTiff *o)
{
  gsize bytes = sample_bytes (o->kind);
  g_autofree guint8 *row = g_malloc ((gsize) width * bytes);

  for (gint y = 0; y < height; y++) {
    for (gint x = 0; x < width; x++)
      convert (o->kind, rgba + ((gsize) y * width + x) * 4, row + x * bytes);
    g_assert_cmpint (TIFFWriteScanline (tiff, row, (guint32) y, 0), ==, 1);
  }
}

static void
write_tiles (TIFF *tiff, gint width, gint height, const guint8 *rgba,
    const FixtureTiff *o)
{
  gsize bytes = sample_bytes (o->kind);
  g_autofree guint8 *tile = g_malloc0 (64 * 64 * bytes);

  for (gint ty = 0; ty < height; ty += 64)
    for (gint tx = 0; tx < width; tx += 64) {
      for (gint y = ty; y < MIN (ty + 64, height); y++)
        for (gint x = tx; x < MIN (tx + 64, width); x++)
          convert (o->kind, rgba + ((gsize) y * width + x) * 4,
              tile + ((gsize) (y - ty) * 64 + (x - tx)) * bytes);
      g_assert_cmpint (TIFFWriteTile (tiff, tile, (guint32) tx, (guint32) ty, 0,
                           0),
          >, 0);
    }
}

static void
write_directory (TIFF *tiff, gint width, gint height, const guint8 *rgba,
    const FixtureTiff *o)
{
  if (o->rows_per_strip > 0)
    write_strips (tiff, width, height, rgba, o);
  else
    write_tiles (tiff, width, height, rgba, o);
  g_assert_true (TIFFWriteDirectory (tiff));
}

/* Every @factor-th pixel as a directory of its own. */
static void
write_reduced (TIFF *tiff, gint width, gint height, const guint8 *rgba,
    gint factor, const FixtureTiff *o)
{
  gint w = width / factor, h = height / factor;
  g_autofree guint8 *small = g_malloc ((gsize) w * h * 4);

  for (gint y = 0; y < h; y++)
    for (gint x = 0; x < w; x++)
      memcpy (small + ((gsize) y * w + x) * 4,
          rgba + ((gsize) y * factor * width + x * factor) * 4, 4);
  TIFFSetField (tiff, TIFFTAG_SUBFILETYPE, FILETYPE_REDUCEDIMAGE);
  set_tags (tiff, w, h, o);
  write_directory (tiff, w, h, small, o);
}

void
fixture_write_tiff (const char *path, gint width, gint height,
    const guint8 *rgba, const FixtureTiff *o)
{
  TIFF *tiff = TIFFOpen (path, "w");
  toff_t sub[1] = { 0 };

  g_assert_nonnull (tiff);
  set_tags (tiff, width, height, o);
  if (o->sub_ifd)
    TIFFSetField (tiff, TIFFTAG_SUBIFD, 1, sub);
  write_directory (tiff, width, height, rgba, o);
  if (o->thumbnail) {
    FixtureTiff strips = *o;
    strips.rows_per_strip = 16;
    write_reduced (tiff, width, height, rgba, 4, &strips);
  }
  if (o->sub_ifd || o->page)
    write_reduced (tiff, width, height, rgba, 2, o);
  TIFFClose (tiff);
}

char *
fixture_write_synth (const char *name, const UmedptSynthOptions *options)
{
  char *path = fixture_path (name);
  g_autoptr (GError) error = NULL;

  umedpt_synth_write (path, NULL, options, &error);
  g_assert_no_error (error);
  return path;
}

UmedptSlide *
fixture_open (const char *path)
{
  g_autoptr (GError) error = NULL;
  UmedptSlide *slide = umedpt_slide_open (path, &error);

  g_assert_no_error (error);
  g_assert_nonnull (slide);
  return slide;
}

/* Writes @word over a tile, from its middle on if @half. */
static void
overwrite (const char *path, guint directory, guint index, gboolean half,
    const guint8 word[2])
{
  TIFF *tiff = TIFFOpen (path, "r");
  FILE *file;
  guint64 offset, size;

  g_assert_nonnull (tiff);
  g_assert_true (TIFFSetDirectory (tiff, (guint16) directory));
  offset = TIFFGetStrileOffset (tiff, index);
  size = TIFFGetStrileByteCount (tiff, index);
  TIFFClose (tiff);
  g_assert_cmpuint (offset, >, 0);
  if (half) {
    offset += size / 2;
    size -= size / 2;
  }
  file = g_fopen (path, "r+b");
  g_assert_nonnull (file);
  g_assert_cmpint (fseek (file, (long) offset, SEEK_SET), ==, 0);
  for (guint64 i = 0; i < size; i++)
    fputc (word[i % 2], file);
  fclose (file);
}

void
fixture_damage (const char *path, guint directory, guint index, guint8 byte)
{
  const guint8 word[2] = { byte, byte };

  overwrite (path, directory, index, FALSE, word);
}

void
fixture_cut_jpeg (const char *path, guint directory, guint index)
{
  const guint8 end_of_image[2] = { 0xff, 0xd9 };

  overwrite (path, directory, index, TRUE, end_of_image);
}

void
fixture_truncate (const char *path, double share)
{
  GStatBuf info;

  g_assert_cmpint (g_stat (path, &info), ==, 0);
  g_assert_cmpint (truncate (path, (off_t) ((double) info.st_size * share)), ==,
      0);
}

char *
fixture_real (const char *name)
{
  const char *root = g_getenv ("UMEDPT_TEST_DATA");
  char *path;

  if (root == NULL) {
    g_test_skip ("UMEDPT_TEST_DATA is not set");
    return NULL;
  }
  path = g_build_filename (root, "slides", name, NULL);
  if (!g_file_test (path, G_FILE_TEST_EXISTS)) {
    g_test_skip ("the real slide is not in UMEDPT_TEST_DATA");
    g_clear_pointer (&path, g_free);
  }
  return path;
}
