/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Augmentation: image, mask and boxes move alike, whatever is drawn; what need
 * not change does not change by a bit; the same state of the generator gives
 * the same sample. A marked square or disc tells where things went.
 */
#include <math.h>
#include <string.h>

#include "data/augment-private.h"

#define N_SEEDS 150

/* Grey 0.25, with a white square (or disc) of class 1 at (x, y) and its box. */
static UmedptSample *
make_sample (gint width, gint height, gint x, gint y, gint side, gboolean disc)
{
  UmedptSample *s = umedpt_sample_new (width, height);
  UmedptBox box = { (gfloat) x, (gfloat) y, (gfloat) (x + side),
    (gfloat) (y + side), 3, 1 };
  double r = side / 2.0;

  s->mask = g_malloc0 ((gsize) width * height);
  s->boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  g_array_append_val (s->boxes, box);
  for (gint v = 0; v < height; v++)
    for (gint u = 0; u < width; u++) {
      gsize at = (gsize) v * width + u;
      gboolean in = u >= x && u < x + side && v >= y && v < y + side;

      if (disc)
        in = hypot (u + 0.5 - x - r, v + 0.5 - y - r) < r;
      s->mask[at] = in;
      for (guint c = 0; c < 3; c++)
        s->image[3 * at + c] = in ? 1 : 0.25f;
    }
  return s;
}

static UmedptSample *
make_noise (gint width, gint height, guint64 seed)
{
  UmedptSample *s = umedpt_sample_new (width, height);
  UmedptRandom random;

  umedpt_random_init (&random, seed);
  umedpt_random_fill_uniform (&random, s->image, 3 * (gsize) width * height, 0,
      1);
  return s;
}

static UmedptAugmentSettings
settings_of (gint width, gint height, UmedptAugmentation set, UmedptFit fit,
    gboolean random)
{
  return (UmedptAugmentSettings){ width, height, set, fit, 1, random };
}

/* The extent of class 1 in the mask; FALSE if there is none. */
static gboolean
mask_extent (const UmedptSample *s, gdouble extent[4], guint *count)
{
  extent[0] = s->width;
  extent[1] = s->height;
  extent[2] = extent[3] = 0;
  *count = 0;
  for (gint y = 0; y < s->height; y++)
    for (gint x = 0; x < s->width; x++)
      if (s->mask[(gsize) y * s->width + x] == 1) {
        extent[0] = MIN (extent[0], x);
        extent[1] = MIN (extent[1], y);
        extent[2] = MAX (extent[2], x + 1);
        extent[3] = MAX (extent[3], y + 1);
        ++*count;
      }
  return *count > 0;
}

/* The box bounds the region within @tolerance pixels, is ignored, or was
 * dropped with (nearly) all of the region. */
static void
check_box (const UmedptSample *s, double tolerance)
{
  double extent[4];
  guint count;
  UmedptBox *box;

  if (!mask_extent (s, extent, &count) || s->boxes->len == 0) {
    g_assert_cmpuint (count, <=, 40);
    return;
  }
  g_assert_cmpuint (s->boxes->len, ==, 1);
  box = &g_array_index (s->boxes, UmedptBox, 0);
  g_assert_cmpfloat (box->x1, >=, 0);
  g_assert_cmpfloat (box->y1, >=, 0);
  g_assert_cmpfloat (box->x2, <=, s->width);
  g_assert_cmpfloat (box->y2, <=, s->height);
  if (box->label == UMEDPT_IGNORE_LABEL)
    return;
  g_assert_cmpint (box->label, ==, 3);
  g_assert_cmpfloat (fabs (box->x1 - extent[0]), <=, tolerance);
  g_assert_cmpfloat (fabs (box->y1 - extent[1]), <=, tolerance);
  g_assert_cmpfloat (fabs (box->x2 - extent[2]), <=, tolerance);
  g_assert_cmpfloat (fabs (box->y2 - extent[3]), <=, tolerance);
}

static void
check_range (const UmedptSample *s)
{
  for (gsize i = 0; i < 3 * (gsize) s->width * s->height; i++)
    g_assert_true (s->image[i] >= 0 && s->image[i] <= 1);
}

