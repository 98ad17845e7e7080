/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The sets of augmentation as a table: how often what happens, per modality.
 * After the sets published with UMedPT (Schäfer et al., Nature Computational
 * Science 4, 2024, and the software of the same authors), with the ranges that
 * Albumentations 1.4 has by default; docs/augmentation.md lists them, with the
 * differences. A "choice" is taken with its probability, and then exactly one
 * of its ops is applied, drawn by weight.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/augment-private.h"

typedef enum
{
  OP_GAMMA,
  OP_NOISE,
  OP_HSV,
  OP_GREY,
  OP_SHUFFLE,
  OP_CLAHE,
  OP_SHARPEN,
  OP_EMBOSS,
  OP_BRIGHTNESS,
  OP_MOTION,
  OP_MEDIAN,
  OP_BOX,
  OP_INVERT,
} Op;

typedef struct
{
  Op op;
  double weight; /* 0 ends the list */
} Weighted;

typedef struct
{
  double probability; /* 0 ends the list */
  Weighted ops[5];
} Choice;

typedef struct
{
  const char *name;
  gfloat fill;
  gboolean reflect;
  double turn; /* a random multiple of 90 degrees */
  double flip; /* across, down or both */
  double flip_each; /* across; and down */
  double transpose;
  double move, shift, scale, degrees;
  double distort; /* then optical or grid, 3 : 1 */
  double hue, saturation, value; /* degrees, parts of 1 */
  Choice choices[7];
} Set;

/* clang-format off */
#define CONTRAST { { OP_CLAHE, 1 }, { OP_SHARPEN, 1 }, { OP_EMBOSS, 1 }, \
    { OP_BRIGHTNESS, 1 } }
#define BLUR { { OP_MOTION, .2 }, { OP_MEDIAN, .1 }, { OP_BOX, .1 } }
#define TONE { { OP_GAMMA, 1 }, { OP_NOISE, 1 } }
#define ONE(op) { { op, 1 } }

static const Set sets[] = {
  [UMEDPT_AUGMENT_NONE] = { .name = "none" },
  [UMEDPT_AUGMENT_WEAK] = { .name = "weak",
    .move = .8, .shift = .0625, .scale = .1, .degrees = 10, .distort = .1,
    .hue = 40, .saturation = 30 / 255., .value = 20 / 255.,
    .choices = {
      { .1, { { OP_GAMMA, 1 }, { OP_NOISE, .5 } } },
      { .2, CONTRAST },
      { .2, ONE (OP_HSV) } } },
  [UMEDPT_AUGMENT_HISTOLOGY] = { .name = "histology", .fill = 1,
    .turn = .5, .flip_each = .5,
    .move = .5, .shift = .0625, .scale = .1, .degrees = 10,
    .hue = 60, .saturation = 20 / 255., .value = 20 / 255.,
    .choices = {
      { .5, { { OP_GREY, .2 }, { OP_SHUFFLE, .2 }, { OP_HSV, .7 } } },
      { .5, CONTRAST },
      { .3, TONE },
      { .3, BLUR } } },
  [UMEDPT_AUGMENT_XRAY] = { .name = "x-ray",
    .move = 1, .shift = .0625, .scale = .1, .degrees = 10,
    .choices = {
      { .3, ONE (OP_INVERT) },
      { .3, CONTRAST },
      { .2, TONE },
      { .2, BLUR } } },
  [UMEDPT_AUGMENT_TOMOGRAPHY] = { .name = "tomography",
    .turn = .5, .flip = .5, .transpose = .5,
    .move = .2, .shift = .0625, .scale = .2, .degrees = 45, .distort = .2,
    .hue = 40, .saturation = 30 / 255., .value = 20 / 255.,
    .choices = {
      { .2, TONE },
      { .2, BLUR },
      { .3, CONTRAST },
      { .3, ONE (OP_HSV) } } },
  [UMEDPT_AUGMENT_ENDOSCOPY] = { .name = "endoscopy", .reflect = TRUE,
    .turn = .5, .flip = .5, .transpose = .5,
    .move = .2, .shift = .0625, .scale = .2, .degrees = 45, .distort = .2,
    .hue = 40, .saturation = 30 / 255., .value = 20 / 255.,
    .choices = {
      { .2, ONE (OP_GREY) },
      { .2, TONE },
      { .2, BLUR },
      { .3, CONTRAST },
      { .3, ONE (OP_HSV) } } },
};
/* clang-format on */

#define OPTICAL_LIMIT 0.05
#define GRID_LIMIT 0.3

static double
between (UmedptRandom *random, double low, double high)
{
  return low + (high - low) * umedpt_random_uniform (random);
}

