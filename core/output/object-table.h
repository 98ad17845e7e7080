/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Objects counted per task and class, with their density per mm² of what was
 * looked at, as a CSV table.
 */
#pragma once

#include "base/macros.h"
#include "output/geojson-writer.h"

G_BEGIN_DECLS

typedef struct _UmedptObjectTable UmedptObjectTable;

/* @mpp: micrometres per level-0 pixel; 0: unknown, densities and areas in
 * micrometres stay empty. Fails early, as all writers. */
UMEDPT_API
UmedptObjectTable *umedpt_object_table_new (const char *path, const char *slide,
    double mpp, gboolean overwrite, GError **error);
/* Names the classes of a task, so that those without objects have a row. */
UMEDPT_API
void umedpt_object_table_add_task (UmedptObjectTable *self, guint task,
    const UmedptClassNames *names);
/* @area: square level-0 pixels that were looked at (of one more tile's core,
 * the part on the slide). */
UMEDPT_API
void umedpt_object_table_add_area (UmedptObjectTable *self, double area);
UMEDPT_API
void umedpt_object_table_add (UmedptObjectTable *self,
    const UmedptObject *object);
/* @label -1: of all classes. */
UMEDPT_API
guint64 umedpt_object_table_get_count (UmedptObjectTable *self, guint task,
    gint label);
UMEDPT_API
gboolean umedpt_object_table_finish (UmedptObjectTable *self, GError **error);
UMEDPT_API
void umedpt_object_table_free (UmedptObjectTable *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptObjectTable, umedpt_object_table_free)

G_END_DECLS