/* Sets that turn by 10 degrees: a square, 2 px. Sets that turn by 45: a disc,
 * whose box the hull exceeds by up to an eighth of its side in all. */
static void
test_moves_alike (void)
{
  static const UmedptFit fits[] = { UMEDPT_FIT_STRETCH, UMEDPT_FIT_PAD,
    UMEDPT_FIT_CROP };

  for (guint set = 0; set <= UMEDPT_AUGMENT_ENDOSCOPY; set++)
    for (guint fit = 0; fit < 3; fit++) {
      gboolean far = set >= UMEDPT_AUGMENT_TOMOGRAPHY;
      g_autoptr (UmedptSample) sample = make_sample (220, 180, 70, 60, 40, far);
      guint usable = 0;

      for (guint64 seed = 0; seed < N_SEEDS; seed++) {
        UmedptAugmentSettings settings =
            settings_of (160, 144, set, fits[fit], TRUE);
        g_autoptr (UmedptSample) result = NULL;
        UmedptRandom random;

        umedpt_random_init (&random, seed);
        result = umedpt_augment (sample, 1, &settings, &random, NULL);
        g_assert_cmpint (result->width, ==, 160);
        g_assert_cmpint (result->height, ==, 144);
        check_range (result);
        check_box (result, far ? 5 : 2);
        usable += result->boxes->len > 0 &&
            g_array_index (result->boxes, UmedptBox, 0).label == 3;
      }
      g_assert_cmpuint (usable, >, N_SEEDS * 9 / 10);
    }
}

/* The geometry alone: where the image is white the mask is 1, up to the rim. */
static void
test_image_follows_mask (void)
{
  g_autoptr (UmedptSample) sample = make_sample (300, 200, 90, 60, 80, FALSE);
  g_autofree gfloat *image = g_new (gfloat, 3 * 128 * 128);
  g_autofree guint8 *mask = g_new (guint8, 128 * 128);

  for (guint set = UMEDPT_AUGMENT_WEAK; set <= UMEDPT_AUGMENT_ENDOSCOPY; set++)
    for (guint64 seed = 0; seed < N_SEEDS; seed++) {
      UmedptAugmentSettings settings =
          settings_of (128, 128, set, UMEDPT_FIT_STRETCH, TRUE);
      UmedptSymmetry symmetry = { 1, 0, 0, 1 };
      UmedptRandom random;
      UmedptWarp warp;
      guint wrong = 0, white = 0;

      umedpt_random_init (&random, seed);
      umedpt_augmentation_draw_symmetry (set, &random, &symmetry);
      umedpt_warp_init (&warp, sample, &settings, &symmetry, &random);
      umedpt_augmentation_draw_motion (set, &random, &warp);
      umedpt_warp_image (&warp, sample->image, image);
      umedpt_warp_mask (&warp, sample->mask, 1, mask);
      for (guint i = 0; i < 128 * 128; i++) {
        gboolean is_white = image[3 * i] > 0.625f;

        white += is_white;
        wrong += is_white != (mask[i] == 1);
      }
      g_assert_cmpuint (white, >, 800);
      g_assert_cmpuint (wrong, <, 60); /* of a rim of about 180 */
    }
}

static void
assert_same (const UmedptSample *a, const UmedptSample *b)
{
  gsize n = (gsize) a->width * a->height;

  g_assert_cmpint (a->width, ==, b->width);
  g_assert_cmpint (a->height, ==, b->height);
  g_assert_cmpmem (a->image, 3 * n * sizeof (gfloat), b->image,
      3 * n * sizeof (gfloat));
  g_assert_true (!a->mask == !b->mask && !a->boxes == !b->boxes);
  if (a->mask)
    g_assert_cmpmem (a->mask, n, b->mask, n);
  if (a->boxes)
    g_assert_cmpmem (a->boxes->data, a->boxes->len * sizeof (UmedptBox),
        b->boxes->data, b->boxes->len * sizeof (UmedptBox));
}

