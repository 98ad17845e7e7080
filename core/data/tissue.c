/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tissue by colour: stains are saturated, glass and paper white are not. The
 * slide is viewed at low power (8 … 32 µm per pixel, about 2048 pixels on the
 * longest side), and Otsu's method (IEEE Trans. SMC 9(1), 1979) finds the
 * saturation (HSV) that parts the two best. Otsu always finds something, so
 * two guards: below 5 % saturation nothing is tissue, whatever it says (an
 * empty slide has none); and if even the paler class is well coloured there is
 * no background in view, and all above 5 % is tissue. Transparent parts read as
 * white and so are background. Single pixels are smoothed by the majority of
 * their neighbourhood (a median), specks of less than 8 pixels removed.
 */
#include "data/tissue.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define MPP_FINE 8.0
#define MPP_COARSE 32.0
#define SIDE 2048
#define MAX_SIDE 8192
#define BLOCK 256 /* read at once */
#define MIN_BLOCK 16 /* not divided further when damaged */
#define MIN_SATURATION 13 /* 5 % of 255 */
#define COLOURED 51 /* 20 %: a class whose mean is above is no background */
#define MIN_SPECK 8

struct _UmedptTissueMask
{
  gint width, height;
  double downsample;
  guint threshold;
  guint8 *pixels; /* 0 or 1 */
  guint64 *sums; /* (width + 1) x (height + 1) */
};

typedef struct
{
  UmedptSlide *slide;
  UmedptTissueMask *mask;
  guint8 *saturation;
  guint8 *damaged; /* could not be read */
  guint8 *rgb; /* BLOCK x BLOCK */
} Job;

static guint8
saturation (const guint8 *p)
{
  guint hi = MAX (p[0], MAX (p[1], p[2])), lo = MIN (p[0], MIN (p[1], p[2]));

  return hi == 0 ? 0 : (guint8) ((hi - lo) * 255 / hi);
}

/* Reads one block; what is damaged is narrowed down and marked. */
static void
view_block (Job *job, gint x, gint y, gint w, gint h)
{
  UmedptTissueMask *mask = job->mask;
  double ds = mask->downsample;

  if (umedpt_slide_read (job->slide, x * ds, y * ds, ds, w, h, job->rgb,
          (gsize) w * 3, NULL, NULL, NULL)) {
    for (gint j = 0; j < h; j++)
      for (gint i = 0; i < w; i++)
        job->saturation[(gsize) (y + j) * mask->width + x + i] =
            saturation (job->rgb + ((gsize) j * w + i) * 3);
  } else if (w > MIN_BLOCK || h > MIN_BLOCK) {
    gint w1 = w > h ? w / 2 : w, h1 = w > h ? h : h / 2;

    view_block (job, x, y, w1, h1);
    if (w1 < w)
      view_block (job, x + w1, y, w - w1, h);
    else
      view_block (job, x, y + h1, w, h - h1);
  } else {
    for (gint j = 0; j < h; j++)
      memset (job->damaged + (gsize) (y + j) * mask->width + x, 1, (gsize) w);
  }
}

guint
umedpt_tissue_threshold (const guint64 histogram[256])
{
  double n = 0, sum = 0, n0 = 0, sum0 = 0, best = -1, pale = 0;
  guint threshold = 0;

  for (guint i = 0; i < 256; i++) {
    n += (double) histogram[i];
    sum += (double) histogram[i] * i;
  }
  for (guint i = 0; i < 255; i++) {
    double n1, d, between;

    n0 += (double) histogram[i];
    sum0 += (double) histogram[i] * i;
    n1 = n - n0;
    if (n0 == 0 || n1 == 0)
      continue;
    d = sum0 / n0 - (sum - sum0) / n1;
    between = n0 * n1 * d * d;
    if (between > best) {
      best = between;
      threshold = i;
      pale = sum0 / n0;
    }
  }
  if (best < 0 || pale >= COLOURED)
    return MIN_SATURATION;
  return MAX (threshold, MIN_SATURATION);
}

static guint
find_threshold (const Job *job)
{
  guint64 histogram[256] = { 0 };
  gsize n = (gsize) job->mask->width * job->mask->height;

  for (gsize i = 0; i < n; i++)
    if (!job->damaged[i])
      histogram[job->saturation[i]]++;
  return umedpt_tissue_threshold (histogram);
}

/* The majority of each pixel's 3 x 3 neighbourhood within the picture. */
static void
smooth (const Job *job)
{
  const UmedptTissueMask *mask = job->mask;

  for (gint y = 0; y < mask->height; y++)
    for (gint x = 0; x < mask->width; x++) {
      gint n = 0, above = 0;

      for (gint j = MAX (y - 1, 0); j <= MIN (y + 1, mask->height - 1); j++)
        for (gint i = MAX (x - 1, 0); i <= MIN (x + 1, mask->width - 1); i++) {
          gsize at = (gsize) j * mask->width + i;

          n++;
          above += job->damaged[at] || job->saturation[at] > mask->threshold;
        }
      mask->pixels[(gsize) y * mask->width + x] = 2 * above > n;
    }
}

/* Collects the 8-connected piece at @start into @piece, marking it 2. */
static void
collect (UmedptTissueMask *mask, guint32 start, GArray *piece)
{
  g_array_set_size (piece, 0);
  g_array_append_val (piece, start);
  mask->pixels[start] = 2;
  for (guint k = 0; k < piece->len; k++) {
    guint32 at = g_array_index (piece, guint32, k);
    gint x = (gint) (at % (guint32) mask->width);
    gint y = (gint) (at / (guint32) mask->width);

    for (gint j = MAX (y - 1, 0); j <= MIN (y + 1, mask->height - 1); j++)
      for (gint i = MAX (x - 1, 0); i <= MIN (x + 1, mask->width - 1); i++) {
        guint32 next = (guint32) j * (guint32) mask->width + (guint32) i;

        if (mask->pixels[next] == 1) {
          mask->pixels[next] = 2;
          g_array_append_val (piece, next);
        }
      }
  }
}

