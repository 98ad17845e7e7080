/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A detector that was only initialised finds nothing, for its bias says that
 * objects are rare. The bias is written over in the file, so that there are
 * boxes to compare.
 */
#include "heads.h"

#include <stdlib.h>
#include <string.h>

#include "net/model.h"

#define BIAS "tasks.cells.task_modules.head.conv_cls.bias"
#define FRAME_TIME (40 * GST_MSECOND)

/* --- models ------------------------------------------------------------- */

static void
add_task (UmedptDescription *description, const char *name, UmedptTaskKind kind,
    const char *labels, gint width, gint height)
{
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) names = labels ? g_strsplit (labels, ",", -1) : NULL;
  UmedptTaskDescription *task = umedpt_description_add_task (description, name,
      kind, (const char *const *) names, &error);

  g_assert_no_error (error);
  task->input_width = width;
  task->input_height = height;
}

/* Zeros for the logits' bias: half of all places hold an object. */
static void
raise_bias (const char *path)
{
  g_autofree char *data = NULL;
  gsize size = 0;
  guint64 header = 0;
  const char *entry = NULL, *offsets = NULL;
  char *end = NULL;
  guint64 from = 0, to = 0;

  g_assert_true (g_file_get_contents (path, &data, &size, NULL));
  memcpy (&header, data, sizeof header);
  header = GUINT64_FROM_LE (header);
  entry = g_strstr_len (data + 8, (gssize) header, "\"" BIAS "\"");
  g_assert_nonnull (entry);
  offsets = strstr (entry, "\"data_offsets\":[");
  g_assert_nonnull (offsets);
  from = g_ascii_strtoull (offsets + strlen ("\"data_offsets\":["), &end, 10);
  g_assert_cmpint (*end, ==, ',');
  to = g_ascii_strtoull (end + 1, NULL, 10);
  g_assert_cmpuint (to - from, ==, 2 * sizeof (float));
  memset (data + 8 + header + from, 0, to - from);
  g_assert_true (g_file_set_contents (path, data, (gssize) size, NULL));
}

static const char *
make_model (const char *name, guint64 seed)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptDescription) description =
      umedpt_description_new ("swinv2-nano", &error);
  g_autoptr (UmedptModel) model = NULL;
  g_autofree char *path = test_path (name);

  g_assert_no_error (error);
  description->input_width = description->input_height = 64;
  add_task (description, "tissue", UMEDPT_TASK_SEGMENTATION, "background,a,b",
      0, 0);
  add_task (description, "marks", UMEDPT_TASK_MULTILABEL_SEGMENTATION, "x,y", 0,
      0);
  add_task (description, "cells", UMEDPT_TASK_DETECTION, "p,q", 0, 0);
  add_task (description, "kind", UMEDPT_TASK_CLASSIFICATION, "r,s,t", 0, 0);
  add_task (description, "age", UMEDPT_TASK_REGRESSION, NULL, 0, 0);
  add_task (description, "big", UMEDPT_TASK_SEGMENTATION, "u,v", 96, 80);
  add_task (description, "view", UMEDPT_TASK_CLASSIFICATION, "v,w", 96, 80);
  model = umedpt_model_new_initialised (description, seed, &error);
  g_assert_no_error (error);
  umedpt_model_save (model, path, &error);
  g_assert_no_error (error);
  raise_bias (path);
  return g_intern_string (path);
}

const char *
test_task_model (void)
{
  static const char *path;

  if (!path)
    path = make_model ("tasks.safetensors", 1);
  return path;
}

const char *
test_other_task_model (void)
{
  static const char *path;

  if (!path)
    path = make_model ("other.safetensors", 2);
  return path;
}

/* --- harnesses ---------------------------------------------------------- */

GstHarness *
test_line_harness (const char *line, const char *caps, GstVideoInfo *info)
{
  g_autofree char *model =
      g_strdup_printf ("model-file=%s precision=f32", test_task_model ());
  g_autoptr (GString) text = g_string_new (line);
  g_autoptr (GstCaps) parsed = gst_caps_from_string (caps);
  GstHarness *h = NULL;

  g_string_replace (text, "MODEL", model, 0);
  g_assert_true (gst_video_info_from_caps (info, parsed));
  h = gst_harness_new_parse (text->str);
  g_assert_nonnull (h);
  gst_harness_set_live (h, FALSE);
  gst_harness_set_src_caps_str (h, caps);
  return h;
}

GstElement *
test_get (GstHarness *h, const char *name)
{
  GstElement *element = gst_bin_get_by_name (GST_BIN (h->element), name);

  g_assert_nonnull (element);
  return element;
}

void
test_push_frames (GstHarness *h, const GstVideoInfo *info, guint first, guint n)
{
  for (guint i = first; i < first + n; i++)
    g_assert_cmpint (gst_harness_push (h, test_frame (info, i)), ==,
        GST_FLOW_OK);
}

static void
note_update (GstElement *element, gboolean success, const char *path,
    gpointer updates)
{
  ((guint *) updates)[success ? 1 : 0]++;
}

