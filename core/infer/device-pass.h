/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The encoder on a device with memory of its own: batches, input that travels
 * beside the computing, and graphs. See device-pass.c.
 */
#pragma once

#include "infer/device-feed.h"
#include "infer/device-slots.h"

G_BEGIN_DECLS

/* As many images as fill a large card (per image, 128 at once are 3 to 6 %
 * faster): more are better cut, so that one part is fed while another is
 * computed. */
#define UMEDPT_DEVICE_BATCH 32

typedef struct _UmedptDevicePass UmedptDevicePass;

/* @model lies in the memory of @context's backend; both stay the caller's.
 * @width, @height: of an input image; @size: D, of an embedding. */
UmedptDevicePass *umedpt_device_pass_new (UmedptModel *model,
    UmedptContext *context, gint width, gint height, guint size);
void umedpt_device_pass_free (UmedptDevicePass *self);

/* umedpt_session_embed() for a device. May be called from several threads. */
gboolean umedpt_device_pass_embed (UmedptDevicePass *self,
    const UmedptImage *images, guint n_images, gfloat *embeddings,
    GCancellable *cancellable, GError **error);

/* What encodings share with it. */
UmedptDeviceFeed *umedpt_device_pass_get_feed (UmedptDevicePass *self);
UmedptSlots *umedpt_device_pass_get_slots (UmedptDevicePass *self);
/* How many images go through together. */
guint umedpt_device_pass_get_max_batch (UmedptDevicePass *self);
/* Frees what is kept prepared. TRUE if graphs of tasks were among it. */
gboolean umedpt_device_pass_forget (UmedptDevicePass *self);
/* After a failure: whether to try it again, now that there is more memory or
 * fewer images go through together. */
gboolean umedpt_device_pass_shrink (UmedptDevicePass *self, const GError *why);

G_END_DECLS
