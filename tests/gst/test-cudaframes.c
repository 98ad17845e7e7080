/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames in CUDA memory give, bit for bit, what the same frames give in system
 * memory, and without a copy to the host where the elements share a context.
 * Needs GStreamer's own CUDA elements, and a device: a GPU or the emulated one
 * of tests/cuda/emulate, which counts copies and keeps contexts apart.
 */
#define GST_USE_UNSTABLE_API
#include <gmodule.h>
#include <gst/cuda/gstcuda.h>

#include <string.h>

#include "heads.h"

#define N_FRAMES 4
#define SOURCE \
  "videotestsrc num-buffers=4 pattern=zone-plate kx2=20 ky2=20 kt=1 ! " \
  "video/x-raw,format=%s,width=90,height=70,framerate=25/1 ! "

/* or the element would let frames of system memory pass as they are */
#define CUDA "cudaupload name=in ! video/x-raw(memory:CUDAMemory) ! "

/* --- the emulated device ------------------------------------------------ */

/* Copies to the host that GStreamer made; 0 on a GPU, which does not tell. */
static guint
count_downloads (void)
{
  static GModule *driver = NULL;
  gpointer n = NULL;

  if (!driver)
    driver = g_module_open ("libcuda.so.1", G_MODULE_BIND_LAZY);
  return driver && g_module_symbol (driver, "emulate_n_downloads", &n)
      ? *(guint *) n
      : 0;
}

static gboolean
is_emulated (void)
{
  GModule *driver = g_module_open ("libcuda.so.1", G_MODULE_BIND_LAZY);
  gpointer n = NULL;

  return driver && g_module_symbol (driver, "emulate_n_downloads", &n);
}

/* --- warnings ----------------------------------------------------------- */

static guint n_detours; /* atomic */

static void
note_warning (GstDebugCategory *category, GstDebugLevel level,
    const gchar *file, const gchar *function, gint line, GObject *object,
    GstDebugMessage *message, gpointer data)
{
  if (level == GST_LEVEL_WARNING &&
      strstr (gst_debug_message_get (message), "another CUDA context"))
    g_atomic_int_inc (&n_detours);
}

/* --- drawing ------------------------------------------------------------ */

/* What a filter on the device does: a new frame, whose pixels are still to come
 * from work that is queued on the memory's stream. (transfer full) */
static GstMemory *
draw_there (GstCudaMemory *from, const GstVideoInfo *info, gint row)
{
  GstCudaContext *context = from->context;
  GstCudaStream *stream = gst_cuda_stream_new (context);
  const CUstream queue = gst_cuda_stream_get_handle (stream);
  GstMemory *to = gst_cuda_allocator_alloc (NULL, context, stream, info);
  const gsize pitch = (gsize) GST_CUDA_MEMORY_CAST (to)->info.stride[0];
  GstMapInfo src = GST_MAP_INFO_INIT, dst = GST_MAP_INFO_INIT;

  g_assert_cmpuint (pitch, ==, from->info.stride[0]);
  g_assert_true (gst_memory_map (GST_MEMORY_CAST (from), &src,
      (GstMapFlags) (GST_MAP_READ | GST_MAP_CUDA)));
  g_assert_true (gst_memory_map (to, &dst,
      (GstMapFlags) (GST_MAP_WRITE | GST_MAP_CUDA)));
  g_assert_true (gst_cuda_context_push (context));
  g_assert_cmpint (CuMemcpyDtoD ((CUdeviceptr) dst.data, (CUdeviceptr) src.data,
                       src.size),
      ==, CUDA_SUCCESS);
  g_assert_cmpint (CuMemsetD2D8Async ((CUdeviceptr) dst.data +
                           (gsize) row * pitch,
                       pitch, 77, (gsize) info->width, 20, queue),
      ==, CUDA_SUCCESS);
  g_assert_true (gst_cuda_context_pop (NULL));
  gst_memory_unmap (to, &dst);
  gst_memory_unmap (GST_MEMORY_CAST (from), &src);
  gst_cuda_stream_unref (stream);
  return to;
}

