/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The mask writer and the store below it: parts in any order give what an
 * array would hold, in bounded memory; a failure of any kind leaves nothing.
 * What the files are to other programs is checked in check-mask.py.
 */
#define _GNU_SOURCE
#include "output/mask-file.h"

#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <tiffio.h>

#include "base/error.h"
#include "base/random.h"
#include "folder.h"
#include "output/mask-store.h"

#define TILE UMEDPT_MASK_TILE
#define BLANK UMEDPT_MASK_BLANK

/* MiB. A sanitizer keeps what was freed for a while. */
#ifdef __SANITIZE_ADDRESS__
#define MAX_RSS 800
#else
#define MAX_RSS 200
#endif

static void
set_up (Folder *folder, gconstpointer data)
{
  folder_init (folder, "mask.tif");
}

static void
tear_down (Folder *folder, gconstpointer data)
{
  folder_clear (folder);
}

static const guint32 colors[] = { 0x000000, 0x56b4e9, 0xe69f00 };
static const char *const labels[] = { "background", "tumour", NULL };

static UmedptMaskInfo
make_info (gint64 width, gint64 height)
{
  return (UmedptMaskInfo){ .width = width,
    .height = height,
    .mpp = 2,
    .labels = labels,
    .colors = colors,
    .n_colors = G_N_ELEMENTS (colors) };
}

static UmedptMaskWriter *
open_writer (const char *path, gint64 width, gint64 height)
{
  UmedptMaskInfo info = make_info (width, height);
  g_autoptr (GError) error = NULL;
  UmedptMaskWriter *writer =
      umedpt_mask_writer_new (path, &info, FALSE, &error);

  g_assert_no_error (error);
  return writer;
}

/* An array and where it has been read to. */
typedef struct
{
  gint width, height, next;
  const guint8 *pixels;
} Expected;

static gboolean
compare_row (const guint8 *row, gpointer data, GError **error)
{
  Expected *expected = data;

  g_assert_cmpint (expected->next, <, expected->height);
  g_assert_cmpmem (row, expected->width,
      expected->pixels + (gsize) expected->next * (gsize) expected->width,
      expected->width);
  expected->next++;
  return TRUE;
}

/* Blotches of classes and of nothing, not all of them inside. */
static void
add_parts (UmedptMaskWriter *writer, UmedptRandom *random, guint n,
    guint8 *pixels, gint width, gint height)
{
  for (guint k = 0; k < n; k++) {
    gint w = 1 + (gint) umedpt_random_below (random, 400);
    gint h = 1 + (gint) umedpt_random_below (random, 400);
    gint x = (gint) umedpt_random_below (random, (guint64) width + 400) - 200;
    gint y = (gint) umedpt_random_below (random, (guint64) height + 400) - 200;
    gsize stride = (gsize) w + umedpt_random_below (random, 9);
    g_autofree guint8 *part = g_malloc (stride * (gsize) h);
    guint8 value = (guint8) umedpt_random_below (random, 4);
    g_autoptr (GError) error = NULL;

    memset (part, value < 3 ? value : BLANK, stride * (gsize) h);
    for (gint i = 0; i < 30; i++)
      part[umedpt_random_below (random, stride * (gsize) h)] = 1;
    g_assert_true (umedpt_mask_writer_add (writer, x, y, w, h, part, stride,
        &error));
    g_assert_no_error (error);
    for (gint j = MAX (0, -y); j < h && y + j < height; j++)
      for (gint i = MAX (0, -x); i < w && x + i < width; i++)
        pixels[(gsize) (y + j) * (gsize) width + (gsize) (x + i)] =
            part[(gsize) j * stride + (gsize) i];
  }
}

/* The directory that @tiff is at, all of its tiles. */
static void
compare_level (TIFF *tiff, const guint8 *pixels, guint32 width, guint32 height)
{
  guint32 w = 0, h = 0, tile_w = 0, tile_h = 0;
  g_autofree guint8 *tile = NULL;

  g_assert_true (TIFFGetField (tiff, TIFFTAG_IMAGEWIDTH, &w));
  g_assert_true (TIFFGetField (tiff, TIFFTAG_IMAGELENGTH, &h));
  g_assert_true (TIFFGetField (tiff, TIFFTAG_TILEWIDTH, &tile_w));
  g_assert_true (TIFFGetField (tiff, TIFFTAG_TILELENGTH, &tile_h));
  g_assert_cmpuint (w, ==, width);
  g_assert_cmpuint (h, ==, height);
  tile = g_malloc ((gsize) tile_w * tile_h);
  for (guint32 y = 0; y < h; y += tile_h)
    for (guint32 x = 0; x < w; x += tile_w) {
      g_assert_cmpint (TIFFReadTile (tiff, tile, x, y, 0, 0), >, 0);
      for (guint32 j = y; j < MIN (y + tile_h, h); j++)
        g_assert_cmpmem (tile + (gsize) (j - y) * tile_w, MIN (tile_w, w - x),
            pixels + (gsize) j * w + x, MIN (tile_w, w - x));
    }
}

