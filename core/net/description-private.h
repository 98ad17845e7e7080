/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of the description share.
 */
#pragma once

#include "base/json.h"
#include "net/description.h"

G_BEGIN_DECLS

/* The words of enums, in their order, NULL-terminated. */
extern const char *const umedpt_norm_names[];
extern const char *const umedpt_order_names[];
extern const char *const umedpt_kind_names[];
extern const char *const umedpt_grouper_names[];

UmedptDescription *umedpt_description_alloc (void);
UmedptTaskDescription *umedpt_task_description_alloc (void);
void umedpt_task_description_free (UmedptTaskDescription *task);
/* Whether it has a result for every image: the others may be grouped. */
gboolean umedpt_task_kind_is_dense (UmedptTaskKind kind);
gboolean umedpt_description_check_sizes (const UmedptDescription *self,
    GError **error);
gboolean umedpt_description_check_arch (const UmedptDescription *self,
    GError **error);
gboolean umedpt_description_check_tasks (const UmedptDescription *self,
    gint code, GError **error);
gboolean umedpt_description_read_tasks (UmedptJson *json, GPtrArray *tasks,
    GError **error);
void umedpt_description_append_tasks (GString *text, const GPtrArray *tasks);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptTaskDescription,
    umedpt_task_description_free)

G_END_DECLS