static void
draw_here (GstBuffer *buffer, const GstVideoInfo *info, gint row)
{
  GstVideoFrame frame;

  g_assert_true (gst_video_frame_map (&frame, info, buffer, GST_MAP_READWRITE));
  for (gint y = row; y < row + 20; y++)
    memset ((guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&frame, 0) +
            y * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0),
        77, (gsize) info->width);
  gst_video_frame_unmap (&frame);
}

static GstPadProbeReturn
draw (GstPad *pad, GstPadProbeInfo *probe, gpointer data)
{
  const gint row = GPOINTER_TO_INT (data);
  GstBuffer *buffer =
      gst_buffer_make_writable (GST_PAD_PROBE_INFO_BUFFER (probe));
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  GstMemory *memory = gst_buffer_peek_memory (buffer, 0);
  GstVideoInfo info;

  g_assert_true (gst_video_info_from_caps (&info, caps));
  if (gst_is_cuda_memory (memory))
    gst_buffer_replace_memory (buffer, 0,
        draw_there (GST_CUDA_MEMORY_CAST (memory), &info, row));
  else
    draw_here (buffer, &info, row);
  GST_PAD_PROBE_INFO_DATA (probe) = buffer;
  return GST_PAD_PROBE_OK;
}

/* --- running ------------------------------------------------------------ */

/* All that is found in a stream, one after the other. */
static void
add_results (GstBuffer *buffer, GByteArray *found)
{
  const GstStructure *results = gst_buffer_get_umedpt_results (buffer);
  const GstStructure *one = NULL;
  const GstUmedptTensorMeta *tensor =
      gst_buffer_get_umedpt_tensor_meta (buffer, GST_UMEDPT_TENSOR_EMBEDDING);
  GstUmedptMask mask;
  guint n = 0;

  if (tensor) {
    GstMapInfo map = GST_MAP_INFO_INIT;

    g_assert_true (gst_buffer_map (tensor->data, &map, GST_MAP_READ));
    g_byte_array_append (found, map.data, (guint) map.size);
    gst_buffer_unmap (tensor->data, &map);
  }
  one = results ? gst_umedpt_results_get (results, "cells", NULL) : NULL;
  if (one) {
    const GstUmedptBox *boxes = gst_umedpt_result_get_boxes (one, &n);

    g_byte_array_append (found, (const guint8 *) boxes,
        (guint) (n * sizeof *boxes));
  }
  one = results ? gst_umedpt_results_get (results, "tissue", NULL) : NULL;
  if (one) {
    g_assert_true (gst_umedpt_result_get_mask (one, &mask));
    g_byte_array_append (found, mask.data,
        (guint) (mask.width * mask.height * mask.planes));
  }
}

typedef struct
{
  GByteArray *found;
  guint n;
  gboolean pictures; /* instead of what was found in them */
} Run;

static void
on_handoff (GstElement *sink, GstBuffer *buffer, GstPad *pad, Run *run)
{
  run->n++;
  if (!run->pictures) {
    add_results (buffer, run->found);
  } else {
    g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
    GstVideoInfo info;
    GstVideoFrame frame;

    g_assert_true (gst_video_info_from_caps (&info, caps));
    g_assert_true (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ));
    for (gint y = 0; y < info.height; y++)
      g_byte_array_append (run->found,
          (const guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&frame, 0) +
              y * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0),
          (guint) (info.width * GST_VIDEO_INFO_COMP_PSTRIDE (&info, 0)));
    gst_video_frame_unmap (&frame);
  }
}

/* The frames are drawn on behind the element "in". "MODEL" in @line stands for
 * the model. (transfer full) */
static GstElement *
make (const char *format, const char *line)
{
  g_autofree char *model =
      g_strdup_printf ("model-file=%s", test_task_model ());
  g_autofree char *all = g_strdup_printf (SOURCE "%s", format, line);
  g_autoptr (GString) text = g_string_new (all);
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = NULL;
  g_autoptr (GstElement) in = NULL;
  g_autoptr (GstPad) pad = NULL;

  g_string_replace (text, "MODEL", model, 0);
  pipeline = gst_parse_launch_full (text->str, NULL,
      GST_PARSE_FLAG_FATAL_ERRORS, &error);
  g_assert_no_error (error);
  in = gst_bin_get_by_name (GST_BIN (pipeline), "in");
  pad = gst_element_get_static_pad (in, "src");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, draw, GINT_TO_POINTER (10),
      NULL);
  return pipeline;
}