static void
test_identity (void)
{
  for (guint fit = 0; fit <= UMEDPT_FIT_CROP; fit++)
    for (guint set = 0; set <= UMEDPT_AUGMENT_ENDOSCOPY; set++) {
      g_autoptr (UmedptSample) sample = make_sample (97, 61, 20, 20, 15, TRUE);
      g_autoptr (UmedptSample) noise = make_noise (97, 61, 5);
      g_autoptr (UmedptSample) result = NULL;
      UmedptAugmentSettings settings = settings_of (97, 61, set, fit, FALSE);
      UmedptAugmentMap map;
      UmedptRandom random, before;

      memcpy (sample->image, noise->image, 97 * 61 * 3 * sizeof (gfloat));
      umedpt_random_init (&random, 1);
      before = random;
      result = umedpt_augment (sample, 1, &settings, &random, &map);
      assert_same (sample, result);
      g_assert_cmpmem (random.state, 32, before.state, 32);
      g_assert_true (map.ax == 1 && map.bx == 0 && map.ay == 1 && map.by == 0);
    }
}

/* Turns and flips at the image's own size move pixels and change none: sums
 * over all stay the same, and doing it four times (twice) restores them. */
static void
test_symmetries (void)
{
  static const UmedptSymmetry turn = { 0, 1, -1, 0 }, flip = { -1, 0, 0, 1 },
                              transpose = { 0, 1, 1, 0 };
  const UmedptSymmetry *all[] = { &turn, &flip, &transpose };
  const guint periods[] = { 4, 2, 2 };

  for (guint k = 0; k < 3; k++) {
    g_autoptr (UmedptSample) first = make_noise (64, 64, 9);
    g_autofree gfloat *image = g_memdup2 (first->image, 64 * 64 * 12);
    UmedptAugmentSettings settings =
        settings_of (64, 64, 0, UMEDPT_FIT_STRETCH, TRUE);
    UmedptWarp warp;

    umedpt_warp_init (&warp, first, &settings, all[k], NULL);
    for (guint i = 0; i < periods[k]; i++) {
      g_autofree gfloat *next = g_new (gfloat, 64 * 64 * 3);

      umedpt_warp_image (&warp, image, next);
      if (i + 1 < periods[k])
        g_assert_cmpint (memcmp (next, first->image, 64 * 64 * 12), !=, 0);
      memcpy (image, next, 64 * 64 * 12);
    }
    g_assert_cmpmem (image, 64 * 64 * 12, first->image, 64 * 64 * 12);
  }
}

static void
test_deterministic (void)
{
  g_autoptr (UmedptSample) sample = make_sample (130, 90, 30, 30, 40, TRUE);
  guint different = 0;

  for (guint set = UMEDPT_AUGMENT_WEAK; set <= UMEDPT_AUGMENT_ENDOSCOPY; set++)
    for (guint64 seed = 0; seed < 40; seed++) {
      UmedptAugmentSettings settings =
          settings_of (64, 64, set, UMEDPT_FIT_CROP, TRUE);
      g_autoptr (UmedptSample) a = NULL;
      g_autoptr (UmedptSample) b = NULL;
      g_autoptr (UmedptSample) c = NULL;
      UmedptRandom one, two, three;

      umedpt_random_init (&one, seed);
      umedpt_random_init (&two, seed);
      umedpt_random_init (&three, seed + 1000);
      a = umedpt_augment (sample, 1, &settings, &one, NULL);
      b = umedpt_augment (sample, 1, &settings, &two, NULL);
      c = umedpt_augment (sample, 1, &settings, &three, NULL);
      assert_same (a, b);
      g_assert_cmpmem (one.state, 32, two.state, 32);
      different += memcmp (a->image, c->image, 64 * 64 * 12) != 0;
    }
  g_assert_cmpuint (different, >, 190); /* of 200 */
}

