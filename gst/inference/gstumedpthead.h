/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The abstract base of elements that run one dense task of a model: which task,
 * which of its classes, from which probability on. A subclass decodes.
 */
#pragma once

#include "inference/gstumedptbase.h"

G_BEGIN_DECLS

#define GST_TYPE_UMEDPT_HEAD (gst_umedpt_head_get_type ())
G_DECLARE_DERIVABLE_TYPE (GstUmedptHead, gst_umedpt_head, GST, UMEDPT_HEAD,
    GstUmedptBase)

/* What the properties mean for a model. */
typedef struct
{
  guint task; /* number in the model */
  const UmedptTaskDescription *own; /* its description */
  guint n_classes;
  guint8 *keep; /* [n_classes] whether to report a class */
  gboolean all; /* every class is kept */
  double threshold;
} GstUmedptChoice;

/**
 * GstUmedptHeadClass:
 * @kinds: of tasks that the element can run, a mask of GST_UMEDPT_KIND()
 * @run: puts the task's result on @buffer
 */
struct _GstUmedptHeadClass
{
  GstUmedptBaseClass parent_class;

  guint kinds;
  gboolean (*run) (GstUmedptHead *self, const GstUmedptLook *look,
      const GstUmedptChoice *choice, GstBuffer *buffer, GError **error);
};

/* The task of a model that the element has found fit for it. */
const UmedptTaskDescription *gst_umedpt_head_get_task (GstUmedptHead *self,
    UmedptSession *session);

G_END_DECLS
