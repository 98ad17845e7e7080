/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What stands between the frames that are kept (clip.c) and the library that
 * decodes them (clip-ffmpeg.c, or clip-none.c without it).
 */
#pragma once

#include "data/clip.h"

G_BEGIN_DECLS

/* Which frames a clip has. */
typedef struct
{
  guint n_frames;
  GArray *times; /* (nullable) of gint64, ascending: time stamp of each frame;
                    NULL: there are none, and frames can only be counted */
  GArray
      *keys; /* of guint, ascending: the frames at which decoding may begin */
} UmedptClipIndex;

UmedptClipIndex *umedpt_clip_index_new (const char *path, GError **error);
void umedpt_clip_index_free (UmedptClipIndex *self);

typedef enum
{
  UMEDPT_CLIP_SKIP,
  UMEDPT_CLIP_TAKE,
  UMEDPT_CLIP_STOP,
} UmedptClipChoice;

/* Who gets the frames, in the order of display. */
typedef struct
{
  /* Before a frame is converted. */
  UmedptClipChoice (*choose) (guint number, gpointer data);
  /* @rgb: (transfer full) [height, width, 3]. */
  void (*take) (guint number, guint8 *rgb, gint width, gint height,
      gpointer data);
  gpointer data;
} UmedptClipSink;

/* From the last key frame that is not after @target on, to the next one that
 * is. Fails if frame @target is damaged or does not come. */
gboolean umedpt_clip_decode (const char *path, const UmedptClipIndex *index,
    guint target, const UmedptClipSink *sink, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptClipIndex, umedpt_clip_index_free)

G_END_DECLS
