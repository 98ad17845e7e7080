/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * libav prints what it finds in a file, and a library must not. How much it
 * prints is the process's setting and not a context's, so it is lowered while
 * any thread decodes a clip, and put back by the last. A program that takes the
 * messages by a function of its own goes on getting them.
 */
#include <libavutil/log.h>

#include "data/clip-ffmpeg.h"

static GMutex log_lock;
static guint log_users;
static gint log_level;

void
umedpt_clip_begin_silence (void)
{
  g_mutex_lock (&log_lock);
  if (log_users++ == 0) {
    log_level = av_log_get_level ();
    av_log_set_level (AV_LOG_QUIET);
  }
  g_mutex_unlock (&log_lock);
}

void
umedpt_clip_end_silence (void)
{
  g_mutex_lock (&log_lock);
  if (--log_users == 0 && av_log_get_level () == AV_LOG_QUIET)
    av_log_set_level (log_level);
  g_mutex_unlock (&log_lock);
}