/* One of the most frequent of four, and a class if any is as frequent. */
static void
check_choice (const guint8 four[4], guint8 chosen)
{
  guint count[256] = { 0 }, most = 0;

  for (guint i = 0; i < 4; i++)
    count[four[i]]++;
  for (guint i = 0; i < 4; i++)
    most = MAX (most, count[four[i]]);
  g_assert_cmpuint (count[chosen], ==, most);
  for (guint i = 0; chosen == BLANK && i < BLANK; i++)
    g_assert_cmpuint (count[i], <, most);
}

static guint8 *
read_level (TIFF *tiff, guint32 width, guint32 height)
{
  guint8 *pixels = g_malloc ((gsize) width * height);
  guint32 tile_w = 0, tile_h = 0;
  g_autofree guint8 *tile = g_malloc (TILE * TILE);

  TIFFGetField (tiff, TIFFTAG_TILEWIDTH, &tile_w);
  TIFFGetField (tiff, TIFFTAG_TILELENGTH, &tile_h);
  for (guint32 y = 0; y < height; y += tile_h)
    for (guint32 x = 0; x < width; x += tile_w) {
      g_assert_cmpint (TIFFReadTile (tiff, tile, x, y, 0, 0), >, 0);
      for (guint32 j = y; j < MIN (y + tile_h, height); j++)
        memcpy (pixels + (gsize) j * width + x, tile + (gsize) (j - y) * tile_w,
            MIN (tile_w, width - x));
    }
  return pixels;
}

static void
check_file (const char *path, const guint8 *pixels, guint32 width,
    guint32 height)
{
  TIFF *tiff = TIFFOpen (path, "r");
  g_autofree guint8 *below = NULL;
  guint32 w = width, h = height;

  g_assert_nonnull (tiff);
  compare_level (tiff, pixels, width, height);
  below = g_memdup2 (pixels, (gsize) width * height);
  while (MAX (w, h) > 512 && MIN (w, h) / 2 >= 16) {
    g_autofree guint8 *level = NULL;

    g_assert_true (TIFFReadDirectory (tiff));
    level = read_level (tiff, w / 2, h / 2);
    compare_level (tiff, level, w / 2, h / 2);
    for (guint32 y = 0; y < h / 2; y++)
      for (guint32 x = 0; x < w / 2; x++) {
        const guint8 *a = below + (gsize) (2 * y) * w + 2 * x;
        guint8 four[4] = { a[0], a[1], a[w], a[w + 1] };

        check_choice (four, level[(gsize) y * (w / 2) + x]);
      }
    w /= 2;
    h /= 2;
    g_free (below);
    below = g_steal_pointer (&level);
  }
  g_assert_false (TIFFReadDirectory (tiff));
  TIFFClose (tiff);
}

static void
test_random (Folder *fixture, gconstpointer data)
{
  static const gint sizes[][2] = { { 1, 1 }, { 512, 512 }, { 513, 511 },
    { 1, 700 }, { 2500, 33 }, { 1500, 1025 }, { 2049, 1337 } };
  UmedptRandom random;

  umedpt_random_init (&random, 3);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    const gint width = sizes[i][0], height = sizes[i][1];
    const gsize n = (gsize) width * (gsize) height;
    g_autofree guint8 *pixels = g_malloc (n);
    g_autoptr (UmedptMaskWriter) writer =
        open_writer (fixture->path, width, height);
    g_autoptr (GError) error = NULL;
    Expected expected = { width, height, 0, pixels };

    memset (pixels, BLANK, n);
    add_parts (writer, &random, 40, pixels, width, height);
    g_assert_true (umedpt_mask_writer_foreach_row (writer, compare_row,
        &expected, &error));
    g_assert_cmpint (expected.next, ==, height);
    /* more may come after a look */
    add_parts (writer, &random, 3, pixels, width, height);
    expected.next = 0;
    g_assert_true (umedpt_mask_writer_foreach_row (writer, compare_row,
        &expected, &error));
    g_assert_false (g_file_test (fixture->path, G_FILE_TEST_EXISTS));
    g_assert_true (umedpt_mask_writer_finish (writer, &error));
    g_assert_no_error (error);
    check_file (fixture->path, pixels, (guint32) width, (guint32) height);
    g_assert_cmpuint (folder_count (fixture), ==, 1);
    g_unlink (fixture->path);
  }
}