/* What comes to the element "sink". (transfer full) */
static GByteArray *
play (GstElement *pipeline, gboolean pictures)
{
  g_autoptr (GstElement) sink =
      gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = NULL;
  Run run = { g_byte_array_new (), 0, pictures };

  g_object_set (sink, "signal-handoffs", TRUE, NULL);
  g_signal_connect (sink, "handoff", G_CALLBACK (on_handoff), &run);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, 120 * GST_SECOND,
      GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    g_autoptr (GError) error = NULL;

    gst_message_parse_error (message, &error, NULL);
    g_assert_no_error (error);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_assert_cmpuint (run.n, ==, N_FRAMES);
  return run.found;
}

static GByteArray *
run (const char *format, const char *line, gboolean pictures)
{
  g_autoptr (GstElement) pipeline = make (format, line);

  return play (pipeline, pictures);
}

static void
assert_same (const GByteArray *a, const GByteArray *b)
{
  g_assert_cmpuint (a->len, >, 0);
  g_assert_cmpmem (a->data, a->len, b->data, b->len);
}

/* --- without a copy ----------------------------------------------------- */

static const char *const formats[] = { "RGB", "BGR", "RGBx", "RGBA", "BGRx",
  "BGRA" };

/* Each line once without its cudaupload; nothing is downloaded. */
static void
check_line (const char *format, const char *elements)
{
  g_autofree char *system =
      g_strdup_printf ("identity name=in ! %s ! fakesink name=sink", elements);
  g_autofree char *cuda = g_strdup_printf (CUDA
      "%s ! "
      "video/x-raw(memory:CUDAMemory),format=%s ! fakesink "
      "name=sink",
      elements, format);
  g_autoptr (GByteArray) expected = run (format, system, FALSE);
  const guint before = count_downloads ();
  const gint detours = g_atomic_int_get (&n_detours);
  g_autoptr (GByteArray) found = run (format, cuda, FALSE);

  assert_same (found, expected);
  g_assert_cmpuint (count_downloads (), ==, before);
  g_assert_cmpint (g_atomic_int_get (&n_detours), ==, detours);
}

static void
test_formats (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    check_line (formats[i], "umedptembed MODEL device=cuda batch-size=3");
}

static void
test_heads (void)
{
  check_line ("RGBA",
      "umedptdetect MODEL device=cuda task=cells threshold=0.1");
  check_line ("BGR",
      "umedptsegment MODEL device=cuda task=tissue batch-size=2");
  check_line ("RGB",
      "umedptdetect MODEL device=cuda task=cells threshold=0.1 "
      "inference-region=tiles "
      "tile-size=40 tile-overlap=8");
  check_line ("BGRx",
      "umedptsegment MODEL device=cuda task=tissue inference-region=tiles "
      "tile-size=64");
}

/* Several of them after another, with one that looks at nothing. */
static void
test_chain (void)
{
  check_line ("RGB",
      "umedptembed MODEL device=cuda ! queue ! "
      "umedptdetect MODEL device=cuda task=cells threshold=0.1 ! "
      "umedptjson location=/dev/null ! "
      "umedptsegment MODEL device=cuda task=tissue");
}

/* One pass of the encoder serves all of them, unless somebody draws. */
static void
test_shared (void)
{
  static const char *const between[] = { "identity", "identity name=draw" };

  for (guint i = 0; i < 2; i++) {
    g_autofree char *line =
        g_strdup_printf (CUDA "umedptsegment MODEL device=cuda task=tissue ! "
                              "%s ! umedptdetect name=last MODEL device=cuda "
                              "task=cells ! fakesink name=sink",
            between[i]);
    g_autoptr (GstElement) pipeline = make ("RGB", line);
    g_autoptr (GstElement) last =
        gst_bin_get_by_name (GST_BIN (pipeline), "last");
    g_autoptr (GstElement) painter =
        gst_bin_get_by_name (GST_BIN (pipeline), "draw");
    g_autoptr (GByteArray) found = NULL;

    if (painter) {
      g_autoptr (GstPad) pad = gst_element_get_static_pad (painter, "src");

      gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, draw,
          GINT_TO_POINTER (40), NULL);
    }
    found = play (pipeline, FALSE);
    g_assert_cmpuint (test_stat (last, "encoded"), ==, painter ? N_FRAMES : 0);
  }
}

