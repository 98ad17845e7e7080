/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Images that lie on the device already; see device-images.c.
 */
#pragma once

#include "backend/backend.h"
#include "infer/session.h"

G_BEGIN_DECLS

/* Whether all images lie in one kind of memory, which @backend can read. */
gboolean umedpt_device_images_check (UmedptBackend *backend,
    const UmedptImage *images, guint n, GError **error);
/* Brings images in device memory to @dst: u8 [n, H, W, 3], which nothing that
 * is queued uses. They have been read when it returns. */
gboolean umedpt_device_images_send (UmedptBackend *backend,
    const UmedptImage *images, UmedptTensor *dst, GError **error);

/* A number of the pixels of an image in device memory. */
gboolean umedpt_device_images_sum (UmedptBackend *backend,
    const UmedptImage *image, guint64 *sum, GError **error);

G_END_DECLS
