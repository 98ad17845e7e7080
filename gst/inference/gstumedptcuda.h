/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames in CUDA memory (gstreamer-cuda-1.0, 1.24 or later): they go to the
 * network without a copy. In a build without that library there are none, and
 * the functions do what is right for frames in system memory.
 */
#pragma once

#include "inference/gstumedptbase.h"

G_BEGIN_DECLS

/* What the inference elements take, and send on. System memory comes first: it
 * is what is chosen where both are possible. */
#ifdef HAVE_GST_CUDA
#define GST_UMEDPT_CUDA_FORMATS "{ RGB, BGR, RGBx, RGBA, BGRx, BGRA }"
#define GST_UMEDPT_CAPS \
  GST_VIDEO_CAPS_MAKE (GST_UMEDPT_FORMATS) \
  "; " GST_VIDEO_CAPS_MAKE_WITH_FEATURES ("memory:CUDAMemory", \
      GST_UMEDPT_CUDA_FORMATS)
#else
#define GST_UMEDPT_CAPS GST_VIDEO_CAPS_MAKE (GST_UMEDPT_FORMATS)
#endif

/* Answers a question for a CUDA context with that in which sessions compute, if
 * an element with this @device will: FALSE if it does not answer. */
gboolean gst_umedpt_cuda_answer (GstElement *element, const char *device,
    GstQuery *query);
/* Tells the pipeline of that context if the session computes in it. */
void gst_umedpt_cuda_offer (GstElement *element, UmedptSession *session);
/* Caps of system memory: appends the same in CUDA memory. */
void gst_umedpt_cuda_add_caps (GstCaps *caps);

/* How frames that go through the network together are mapped: for reading,
 * with GST_MAP_CUDA if the session can read them where they are. */
GstMapFlags gst_umedpt_cuda_map_flags (UmedptSession *session,
    GstBuffer *const *buffers, guint n);
/* gst_video_frame_map(), which also waits until the frame is written. */
gboolean gst_umedpt_cuda_map (GstVideoFrame *frame, const GstVideoInfo *info,
    GstBuffer *buffer, GstMapFlags flags);
/* Where the pixels of a mapped frame are. */
UmedptImageMemory gst_umedpt_cuda_get_memory (const GstVideoFrame *frame);

G_END_DECLS