/* The picture itself comes out as it went in. */
static void
test_pictures (void)
{
  g_autoptr (GByteArray) expected = run ("BGRA",
      "identity name=in ! umedptdetect MODEL device=cuda task=cells "
      "threshold=0.1 ! fakesink name=sink",
      TRUE);
  g_autoptr (GByteArray) found = run ("BGRA",
      CUDA "umedptdetect MODEL device=cuda task=cells "
           "threshold=0.1 ! cudadownload ! video/x-raw,format=BGRA ! "
           "fakesink name=sink",
      TRUE);

  assert_same (found, expected);
}

/* What is no position in the picture goes along where it is copied. */
static void
test_download (void)
{
  g_autoptr (GByteArray) expected = run ("RGB",
      "identity name=in ! umedptembed MODEL device=cuda ! fakesink name=sink",
      FALSE);
  g_autoptr (GByteArray) found = run ("RGB",
      CUDA "umedptembed MODEL device=cuda ! cudadownload ! "
           "video/x-raw,format=RGB ! fakesink name=sink",
      FALSE);

  assert_same (found, expected);
}

/* The mask leaves in system memory, wherever the picture came from. */
static void
test_masks (void)
{
  g_autoptr (GByteArray) expected = run ("RGB",
      "identity name=in ! umedptsegment MODEL device=cuda task=tissue "
      "output=mask ! video/x-raw,format=GRAY8 ! fakesink name=sink",
      TRUE);
  const guint before = count_downloads ();
  g_autoptr (GByteArray) found = run ("RGB",
      CUDA "umedptsegment MODEL device=cuda task=tissue "
           "output=mask ! video/x-raw,format=GRAY8 ! fakesink name=sink",
      TRUE);

  assert_same (found, expected);
  g_assert_cmpuint (count_downloads (), ==, before);
}

/* Beside the stream: all frames pass, and what is found comes with later ones.
 * The first frame's results are there, for the source waits for them. */
static void
test_beside (void)
{
  g_autoptr (GstElement) pipeline = make ("RGB",
      CUDA "umedptembed name=embed MODEL device=cuda "
           "wait-for-results=false ! fakesink name=sink");
  g_autoptr (GstElement) embed =
      gst_bin_get_by_name (GST_BIN (pipeline), "embed");
  const guint before = count_downloads ();
  g_autoptr (GByteArray) found = play (pipeline, FALSE);

  g_assert_cmpuint (count_downloads (), ==, before);
  g_assert_nonnull (found);
}

/* --- with one ----------------------------------------------------------- */

/* A session on the processor reads them as any other frame. */
static void
test_host (void)
{
  g_autoptr (GByteArray) expected = run ("RGBx",
      "identity name=in ! umedptembed MODEL device=cpu ! fakesink name=sink",
      FALSE);
  const guint before = count_downloads ();
  g_autoptr (GByteArray) found = run ("RGBx",
      CUDA "umedptembed MODEL device=cpu ! fakesink name=sink", FALSE);

  assert_same (found, expected);
  if (is_emulated ())
    g_assert_cmpuint (count_downloads () - before, ==, N_FRAMES);
}

/* The application wants another context than ours: correct, and said once. */
static void
test_foreign (void)
{
  g_autoptr (GByteArray) expected = run ("RGB",
      "identity name=in ! umedptembed MODEL device=cuda batch-size=2 ! "
      "fakesink name=sink",
      FALSE);

  for (guint i = 0; i < 2; i++) {
    g_autoptr (GstElement) pipeline = make ("RGB",
        CUDA "umedptembed MODEL device=cuda batch-size=2 ! "
             "fakesink name=sink");
    GstCudaContext *foreign = gst_cuda_context_new (0);
    GstContext *context = gst_context_new_cuda_context (foreign);
    g_autoptr (GByteArray) found = NULL;

    gst_element_set_context (pipeline, context);
    gst_context_unref (context);
    gst_object_unref (foreign);
    found = play (pipeline, FALSE);
    assert_same (found, expected);
  }
  g_assert_cmpint (g_atomic_int_get (&n_detours), ==, 1);
}

