/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A synthetic slide: a pyramidal, tiled TIFF that looks like a section stained
 * with haematoxylin and eosin, with every nucleus at a known place. For tests,
 * for trying the program without data, and for slides of any size.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct
{
  gint64 width, height; /* level-0 pixels */
  double mpp; /* µm per level-0 pixel; sizes of nuclei follow */
  guint64 seed; /* same seed and size: same file */
  gint64 n_nuclei; /* -1: as dense as in tissue */
  gint quality; /* JPEG quality 1 … 100; 0 = lossless (deflate) */
  gboolean no_mpp; /* write no resolution */
  gboolean absurd_dpi; /* write 72 dpi, as image programs do */
  guint n_threads; /* 0 = as many as cores; the file is the same */
} UmedptSynthOptions;

#define UMEDPT_SYNTH_OPTIONS_INIT \
  { \
    20000, 15000, 0.25, 1, -1, 90, FALSE, FALSE, 0 \
  }

UMEDPT_API
gboolean umedpt_synth_write (const char *path, const char *truth_path,
    const UmedptSynthOptions *options, GError **error);

G_END_DECLS
