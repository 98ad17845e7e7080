/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A file driver for HDF5 that writes to a descriptor and never fails: the
 * first error number is kept for the caller to ask, and later writes are
 * dropped. HDF5 cannot close a file that it could not write (H5Fclose() fails
 * for ever, and "infinite loop closing library" is printed at exit); so it is
 * told that all went well, and the caller throws the file away.
 */
#pragma once

#include <glib.h>
#include <hdf5.h>

G_BEGIN_DECLS

/* Makes the files that are created with @access use @fd, an empty file that
 * stays the caller's. The first errno goes to *@error_number, which must be 0
 * and outlive the file. Negative on failure. */
herr_t umedpt_h5_driver_set (hid_t access, int fd, int *error_number);

G_END_DECLS