/* --- negotiation -------------------------------------------------------- */

static GstContext *
ask (GstElement *element, const char *pad)
{
  g_autoptr (GstPad) found = gst_element_get_static_pad (element, pad);
  g_autoptr (GstQuery) query = gst_query_new_context (GST_CUDA_CONTEXT_TYPE);
  GstContext *context = NULL;

  if (!gst_pad_query (found, query))
    return NULL;
  gst_query_parse_context (query, &context);
  return context ? gst_context_ref (context) : NULL;
}

/* Who is opened before our model gets the context as well, and who comes later;
 * not for a model on the processor. */
static void
test_context (void)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("umedptembed", NULL));
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GByteArray) found = NULL;
  g_autoptr (GstContext) told = NULL;
  g_autoptr (GstContext) a = NULL;
  g_autoptr (GstContext) b = NULL;

  g_object_set (element, "device", "cpu", NULL);
  g_assert_null (ask (element, "sink"));
  g_object_set (element, "device", "cuda", NULL);
  a = ask (element, "sink");
  b = ask (element, "src");
  g_assert_nonnull (a);
  g_assert_true (gst_structure_is_equal (gst_context_get_structure (a),
      gst_context_get_structure (b)));
  pipeline = make ("RGB",
      "identity name=in ! umedptembed MODEL device=cuda ! fakesink name=sink");
  found = play (pipeline, FALSE);
  told = gst_element_get_context (pipeline, GST_CUDA_CONTEXT_TYPE);
  g_assert_nonnull (told);
  g_assert_true (gst_structure_is_equal (gst_context_get_structure (a),
      gst_context_get_structure (told)));
}

/* umedptoverlay draws in system memory: said when it is linked. */
static void
test_overlay (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch_full (
      "videotestsrc ! cudaupload ! video/x-raw(memory:CUDAMemory) ! "
      "umedptoverlay ! fakesink",
      NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);

  g_assert_error (error, GST_PARSE_ERROR, GST_PARSE_ERROR_LINK);
  g_assert_null (pipeline);
}

static void
test_nothing (gconstpointer why)
{
  g_test_skip (why);
}

/* NULL, or why there is nothing to test. */
static const char *
load_elements (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("TEST_GST_PLUGINS_DIR"),
      "libgstnvcodec.so", NULL);
  g_autoptr (GstPlugin) plugin = gst_plugin_load_file (path, NULL);
  g_autoptr (GstElementFactory) factory = NULL;

  if (!plugin)
    return "GStreamer's plugin nvcodec is not installed";
  factory = gst_element_factory_find ("cudaupload");
  return factory ? NULL : "there is no CUDA device";
}

int
main (int argc, char **argv)
{
  const char *why = NULL;

  test_init (&argc, &argv);
  why = load_elements ();
  if (why) {
    g_test_add_data_func ("/cudaframes/device", why, test_nothing);
    return test_run ();
  }
  gst_debug_add_log_function (note_warning, NULL, NULL);
  gst_debug_set_threshold_for_name ("umedptbase", GST_LEVEL_WARNING);
  g_test_add_func ("/cudaframes/context", test_context);
  g_test_add_func ("/cudaframes/formats", test_formats);
  g_test_add_func ("/cudaframes/heads", test_heads);
  g_test_add_func ("/cudaframes/chain", test_chain);
  g_test_add_func ("/cudaframes/shared", test_shared);
  g_test_add_func ("/cudaframes/pictures", test_pictures);
  g_test_add_func ("/cudaframes/download", test_download);
  g_test_add_func ("/cudaframes/masks", test_masks);
  g_test_add_func ("/cudaframes/beside", test_beside);
  g_test_add_func ("/cudaframes/host", test_host);
  g_test_add_func ("/cudaframes/overlay", test_overlay);
  g_test_add_func ("/cudaframes/foreign", test_foreign);
  return test_run ();
}
