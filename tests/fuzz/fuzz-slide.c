/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: the readers of TIFF, PNG and JPEG. Whatever the bytes are, the
 * file opens or the error says why not; and if it opens, both corners of every
 * level can be asked for, with pixels or an error. OpenSlide is left out: its
 * parsers are not ours. The seeds were written by libtiff, libpng and libjpeg
 * (tests/data/fixture.c). The readers take names, so the bytes lie in a file
 * in memory.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "data/slide-private.h"
#include "fuzz.h"

#define SIDE 48

static void
check_error (const GError *error)
{
  if (error == NULL || error->domain != UMEDPT_ERROR ||
      !g_utf8_validate (error->message, -1, NULL))
    abort ();
}

static void
read_corner (UmedptSlideReader *reader, guint level, double x, double y)
{
  guint32 argb[SIDE * SIDE];
  g_autoptr (GError) error = NULL;

  if (!reader->klass->read_level (reader, level, &x, &y, SIDE, SIDE, argb,
          &error))
    check_error (error);
  else if (error != NULL)
    abort ();
}

static void
read_all (UmedptSlideReader *reader)
{
  UmedptSlideScale scale = { 0 };

  for (guint i = 0; i < reader->levels->len; i++) {
    const UmedptSlideLevel *level =
        &g_array_index (reader->levels, UmedptSlideLevel, i);

    if (level->width < 1 || level->height < 1 || !(level->downsample >= 1))
      abort ();
    read_corner (reader, i, -SIDE / 2, -SIDE / 2);
    read_corner (reader, i, (double) level->width - SIDE / 2,
        (double) level->height - SIDE / 2);
  }
  umedpt_slide_scale_find (reader, &scale);
  if ((scale.mpp > 0) == (scale.problem != NULL))
    abort ();
  g_free (scale.problem);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  int fd = memfd_create ("fuzz", 0);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  g_autoptr (GError) error = NULL;
  gboolean tiff = size > 1 && (data[0] == 'I' || data[0] == 'M');
  UmedptSlideReader *reader = NULL;

  if (fd < 0 || write (fd, data, size) != (ssize_t) size)
    abort ();
  reader = (tiff ? umedpt_slide_reader_open_tiff
                 : umedpt_slide_reader_open_image) (path, &error);
  if (reader != NULL) {
    read_all (reader);
    reader->klass->close (reader);
  } else {
    check_error (error);
  }
  close (fd);
  return 0;
}
