/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The base class's state, shared by its files: gstumedptbase.c (element,
 * events, queries), gstumedptallocation.c (those of allocation),
 * gstumedptproperties.c, gstumedptstream.c (frames in, batches run),
 * gstumedptready.c (frames out), gstumedptbatch.c (a batch), gstumedptahead.c
 * (batches run while the next is collected), gstumedptskip.c (frames without results of their own),
 * gstumedptlook.c (what of a frame is looked at), gstumedptbeside.c (inference
 * beside the stream), gstumedptreload.c (another model).
 */
#pragma once

#include "common/gstumedptenums.h"
#include "inference/gstumedptbase.h"
#include "inference/gstumedptstats.h"
#include "inference/gstumedpttimer.h"

G_BEGIN_DECLS

/* What of a frame is looked at; a copy of the properties. */
typedef struct
{
  GstUmedptInferenceRegion region;
  guint tile_size,
      tile_overlap; /* pixels of the frame; size 0: the network's */
  char *object_class; /* (nullable): regions of this kind alone */
} GstUmedptLookSettings;

/* A frame on its way. */
typedef struct
{
  GstBuffer *buffer;
  GstClockTime arrived; /* by the system's clock */
  gboolean skip; /* passes without inference: late, a gap, or not its turn */
} GstUmedptWaiting;

typedef enum
{
  GST_UMEDPT_BATCH_FULL,
  GST_UMEDPT_BATCH_RUNNING,
  GST_UMEDPT_BATCH_DONE,
} GstUmedptBatchState;

/* Frames that go through the network together. */
typedef struct
{
  GstUmedptWaiting *frames; /* [n], in the order of the stream */
  guint n, n_skipped;

  /* from gst_umedpt_batch_map() on: of the frames that are not skipped */
  UmedptSession *session;
  guint n_looked;
  guint n_mapped;
  GstVideoFrame *mapped; /* [n_mapped] */
  GstBuffer **pictures; /* [n_looked], owned by the frames */

  /* from gst_umedpt_batch_look() on */
  GstUmedptLook *looks; /* [n_looked] */
  GstBuffer **results; /* [n_looked]: carry the results */
  GstClockTime took;
  GError *error; /* (nullable) */

  GstUmedptBatchState state; /* gstumedptahead.c's, under its lock */
} GstUmedptBatch;

typedef struct _GstUmedptAhead GstUmedptAhead;
typedef struct _GstUmedptBeside GstUmedptBeside;
typedef struct _GstUmedptReload GstUmedptReload;