static gboolean
chance (UmedptRandom *random, double probability)
{
  return umedpt_random_uniform (random) < probability;
}

/* The border's value. */
gfloat
umedpt_augmentation_get_fill (UmedptAugmentation augmentation)
{
  return sets[augmentation].fill;
}

gboolean
umedpt_augmentation_get_reflect (UmedptAugmentation augmentation)
{
  return sets[augmentation].reflect;
}

static void
transpose (UmedptSymmetry *s)
{
  *s = (UmedptSymmetry){ s->xy, s->xx, s->yy, s->yx };
}

/* Flips across (@x) and down (@y), of what there is so far. */
static void
flip (UmedptSymmetry *s, gboolean x, gboolean y)
{
  gint fx = x ? -1 : 1, fy = y ? -1 : 1;

  *s = (UmedptSymmetry){ s->xx * fx, s->xy * fy, s->yx * fx, s->yy * fy };
}

/* Turns and flips. */
void
umedpt_augmentation_draw_symmetry (UmedptAugmentation augmentation,
    UmedptRandom *random, UmedptSymmetry *symmetry)
{
  const Set *set = &sets[augmentation];

  if (chance (random, set->turn))
    for (guint64 n = umedpt_random_below (random, 4); n > 0; n--) {
      transpose (symmetry);
      flip (symmetry, TRUE, FALSE);
    }
  flip (symmetry, chance (random, set->flip_each),
      chance (random, set->flip_each));
  if (chance (random, set->flip)) {
    guint64 which = umedpt_random_below (random, 3);

    flip (symmetry, which != 0, which != 1);
  }
  if (chance (random, set->transpose))
    transpose (symmetry);
}

/* Shift, scale, rotation, distortion. */
void
umedpt_augmentation_draw_motion (UmedptAugmentation augmentation,
    UmedptRandom *random, UmedptWarp *warp)
{
  const Set *set = &sets[augmentation];

  if (chance (random, set->move)) {
    double x = between (random, -set->shift, set->shift);
    double y = between (random, -set->shift, set->shift);
    double scale = between (random, 1 - set->scale, 1 + set->scale);
    double degrees = between (random, -set->degrees, set->degrees);

    umedpt_warp_move (warp, &(UmedptMotion){ x, y, scale, degrees });
  }
  if (!chance (random, set->distort))
    return;
  if (chance (random, 0.75))
    umedpt_warp_set_optical (warp,
        between (random, -OPTICAL_LIMIT, OPTICAL_LIMIT));
  else
    umedpt_warp_set_grid (warp, GRID_LIMIT, random);
}

/* Weighted against the image itself. */
static void
apply_kernel (UmedptSample *sample, UmedptRandom *random, gboolean emboss)
{
  double alpha = between (random, 0.2, 0.5);
  double s = emboss ? between (random, 0.2, 0.7) : between (random, 0.5, 1);
  double e[9] = { -1 - s, -s, 0, -s, 1, s, 0, s, 1 + s };
  double kernel[9];

  for (guint i = 0; i < 9; i++) {
    double effect = emboss ? e[i] : i == 4 ? 8 + s : -1;

    kernel[i] = alpha * effect + (i == 4 ? 1 - alpha : 0);
  }
  umedpt_filter_3x3 (sample->image, sample->width, sample->height, kernel);
}

static void
apply_shuffle (gfloat *image, gsize n, UmedptRandom *random)
{
  guint order[3] = { 0, 1, 2 };

  for (guint i = 2; i > 0; i--) {
    guint k = (guint) umedpt_random_below (random, i + 1), kept = order[i];

    order[i] = order[k];
    order[k] = kept;
  }
  umedpt_color_shuffle (image, n, order);
}

static void
apply_hsv (const Set *set, gfloat *image, gsize n, UmedptRandom *random)
{
  double hue = between (random, -set->hue, set->hue);
  double saturation = between (random, -set->saturation, set->saturation);
  double value = between (random, -set->value, set->value);

  umedpt_color_hsv (image, n, hue, saturation, value);
}

static void
apply_blur (Op op, UmedptSample *sample, UmedptRandom *random)
{
  static const double box[9] = { 1 / 9., 1 / 9., 1 / 9., 1 / 9., 1 / 9., 1 / 9.,
    1 / 9., 1 / 9., 1 / 9. };
  gint w = sample->width, h = sample->height, length;

  if (op == OP_MEDIAN)
    umedpt_filter_median (sample->image, w, h);
  else if (op == OP_BOX)
    umedpt_filter_3x3 (sample->image, w, h, box);
  else {
    length = 3 + 2 * (gint) umedpt_random_below (random, 3);
    umedpt_filter_motion (sample->image, w, h, length,
        between (random, 0, 180));
  }
}

