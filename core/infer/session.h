/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A session: a model made ready on a device. One exists per (file, device,
 * precision) in a process, shared by all who ask for it. Images go in as they
 * are, with any size and stride; results come out.
 */
#pragma once

#include <gio/gio.h>

#include "net/model.h"

G_BEGIN_DECLS

/**
 * UmedptPrecision:
 * @UMEDPT_PRECISION_AUTO: bf16 where the processor multiplies it natively,
 *   else f32
 * @UMEDPT_PRECISION_F32: single precision throughout
 * @UMEDPT_PRECISION_BF16: bf16 matrix products, f32 sums, norms and softmax
 */
typedef enum
{
  UMEDPT_PRECISION_AUTO,
  UMEDPT_PRECISION_F32,
  UMEDPT_PRECISION_BF16,
} UmedptPrecision;

typedef enum
{
  UMEDPT_PIXELS_RGB, /* 3 bytes */
  UMEDPT_PIXELS_BGR, /* 3 bytes */
  UMEDPT_PIXELS_RGBX, /* 4 bytes, the last ignored (RGBx, RGBA) */
  UMEDPT_PIXELS_BGRX, /* 4 bytes, the last ignored (BGRx, BGRA) */
  UMEDPT_PIXELS_GRAY8, /* 1 byte */
} UmedptPixels;

/**
 * UmedptImageMemory:
 * @UMEDPT_IMAGE_MEMORY_HOST: the processor's
 * @UMEDPT_IMAGE_MEMORY_DEVICE: that of the device on which the session
 *   computes. On CUDA: the primary context's, of the first device that the
 *   process sees
 */
typedef enum
{
  UMEDPT_IMAGE_MEMORY_HOST,
  UMEDPT_IMAGE_MEMORY_DEVICE,
} UmedptImageMemory;

/* One image in the caller's memory. Images of one call lie in one kind of
 * memory. On a device, what writes them has to be done before the call; when
 * it returns nothing reads them any more. */
typedef struct
{
  const guint8 *data;
  gint width, height;
  gsize stride; /* bytes from row to row */
  UmedptPixels pixels;
  UmedptImageMemory memory; /* of data; 0: the host's */
} UmedptImage;

#define UMEDPT_TYPE_SESSION (umedpt_session_get_type ())
UMEDPT_API
G_DECLARE_FINAL_TYPE (UmedptSession, umedpt_session, UMEDPT, SESSION, GObject)

/* @device: "auto" or NULL, "cpu", "cuda", "cuda:0", "ref". (transfer full) */
UMEDPT_API
UmedptSession *umedpt_session_open (const char *model_file, const char *device,
    UmedptPrecision precision, GError **error);
UMEDPT_API
UmedptModel *umedpt_session_get_model (UmedptSession *self);
UMEDPT_API
const char *umedpt_session_get_device (UmedptSession *self);
/* Whether images are computed together, on a device with memory of its own. */
UMEDPT_API
gboolean umedpt_session_has_device (UmedptSession *self);
UMEDPT_API
UmedptPrecision umedpt_session_get_precision (UmedptSession *self);
UMEDPT_API
guint umedpt_session_get_embedding_size (UmedptSession *self);
/* Images that went through the encoder since the session was opened. */
UMEDPT_API
guint64 umedpt_session_get_n_encoded (UmedptSession *self);
/* @sum: a number of the pixels of an image in the device's memory. */
UMEDPT_API
gboolean umedpt_session_sum_image (UmedptSession *self,
    const UmedptImage *image, guint64 *sum, GError **error);
/* Images of another size than the model's input are resized to it (area
 * filter when shrinking, bilinear when enlarging). @embeddings: f32 [n, D]. */
UMEDPT_API
gboolean umedpt_session_embed (UmedptSession *self, const UmedptImage *images,
    guint n_images, gfloat *embeddings, GCancellable *cancellable,
    GError **error);

G_END_DECLS