/* An integer reduction is the mean of blocks; a turned one is near it. */
static void
test_area (void)
{
  g_autoptr (UmedptSample) sample = make_noise (192, 192, 3);
  g_autoptr (UmedptSample) result = NULL;
  UmedptAugmentSettings settings =
      settings_of (64, 64, 0, UMEDPT_FIT_STRETCH, FALSE);
  g_autofree gfloat *turned = g_new (gfloat, 64 * 64 * 3);
  UmedptSymmetry none = { 1, 0, 0, 1 };
  double sum = 0, squares = 0, worst = 0;
  UmedptWarp warp;

  result = umedpt_augment (sample, 1, &settings, NULL, NULL);
  for (guint i = 0; i < 64 * 64; i++) {
    double mean = 0;

    for (guint k = 0; k < 9; k++)
      mean +=
          (double) sample
              ->image[3 * ((i / 64 * 3 + k / 3) * 192 + i % 64 * 3 + k % 3)] /
          9;
    worst = MAX (worst, fabs (mean - (double) result->image[3 * i]));
  }
  g_assert_cmpfloat (worst, <, 1e-6);

  umedpt_warp_init (&warp, sample, &settings, &none, NULL);
  umedpt_warp_move (&warp, &(UmedptMotion){ 0, 0, 1.2, 8 });
  umedpt_warp_image (&warp, sample->image, turned);
  for (guint y = 16; y < 48; y++)
    for (guint x = 16; x < 48; x++) {
      double v = (double) turned[3 * (y * 64 + x)] - 0.5;

      sum += v;
      squares += v * v;
    }
  /* Uniform noise has a deviation of 0.289; over (2.5 px)^2 0.115. */
  g_assert_cmpfloat (fabs (sum / 1024), <, 0.02);
  g_assert_cmpfloat (sqrt (squares / 1024), <, 0.14);
  g_assert_cmpfloat (sqrt (squares / 1024), >, 0.07);
}

/* Outside the image: the border's value, and a mask that does not count. */
static void
test_border (void)
{
  static const gfloat fills[] = { 0, 0, 1, 0, 0, 0 };

  for (guint set = 0; set <= UMEDPT_AUGMENT_ENDOSCOPY; set++) {
    g_autoptr (UmedptSample) sample = make_sample (40, 20, 10, 5, 8, FALSE);
    g_autoptr (UmedptSample) result = NULL;
    UmedptAugmentSettings settings =
        settings_of (80, 80, set, UMEDPT_FIT_PAD, FALSE);
    UmedptAugmentMap map;

    result = umedpt_augment (sample, 1, &settings, NULL, &map);
    g_assert_cmpfloat (map.ax, ==, 0.5);
    g_assert_cmpfloat (map.by, ==, -10);
    for (gint y = 0; y < 80; y++)
      for (gint x = 0; x < 80; x++) {
        gboolean inside = y >= 20 && y < 60;

        g_assert_true ((result->mask[y * 80 + x] != UMEDPT_IGNORE_PIXEL) ==
            inside);
        if (!inside)
          g_assert_cmpfloat (result->image[3 * (y * 80 + x)], ==, fills[set]);
      }
    check_box (result, 0.01);
  }
}

/* Endoscopy without boxes mirrors, and what is mirrored is not labelled. */
static void
test_reflect (void)
{
  g_autoptr (UmedptSample) sample = make_sample (40, 20, 10, 0, 8, FALSE);
  g_autoptr (UmedptSample) result = NULL;
  UmedptAugmentSettings settings =
      settings_of (40, 40, UMEDPT_AUGMENT_ENDOSCOPY, UMEDPT_FIT_PAD, FALSE);

  g_clear_pointer (&sample->boxes, g_array_unref);
  result = umedpt_augment (sample, 1, &settings, NULL, NULL);
  for (gint y = 0; y < 10; y++)
    for (gint x = 0; x < 40; x++) {
      g_assert_cmpfloat (result->image[3 * (y * 40 + x)], ==,
          result->image[3 * ((19 - y) * 40 + x)]);
      g_assert_cmpint (result->mask[y * 40 + x], ==, UMEDPT_IGNORE_PIXEL);
    }
  g_assert_cmpfloat (result->image[3 * (5 * 40 + 12)], ==, 1);
}

