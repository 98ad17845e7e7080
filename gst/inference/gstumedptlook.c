/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From frames to encodings: which parts of each frame are looked at (all of
 * it, tiles, regions that others marked), and one call of the encoder for all
 * parts of all frames of a batch. Whole frames whose features came along are
 * not encoded again.
 */
#include "inference/gstumedptbaseprivate.h"
#include "inference/gstumedptcuda.h"
#include "inference/gstumedptfeatures.h"

#include <string.h>

#define REGIONS_AT_ONCE 16
#define MIN_TILE 32 /* pixels, whatever tile-size says */

static UmedptPixels
pixels_of (GstVideoFormat format)
{
  switch (format) {
    case GST_VIDEO_FORMAT_BGR:
      return UMEDPT_PIXELS_BGR;
    case GST_VIDEO_FORMAT_RGBx:
    case GST_VIDEO_FORMAT_RGBA:
      return UMEDPT_PIXELS_RGBX;
    case GST_VIDEO_FORMAT_BGRx:
    case GST_VIDEO_FORMAT_BGRA:
      return UMEDPT_PIXELS_BGRX;
    case GST_VIDEO_FORMAT_GRAY8:
      return UMEDPT_PIXELS_GRAY8;
    default:
      return UMEDPT_PIXELS_RGB;
  }
}

static UmedptImage
image_of (const GstVideoFrame *frame, const UmedptRegion *region)
{
  const gsize stride = (gsize) GST_VIDEO_FRAME_PLANE_STRIDE (frame, 0);
  const guint8 *data = GST_VIDEO_FRAME_PLANE_DATA (frame, 0);

  return (UmedptImage){
    .data = data + (gsize) region->y * stride +
        (gsize) region->x * (gsize) GST_VIDEO_FRAME_COMP_PSTRIDE (frame, 0),
    .width = region->width,
    .height = region->height,
    .stride = stride,
    .pixels = pixels_of (GST_VIDEO_FRAME_FORMAT (frame)),
    .memory = gst_umedpt_cuda_get_memory (frame),
  };
}

/* --- regions ------------------------------------------------------------ */

/* Regions that others have marked on the buffer, cut to the frame. */
static GArray *
list_rois (GstBuffer *buffer, const char *object_class, gint width, gint height)
{
  GArray *regions = g_array_new (FALSE, FALSE, sizeof (UmedptRegion));
  gpointer state = NULL;
  GstMeta *meta = NULL;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    const GstVideoRegionOfInterestMeta *roi =
        (const GstVideoRegionOfInterestMeta *) meta;
    const gint64 x2 = MIN ((gint64) roi->x + roi->w, width);
    const gint64 y2 = MIN ((gint64) roi->y + roi->h, height);
    UmedptRegion region;

    if (object_class && *object_class &&
        g_strcmp0 (g_quark_to_string (roi->roi_type), object_class) != 0)
      continue;
    if (x2 <= roi->x || y2 <= roi->y)
      continue;
    region = (UmedptRegion){ (gint) roi->x, (gint) roi->y, (gint) (x2 - roi->x),
      (gint) (y2 - roi->y) };
    g_array_append_val (regions, region);
  }
  return regions;
}

static GArray *
list_regions (const GstUmedptLookSettings *settings, GstBuffer *buffer,
    gint width, gint height, gint input)
{
  const UmedptRegion all = { 0, 0, width, height };
  gint side =
      settings->tile_size ? MAX ((gint) settings->tile_size, MIN_TILE) : input;
  GArray *regions = NULL;

  switch (settings->region) {
    case GST_UMEDPT_REGION_TILES:
      return umedpt_regions_tile (width, height, side,
          MIN ((gint) settings->tile_overlap, side - 1));
    case GST_UMEDPT_REGION_ROI_LIST:
      return list_rois (buffer, settings->object_class, width, height);
    default:
      regions = g_array_new (FALSE, FALSE, sizeof (UmedptRegion));
      return g_array_append_val (regions, all);
  }
}

/* --- encoding ----------------------------------------------------------- */

/* What is still to be encoded: images, and the view that each is for. */
typedef struct
{
  GArray *images; /* of UmedptImage */
  GPtrArray *views; /* of GstUmedptView, owned by their looks */
} Pending;

/* Of the frame's pixels, wherever they are; the two kinds of memory have sums
 * of their own, so features do not go from the one to the other. */
static gboolean
get_checksum (UmedptSession *session, const GstVideoFrame *frame,
    guint64 *checksum)
{
  const guint64 width = (guint64) GST_VIDEO_FRAME_WIDTH (frame);
  const UmedptRegion all = { 0, 0, GST_VIDEO_FRAME_WIDTH (frame),
    GST_VIDEO_FRAME_HEIGHT (frame) };
  const UmedptImage image = image_of (frame, &all);

  if (image.memory == UMEDPT_IMAGE_MEMORY_HOST) {
    *checksum = gst_umedpt_features_checksum (frame);
    return TRUE;
  }
  if (!umedpt_session_sum_image (session, &image, checksum, NULL))
    return FALSE;
  *checksum ^= width << 32 | GST_VIDEO_FRAME_FORMAT (frame);
  return TRUE;
}

/* Features that came along, if nobody has drawn on the frame since. @shared:
 * later elements will ask that, too. */