static void
apply (const Set *set, Op op, UmedptSample *sample, UmedptRandom *random)
{
  gfloat *image = sample->image;
  gsize n = (gsize) sample->width * sample->height;
  double contrast;

  switch (op) {
    case OP_GAMMA:
      umedpt_color_gamma (image, n, between (random, 0.8, 1.2));
      break;
    case OP_NOISE: /* variance of 10 to 50 grey levels squared */
      umedpt_color_noise (image, n, sqrt (between (random, 10, 50)) / 255,
          random);
      break;
    case OP_HSV:
      apply_hsv (set, image, n, random);
      break;
    case OP_GREY:
      umedpt_color_grey (image, n);
      break;
    case OP_SHUFFLE:
      apply_shuffle (image, n, random);
      break;
    case OP_CLAHE:
      umedpt_clahe (image, sample->width, sample->height,
          between (random, 1, 2));
      break;
    case OP_SHARPEN:
    case OP_EMBOSS:
      apply_kernel (sample, random, op == OP_EMBOSS);
      break;
    case OP_BRIGHTNESS:
      contrast = between (random, 0.8, 1.2);
      umedpt_color_linear (image, n, contrast, between (random, -0.2, 0.2));
      break;
    case OP_INVERT:
      umedpt_color_linear (image, n, -1, 1);
      break;
    default:
      apply_blur (op, sample, random);
  }
}

void
umedpt_augmentation_draw_colors (UmedptAugmentation augmentation,
    UmedptRandom *random, UmedptSample *sample)
{
  const Set *set = &sets[augmentation];

  for (const Choice *choice = set->choices; choice->probability > 0; choice++) {
    double sum = 0, at;
    const Weighted *one = choice->ops;

    if (!chance (random, choice->probability))
      continue;
    for (guint i = 0; choice->ops[i].weight > 0; i++)
      sum += choice->ops[i].weight;
    for (at = between (random, 0, sum) - one->weight;
         at >= 0 && one[1].weight > 0; at -= one->weight)
      one++;
    apply (set, one->op, sample, random);
  }
}

static gboolean
fail_choice (const char *what, const char *found, const char *allowed,
    GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "Found the %s '%s'; expected one of %s.", what, found, allowed);
  return FALSE;
}

/**
 * umedpt_augmentation_parse:
 * @name: "none", "weak", "histology", "x-ray", "tomography" or "endoscopy"
 * @augmentation: (out): the set
 * @error: return location for a #GError
 *
 * Returns: %FALSE with @error set if there is no such set
 *
 * Since: 0.1
 */
gboolean
umedpt_augmentation_parse (const char *name, UmedptAugmentation *augmentation,
    GError **error)
{
  g_autoptr (GString) allowed = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (sets); i++) {
    if (strcmp (name, sets[i].name) == 0) {
      *augmentation = i;
      return TRUE;
    }
    g_string_append_printf (allowed, "%s'%s'", i ? ", " : "", sets[i].name);
  }
  return fail_choice ("augmentation", name, allowed->str, error);
}

/**
 * umedpt_augmentation_get_name:
 * @augmentation: a set
 *
 * Returns: (transfer none): its name in configurations
 *
 * Since: 0.1
 */
const char *
umedpt_augmentation_get_name (UmedptAugmentation augmentation)
{
  g_return_val_if_fail (augmentation < G_N_ELEMENTS (sets), NULL);
  return sets[augmentation].name;
}

static const char *const fits[] = { "stretch", "pad", "crop" };

/**
 * umedpt_fit_parse:
 * @name: "stretch", "pad" or "crop"
 * @fit: (out): how an image is brought to size
 * @error: return location for a #GError
 *
 * Returns: %FALSE with @error set if there is no such way
 *
 * Since: 0.1
 */
gboolean
umedpt_fit_parse (const char *name, UmedptFit *fit, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (fits); i++)
    if (strcmp (name, fits[i]) == 0) {
      *fit = i;
      return TRUE;
    }
  return fail_choice ("fit", name, "'stretch', 'pad', 'crop'", error);
}

/**
 * umedpt_fit_get_name:
 * @fit: how an image is brought to size
 *
 * Returns: (transfer none): its name in configurations
 *
 * Since: 0.1
 */
const char *
umedpt_fit_get_name (UmedptFit fit)
{
  g_return_val_if_fail (fit < G_N_ELEMENTS (fits), NULL);
  return fits[fit];
}