typedef struct
{
  /* properties, under the object lock */
  char *model_file;
  guint n_model_files; /* how often it was set */
  char *device;
  UmedptPrecision precision;
  guint batch_size;
  GstClockTime batch_timeout;
  gboolean qos;
  gboolean post_messages;
  GstUmedptLookSettings look;
  guint interval;
  GstClockTime hold;
  gboolean wait_for_results;

  GstUmedptStats stats; /* under the object lock */

  /* from start() to stop() */
  UmedptSession *session; /* atomic: set when all else is ready. Changed by the
                             streaming thread, under the object lock */
  gint ask; /* atomic: downstream is to be asked before the next frame */
  GCancellable *cancellable;
  GstUmedptTimer *timer;
  GstUmedptBeside *beside; /* NULL: frames wait for their results */
  GstUmedptReload *reload; /* under the object lock */
  guint capacity; /* batch-size as it was at the start */

  /* under the stream lock */
  GstVideoInfo info;
  GQueue ready; /* of GstUmedptWaiting: done, to be pushed in this order */
  GstUmedptBatch *batch; /* (nullable) being collected */
  GstUmedptAhead *ahead; /* NULL until a batch runs ahead; until stop() */
  guint64 turn; /* frames so far, for the interval */
  GstBuffer *last; /* (nullable) carries the newest results */
  gboolean model_sent;
  GstFlowReturn flow; /* of a push that had nobody to return it to */

  /* under the object lock */
  GArray *wanted; /* of GstUmedptWanted: features that later elements use */
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

/* --- gstumedptstream.c; the first four with the stream lock --- */
GstFlowReturn gst_umedpt_stream_submit (GstBaseTransform *trans,
    gboolean is_discont, GstBuffer *buffer);
GstFlowReturn gst_umedpt_stream_generate (GstBaseTransform *trans,
    GstBuffer **buffer);
/* Runs what waits and pushes everything. */
GstFlowReturn gst_umedpt_stream_drain (GstUmedptBase *self);
/* Forgets what waits, is under way or is ready. */
void gst_umedpt_stream_drop (GstUmedptBase *self);
/* The timer's callback; takes the stream lock. */
void gst_umedpt_stream_timeout (gpointer data);
/* Pushes the batches that are done; takes the stream lock. */
void gst_umedpt_stream_deliver (GstUmedptBase *self);

/* --- gstumedptready.c; all with the stream lock --- */
/* Puts the results of a batch on its frames, which are then to leave. */
void gst_umedpt_ready_add_batch (GstUmedptBase *self, GstUmedptBatch *batch);
/* (transfer full): @buffer, which @frame has become. */
void gst_umedpt_ready_add (GstUmedptBase *self, UmedptSession *session,
    const GstUmedptWaiting *frame, GstBuffer *buffer);
/* Says on the bus what @buffer carries. */
void gst_umedpt_ready_post_result (GstUmedptBase *self, GstBuffer *buffer);
/* (transfer full) (nullable): the next frame to leave */
GstBuffer *gst_umedpt_ready_take (GstUmedptBase *self);

/* --- gstumedptbatch.c --- */
GstUmedptBatch *gst_umedpt_batch_new (guint capacity);
void gst_umedpt_batch_free (GstUmedptBatch *self);
/* (transfer full): the frame's buffer */
void gst_umedpt_batch_add (GstUmedptBatch *self, const GstUmedptWaiting *frame);
/* No more frames come. A failure is in @self, as of the following: */
void gst_umedpt_batch_map (GstUmedptBatch *self, UmedptSession *session,
    const GstVideoInfo *info);
/* Encoder and heads; in any thread. */
void gst_umedpt_batch_look (GstUmedptBase *element, GstUmedptBatch *self);

/* --- gstumedptahead.c; all with the stream lock, but for free() --- */
GstUmedptAhead *gst_umedpt_ahead_new (GstUmedptBase *element);
/* Waits for what runs. */
void gst_umedpt_ahead_free (GstUmedptAhead *self);
/* Whether one should be taken before the next is put. */
gboolean gst_umedpt_ahead_is_full (GstUmedptAhead *self);
/* (transfer full): @batch */
void gst_umedpt_ahead_put (GstUmedptAhead *self, GstUmedptBatch *batch);
/* (transfer full) (nullable): the oldest batch, if it is done or with @wait. */
GstUmedptBatch *gst_umedpt_ahead_take (GstUmedptAhead *self, gboolean wait);

/* --- gstumedptskip.c; all with the stream lock --- */
guint64 gst_umedpt_base_running_time (GstUmedptBase *self, GstClockTime pts);
guint64 gst_umedpt_base_stream_time (GstUmedptBase *self, GstClockTime pts);
gboolean gst_umedpt_skip_is_late (GstUmedptBase *self, GstBuffer *buffer);
/* Counts it, and says on the bus that its result is missing. */
void gst_umedpt_skip_post_late (GstUmedptBase *self, GstBuffer *buffer);
/* Puts @results on @buffer, and keeps them where later frames shall carry them.
 */
void gst_umedpt_skip_attach (GstUmedptBase *self, GstBuffer *results,
    GstBuffer *buffer);
/* (transfer full) both */
GstBuffer *gst_umedpt_skip_attach_held (GstUmedptBase *self, GstBuffer *buffer);

/* --- gstumedptallocation.c --- */
/* Finds out who downstream wants features; in the streaming thread. */
void gst_umedpt_base_ask_downstream (GstUmedptBase *self);
gboolean gst_umedpt_base_propose_allocation (GstBaseTransform *trans,
    GstQuery *decide_query, GstQuery *query);

/* --- gstumedptlook.c --- */
/* Runs the encoder on mapped @frames of the pictures in @buffers; features
 * that a buffer brings are used. @looks: [n], cleared by the caller. */
gboolean gst_umedpt_look (GstUmedptBase *self, UmedptSession *session,
    GstVideoFrame *frames, GstBuffer *const *buffers, guint n,
    GstUmedptLook *looks, GError **error);
void gst_umedpt_look_clear (GstUmedptLook *look);

/* --- gstumedptbeside.c --- */
GstUmedptBeside *gst_umedpt_beside_new (GstUmedptBase *self);
/* Waits for an inference that is under way. */
void gst_umedpt_beside_free (GstUmedptBeside *self);
/* Takes a copy of the frame if nothing is under way. With the stream lock. */
void gst_umedpt_beside_offer (GstUmedptBeside *self, GstBuffer *buffer,
    const GstVideoInfo *info);
/* (transfer full) (nullable): carries the newest results. */
GstBuffer *gst_umedpt_beside_get (GstUmedptBeside *self);
/* TRUE once after a failure, which is on the bus. */
gboolean gst_umedpt_beside_take_failure (GstUmedptBeside *self);
/* Forgets results, and what is under way. */
void gst_umedpt_beside_drop (GstUmedptBeside *self);

/* --- gstumedptreload.c --- */
/* Loads what model-file says now, beside the stream; without any lock. */
void gst_umedpt_reload_begin (GstUmedptBase *self);
gboolean gst_umedpt_reload_is_done (GstUmedptBase *self);
/* Puts a model that has been loaded in place of the old one; with the stream
 * lock, between batches. */
void gst_umedpt_reload_take (GstUmedptBase *self);
void gst_umedpt_reload_end (GstUmedptBase *self);

/* --- gstumedptbase.c --- */
/* A session for the properties as they are. */
UmedptSession *gst_umedpt_base_open_session (GstUmedptBase *self,
    GError **error);
/* What is held or under way is not for the frames to come; with the stream
 * lock. */
void gst_umedpt_base_forget_results (GstUmedptBase *self);
/* Tells those downstream, once, which model the results come from. */
void gst_umedpt_base_push_model (GstUmedptBase *self);
/* What batching and inference add to the latency now. */
GstClockTime gst_umedpt_base_latency (GstUmedptBase *self);
/* Posts a LATENCY message if ours has changed noticeably. */
void gst_umedpt_base_announce_latency (GstUmedptBase *self);

G_END_DECLS