/* A box cut to less than a quarter is ignored, one outside is dropped. */
static void
test_boxes_cut (void)
{
  g_autoptr (UmedptSample) sample = umedpt_sample_new (100, 100);
  g_autoptr (UmedptSample) result = NULL;
  static const UmedptBox boxes[] = {
    { 20, 20, 40, 40, 0, 1 }, /* outside the centre 50 x 50 */
    { 0, 0, 10, 10, 1, 1 },
    { 20, 30, 40, 40, 2, 1 }, /* 15 of 20 columns remain */
    { 60, 60, 90, 90, 3, 1 }, /* a quarter of the area, exactly */
    { 60, 60, 100, 100, 4, 1 }, /* less */
    { 30, 30, 50, 50, UMEDPT_IGNORE_LABEL, 1 },
    { 50, 50, 50, 60, 5, 1 }, /* no area */
  };
  static const gint labels[] = { 0, 2, 3, UMEDPT_IGNORE_LABEL,
    UMEDPT_IGNORE_LABEL };
  UmedptAugmentSettings settings =
      settings_of (50, 50, 0, UMEDPT_FIT_CROP, FALSE);

  sample->boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  g_array_append_vals (sample->boxes, boxes, G_N_ELEMENTS (boxes));
  result = umedpt_augment (sample, 1, &settings, NULL, NULL);
  g_assert_cmpuint (result->boxes->len, ==, G_N_ELEMENTS (labels));
  for (guint i = 0; i < result->boxes->len; i++)
    g_assert_cmpint (g_array_index (result->boxes, UmedptBox, i).label, ==,
        labels[i]);
  g_assert_cmpfloat (g_array_index (result->boxes, UmedptBox, 1).x1, ==, 0);
  g_assert_cmpfloat (g_array_index (result->boxes, UmedptBox, 1).x2, ==, 15);
}

/* Planes of a multi-label mask and the labels of the image travel along. */
static void
test_planes (void)
{
  g_autoptr (UmedptSample) sample = make_sample (30, 30, 5, 5, 9, FALSE);
  g_autoptr (UmedptSample) result = NULL;
  UmedptAugmentSettings settings =
      settings_of (60, 60, UMEDPT_AUGMENT_HISTOLOGY, UMEDPT_FIT_CROP, TRUE);
  g_autofree guint8 *plane = g_steal_pointer (&sample->mask);
  UmedptRandom random;

  sample->mask = g_malloc (30 * 30 * 3);
  for (guint i = 0; i < 900; i++) {
    sample->mask[3 * i] = plane[i];
    sample->mask[3 * i + 1] = !plane[i];
    sample->mask[3 * i + 2] = UMEDPT_IGNORE_PIXEL;
  }
  sample->labels = g_memdup2 ((gfloat[]){ 1, 0, 0.5f }, 12);
  umedpt_random_init (&random, 4);
  result = umedpt_augment (sample, 3, &settings, &random, NULL);
  g_assert_cmpmem (result->labels, 12, sample->labels, 12);
  for (guint i = 0; i < 3600; i++) {
    const guint8 *p = result->mask + 3 * i;

    g_assert_cmpint (p[2], ==, UMEDPT_IGNORE_PIXEL);
    g_assert_true ((p[0] == UMEDPT_IGNORE_PIXEL && p[1] == p[0]) ||
        p[0] + p[1] == 1);
  }
}

static void
test_map_back (void)
{
  UmedptAugmentSettings settings =
      settings_of (64, 96, UMEDPT_AUGMENT_NONE, UMEDPT_FIT_STRETCH, FALSE);

  for (guint fit = 0; fit <= UMEDPT_FIT_CROP; fit++) {
    g_autoptr (UmedptSample) sample = make_sample (150, 110, 60, 40, 20, FALSE);
    g_autoptr (UmedptSample) result = NULL;
    UmedptAugmentMap map;
    UmedptBox *box;

    settings.fit = fit;
    settings.scale = 0.75;
    result = umedpt_augment (sample, 1, &settings, NULL, &map);
    box = &g_array_index (result->boxes, UmedptBox, 0);
    g_assert_cmpfloat (fabs (map.ax * box->x1 + map.bx - 60), <, 1e-4);
    g_assert_cmpfloat (fabs (map.ay * box->y2 + map.by - 60), <, 1e-4);
    check_box (result, 1);
  }
}

