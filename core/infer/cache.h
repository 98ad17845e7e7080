/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Objects that a process shares by key, kept a little longer than their last
 * user: an element that goes to READY and back must not load its model twice.
 */
#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

#define UMEDPT_CACHE_KEEP_SECONDS 5

/* (transfer full) (nullable) */
gpointer umedpt_cache_get (const char *key);
/* Shares @object, which must not be in the cache yet, under @key; an older
 * one of that key is given up. */
void umedpt_cache_put (const char *key, gpointer object);
/* Gives up at once what nobody uses. */
void umedpt_cache_trim (void);
guint umedpt_cache_get_size (void);

G_END_DECLS
