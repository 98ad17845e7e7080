/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Augmentation: one sample becomes another of a given size, image, mask and
 * boxes alike. Geometry (resize or crop, flips, rotation, shift, scale,
 * distortion) is composed into one mapping and applied by one resampling, so
 * that pixels are interpolated once; then come the changes of colour. All
 * drawn from one generator: same state, same sample, same bits.
 */
#pragma once

#include "base/random.h"
#include "data/sample.h"

G_BEGIN_DECLS

typedef enum
{
  UMEDPT_AUGMENT_NONE, /* only brought to size */
  UMEDPT_AUGMENT_WEAK, /* any intensity image; no flips */
  UMEDPT_AUGMENT_HISTOLOGY,
  UMEDPT_AUGMENT_XRAY,
  UMEDPT_AUGMENT_TOMOGRAPHY, /* MR and CT */
  UMEDPT_AUGMENT_ENDOSCOPY,
} UmedptAugmentation;

typedef enum
{
  UMEDPT_FIT_STRETCH, /* the whole image, resized to width x height */
  UMEDPT_FIT_PAD, /* the whole image, its aspect kept, border filled */
  UMEDPT_FIT_CROP, /* a random part at the image's own scale (times `scale`);
                      without augmentation the centre; padded if smaller */
} UmedptFit;

typedef struct
{
  gint width, height; /* of the result */
  UmedptAugmentation augmentation;
  UmedptFit fit;
  double scale; /* result pixels per image pixel, for CROP; 1 */
  gboolean random; /* FALSE: NONE and the centre, for validation */
} UmedptAugmentSettings;

/* How result and original relate, so that results can be mapped back:
 * original = a result + b, per axis; only without augmentation. */
typedef struct
{
  double ax, bx, ay, by;
} UmedptAugmentMap;

/* @n_masks: planes of the mask (1 for segmentation, K for multilabel).
 * Boxes of which less than a quarter of the area remains become ignored,
 * those outside are dropped. @map: (nullable). (transfer full), never NULL. */
UmedptSample *umedpt_augment (const UmedptSample *sample, guint n_masks,
    const UmedptAugmentSettings *settings, UmedptRandom *random,
    UmedptAugmentMap *map);

gboolean umedpt_augmentation_parse (const char *name,
    UmedptAugmentation *augmentation, GError **error);
const char *umedpt_augmentation_get_name (UmedptAugmentation augmentation);
gboolean umedpt_fit_parse (const char *name, UmedptFit *fit, GError **error);
const char *umedpt_fit_get_name (UmedptFit fit);

G_END_DECLS