static void
test_warp_inverse (void)
{
  g_autoptr (UmedptSample) sample = make_noise (200, 120, 2);
  UmedptAugmentSettings settings =
      settings_of (128, 128, 0, UMEDPT_FIT_STRETCH, TRUE);

  for (guint64 seed = 0; seed < 60; seed++) {
    UmedptSymmetry symmetry = { 0, 1, -1, 0 };
    UmedptRandom random;
    UmedptWarp warp;

    umedpt_random_init (&random, seed);
    umedpt_warp_init (&warp, sample, &settings, &symmetry, &random);
    umedpt_warp_move (&warp, &(UmedptMotion){ .03, -.05, .9, 30 });
    if (seed % 2)
      umedpt_warp_set_grid (&warp, 0.3, &random);
    else
      umedpt_warp_set_optical (&warp, seed % 4 ? 0.05 : -0.05);
    for (guint i = 0; i < 50; i++) {
      double x = 128 * umedpt_random_uniform (&random), sx;
      double y = 128 * umedpt_random_uniform (&random), sy, bx, by;

      umedpt_warp_to_source (&warp, x, y, &sx, &sy);
      umedpt_warp_to_result (&warp, sx, sy, &bx, &by);
      g_assert_cmpfloat (hypot (bx - x, by - y), <, 0.05);
    }
  }
}

static void
test_sets (void)
{
  guint seen = 0;
  UmedptAugmentation set;
  UmedptRandom random;
  UmedptFit fit;
  g_autoptr (GError) error = NULL;

  umedpt_random_init (&random, 8);
  for (guint i = 0; i < 2000; i++) {
    UmedptSymmetry s = { 1, 0, 0, 1 }, w = { 1, 0, 0, 1 };

    umedpt_augmentation_draw_symmetry (UMEDPT_AUGMENT_HISTOLOGY, &random, &s);
    g_assert_cmpint (ABS (s.xx * s.yy - s.xy * s.yx), ==, 1);
    seen |= 1u << ((s.xx + 1) * 9 + (s.xy + 1) * 3 + s.yy + 1);
    umedpt_augmentation_draw_symmetry (UMEDPT_AUGMENT_XRAY, &random, &w);
    g_assert_true (w.xx == 1 && w.yy == 1);
  }
  g_assert_cmpuint (__builtin_popcount (seen), >=, 6);

  for (guint i = 0; i <= UMEDPT_AUGMENT_ENDOSCOPY; i++) {
    g_assert_true (umedpt_augmentation_parse (umedpt_augmentation_get_name (i),
        &set, NULL));
    g_assert_cmpuint (set, ==, i);
  }
  for (guint i = 0; i <= UMEDPT_FIT_CROP; i++) {
    g_assert_true (umedpt_fit_parse (umedpt_fit_get_name (i), &fit, NULL));
    g_assert_cmpuint (fit, ==, i);
  }
  g_assert_false (umedpt_augmentation_parse ("strong", &set, &error));
  g_assert_nonnull (strstr (error->message, "'endoscopy'"));
  g_clear_error (&error);
  g_assert_false (umedpt_fit_parse ("Pad", &fit, &error));
  g_assert_nonnull (strstr (error->message, "'pad'"));
}

static void
test_colors (void)
{
  g_autoptr (UmedptSample) s = make_noise (40, 30, 11);
  g_autofree gfloat *old = g_memdup2 (s->image, 1200 * 12);
  gfloat grey[3] = { 0.3f, 0.3f, 0.3f };

  umedpt_color_hsv (s->image, 1200, 0, 0, 0);
  for (guint i = 0; i < 3600; i++)
    g_assert_cmpfloat (fabsf (s->image[i] - old[i]), <, 1e-5f);
  umedpt_color_hsv (s->image, 1200, 120, 0, 0); /* red becomes green */
  for (guint i = 0; i < 1200; i++)
    g_assert_cmpfloat (fabsf (s->image[3 * i + 1] - old[3 * i]), <, 1e-5f);
  umedpt_color_hsv (grey, 1, 60, 0.2, 0.1);
  g_assert_cmpfloat (grey[0], ==, grey[1]);
  g_assert_cmpfloat (grey[0], ==, grey[2]);
  g_assert_cmpfloat (fabsf (grey[0] - 0.4f), <, 1e-6f);

  memcpy (s->image, old, 1200 * 12);
  s->image[0] = 1;
  s->image[1] = 0;
  umedpt_color_gamma (s->image, 1200, 0.8);
  for (guint i = 2; i < 3600; i++)
    g_assert_cmpfloat (fabs ((double) s->image[i] - pow (old[i], 0.8)), <,
        1e-3);
  g_assert_true (s->image[0] == 1 && s->image[1] == 0);
}

