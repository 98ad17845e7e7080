/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A deadline with a thread that keeps it: the bounded wait of a batch.
 *
 * The thread holds no lock of its own while it calls back, so the callback may
 * take the pad's stream lock and push. Having got that lock it asks
 * gst_umedpt_timer_take() whether the deadline still stands: the streaming
 * thread may have completed the batch meanwhile.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _GstUmedptTimer GstUmedptTimer;
typedef void (*GstUmedptTimerFunc) (gpointer data);

GstUmedptTimer *gst_umedpt_timer_new (GstUmedptTimerFunc func, gpointer data);
/* Waits for a callback that is running; the caller must not hold a lock that
 * the callback takes. */
void gst_umedpt_timer_free (GstUmedptTimer *self);
/* The thread is made by the first call. */
void gst_umedpt_timer_arm (GstUmedptTimer *self, guint64 wait_ns);
void gst_umedpt_timer_disarm (GstUmedptTimer *self);
/* TRUE, once, if the deadline has passed. */
gboolean gst_umedpt_timer_take (GstUmedptTimer *self);

G_END_DECLS