/* Fewer tiles in memory than are written to, over and over. */
static void
test_store (Folder *fixture, gconstpointer data)
{
  enum
  {
    SIDE = 4 /* tiles */
  };
  g_autoptr (UmedptMaskStore) store =
      umedpt_mask_store_new (fixture->path, 3 * UMEDPT_MASK_TILE_BYTES);
  g_autofree guint8 *all = g_malloc (SIDE * SIDE * UMEDPT_MASK_TILE_BYTES);
  g_autofree guint8 *tile = g_malloc (UMEDPT_MASK_TILE_BYTES);
  g_autoptr (GError) error = NULL;
  UmedptRandom random;

  umedpt_random_init (&random, 5);
  memset (all, BLANK, SIDE * SIDE * UMEDPT_MASK_TILE_BYTES);
  for (guint k = 0; k < 1500; k++) {
    UmedptMaskPlace place = { 0, (gint64) umedpt_random_below (&random, SIDE),
      (gint64) umedpt_random_below (&random, SIDE) };
    UmedptMaskRect rect = { (gint) umedpt_random_below (&random, TILE - 64),
      (gint) umedpt_random_below (&random, TILE - 64), 64, 64 };
    guint8 *mine =
        all + (place.row * SIDE + place.column) * UMEDPT_MASK_TILE_BYTES;
    guint8 part[64 * 64];

    /* mostly of one value, else deflating is all that is tested */
    memset (part, k % 3 == 0 ? BLANK : (gint) (k % 5), sizeof part);
    for (guint i = 0; i < 100; i++)
      part[umedpt_random_below (&random, sizeof part)] = 5;
    g_assert_true (umedpt_mask_store_write (store, &place, &rect, part, 64,
        &error));
    for (gint j = 0; j < 64; j++)
      memcpy (mine + (rect.y + j) * TILE + rect.x, part + 64 * j, 64);
  }
  g_assert_true (umedpt_mask_store_flush (store, &error));
  for (gint i = 0; i < SIDE * SIDE; i++) {
    UmedptMaskPlace place = { 0, i % SIDE, i / SIDE };
    gboolean blank;

    g_assert_true (umedpt_mask_store_read (store, &place, tile, &blank,
        &error));
    g_assert_false (blank);
    g_assert_cmpmem (tile, UMEDPT_MASK_TILE_BYTES,
        all + i * UMEDPT_MASK_TILE_BYTES, UMEDPT_MASK_TILE_BYTES);
  }
  /* Hundreds of tiles have been sent to the file, a few at a time. */
  g_assert_cmpuint (umedpt_mask_store_get_file_size (store), <=,
      2 * SIDE * SIDE * UMEDPT_MASK_TILE_BYTES);
  g_assert_cmpuint (folder_count (fixture), ==, 0);
}