static UmedptEncoding *
get_known (const GstUmedptWanted *wanted, gboolean shared,
    const GstVideoFrame *frame, GstBuffer *buffer, GstUmedptLook *look,
    guint *index)
{
  guint64 checksum = 0;
  UmedptEncoding *known =
      gst_umedpt_features_get (buffer, wanted, index, &checksum);

  if (!known && !shared)
    return NULL;
  if (!get_checksum (wanted->session, frame, &look->checksum)) {
    look->shared = FALSE;
    return NULL;
  }
  return look->checksum == checksum ? known : NULL;
}

static void
prepare (const GstUmedptLookSettings *settings, const GstUmedptWanted *wanted,
    gboolean shared, const GstVideoFrame *frame, GstBuffer *buffer,
    GstUmedptLook *look, Pending *pending)
{
  g_autoptr (GArray) regions = NULL;

  look->session = wanted->session;
  look->width = GST_VIDEO_FRAME_WIDTH (frame);
  look->height = GST_VIDEO_FRAME_HEIGHT (frame);
  look->pts = GST_BUFFER_PTS (buffer);
  look->whole = settings->region == GST_UMEDPT_REGION_FULL_FRAME;
  look->shared = shared && look->whole;
  regions = list_regions (settings, buffer, look->width, look->height,
      MIN (wanted->width, wanted->height));
  look->n_views = regions->len;
  look->views = g_new0 (GstUmedptView, MAX (regions->len, 1));
  for (guint i = 0; i < regions->len; i++) {
    GstUmedptView *view = &look->views[i];
    UmedptEncoding *known = NULL;
    UmedptImage image;

    view->region = g_array_index (regions, UmedptRegion, i);
    if (look->whole)
      known = get_known (wanted, shared, frame, buffer, look, &view->index);
    look->came_along = known != NULL;
    if (known) {
      view->encoding = umedpt_encoding_ref (known);
      continue;
    }
    image = image_of (frame, &view->region);
    g_array_append_val (pending->images, image);
    g_ptr_array_add (pending->views, view);
  }
}

/* Images @first to @first + @n. */
static UmedptEncoding *
encode_some (GstUmedptBase *self, const GstUmedptWanted *wanted,
    const Pending *pending, guint first, guint n, gboolean vectors_only,
    GError **error)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  UmedptEncoding *encoding = umedpt_session_encode (wanted->session,
      &g_array_index (pending->images, UmedptImage, first), n, wanted->width,
      wanted->height, vectors_only, priv->cancellable, error);

  if (!encoding)
    return NULL;
  for (guint i = 0; i < n; i++) {
    GstUmedptView *view = g_ptr_array_index (pending->views, first + i);
    view->encoding = umedpt_encoding_ref (encoding);
    view->index = i;
  }
  GST_OBJECT_LOCK (self);
  priv->stats.encoded += n;
  GST_OBJECT_UNLOCK (self);
  return encoding;
}

/* Whole frames go through together and keep their features, which others may
 * want. Regions are many and have no such use: their heads run some at a time,
 * and the features go. */
static gboolean
encode (GstUmedptBase *self, const GstUmedptWanted *wanted, Pending *pending,
    gboolean whole, gboolean vectors_only, GError **error)
{
  const guint n = pending->views->len, step = whole ? n : REGIONS_AT_ONCE;

  for (guint i = 0; i < n; i += step) {
    g_autoptr (UmedptEncoding) encoding = encode_some (self, wanted, pending, i,
        MIN (step, n - i), vectors_only, error);

    if (!encoding)
      return FALSE;
    if (!whole && !vectors_only &&
        !GST_UMEDPT_BASE_GET_CLASS (self)->settle (self, encoding, error))
      return FALSE;
  }
  return TRUE;
}

void
gst_umedpt_look_clear (GstUmedptLook *look)
{
  for (guint i = 0; i < look->n_views; i++)
    g_clear_pointer (&look->views[i].encoding, umedpt_encoding_unref);
  g_clear_pointer (&look->views, g_free);
  look->n_views = 0;
}

gboolean
gst_umedpt_look (GstUmedptBase *self, UmedptSession *session,
    GstVideoFrame *frames, GstBuffer *const *buffers, guint n,
    GstUmedptLook *looks, GError **error)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstUmedptBaseClass *klass = GST_UMEDPT_BASE_GET_CLASS (self);
  GstUmedptWanted wanted = { session, 0, 0 };
  g_autoptr (GArray) images = g_array_new (FALSE, FALSE, sizeof (UmedptImage));
  g_autoptr (GPtrArray) views = g_ptr_array_new ();
  Pending pending = { images, views };
  GstUmedptLookSettings settings;
  gboolean shared, ok;

  klass->get_input (self, session, &wanted.width, &wanted.height);
  GST_OBJECT_LOCK (self);
  settings = priv->look;
  settings.object_class = g_strdup (priv->look.object_class);
  shared = gst_umedpt_features_are_wanted (priv->wanted, &wanted);
  GST_OBJECT_UNLOCK (self);
  for (guint i = 0; i < n; i++)
    prepare (&settings, &wanted, shared, &frames[i], buffers[i], &looks[i],
        &pending);
  ok = encode (self, &wanted, &pending,
      settings.region == GST_UMEDPT_REGION_FULL_FRAME,
      !shared && !klass->needs_features (self), error);
  g_free (settings.object_class);
  return ok;
}
