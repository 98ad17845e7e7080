/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pictures in device memory as input. See image.c.
 */
#pragma once

#include "cuda.h"

G_BEGIN_DECLS

/* For the slot feed_images of UmedptBackend. */
gboolean umedpt_cuda_feed_images (UmedptBackend *backend,
    const UmedptDeviceImage *images, guint n, gpointer dst, gint width,
    gint height, GError **error);

/* For the slot sum_image. */
gboolean umedpt_cuda_sum_image (UmedptBackend *backend,
    const UmedptDeviceImage *image, guint64 *sum, GError **error);

G_END_DECLS