/* What is made blank again costs nothing. */
static void
test_store_blank (Folder *fixture, gconstpointer data)
{
  g_autoptr (UmedptMaskStore) store = umedpt_mask_store_new (fixture->path, 1);
  g_autofree guint8 *tile = g_malloc (UMEDPT_MASK_TILE_BYTES);
  UmedptMaskRect whole = { 0, 0, TILE, TILE };
  g_autoptr (GError) error = NULL;
  const guint8 *packed;
  gsize size;
  guint64 file_size = 0;

  for (gint round = 0; round < 3; round++) {
    for (gint i = 0; i < 20; i++) {
      UmedptMaskPlace place = { 0, i, 1 << 20 };

      memset (tile, 1, UMEDPT_MASK_TILE_BYTES);
      g_assert_true (umedpt_mask_store_write (store, &place, &whole, tile, TILE,
          &error));
    }
    g_assert_true (umedpt_mask_store_flush (store, &error));
    if (round == 0)
      file_size = umedpt_mask_store_get_file_size (store);
    g_assert_cmpuint (umedpt_mask_store_get_file_size (store), ==, file_size);
    for (gint i = 0; i < 20; i++) {
      UmedptMaskPlace place = { 0, i, 1 << 20 };

      memset (tile, BLANK, UMEDPT_MASK_TILE_BYTES);
      g_assert_true (umedpt_mask_store_get_packed (store, &place, &packed,
          &size, &error));
      g_assert_cmpuint (size, >, 0);
      g_assert_true (umedpt_mask_store_write (store, &place, &whole, tile, TILE,
          &error));
    }
    g_assert_true (umedpt_mask_store_flush (store, &error));
    for (gint i = 0; i < 20; i++) {
      UmedptMaskPlace place = { 0, i, 1 << 20 };

      g_assert_true (umedpt_mask_store_get_packed (store, &place, &packed,
          &size, &error));
      g_assert_cmpuint (size, ==, 0);
    }
  }
}

static void
test_refused (Folder *fixture, gconstpointer data)
{
  static const char *const names[] = { "mask.png", "mask", "mask.tif.gz" };
  UmedptMaskInfo info = make_info (10, 10),
                 wrong[] = { info, info, info, info, info, info, info };
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (fixture->folder, names[i], NULL);

    g_assert_null (umedpt_mask_writer_new (path, &info, FALSE, &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
    g_assert_nonnull (strstr (error->message, ".ome.tif"));
    g_clear_error (&error);
  }
  wrong[0].width = 0;
  wrong[1].height = -1;
  wrong[2].width = G_MAXINT64;
  wrong[3].n_colors = 0;
  wrong[4].n_colors = 256;
  wrong[5].mpp = -1;
  wrong[6].mpp = NAN;
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_assert_null (umedpt_mask_writer_new (fixture->path, &wrong[i], FALSE,
        &error));
    g_assert_error (error, UMEDPT_ERROR,
        (i < 3 ? UMEDPT_ERROR_SHAPE : UMEDPT_ERROR_SETTINGS));
    g_clear_error (&error);
  }
  g_assert_cmpuint (folder_count (fixture), ==, 0);
}

static gboolean
add_square (UmedptMaskWriter *writer, gint64 x, gint64 y, guint8 value,
    GError **error)
{
  guint8 part[64 * 64];

  memset (part, value, sizeof part);
  return umedpt_mask_writer_add (writer, x, y, 64, 64, part, 64, error);
}

