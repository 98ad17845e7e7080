/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Images on their way to a device with memory of its own; see device-feed.c.
 */
#pragma once

#include "autograd/ops.h"
#include "infer/session.h"
#include "tensor/tensor-private.h"

G_BEGIN_DECLS

typedef struct _UmedptDeviceFeed UmedptDeviceFeed;

/* Images where the device computes. Zeroed before use. */
typedef struct
{
  UmedptTensor *images; /* u8 [n, H, W, 3] */
  UmedptTensor *memory; /* u8 [bytes]: what they lie in */
} UmedptFed;

UmedptDeviceFeed *umedpt_device_feed_new (UmedptBackend *backend);
void umedpt_device_feed_free (UmedptDeviceFeed *self);

/* Sends @n images, resized to @width times @height: whatever is queued from
 * now on finds them. On failure @fed stays empty. From any thread. */
gboolean umedpt_device_feed_send (UmedptDeviceFeed *self,
    const UmedptImage *images, guint n, gint width, gint height, UmedptFed *fed,
    GError **error);
/* Takes the memory back. Nothing that is queued may read it any more: somebody
 * has waited since. */
void umedpt_device_feed_return (UmedptDeviceFeed *self, UmedptFed *fed);
/* Frees memory that waits for images. */
void umedpt_device_feed_forget (UmedptDeviceFeed *self);
/* Lets go of the memory, whatever is queued. */
void umedpt_fed_clear (UmedptFed *fed);

G_END_DECLS
