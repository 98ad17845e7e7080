/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of the loader share: a data set of a format made here, whose
 * samples tell their number, and which can count reads, refuse and block.
 */
#pragma once

#include "data/dataset-private.h"
#include "data/loader.h"

G_BEGIN_DECLS

#define SAMPLES_WIDTH 24
#define SAMPLES_HEIGHT 16
#define SAMPLES_LABELS 3

extern gint samples_n_reads; /* atomic */
extern gint samples_bad; /* this one cannot be read */
extern gint samples_gate; /* reading this one blocks while … */
extern gint samples_gate_closed; /* … this is set; atomic */

/* Cases of 1, 2, 3, 4, 1, 2 … samples; labels in a ratio of 6 : 3 : 1. */
UmedptDataset *samples_dataset (UmedptTaskKind kind, guint n);
UmedptLoaderSettings samples_settings (guint batch);
UmedptLoader *samples_loader (UmedptDataset *dataset,
    const UmedptLoaderSettings *settings);
/* The next batch, which must be there. */
UmedptBatch *samples_next (UmedptLoader *loader);

G_END_DECLS
