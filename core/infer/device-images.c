/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Images that lie on the device already: decoded there, or the caller's. They
 * are resized there and never seen by the host, but give the bytes that the
 * host would have made of them. The caller gets them back unread by anybody:
 * a decoder writes its next picture into the same memory.
 */
#include "infer/device-images.h"

#include "base/error.h"
#include "infer/preprocess.h"

static gboolean
check_alike (const UmedptImage *images, guint n, GError **error)
{
  for (guint i = 0; i < n; i++) {
    if ((guint) images[i].memory > UMEDPT_IMAGE_MEMORY_DEVICE) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
          "Image %u lies in the unknown kind of memory %d.", i,
          (gint) images[i].memory);
      return FALSE;
    }
    if (images[i].memory != images[0].memory) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
          "Image %u lies in the memory of the %s, image 0 in that of the %s; "
          "images of one call must lie in one.",
          i, images[i].memory ? "device" : "host",
          images[0].memory ? "device" : "host");
      return FALSE;
    }
  }
  return TRUE;
}

gboolean
umedpt_device_images_check (UmedptBackend *backend, const UmedptImage *images,
    guint n, GError **error)
{
  if (n == 0)
    return TRUE;
  if (!check_alike (images, n, error))
    return FALSE;
  if (images->memory == UMEDPT_IMAGE_MEMORY_HOST || backend->feed_images)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "The images lie in the memory of a device, but the model runs on '%s', "
      "which reads host memory only; copy them there, or open the model with "
      "the device 'cuda'.",
      backend->name);
  return FALSE;
}

static UmedptDeviceImage
describe (const UmedptImage *image)
{
  UmedptDeviceImage out = { .data = image->data,
    .stride = image->stride,
    .width = image->width,
    .height = image->height };

  umedpt_preprocess_describe (image->pixels, &out.bytes, out.offsets);
  return out;
}

gboolean
umedpt_device_images_send (UmedptBackend *backend, const UmedptImage *images,
    UmedptTensor *dst, GError **error)
{
  const guint n = (guint) dst->shape[0];
  g_autofree UmedptDeviceImage *there = g_new (UmedptDeviceImage, n);

  for (guint i = 0; i < n; i++) {
    if (!umedpt_preprocess_check (&images[i], error))
      return FALSE;
    there[i] = describe (&images[i]);
  }
  return backend->feed_images (backend, there, n, dst->data,
      (gint) dst->shape[2], (gint) dst->shape[1], error);
}

gboolean
umedpt_device_images_sum (UmedptBackend *backend, const UmedptImage *image,
    guint64 *sum, GError **error)
{
  UmedptDeviceImage there;

  if (!umedpt_device_images_check (backend, image, 1, error) ||
      !umedpt_preprocess_check (image, error))
    return FALSE;
  there = describe (image);
  return backend->sum_image (backend, &there, sum, error);
}
