/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of labelled data sets share: a temporary folder that is the
 * data set, files of every kind in it, opening by a few lines of
 * configuration, and the assertion that opening fails for the right reason.
 */
#pragma once

#include <glib.h>

#include "data/dataset-private.h"

G_BEGIN_DECLS

/* Begins an empty folder; ends the one before. */
void labelled_begin (void);
void labelled_end (void);
char *labelled_path (const char *name);

/* Folders are made as needed. */
void labelled_write (const char *name, const char *content, gssize length);
#define labelled_text(name, content) labelled_write (name, content, -1)

/* Pixel (x, y) = seed + 3 x + 5 y, in 8 bits. */
void labelled_grey (const char *name, gint width, gint height, guint seed);
/* @bits: 1, 2, 4, 8 or 16; one number per pixel. */
void labelled_png (const char *name, gint width, gint height, gint bits,
    const guint16 *numbers, gboolean palette);
/* NIfTI-1; @numbers of @datatype (16: float, 4: gint16, 2: guint8) from
 * doubles, in the other byte order if @swapped; gzip by the name's end. */
void labelled_nifti (const char *name, gint width, gint height, gint depth,
    gint datatype, gboolean swapped, double slope, double inter,
    const double *numbers);

/* @keys: lines without a group; path is added. */
UmedptDataset *labelled_open (const char *keys, UmedptTaskKind kind,
    GError **error);
/* Opens, and must not fail. */
UmedptDataset *labelled_get (const char *keys, UmedptTaskKind kind);
/* Opening fails, and the message holds all of the words (NULL ends). */
void labelled_fails (const char *keys, UmedptTaskKind kind,
    ...) G_GNUC_NULL_TERMINATED;
/* Reading sample @index fails likewise. */
void labelled_read_fails (UmedptDataset *dataset, guint index,
    ...) G_GNUC_NULL_TERMINATED;
/* The index of a sample by name. */
guint labelled_find (UmedptDataset *dataset, const char *name);
guint labelled_count (UmedptDataset *dataset, UmedptSplit split);
/* Problems that a check finds, "where: problem\n" each, fatal ones with "!"
 * before. */
char *labelled_check (UmedptDataset *dataset, gint *n_fatal);

G_END_DECLS
