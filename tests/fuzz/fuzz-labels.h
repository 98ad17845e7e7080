/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the fuzz targets of labelled data share: an error is ours and readable,
 * and readers that take names get the bytes as a file in memory.
 */
#pragma once

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

static inline void
fuzz_check_error (const GError *error)
{
  if (error == NULL || error->domain != UMEDPT_ERROR ||
      !g_utf8_validate (error->message, -1, NULL))
    abort ();
}

/* A file descriptor; its path is in @path. */
static inline int
fuzz_open (const void *data, size_t size, char **path)
{
  int fd = memfd_create ("fuzz", 0);

  if (fd < 0 || write (fd, data, size) != (ssize_t) size)
    abort ();
  *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  return fd;
}
