/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A virtual file driver (HDF5 Virtual File Layer) of the plainest kind: one
 * descriptor, pread() and pwrite(). H5FD_class_t grew fields in HDF5 1.13;
 * those we fill have kept their names and meaning.
 */
#include "output/h5-driver.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#ifdef H5FD_CLASS_VERSION
#define HAVE_CLASS_VERSION 1
#elif H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#define HAVE_CLASS_VERSION 1
#endif

/* What the access list carries to driver_open(). */
typedef struct
{
  int fd;
  int *error_number;
} DriverInfo;

typedef struct
{
  H5FD_t base; /* HDF5's part comes first */
  DriverInfo info;
  haddr_t allocated, end;
} DriverFile;

static H5FD_t *
driver_open (const char *name, unsigned flags, hid_t access, haddr_t limit)
{
  const DriverInfo *info = H5Pget_driver_info (access);
  DriverFile *self;

  if (!info)
    return NULL;
  self = g_new0 (DriverFile, 1);
  self->info = *info;
  return &self->base;
}

static herr_t
driver_close (H5FD_t *file)
{
  g_free (file);
  return 0;
}

/* HDF5 asks whether two files are the same one; ours never are. */
static int
driver_compare (const H5FD_t *a, const H5FD_t *b)
{
  return a < b ? -1 : a > b;
}

static herr_t
driver_query (const H5FD_t *file, unsigned long *flags)
{
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA |
      H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA |
      H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

static haddr_t
driver_get_allocated (const H5FD_t *file, H5FD_mem_t type)
{
  return ((const DriverFile *) file)->allocated;
}

static herr_t
driver_set_allocated (H5FD_t *file, H5FD_mem_t type, haddr_t size)
{
  ((DriverFile *) file)->allocated = size;
  return 0;
}

static haddr_t
driver_get_end (const H5FD_t *file, H5FD_mem_t type)
{
  return ((const DriverFile *) file)->end;
}

/* What lies beyond the end, or was dropped, reads as zeros. */
static herr_t
driver_read (H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address,
    size_t size, void *buffer)
{
  DriverFile *self = (DriverFile *) file;
  guint8 *bytes = buffer;

  while (size > 0) {
    ssize_t n = pread (self->info.fd, bytes, size, (off_t) address);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && *self->info.error_number == 0)
      *self->info.error_number = errno;
    if (n <= 0)
      break;
    bytes += n;
    address += n;
    size -= n;
  }
  memset (bytes, 0, size);
  return 0;
}

static herr_t
driver_write (H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address,
    size_t size, const void *buffer)
{
  DriverFile *self = (DriverFile *) file;
  const guint8 *bytes = buffer;

  self->end = MAX (self->end, address + size);
  while (size > 0 && *self->info.error_number == 0) {
    ssize_t n = pwrite (self->info.fd, bytes, size, (off_t) address);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      *self->info.error_number = errno;
      break;
    }
    bytes += n;
    address += n;
    size -= n;
  }
  return 0;
}

static herr_t
driver_truncate (H5FD_t *file, hid_t transfer, hbool_t closing)
{
  DriverFile *self = (DriverFile *) file;

  if (self->end == self->allocated)
    return 0;
  if (*self->info.error_number == 0 &&
      ftruncate (self->info.fd, (off_t) self->allocated) != 0)
    *self->info.error_number = errno;
  self->end = self->allocated;
  return 0;
}

static const H5FD_class_t driver_class = {
#ifdef HAVE_CLASS_VERSION
  .version = H5FD_CLASS_VERSION,
  .value = (H5FD_class_value_t) 513, /* of the range left to programs */
#endif
  .name = "umedpt",
  .maxaddr = ((haddr_t) 1 << 62) - 1,
  .fc_degree = H5F_CLOSE_STRONG,
  .fapl_size = sizeof (DriverInfo),
  .open = driver_open,
  .close = driver_close,
  .cmp = driver_compare,
  .query = driver_query,
  .get_eoa = driver_get_allocated,
  .set_eoa = driver_set_allocated,
  .get_eof = driver_get_end,
  .read = driver_read,
  .write = driver_write,
  .truncate = driver_truncate,
  .fl_map = H5FD_FLMAP_DICHOTOMY,
};

herr_t
umedpt_h5_driver_set (hid_t access, int fd, int *error_number)
{
  /* Registered for the life of HDF5, which frees a driver too early that goes
   * with its last file. A program may restart HDF5; the number is stale then.
   * The caller's lock guards it. */
  static hid_t driver = -1;
  DriverInfo info = { fd, error_number };

  if (driver < 0 || H5Iget_type (driver) != H5I_VFL)
    driver = H5FDregister (&driver_class);
  return driver < 0 ? -1 : H5Pset_driver (access, driver, &info);
}
