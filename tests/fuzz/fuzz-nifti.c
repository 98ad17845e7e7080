/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: volumes, plain and compressed. What can be read has a sane size
 * and finite numbers, as many as it says.
 */
#define _GNU_SOURCE
#include <math.h>

#include "data/nifti.h"
#include "fuzz-labels.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *path = NULL;
  int fd = fuzz_open (data, size, &path);
  g_autoptr (GError) error = NULL, late = NULL;
  g_autofree gfloat *numbers = NULL;
  UmedptNiftiHeader header;
  gsize n = 0;

  if (!umedpt_nifti_read_header (path, &header, &error)) {
    fuzz_check_error (error);
  } else {
    n = (gsize) header.width * (gsize) header.height * (gsize) header.depth;
    if (header.width < 1 || header.height < 1 || header.depth < 1 ||
        header.channels < 1 || header.slope == 0)
      abort ();
  }
  if (n > 0 && n <= 1 << 20) { /* more only costs time */
    numbers = umedpt_nifti_read (path, header.channels - 1, &header, &late);
    if (numbers == NULL)
      fuzz_check_error (late);
    for (gsize i = 0; numbers != NULL && i < n; i++)
      if (!isfinite (numbers[i]))
        abort ();
  }
  close (fd);
  return 0;
}
