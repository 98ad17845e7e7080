/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The base class's state, shared by its files: gstumedptbase.c (element, events,
 * queries), gstumedptproperties.c, and gstumedptbatch.c (frames in, batches
 * run, frames out).
 */
#pragma once

#include <gst/video/video.h>

#include "gstumedptbase.h"
#include "gstumedptstats.h"
#include "gstumedpttimer.h"

G_BEGIN_DECLS

/* A frame of the batch that is being filled. */
typedef struct
{
  GstBuffer *buffer;
  gboolean skip; /* passes without inference: late, or a gap */
} GstUmedptWaiting;

typedef struct
{
  /* properties, under the object lock */
  char *model_file;
  char *device;
  UmedptPrecision precision;
  guint batch_size;
  GstClockTime batch_timeout;
  gboolean qos;
  gboolean post_messages;

  GstUmedptStats stats; /* under the object lock */

  /* from start() to stop() */
  UmedptSession *session; /* atomic: set when all else is ready */
  GCancellable *cancellable;
  GstUmedptTimer *timer;
  guint capacity; /* batch-size as it was at the start */
  GstVideoFrame *frames; /* [capacity] */
  UmedptImage *images; /* [capacity] */
  GstUmedptWaiting *waiting; /* [capacity] */

  /* under the stream lock */
  GstVideoInfo info;
  GQueue ready; /* of GstBuffer: done, to be pushed in this order */
  guint n_waiting;
  guint n_skipped; /* of the waiting */
  gboolean model_sent;
  gboolean peer_reads_video_meta;
  GstFlowReturn flow; /* of a push that had nobody to return it to */

  /* under the object lock */
  gboolean live;
  GstClockTime frame_duration; /* NONE = unknown */
  GstClockTime inference; /* smoothed time of a batch */
  GstClockTime announced; /* the latency of our last answer or message */
  GstClockTime earliest; /* QoS: frames before this running time are late */
  double proportion;
  GstClockTime position; /* stream time where the last frame out ends */
} GstUmedptBasePrivate;

GstUmedptBasePrivate *gst_umedpt_base_get_private (GstUmedptBase *self);

/* --- gstumedptproperties.c --- */
#define GST_UMEDPT_DEFAULT_DEVICE "auto"

void gst_umedpt_base_set_property (GObject *object, guint id,
    const GValue *value, GParamSpec *pspec);
void gst_umedpt_base_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec);
void gst_umedpt_base_install_properties (GObjectClass *object);

/* --- gstumedptbatch.c; all with the stream lock --- */
GstFlowReturn gst_umedpt_batch_submit (GstBaseTransform *trans,
    gboolean is_discont, GstBuffer *buffer);
GstFlowReturn gst_umedpt_batch_generate (GstBaseTransform *trans,
    GstBuffer **buffer);
/* Runs what waits and pushes everything. */
GstFlowReturn gst_umedpt_batch_drain (GstUmedptBase *self);
void gst_umedpt_batch_drop (GstUmedptBase *self);
/* The timer's callback; takes the stream lock. */
void gst_umedpt_batch_timeout (gpointer data);

/* --- gstumedptbase.c --- */
/* Tells those downstream, once, which model the results come from. */
void gst_umedpt_base_push_model (GstUmedptBase *self);
/* What batching and inference add to the latency now. */
GstClockTime gst_umedpt_base_latency (GstUmedptBase *self);
/* Posts a LATENCY message if ours has changed noticeably. */
void gst_umedpt_base_announce_latency (GstUmedptBase *self);

G_END_DECLS