static void
remove_specks (UmedptTissueMask *mask)
{
  g_autoptr (GArray) piece = g_array_new (FALSE, FALSE, sizeof (guint32));
  guint32 n = (guint32) mask->width * (guint32) mask->height;

  for (guint32 start = 0; start < n; start++) {
    if (mask->pixels[start] != 1)
      continue;
    collect (mask, start, piece);
    if (piece->len < MIN_SPECK)
      for (guint k = 0; k < piece->len; k++)
        mask->pixels[g_array_index (piece, guint32, k)] = 0;
  }
  for (guint32 i = 0; i < n; i++)
    mask->pixels[i] = mask->pixels[i] != 0;
}

static void
integrate (UmedptTissueMask *mask)
{
  gsize stride = (gsize) mask->width + 1;

  for (gint y = 0; y < mask->height; y++) {
    guint64 row = 0;

    for (gint x = 0; x < mask->width; x++) {
      row += mask->pixels[(gsize) y * mask->width + x];
      mask->sums[(gsize) (y + 1) * stride + x + 1] =
          mask->sums[(gsize) y * stride + x + 1] + row;
    }
  }
}

static double
choose_downsample (const UmedptSlideLevel *full, double mpp)
{
  double longest = (double) MAX (full->width, full->height);
  double ds = longest / SIDE;

  if (mpp > 0)
    ds = CLAMP (ds, MPP_FINE / mpp, MPP_COARSE / mpp);
  return MAX (MAX (ds, longest / MAX_SIDE), 1.0);
}

UmedptTissueMask *
umedpt_tissue_mask_new (UmedptSlide *slide, double mpp, GError **error)
{
  const UmedptSlideLevel *full = umedpt_slide_get_level (slide, 0);
  g_autoptr (UmedptTissueMask) mask = g_new0 (UmedptTissueMask, 1);
  Job job = { slide, mask };
  gsize n;

  mask->downsample = choose_downsample (full, mpp);
  mask->width = (gint) ceil ((double) full->width / mask->downsample);
  mask->height = (gint) ceil ((double) full->height / mask->downsample);
  n = (gsize) mask->width * mask->height;
  mask->pixels = g_try_malloc0 (n);
  mask->sums = g_try_new0 (guint64, n + mask->width + mask->height + 1);
  job.saturation = g_try_malloc0 (n);
  job.damaged = g_try_malloc0 (n);
  job.rgb = g_try_malloc (BLOCK * BLOCK * 3);
  if (mask->pixels != NULL && mask->sums != NULL && job.saturation != NULL &&
      job.damaged != NULL && job.rgb != NULL) {
    for (gint y = 0; y < mask->height; y += BLOCK)
      for (gint x = 0; x < mask->width; x += BLOCK)
        view_block (&job, x, y, MIN (BLOCK, mask->width - x),
            MIN (BLOCK, mask->height - y));
    mask->threshold = find_threshold (&job);
    smooth (&job);
    remove_specks (mask);
    integrate (mask);
  } else {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "No memory for a tissue mask of %d x %d pixels.", mask->width,
        mask->height);
    g_clear_pointer (&mask, umedpt_tissue_mask_free);
  }
  g_free (job.saturation);
  g_free (job.damaged);
  g_free (job.rgb);
  return g_steal_pointer (&mask);
}

void
umedpt_tissue_mask_free (UmedptTissueMask *mask)
{
  if (mask == NULL)
    return;
  g_free (mask->pixels);
  g_free (mask->sums);
  g_free (mask);
}

/* The integral at a fractional position, linear between the grid's points,
 * which is exact because the mask is constant within a pixel. */
static double
integral (const UmedptTissueMask *mask, double x, double y)
{
  double cx = CLAMP (x, 0.0, (double) mask->width);
  double cy = CLAMP (y, 0.0, (double) mask->height);
  gint i = MIN ((gint) cx, mask->width - 1),
       j = MIN ((gint) cy, mask->height - 1);
  double fx = cx - i, fy = cy - j;
  gsize stride = (gsize) mask->width + 1;
  const guint64 *s = mask->sums + (gsize) j * stride + i;

  return (1 - fy) * ((1 - fx) * (double) s[0] + fx * (double) s[1]) +
      fy * ((1 - fx) * (double) s[stride] + fx * (double) s[stride + 1]);
}

double
umedpt_tissue_mask_fraction (const UmedptTissueMask *mask, double x, double y,
    double width, double height)
{
  double ds = mask->downsample;
  double x0 = x / ds, y0 = y / ds, x1 = (x + width) / ds,
         y1 = (y + height) / ds;
  double sum = integral (mask, x1, y1) - integral (mask, x0, y1) -
      integral (mask, x1, y0) + integral (mask, x0, y0);

  return CLAMP (sum * ds * ds / (width * height), 0.0, 1.0);
}

double
umedpt_tissue_mask_get_downsample (const UmedptTissueMask *mask)
{
  return mask->downsample;
}

guint
umedpt_tissue_mask_get_threshold (const UmedptTissueMask *mask)
{
  return mask->threshold;
}

const guint8 *
umedpt_tissue_mask_get_pixels (const UmedptTissueMask *mask, gint *width,
    gint *height)
{
  *width = mask->width;
  *height = mask->height;
  return mask->pixels;
}
