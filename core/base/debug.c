/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reads UMEDPT_DEBUG once. g_parse_debug_string() knows the word "help".
 */
#include "base/debug.h"

static const GDebugKey keys[] = {
  { "dispatch", UMEDPT_DEBUG_DISPATCH },
  { "alloc", UMEDPT_DEBUG_ALLOC },
  { "timing", UMEDPT_DEBUG_TIMING },
  { "shapes", UMEDPT_DEBUG_SHAPES },
  { "nan", UMEDPT_DEBUG_NAN },
  { "slide", UMEDPT_DEBUG_SLIDE },
};

/* Whether @flag is named in UMEDPT_DEBUG. Cheap enough for every op. */
gboolean
umedpt_debug_enabled (UmedptDebugFlags flag)
{
  static gsize flags; /* the parsed flags + 1: 0 means not read yet */

  if (g_once_init_enter (&flags)) {
    guint parsed = g_parse_debug_string (g_getenv ("UMEDPT_DEBUG"), keys,
        G_N_ELEMENTS (keys));
    g_once_init_leave (&flags, (gsize) parsed + 1);
  }
  return ((flags - 1) & flag) != 0;
}
