/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pictures in device memory as input. They are read on the stream of the
 * feeds, beside the computing, and waited for: a picture is its owner's again
 * when the slot returns, however long the network takes.
 */
#include "ops/image.h"

#include "kernels/image.h"
#include "transfer.h"

static UmedptCudaImage
image_of (const UmedptDeviceImage *image)
{
  return (UmedptCudaImage){ .data = image->data,
    .stride = image->stride,
    .width = image->width,
    .height = image->height,
    .bytes = image->bytes,
    .offsets = { image->offsets[0], image->offsets[1], image->offsets[2] } };
}

gboolean
umedpt_cuda_feed_images (UmedptBackend *backend,
    const UmedptDeviceImage *images, guint n, gpointer dst, gint width,
    gint height, GError **error)
{
  const gsize size = (gsize) width * (gsize) height * 3;
  cudaStream_t stream = umedpt_cuda_feed_lock ();
  gboolean ok = TRUE;

  for (guint i = 0; ok && i < n; i++) {
    const UmedptCudaImage image = image_of (&images[i]);

    ok = umedpt_cuda_check (umedpt_cuda_launch_image (&image,
                                (guint8 *) dst + i * size, width, height,
                                stream),
        "reading an image", error);
  }
  return umedpt_cuda_feed_unlock (ok ? error : NULL) && ok;
}

/* Queues all of it; @there: one number. */
static gboolean
queue_sum (const UmedptDeviceImage *image, gpointer there, guint64 *sum,
    cudaStream_t stream, GError **error)
{
  const UmedptCudaImage own = image_of (image);

  return umedpt_cuda_check (cudaMemsetAsync (there, 0, sizeof *sum, stream),
             "clearing GPU memory", error) &&
      umedpt_cuda_check (umedpt_cuda_launch_image_sum (&own, there, stream),
          "summing an image", error) &&
      umedpt_cuda_check (cudaMemcpyAsync (sum, there, sizeof *sum,
                             cudaMemcpyDeviceToHost, stream),
          "copying from the GPU", error);
}

gboolean
umedpt_cuda_sum_image (UmedptBackend *backend, const UmedptDeviceImage *image,
    guint64 *sum, GError **error)
{
  /* none of the pool's, which queued work may still use; for ever */
  static gpointer there;
  cudaStream_t stream = umedpt_cuda_feed_lock ();
  gboolean ok = there ||
      umedpt_cuda_check (cudaMalloc (&there, sizeof *sum),
          "allocating GPU memory", error);

  ok = ok && queue_sum (image, there, sum, stream, error);
  return umedpt_cuda_feed_unlock (ok ? error : NULL) && ok;
}
