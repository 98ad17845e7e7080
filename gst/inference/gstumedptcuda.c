/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A device pointer means something in one CUDA context only. The session works
 * in the primary context of the first device, as everything does that uses
 * CUDA's run-time library; elements of GStreamer make one of their own, unless
 * they are shown another. So this shows them the primary one: to elements that
 * ask their neighbours (a decoder asks when it is opened, which may be before
 * our model is), and by a message to all that come later. Frames that still
 * come from elsewhere are read through system memory.
 *
 * GST_MAP_CUDA gives a pointer at once, while the work that writes the picture
 * may still be queued on a stream of the memory's: it is waited for here. The
 * other way round, nobody of ours reads the picture any more when the call that
 * was given it has returned (core/infer/device-images.c).
 *
 * This file alone knows whether the library is there.
 */
#include "inference/gstumedptcuda.h"

GST_DEBUG_CATEGORY_EXTERN (gst_umedpt_base_debug);
#define GST_CAT_DEFAULT gst_umedpt_base_debug

#ifdef HAVE_GST_CUDA

#define GST_USE_UNSTABLE_API
#include <gmodule.h>
#include <gst/cuda/gstcuda.h>

#include "backend/devices.h"

#define DRIVER "libcuda.so.1"

/* --- the context -------------------------------------------------------- */

typedef CUresult (*RetainFunc) (CUcontext *context, CUdevice device);

/* The primary context of the first device, retained for ever: the session's
 * module works in it as long as the process lives. */
static GstCudaContext *
make_context (void)
{
  GModule *driver = NULL;
  gpointer retain = NULL;
  CUcontext handle = NULL;
  CUdevice device = 0;
  GstCudaContext *context = NULL;

  if (!gst_cuda_load_library () || CuInit (0) != CUDA_SUCCESS ||
      CuDeviceGet (&device, 0) != CUDA_SUCCESS)
    return NULL;
  driver = g_module_open (DRIVER, G_MODULE_BIND_LAZY);
  if (!driver)
    return NULL;
  g_module_make_resident (driver);
  if (g_module_symbol (driver, "cuDevicePrimaryCtxRetain", &retain) &&
      ((RetainFunc) retain) (&handle, device) == CUDA_SUCCESS)
    context = gst_cuda_context_new_wrapped (handle, device);
  g_module_close (driver);
  if (context)
    GST_OBJECT_FLAG_SET (context, GST_OBJECT_FLAG_MAY_BE_LEAKED);
  return context;
}

/* (transfer none) (nullable): to be called when CUDA is known to work. */
static GstCudaContext *
get_context (void)
{
  static GstCudaContext *context = NULL;
  static gsize done = 0;

  if (g_once_init_enter (&done)) {
    context = make_context ();
    if (!context)
      GST_WARNING ("no context for frames in CUDA memory; they are read "
                   "through system memory");
    g_once_init_leave (&done, 1);
  }
  return context;
}

static gboolean
is_on_cuda (UmedptSession *session)
{
  return g_str_equal (umedpt_session_get_device (session), "cuda");
}

/* Whether a session with this device would compute on CUDA. */
static gboolean
would_be_on_cuda (const char *device)
{
  g_autoptr (GArray) devices = NULL;

  if (device && *device && !g_str_equal (device, "auto") &&
      !g_str_has_prefix (device, "cuda"))
    return FALSE;
  devices = umedpt_devices_list ();
  for (guint i = 0; i < devices->len; i++) {
    const UmedptDeviceInfo *info =
        &g_array_index (devices, UmedptDeviceInfo, i);

    if (g_str_equal (info->name, "cuda"))
      return info->problem == NULL;
  }
  return FALSE;
}

gboolean
gst_umedpt_cuda_answer (GstElement *element, const char *device,
    GstQuery *query)
{
  const gchar *type = NULL;
  GstCudaContext *context = NULL;

  if (GST_QUERY_TYPE (query) != GST_QUERY_CONTEXT ||
      !gst_query_parse_context_type (query, &type) ||
      g_strcmp0 (type, GST_CUDA_CONTEXT_TYPE) != 0 ||
      !would_be_on_cuda (device))
    return FALSE;
  context = get_context ();
  return context && gst_cuda_handle_context_query (element, query, context);
}

