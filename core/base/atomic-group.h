/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Several files that appear together or not at all. What a thread completes
 * between begin and end gets its name at commit, after all are whole: writers
 * need not know of each other.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct _UmedptAtomicGroup UmedptAtomicGroup;

UMEDPT_API
UmedptAtomicGroup *umedpt_atomic_group_new (void);
/* From here to end, files that this thread finishes wait in the group. */
UMEDPT_API
void umedpt_atomic_group_begin (UmedptAtomicGroup *self);
UMEDPT_API
void umedpt_atomic_group_end (UmedptAtomicGroup *self);
/* Gives all their names. */
UMEDPT_API
gboolean umedpt_atomic_group_commit (UmedptAtomicGroup *self, GError **error);
/* Removes what was not committed. */
UMEDPT_API
void umedpt_atomic_group_free (UmedptAtomicGroup *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptAtomicGroup, umedpt_atomic_group_free)

G_END_DECLS
