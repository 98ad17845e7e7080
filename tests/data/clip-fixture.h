/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Clips for tests, encoded by libav itself (MPEG-4 part 2, which every build of
 * it has). The brightness of a frame tells its number.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  gint width, height;
  guint n_frames;
  gint gop, b_frames;
  const char *codec; /* NULL: mpeg4 */
} ClipFixture;

/* Whether libav has this encoder. */
gboolean clip_fixture_has (const char *codec);
/* Luma of frame @number, all over. */
guint clip_fixture_luma (guint number);
/* The container is told by the end of @path. */
void clip_fixture_write (const char *path, const ClipFixture *clip);
/* A file with sound alone. */
void clip_fixture_write_sound (const char *path);
/* The level of libav's messages. */
gint clip_fixture_get_log_level (void);

G_END_DECLS
