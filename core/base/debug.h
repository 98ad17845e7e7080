/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * UMEDPT_DEBUG: a comma-separated list of words that makes the library tell
 * what it does, on standard error through GLib's log.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

/* Flags of UMEDPT_DEBUG; the words are the lower-case names. */
typedef enum
{
  UMEDPT_DEBUG_DISPATCH = 1 << 0, /* which backend runs an op, and why not */
  UMEDPT_DEBUG_ALLOC = 1 << 1, /* buffers taken and given back */
  UMEDPT_DEBUG_TIMING = 1 << 2, /* time per op, summed at the end */
  UMEDPT_DEBUG_SHAPES = 1 << 3, /* shapes of every op */
  UMEDPT_DEBUG_NAN = 1 << 4, /* stop at the first NaN that an op makes */
  UMEDPT_DEBUG_SLIDE = 1 << 5, /* level choice, reopened handles, bad tiles */
} UmedptDebugFlags;

gboolean umedpt_debug_enabled (UmedptDebugFlags flag);

G_END_DECLS
