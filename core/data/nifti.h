/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Volumes in NIfTI files (nifti.nimh.nih.gov), as far as data sets need them:
 * size, numbers, scaling. Orientation and spacing are not looked at.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  gint width, height, depth, channels; /* dim[1] … dim[4] */
  gint datatype; /* NIfTI's code */
  gsize number_size; /* bytes */
  gboolean swapped; /* not this machine's byte order */
  guint64 offset; /* of the first number */
  double slope, inter; /* value = slope number + inter; slope is not 0 */
} UmedptNiftiHeader;

/* Plain or compressed by gzip; the content tells, not the name. */
gboolean umedpt_nifti_read_header (const char *path, UmedptNiftiHeader *header,
    GError **error);
/* One channel as f32 [depth, height, width], scaled; (transfer full). All
 * numbers are finite. */
gfloat *umedpt_nifti_read (const char *path, gint channel,
    UmedptNiftiHeader *header, GError **error);

G_END_DECLS
