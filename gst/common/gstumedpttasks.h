/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Names in properties against the model: tasks, classes, sizes.
 */
#pragma once

#include "infer/session.h"

G_BEGIN_DECLS

#define GST_UMEDPT_KIND(kind) (1u << (kind))
#define GST_UMEDPT_VALUE_KINDS \
  (GST_UMEDPT_KIND (UMEDPT_TASK_CLASSIFICATION) | \
      GST_UMEDPT_KIND (UMEDPT_TASK_MULTILABEL) | \
      GST_UMEDPT_KIND (UMEDPT_TASK_REGRESSION))
#define GST_UMEDPT_MASK_KINDS \
  (GST_UMEDPT_KIND (UMEDPT_TASK_SEGMENTATION) | \
      GST_UMEDPT_KIND (UMEDPT_TASK_MULTILABEL_SEGMENTATION))
#define GST_UMEDPT_BOX_KINDS GST_UMEDPT_KIND (UMEDPT_TASK_DETECTION)

/* The number of the task called @name, or without a name of the only one of
 * the model whose kind is in @kinds. Negative with @error set, which lists the
 * model's tasks. */
gint gst_umedpt_find_task (UmedptSession *session, const char *name,
    guint kinds, GError **error);
const UmedptTaskDescription *gst_umedpt_get_task (UmedptSession *session,
    gint task);
/* The size that a task was trained at. */
void gst_umedpt_get_task_input (UmedptSession *session, gint task, gint *width,
    gint *height);
/* The names in "a, b; c". (transfer full) */
char **gst_umedpt_split_names (const char *names);
/* Per class of @task whether it is among @names; without names all are.
 * (transfer full), or NULL with @error set. */
guint8 *gst_umedpt_select_classes (const UmedptTaskDescription *task,
    const char *names, GError **error);

G_END_DECLS
