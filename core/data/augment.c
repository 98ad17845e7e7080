/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One sample becomes another: draw the mapping, resample image and mask, move
 * the boxes, then change the colours. The generator is asked in this order and
 * nowhere else, so the result follows from its state.
 */
#include <string.h>

#include "data/augment-private.h"

/* Labels of the whole image do not change. */
static void
copy_labels (const UmedptSample *sample, guint n, UmedptSample *result)
{
  result->label = sample->label;
  result->value = sample->value;
  if (sample->labels)
    result->labels = g_memdup2 (sample->labels, n * sizeof (gfloat));
  if (sample->weights)
    result->weights = g_memdup2 (sample->weights, n * sizeof (gfloat));
}

/* All zero where no such map describes the warp. */
static void
describe (const UmedptWarp *warp, UmedptAugmentMap *map)
{
  *map = (UmedptAugmentMap){ 0 };
  if (umedpt_warp_is_aligned (warp))
    *map = (UmedptAugmentMap){
      .ax = warp->m[0], .bx = warp->m[2], .ay = warp->m[4], .by = warp->m[5]
    };
}

/**
 * umedpt_augment:
 * @sample: a sample, unchanged
 * @n_masks: planes of the mask, entries of labels and weights: K of
 *   multi-label kinds, else 1
 * @settings: size, set and fit; a width and height of at least 1
 * @random: the generator; untouched if the settings are not random
 * @map: (out) (optional): how result and original relate. All zero if the
 *   image was turned or distorted.
 *
 * Makes a sample of the size asked for. Outside the original, the image has
 * the value that belongs to the set (histology: white; endoscopy without
 * boxes: mirrored; else black) and the mask is %UMEDPT_IGNORE_PIXEL. A box
 * becomes the hull of where it went, its corners cut if it was turned, clipped
 * to the result.
 *
 * Returns: (transfer full): the new sample, or %NULL if there is no memory for
 *   it
 *
 * Since: 0.1
 */
UmedptSample *
umedpt_augment (const UmedptSample *sample, guint n_masks,
    const UmedptAugmentSettings *settings, UmedptRandom *random,
    UmedptAugmentMap *map)
{
  UmedptSymmetry symmetry = { 1, 0, 0, 1 };
  UmedptAugmentation set = settings->augmentation;
  UmedptSample *result;
  UmedptWarp warp;
  gsize n;

  g_return_val_if_fail (sample && sample->image, NULL);
  g_return_val_if_fail (settings->width > 0 && settings->height > 0, NULL);

  if (settings->random)
    umedpt_augmentation_draw_symmetry (set, random, &symmetry);
  umedpt_warp_init (&warp, sample, settings, &symmetry,
      settings->random ? random : NULL);
  if (settings->random)
    umedpt_augmentation_draw_motion (set, random, &warp);
  warp.fill = umedpt_augmentation_get_fill (set);
  /* A mirrored object would have no box. */
  warp.reflect = umedpt_augmentation_get_reflect (set) && !sample->boxes;

  result = umedpt_sample_new (warp.width, warp.height);
  if (!result)
    return NULL;
  n = (gsize) warp.width * warp.height;
  copy_labels (sample, n_masks, result);
  umedpt_warp_image (&warp, sample->image, result->image);
  if (sample->mask) {
    result->mask = g_malloc (n * n_masks);
    umedpt_warp_mask (&warp, sample->mask, n_masks, result->mask);
  }
  if (sample->boxes)
    result->boxes = umedpt_warp_boxes (&warp, sample->boxes);
  umedpt_color_clip (result->image, 3 * n);
  if (settings->random)
    umedpt_augmentation_draw_colors (set, random, result);
  if (map)
    describe (&warp, map);
  return result;
}