gboolean
test_change_model (GstHarness *h, const GstVideoInfo *info, GstElement *element,
    const char *file, guint *next)
{
  const gint64 end = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND;
  guint updates[2] = { 0, 0 };
  gulong id = g_signal_connect (element, "model-updated",
      G_CALLBACK (note_update), updates);

  g_object_set (element, "model-file", file, NULL);
  while (!g_atomic_int_get (&updates[0]) && !g_atomic_int_get (&updates[1])) {
    g_autoptr (GstBuffer) out = NULL;

    g_assert_cmpint (g_get_monotonic_time (), <, end);
    test_push_frames (h, info, (*next)++, 1);
    while ((out = gst_harness_try_pull (h)))
      gst_clear_buffer (&out);
    g_usleep (1000);
  }
  g_signal_handler_disconnect (element, id);
  g_assert_cmpuint (updates[0] + updates[1], ==, 1);
  return updates[1] == 1;
}

GstBuffer *
test_padded_frame (const GstVideoInfo *info, guint i, gint padding)
{
  g_autoptr (GstBuffer) plain = test_frame (info, i);
  const gint height = GST_VIDEO_INFO_HEIGHT (info);
  const gint own = GST_VIDEO_INFO_PLANE_STRIDE (info, 0);
  const gint row =
      GST_VIDEO_INFO_WIDTH (info) * GST_VIDEO_INFO_COMP_PSTRIDE (info, 0);
  gint stride[4] = { own + padding };
  gsize offset[4] = { 0 };
  gsize size = (gsize) stride[0] * (gsize) height;
  GstBuffer *frame = gst_buffer_new_allocate (NULL, size, NULL);
  GstMapInfo from = GST_MAP_INFO_INIT, to = GST_MAP_INFO_INIT;

  g_assert_true (gst_buffer_map (plain, &from, GST_MAP_READ));
  g_assert_true (gst_buffer_map (frame, &to, GST_MAP_WRITE));
  memset (to.data, 0x55, to.size);
  for (gint y = 0; y < height; y++)
    memcpy (to.data + y * stride[0], from.data + y * own, (gsize) row);
  gst_buffer_unmap (frame, &to);
  gst_buffer_unmap (plain, &from);
  gst_buffer_add_video_meta_full (frame, GST_VIDEO_FRAME_FLAG_NONE,
      GST_VIDEO_INFO_FORMAT (info), (guint) GST_VIDEO_INFO_WIDTH (info),
      (guint) height, 1, offset, stride);
  GST_BUFFER_PTS (frame) = GST_BUFFER_PTS (plain);
  GST_BUFFER_DURATION (frame) = GST_BUFFER_DURATION (plain);
  return frame;
}

/* --- results without an element ----------------------------------------- */

UmedptSession *
test_task_session (const char *file)
{
  g_autoptr (GError) error = NULL;
  UmedptSession *session =
      umedpt_session_open (file, NULL, UMEDPT_PRECISION_F32, &error);

  g_assert_no_error (error);
  return session;
}

guint
test_task_number (UmedptSession *session, const char *name)
{
  gint task = umedpt_description_find_task (
      umedpt_model_get_description (umedpt_session_get_model (session)), name);

  g_assert_cmpint (task, >=, 0);
  return (guint) task;
}

static UmedptPixels
pixels_of (GstVideoFormat format)
{
  switch (format) {
    case GST_VIDEO_FORMAT_RGB:
      return UMEDPT_PIXELS_RGB;
    case GST_VIDEO_FORMAT_BGRx:
      return UMEDPT_PIXELS_BGRX;
    case GST_VIDEO_FORMAT_GRAY8:
      return UMEDPT_PIXELS_GRAY8;
    default:
      g_assert_not_reached ();
  }
}

UmedptEncoding *
test_encode (UmedptSession *session, GstBuffer *frame, const GstVideoInfo *info,
    const char *task, const UmedptRegion *region)
{
  const UmedptDescription *description =
      umedpt_model_get_description (umedpt_session_get_model (session));
  const UmedptTaskDescription *own =
      g_ptr_array_index (description->tasks, test_task_number (session, task));
  const UmedptRegion all = { 0, 0, GST_VIDEO_INFO_WIDTH (info),
    GST_VIDEO_INFO_HEIGHT (info) };
  const UmedptRegion part = region ? *region : all;
  g_autoptr (GError) error = NULL;
  UmedptEncoding *encoding = NULL;
  UmedptImage image = { .width = part.width, .height = part.height };
  GstVideoFrame mapped;

  g_assert_true (gst_video_frame_map (&mapped, info, frame, GST_MAP_READ));
  image.pixels = pixels_of (GST_VIDEO_INFO_FORMAT (info));
  image.stride = (gsize) GST_VIDEO_FRAME_PLANE_STRIDE (&mapped, 0);
  image.data = (const guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&mapped, 0) +
      (gsize) part.y * image.stride +
      (gsize) (part.x * GST_VIDEO_INFO_COMP_PSTRIDE (info, 0));
  encoding = umedpt_session_encode (session, &image, 1, own->input_width,
      own->input_height, FALSE, NULL, &error);
  g_assert_no_error (error);
  gst_video_frame_unmap (&mapped);
  return encoding;
}

