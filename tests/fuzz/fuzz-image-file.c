/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: image files of data sets. Whatever the bytes are, they are an
 * image of finite numbers and a sane size, or the error says why not; and what
 * can be read as a mask has one channel.
 */
#define _GNU_SOURCE
#include <math.h>

#include "data/image-file.h"
#include "fuzz-labels.h"
#include "fuzz.h"

static void
check (UmedptImageFile *image, const GError *error, gint max_channels)
{
  if (image == NULL) {
    fuzz_check_error (error);
    return;
  }
  if (error != NULL || image->width < 1 || image->height < 1 ||
      (image->channels != 1 && image->channels != max_channels) ||
      !(image->max > 0))
    abort ();
  for (gsize i = 0; i < (gsize) image->width * image->height * image->channels;
       i++)
    if (!isfinite (image->data[i]))
      abort ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *path = NULL;
  int fd = fuzz_open (data, size, &path);
  g_autoptr (GError) error = NULL, mask_error = NULL, size_error = NULL;
  g_autoptr (UmedptImageFile) image = NULL, mask = NULL;
  gint width = 0, height = 0;

  /* a few bytes can ask for a gigabyte, which only costs time */
  if (!umedpt_image_file_size (path, &width, &height, &size_error)) {
    fuzz_check_error (size_error);
  } else if ((gint64) width * height <= 1 << 20) {
    image = umedpt_image_file_read (path, &error);
    check (image, error, 3);
    if (image != NULL && (image->width != width || image->height != height))
      abort ();
    mask = umedpt_image_file_read_as (path, UMEDPT_IMAGE_READ_INDICES,
        &mask_error);
    check (mask, mask_error, 1);
  }
  close (fd);
  return 0;
}
