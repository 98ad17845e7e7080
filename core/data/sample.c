/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Making and freeing samples; what a sample is stands in sample.h.
 */
#include "data/sample.h"

#include <string.h>

#include "tensor/storage.h"

/**
 * umedpt_sample_new:
 * @width: pixels
 * @height: pixels
 *
 * A black sample without annotation: label %UMEDPT_IGNORE_LABEL, no mask, no
 * boxes.
 *
 * Returns: (transfer full): the sample, or %NULL if there is no memory for it
 *
 * Since: 0.1
 */
UmedptSample *
umedpt_sample_new (gint width, gint height)
{
  UmedptSample *self;
  gsize n;

  g_return_val_if_fail (width > 0 && height > 0, NULL);

  if (!g_size_checked_mul (&n, (gsize) width * (gsize) height,
          3 * sizeof (gfloat)))
    return NULL;
  self = g_new0 (UmedptSample, 1);
  self->width = width;
  self->height = height;
  self->label = UMEDPT_IGNORE_LABEL;
  self->image = umedpt_scratch_new (n);
  if (!self->image)
    g_clear_pointer (&self, umedpt_sample_free);
  else
    memset (self->image, 0, n);
  return self;
}

/**
 * umedpt_sample_free:
 * @self: (nullable) (transfer full): a sample
 *
 * Frees a sample with all that it holds.
 *
 * Since: 0.1
 */
void
umedpt_sample_free (UmedptSample *self)
{
  if (!self)
    return;
  umedpt_scratch_free (self->image);
  g_free (self->labels);
  g_free (self->weights);
  g_free (self->mask);
  g_clear_pointer (&self->boxes, g_array_unref);
  g_free (self);
}