/* --- comparing ---------------------------------------------------------- */

const GstStructure *
test_result (GstBuffer *buffer, const char *task)
{
  const GstStructure *result =
      gst_umedpt_results_get (gst_buffer_get_umedpt_results (buffer), task,
          NULL);

  g_assert_nonnull (result);
  return result;
}

void
test_assert_mask (GstBuffer *buffer, const char *task, const GstVideoInfo *info,
    UmedptEncoding *encoding, double threshold)
{
  const guint number =
      test_task_number (umedpt_encoding_get_session (encoding), task);
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *wanted = NULL;
  GstUmedptMask mask;
  gint width = 0, height = 0;
  gsize size = 0;

  g_assert_true (gst_umedpt_result_get_mask (test_result (buffer, task),
      &mask));
  umedpt_encoding_get_mask_size (encoding, &width, &height);
  g_assert_cmpint (mask.width, ==, width);
  g_assert_cmpint (mask.height, ==, height);
  size = (gsize) width * (gsize) height * (gsize) mask.planes;
  wanted = g_malloc (size);
  umedpt_encoding_get_mask (encoding, 0, number, threshold, wanted, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (mask.data, size, wanted, size);
  g_assert_cmpfloat (mask.x, ==, 0);
  g_assert_cmpfloat (mask.y, ==, 0);
  g_assert_cmpfloat (mask.w, ==, GST_VIDEO_INFO_WIDTH (info));
  g_assert_cmpfloat (mask.h, ==, GST_VIDEO_INFO_HEIGHT (info));
}

void
test_assert_boxes (GstBuffer *buffer, const char *task,
    const GstVideoInfo *info, UmedptEncoding *encoding, double threshold)
{
  const UmedptDetectionSettings settings = UMEDPT_DETECTION_DEFAULTS;
  g_autoptr (GArray) wanted = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  g_autoptr (GError) error = NULL;
  guint n = 0, k = 0;
  const GstUmedptBox *boxes =
      gst_umedpt_result_get_boxes (test_result (buffer, task), &n);
  gint width = 0, height = 0;

  umedpt_encoding_get_boxes (encoding, 0,
      test_task_number (umedpt_encoding_get_session (encoding), task),
      &settings, wanted, &error);
  g_assert_no_error (error);
  umedpt_encoding_get_size (encoding, &width, &height);
  for (guint i = 0; i < wanted->len; i++) {
    const UmedptBox *box = &g_array_index (wanted, UmedptBox, i);
    const float sx = (float) GST_VIDEO_INFO_WIDTH (info) / (float) width;
    const float sy = (float) GST_VIDEO_INFO_HEIGHT (info) / (float) height;

    if (box->score < threshold)
      continue;
    g_assert_cmpuint (k, <, n);
    g_assert_cmpfloat (boxes[k].x, ==, box->x1 * sx);
    g_assert_cmpfloat (boxes[k].y, ==, box->y1 * sy);
    g_assert_cmpfloat (boxes[k].width, ==, box->x2 * sx - box->x1 * sx);
    g_assert_cmpfloat (boxes[k].height, ==, box->y2 * sy - box->y1 * sy);
    g_assert_cmpfloat (boxes[k].score, ==, box->score);
    g_assert_cmpint (boxes[k].label, ==, box->label);
    k++;
  }
  g_assert_cmpuint (k, ==, n);
  g_assert_cmpuint (n, >, 0);
}

void
test_assert_values (GstBuffer *buffer, const char *task,
    UmedptEncoding *encoding)
{
  float wanted[8];
  g_autoptr (GError) error = NULL;
  guint n = 0;
  const gfloat *values =
      gst_umedpt_result_get_values (test_result (buffer, task), &n);

  g_assert_cmpuint (n, >, 0);
  g_assert_cmpuint (n, <=, G_N_ELEMENTS (wanted));
  umedpt_encoding_get_values (encoding, 0,
      test_task_number (umedpt_encoding_get_session (encoding), task), wanted,
      &error);
  g_assert_no_error (error);
  g_assert_cmpmem (values, n * sizeof *values, wanted, n * sizeof *wanted);
}

void
test_assert_embedding (GstBuffer *buffer, UmedptEncoding *encoding)
{
  const GstUmedptTensorMeta *tensor =
      gst_buffer_get_umedpt_tensor_meta (buffer, GST_UMEDPT_TENSOR_EMBEDDING);
  const gsize size = umedpt_session_get_embedding_size (
                         umedpt_encoding_get_session (encoding)) *
      sizeof (float);
  g_autofree float *wanted = g_malloc (size);
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (tensor);
  umedpt_encoding_get_embedding (encoding, 0, wanted, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (gst_buffer_get_size (tensor->data), ==, size);
  g_assert_cmpint (gst_buffer_memcmp (tensor->data, 0, wanted, size), ==, 0);
}