static void
test_noise (void)
{
  UmedptRandom random;
  double sum = 0, squares = 0;
  g_autofree gfloat *flat = g_new (gfloat, 30000);

  for (guint i = 0; i < 30000; i++)
    flat[i] = 0.5f;
  umedpt_random_init (&random, 1);
  umedpt_color_noise (flat, 10000, 0.02, &random);
  for (guint i = 0; i < 30000; i++) {
    sum += (double) flat[i] - 0.5;
    squares += ((double) flat[i] - 0.5) * ((double) flat[i] - 0.5);
  }
  g_assert_cmpfloat (fabs (sum / 30000), <, 0.001);
  g_assert_cmpfloat (fabs (sqrt (squares / 30000) - 0.02), <, 0.0005);
}

/* What filters do to a flat image with one white pixel. */
static void
test_filters (void)
{
  static const double sharpen[9] = { 0, -1, 0, -1, 5, -1, 0, -1, 0 };
  gfloat image[3 * 11 * 9], sum = 0;
  guint spread = 0;

  for (guint i = 0; i < G_N_ELEMENTS (image); i++)
    image[i] = 0.5f;
  umedpt_filter_3x3 (image, 11, 9, sharpen);
  for (guint i = 0; i < G_N_ELEMENTS (image); i++)
    g_assert_cmpfloat (image[i], ==, 0.5f);
  image[3 * (4 * 11 + 5)] = 1;
  umedpt_filter_median (image, 11, 9);
  for (guint i = 0; i < G_N_ELEMENTS (image); i++)
    g_assert_cmpfloat (image[i], ==, 0.5f);
  memset (image, 0, sizeof image);
  image[3 * (4 * 11 + 5)] = 1;
  umedpt_filter_motion (image, 11, 9, 5, 90);
  for (guint i = 0; i < 99; i++) {
    sum += image[3 * i];
    if (image[3 * i] > 0) {
      spread++;
      g_assert_cmpuint (i % 11, ==, 5);
    }
  }
  g_assert_cmpuint (spread, ==, 5);
  g_assert_cmpfloat (fabsf (sum - 1), <, 1e-5f);
}

/* A dull ramp gets more contrast, and no more than the limit allows. */
static void
test_clahe (void)
{
  g_autoptr (UmedptSample) s = umedpt_sample_new (96, 96);
  gfloat low = 1, high = 0;

  for (guint i = 0; i < 96 * 96; i++)
    for (guint c = 0; c < 3; c++)
      s->image[3 * i + c] = 0.4f + 0.2f * (gfloat) (i % 96) / 96;
  umedpt_clahe (s->image, 96, 96, 2);
  check_range (s);
  for (guint i = 0; i < 96 * 96; i++) {
    low = MIN (low, s->image[3 * i]);
    high = MAX (high, s->image[3 * i]);
  }
  g_assert_cmpfloat (high - low, >, 0.21);
  g_assert_cmpfloat (high - low, <, 0.4);
  /* Smaller than the tiles: still defined. */
  g_clear_pointer (&s, umedpt_sample_free);
  s = make_noise (5, 3, 1);
  umedpt_clahe (s->image, 5, 3, 1);
  check_range (s);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/augment/moves-alike", test_moves_alike);
  g_test_add_func ("/augment/image-follows-mask", test_image_follows_mask);
  g_test_add_func ("/augment/identity", test_identity);
  g_test_add_func ("/augment/symmetries", test_symmetries);
  g_test_add_func ("/augment/deterministic", test_deterministic);
  g_test_add_func ("/augment/area", test_area);
  g_test_add_func ("/augment/border", test_border);
  g_test_add_func ("/augment/reflect", test_reflect);
  g_test_add_func ("/augment/boxes-cut", test_boxes_cut);
  g_test_add_func ("/augment/planes", test_planes);
  g_test_add_func ("/augment/map-back", test_map_back);
  g_test_add_func ("/augment/warp-inverse", test_warp_inverse);
  g_test_add_func ("/augment/sets", test_sets);
  g_test_add_func ("/augment/colors", test_colors);
  g_test_add_func ("/augment/noise", test_noise);
  g_test_add_func ("/augment/filters", test_filters);
  g_test_add_func ("/augment/clahe", test_clahe);
  return g_test_run ();
}
