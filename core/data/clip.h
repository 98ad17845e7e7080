/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames of compressed clips, asked for one by one and in any order. A frame
 * can be decoded only after those it refers to, so a clip is decoded from a key
 * frame to the next, and the frames of which it was said that they will be
 * wanted are kept, up to a number of bytes.
 */
#pragma once

#include "data/dataset-private.h"

G_BEGIN_DECLS

typedef struct _UmedptClips UmedptClips;

/* Whether this library was built with FFmpeg's. */
gboolean umedpt_clips_supported (void);

UmedptClips *umedpt_clips_new (gsize max_bytes);
void umedpt_clips_free (UmedptClips *self);
/* Frame @number of @path, from 0 in the order of display, will be asked for.
 * Opens nothing. Before any read; not thread-safe. */
void umedpt_clips_want (UmedptClips *self, const char *path, guint number);
/* How many frames @path has; 0 with @error set. Thread-safe. */
guint umedpt_clips_count (UmedptClips *self, const char *path, GError **error);
/* RGB, 0 to 255. Thread-safe; threads that want frames of one clip wait for
 * each other, because what the first decodes is what the others want. */
UmedptImageFile *umedpt_clips_read (UmedptClips *self, const char *path,
    guint number, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptClips, umedpt_clips_free)

G_END_DECLS