/* What the application has chosen stays. */
void
gst_umedpt_cuda_offer (GstElement *element, UmedptSession *session)
{
  g_autoptr (GstContext) known =
      gst_element_get_context (element, GST_CUDA_CONTEXT_TYPE);
  GstCudaContext *context = NULL;

  if (known || !is_on_cuda (session))
    return;
  context = get_context ();
  if (context)
    gst_element_post_message (element,
        gst_message_new_have_context (GST_OBJECT (element),
            gst_context_new_cuda_context (context)));
}

void
gst_umedpt_cuda_add_caps (GstCaps *caps)
{
  const guint n = gst_caps_get_size (caps);
  g_auto (GValue) formats = G_VALUE_INIT;

  g_value_init (&formats, GST_TYPE_LIST);
  gst_value_deserialize (&formats, GST_UMEDPT_CUDA_FORMATS);
  for (guint i = 0; i < n; i++) {
    GstStructure *s = gst_structure_copy (gst_caps_get_structure (caps, i));

    gst_structure_set_value (s, "format", &formats);
    gst_caps_append_structure_full (caps, s,
        gst_caps_features_new_single_static_str (
            GST_CAPS_FEATURE_MEMORY_CUDA_MEMORY));
  }
}

/* --- frames ------------------------------------------------------------- */

static GstCudaMemory *
get_cuda_memory (GstBuffer *buffer)
{
  GstMemory *memory = gst_buffer_n_memory (buffer) == 1
      ? gst_buffer_peek_memory (buffer, 0)
      : NULL;

  return memory && gst_is_cuda_memory (memory) ? GST_CUDA_MEMORY_CAST (memory)
                                               : NULL;
}

/* Said once: it would be the same for every frame. */
static void
tell_detour (void)
{
  static gsize done = 0;

  if (g_once_init_enter (&done)) {
    GST_WARNING ("frames come from another CUDA context than the model's and "
                 "are read through system memory; elements share a context if "
                 "none is set for the pipeline");
    g_once_init_leave (&done, 1);
  }
}

GstMapFlags
gst_umedpt_cuda_map_flags (UmedptSession *session, GstBuffer *const *buffers,
    guint n)
{
  const gpointer handle = is_on_cuda (session) && get_context ()
      ? gst_cuda_context_get_handle (get_context ())
      : NULL;

  if (!handle || n == 0)
    return GST_MAP_READ;
  for (guint i = 0; i < n; i++) {
    const GstCudaMemory *memory = get_cuda_memory (buffers[i]);

    if (!memory)
      return GST_MAP_READ;
    if (gst_cuda_context_get_handle (memory->context) != handle) {
      tell_detour ();
      return GST_MAP_READ;
    }
  }
  return (GstMapFlags) (GST_MAP_READ | GST_MAP_CUDA);
}

gboolean
gst_umedpt_cuda_map (GstVideoFrame *frame, const GstVideoInfo *info,
    GstBuffer *buffer, GstMapFlags flags)
{
  if (!gst_video_frame_map (frame, info, buffer, flags))
    return FALSE;
  if ((flags & GST_MAP_CUDA) == GST_MAP_CUDA)
    gst_cuda_memory_sync (get_cuda_memory (buffer));
  return TRUE;
}

UmedptImageMemory
gst_umedpt_cuda_get_memory (const GstVideoFrame *frame)
{
  return (frame->map[0].flags & GST_MAP_CUDA) == GST_MAP_CUDA
      ? UMEDPT_IMAGE_MEMORY_DEVICE
      : UMEDPT_IMAGE_MEMORY_HOST;
}

#else

gboolean
gst_umedpt_cuda_answer (GstElement *element, const char *device,
    GstQuery *query)
{
  return FALSE;
}

void
gst_umedpt_cuda_offer (GstElement *element, UmedptSession *session)
{
}

void
gst_umedpt_cuda_add_caps (GstCaps *caps)
{
}

GstMapFlags
gst_umedpt_cuda_map_flags (UmedptSession *session, GstBuffer *const *buffers,
    guint n)
{
  return GST_MAP_READ;
}

gboolean
gst_umedpt_cuda_map (GstVideoFrame *frame, const GstVideoInfo *info,
    GstBuffer *buffer, GstMapFlags flags)
{
  return gst_video_frame_map (frame, info, buffer, flags);
}

UmedptImageMemory
gst_umedpt_cuda_get_memory (const GstVideoFrame *frame)
{
  return UMEDPT_IMAGE_MEMORY_HOST;
}

#endif