static void
test_overwrite (Folder *fixture, gconstpointer data)
{
  UmedptMaskInfo info = make_info (100, 100);
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptMaskWriter) writer = NULL;
  g_autofree char *before = NULL, *after = NULL;

  g_assert_true (g_file_set_contents (fixture->path, "mine", -1, NULL));
  g_assert_null (umedpt_mask_writer_new (fixture->path, &info, FALSE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS);
  g_clear_error (&error);

  writer = umedpt_mask_writer_new (fixture->path, &info, TRUE, &error);
  g_assert_true (add_square (writer, 0, 0, 1, &error));
  g_assert_true (g_file_get_contents (fixture->path, &before, NULL, NULL));
  g_assert_cmpstr (before, ==, "mine");
  g_assert_true (umedpt_mask_writer_finish (writer, &error));
  g_assert_true (g_file_get_contents (fixture->path, &after, NULL, NULL));
  g_assert_cmpmem (after, 4, "II\x2b", 4); /* BigTIFF */

  /* Finished is finished. */
  g_assert_false (add_square (writer, 0, 0, 1, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO);
  g_clear_error (&error);
  g_assert_false (umedpt_mask_writer_finish (writer, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO);
}

/* Far outside, where sums of 64 bits overflow. */
static void
test_outside (Folder *fixture, gconstpointer data)
{
  static const gint64 far[] = { G_MININT64, -64, 100, G_MAXINT64 - 1,
    G_MAXINT64 };
  guint8 pixels[100 * 100];
  g_autoptr (UmedptMaskWriter) writer = open_writer (fixture->path, 100, 100);
  g_autoptr (GError) error = NULL;

  memset (pixels, BLANK, sizeof pixels);
  for (guint i = 0; i < G_N_ELEMENTS (far); i++) {
    g_assert_true (add_square (writer, far[i], 0, 1, &error));
    g_assert_true (add_square (writer, 0, far[i], 1, &error));
  }
  g_assert_true (add_square (writer, -63, 99, 2, &error));
  pixels[99 * 100] = 2;
  g_assert_true (umedpt_mask_writer_finish (writer, &error));
  check_file (fixture->path, pixels, 100, 100);
}

static gboolean
refuse_row (const guint8 *row, gpointer data, GError **error)
{
  if (++*(guint *) data < 7)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED, "enough");
  return FALSE;
}

static void
test_abandoned (Folder *fixture, gconstpointer data)
{
  UmedptMaskWriter *writer = open_writer (fixture->path, 1000, 1000);
  g_autoptr (GError) error = NULL;
  guint n = 0;

  g_assert_true (add_square (writer, 500, 500, 1, &error));
  g_assert_false (umedpt_mask_writer_foreach_row (writer, refuse_row, &n,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED);
  g_assert_cmpuint (n, ==, 7);
  umedpt_mask_writer_free (writer);
  g_assert_cmpuint (folder_count (fixture), ==, 0);
}

static gboolean
write_under_limit (const char *path, rlim_t limit, GError **error)
{
  struct rlimit old, now;
  g_autoptr (UmedptMaskWriter) writer = open_writer (path, 3000, 2000);
  gboolean ok = TRUE;

  getrlimit (RLIMIT_FSIZE, &old);
  now = old;
  now.rlim_cur = limit;
  setrlimit (RLIMIT_FSIZE, &now);
  for (gint i = 0; i < 1000 && ok; i++)
    ok = add_square (writer, i * 661 % 3000, i * 997 % 2000, i % 3, error);
  ok = ok && umedpt_mask_writer_finish (writer, error);
  if (!ok) {
    /* It stays failed, and says so. */
    g_assert_false (umedpt_mask_writer_finish (writer, NULL));
    g_assert_false (add_square (writer, 0, 0, 0, NULL));
  }
  setrlimit (RLIMIT_FSIZE, &old);
  return ok;
}

static void
test_full (Folder *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  guint n_failed = 0;

  signal (SIGXFSZ, SIG_IGN);
  for (rlim_t limit = 1; !write_under_limit (fixture->path, limit, &error);
       limit = limit * 3 / 2 + 1) {
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE);
    g_assert_nonnull (strstr (error->message, "mask.tif"));
    g_clear_error (&error);
    g_assert_cmpuint (folder_count (fixture), ==, 0);
    n_failed++;
  }
  g_assert_no_error (error);
  g_assert_cmpuint (n_failed, >, 15);
  g_assert_cmpuint (folder_count (fixture), ==, 1);
}

/* A mask of 10^10 pixels of which few are set, in any order. */
static void
write_huge (const char *path)
{
  g_autoptr (UmedptMaskWriter) writer = open_writer (path, 100000, 100000);
  g_autoptr (GError) error = NULL;
  UmedptRandom random;

  umedpt_random_init (&random, 9);
  for (guint i = 0; i < 1000; i++)
    g_assert_true (add_square (writer,
        (gint64) umedpt_random_below (&random, 100000),
        (gint64) umedpt_random_below (&random, 100000), 1, &error));
  g_assert_true (umedpt_mask_writer_finish (writer, &error));
  g_assert_no_error (error);
}

static void
test_huge (Folder *fixture, gconstpointer data)
{
  struct rusage usage;
  GStatBuf status;

  if (g_test_subprocess ()) {
    write_huge (fixture->path);
    getrusage (RUSAGE_SELF, &usage);
    if (usage.ru_maxrss >= MAX_RSS * 1024) /* KiB */
      g_error ("%ld MiB of memory", usage.ru_maxrss / 1024);
    g_assert_cmpint (g_stat (fixture->path, &status), ==, 0);
    g_assert_cmpint (status.st_size, <, 30 * 1000 * 1000);
    return;
  }
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_test_trap_assert_passed ();
}

#define TEST(name, function) \
  g_test_add ("/mask-file/" name, Folder, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("random", test_random);
  TEST ("store", test_store);
  TEST ("store-blank", test_store_blank);
  TEST ("refused", test_refused);
  TEST ("overwrite", test_overwrite);
  TEST ("outside", test_outside);
  TEST ("abandoned", test_abandoned);
  TEST ("full", test_full);
  TEST ("huge", test_huge);
  return g_test_run ();
}
