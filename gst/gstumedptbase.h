/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The abstract base of the inference elements: model, device, batching,
 * latency, quality of service and statistics. A subclass says what to run on a
 * batch and what to attach to each frame.
 */
#pragma once

#include <gst/base/gstbasetransform.h>

#include "infer/session.h"

G_BEGIN_DECLS

#define GST_TYPE_UMEDPT_BASE (gst_umedpt_base_get_type ())
G_DECLARE_DERIVABLE_TYPE (GstUmedptBase, gst_umedpt_base, GST, UMEDPT_BASE,
    GstBaseTransform)

/**
 * GstUmedptBaseClass:
 * @tensor: id of the result, for the "umedpt-model" event
 * @infer: runs the session on @n_images images, in the streaming thread; keeps
 *   the results until the next call
 * @attach: puts result @i of the last @infer on a writable buffer
 * @describe: (nullable): adds result @i to an element message
 */
struct _GstUmedptBaseClass
{
  GstBaseTransformClass parent_class;

  const char *tensor;
  gboolean (*infer) (GstUmedptBase *self, UmedptSession *session,
      const UmedptImage *images, guint n_images, GCancellable *cancellable,
      GError **error);
  void (*attach) (GstUmedptBase *self, UmedptSession *session, guint i,
      GstBuffer *buffer);
  void (*describe) (GstUmedptBase *self, UmedptSession *session, guint i,
      GstStructure *message);
};

G_END_DECLS
