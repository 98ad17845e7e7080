/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The abstract base of the inference elements: model, device, batching,
 * regions, latency, quality of service and statistics. A subclass says which
 * tasks of a model it runs, and puts their results on a frame.
 */
#pragma once

#include <gst/base/gstbasetransform.h>
#include <gst/video/video.h>

#include "infer/encoding.h"
#include "infer/regions.h"

G_BEGIN_DECLS

#define GST_TYPE_UMEDPT_BASE (gst_umedpt_base_get_type ())
G_DECLARE_DERIVABLE_TYPE (GstUmedptBase, gst_umedpt_base, GST, UMEDPT_BASE,
    GstBaseTransform)

/* What the network takes without conversion. */
#define GST_UMEDPT_FORMATS "{ RGB, BGR, RGBx, RGBA, BGRx, BGRA, GRAY8 }"

/* A part of a frame that went through the encoder. */
typedef struct
{
  UmedptEncoding *encoding;
  guint index; /* of the image in it */
  UmedptRegion region;
} GstUmedptView;

/* What was looked at in one frame. */
typedef struct
{
  UmedptSession *session;
  gint width, height; /* of the frame */
  GstClockTime pts;
  gboolean whole; /* one view of all of it; else regions, or none */
  gboolean shared; /* later elements want the features */
  gboolean came_along; /* the features: an earlier element made them */
  guint64 checksum; /* of a whole frame, where features are shared */
  guint n_views;
  GstUmedptView *views; /* [n_views] */
} GstUmedptLook;

/**
 * GstUmedptBaseClass:
 * @result: what the results are, for the "umedpt-model" event and messages
 * @check: whether the element can work with the session's model
 * @get_input: to which size frames are brought for the network
 * @needs_features: whether more than embeddings is wanted
 * @settle: runs the heads on all images of an encoding and lets its features go
 * @process: runs heads on what was looked at, and puts the results on a
 *   buffer without a picture. Called in any thread
 * @describe: (nullable): adds the results on @buffer to an element message
 * @finish: (nullable): the buffer that leaves instead of @buffer (transfer
 *   full), with results or, if it was skipped, without; in the streaming thread
 */
struct _GstUmedptBaseClass
{
  GstBaseTransformClass parent_class;

  const char *result;
  gboolean (*check) (GstUmedptBase *self, UmedptSession *session,
      GError **error);
  void (*get_input) (GstUmedptBase *self, UmedptSession *session, gint *width,
      gint *height);
  gboolean (*needs_features) (GstUmedptBase *self);
  gboolean (*settle) (GstUmedptBase *self, UmedptEncoding *encoding,
      GError **error);
  gboolean (*process) (GstUmedptBase *self, const GstUmedptLook *look,
      GstBuffer *buffer, GError **error);
  void (*describe) (GstUmedptBase *self, GstBuffer *buffer,
      GstStructure *message);
  GstBuffer *(*finish) (GstUmedptBase *self, UmedptSession *session,
      GstBuffer *buffer, const GstVideoInfo *info);
};

G_END_DECLS
