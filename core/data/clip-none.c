/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Clips without FFmpeg's libraries: there are none. Data sets say so before
 * they ask for a frame (dataset-frames.c).
 */
#include "data/clip-private.h"

#include "base/error.h"

gboolean
umedpt_clips_supported (void)
{
  return FALSE;
}

void
umedpt_clip_index_free (UmedptClipIndex *self)
{
  g_free (self);
}

UmedptClipIndex *
umedpt_clip_index_new (const char *path, GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
      "“%s” cannot be read: this library was built without FFmpeg.", path);
  return NULL;
}

gboolean
umedpt_clip_decode (const char *path, const UmedptClipIndex *index,
    guint target, const UmedptClipSink *sink, GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
      "“%s” cannot be read: this library was built without FFmpeg.", path);
  return FALSE;
}
