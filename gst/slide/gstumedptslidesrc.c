/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Streams the tiles of a whole slide. Time is a convention here: tile i of the
 * plan has PTS i s and lasts 1 s, so that everything that knows time (seeking,
 * progressreport, segments) works on tiles. Decoding happens in the library's
 * tile reader, in several threads ahead of the streaming thread; the pixels
 * are handed on without a copy.
 *
 * A tile that cannot be read is never replaced by a blank one: in its place
 * goes an "umedpt-bad-tile" event (gstumedptevents.h), and a warning.
 */

/**
 * SECTION:element-umedptslidesrc
 * @title: umedptslidesrc
 *
 * Cuts a whole slide, or any picture that the library reads, into tiles at an
 * exact scale, leaves out the background, and streams them with their place
 * on the slide (GstUmedptTileMeta). It never drops a tile; a slow consumer
 * makes it wait.
 *
 * Give at most one of #GstUmedptSlideSrc:mpp,
 * #GstUmedptSlideSrc:magnification and #GstUmedptSlideSrc:level; without any,
 * level 0 is taken as it is.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 umedptslidesrc location=slide.svs tile-size=256 mpp=0.5 ! progressreport update-freq=1 ! fakesink
 * ]|
 * Reads all tissue tiles at 0.5 µm per pixel and shows how far it is.
 * |[
 * gst-launch-1.0 umedptslidesrc location=slide.svs level=0 region=0,0,1024,512 tissue=none ! videoconvert ! pngenc ! multifilesink location=tile-%05d.png
 * ]|
 * Writes the tiles of a region as PNG files.
 *
 * Since: 0.1
 */
#include "slide/gstumedptslidesrc.h"

#include <gst/video/video.h>

#include "common/gstumedptenums.h"
#include "common/gstumedpterror.h"
#include "common/gstumedptevents.h"
#include "common/gstumedptmetaprivate.h"
#include "slide/gstumedptslidesettings.h"
#include "slide/gstumedptslideuri.h"
#include "slide/gstumedpttilebuffer.h"
#include "slide/gstumedpttiletime.h"

GST_DEBUG_CATEGORY_STATIC (gst_umedpt_slide_src_debug);
#define GST_CAT_DEFAULT gst_umedpt_slide_src_debug

/* Of a damaged slide, this many tiles get a warning each; the rest is summed
 * up at the end. */
#define MAX_WARNINGS 3

struct _GstUmedptSlideSrc
{
  GstPushSrc parent;

  GstUmedptSlideSettings settings; /* under the object lock */

  /* from READY to PAUSED and back; changed under the object lock */
  UmedptTilePlan *plan;
  char *name;
  double downsample;
  guint threads;
  guint64 start_index;
  guint64 n_tiles, n_skipped;
  GstVideoInfo info;

  /* what unlock() shares with the streaming thread */
  GMutex reader_lock;
  UmedptTileReader *reader;
  gboolean flushing;

  /* streaming thread only, apart from the position query */
  guint64 next; /* index of the next tile; changed under the object lock */
  gboolean started; /* a buffer, and with it the segment, was sent */
  gboolean slide_sent;
  gboolean copy_rows; /* downstream wants GStreamer's row padding */

  guint64 n_pushed, n_bad; /* under the object lock */
};

enum
{
  PROP_STATS = GST_UMEDPT_SLIDE_PROP_LAST,
};

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE ("RGB")));

G_DEFINE_TYPE_WITH_CODE (GstUmedptSlideSrc, gst_umedpt_slide_src,
                         GST_TYPE_PUSH_SRC,
                         G_IMPLEMENT_INTERFACE (GST_TYPE_URI_HANDLER,
                             gst_umedpt_slide_uri_init);
                         GST_DEBUG_CATEGORY_INIT (gst_umedpt_slide_src_debug,
                             "umedptslidesrc", 0, "Tiles of a whole slide"));
GST_ELEMENT_REGISTER_DEFINE (umedptslidesrc, "umedptslidesrc", GST_RANK_NONE,
    GST_TYPE_UMEDPT_SLIDE_SRC);

/* --- properties --------------------------------------------------------- */

static void
gst_umedpt_slide_src_set_property (GObject *object, guint id,
    const GValue *value, GParamSpec *pspec)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (object);
  gboolean known = FALSE;

  GST_OBJECT_LOCK (self);
  known = gst_umedpt_slide_settings_set (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_umedpt_slide_src_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (object);
  gboolean known = TRUE;

  GST_OBJECT_LOCK (self);
  if (id == PROP_STATS)
    g_value_take_boxed (value,
        gst_structure_new ("application/x-umedpt-slide-stats", "n-tiles",
            G_TYPE_UINT64, self->n_tiles, "n-skipped", G_TYPE_UINT64,
            self->n_skipped, "n-pushed", G_TYPE_UINT64, self->n_pushed, "n-bad",
            G_TYPE_UINT64, self->n_bad, NULL));
  else
    known = gst_umedpt_slide_settings_get (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_umedpt_slide_src_finalize (GObject *object)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (object);

  gst_umedpt_slide_settings_clear (&self->settings);
  g_mutex_clear (&self->reader_lock);
  G_OBJECT_CLASS (gst_umedpt_slide_src_parent_class)->finalize (object);
}

/* --- opening and closing ------------------------------------------------ */

static void
gst_umedpt_slide_src_close (GstUmedptSlideSrc *self)
{
  GST_OBJECT_LOCK (self);
  g_clear_object (&self->plan);
  g_clear_pointer (&self->name, g_free);
  GST_OBJECT_UNLOCK (self);
}

static gboolean
gst_umedpt_slide_src_open (GstUmedptSlideSrc *self)
{
  g_auto (GstUmedptSlideSettings) settings = { 0 };
  g_autoptr (UmedptTilePlan) plan = NULL;
  g_autoptr (GError) error = NULL;

  GST_OBJECT_LOCK (self);
  gst_umedpt_slide_settings_copy (&self->settings, &settings);
  GST_OBJECT_UNLOCK (self);
  plan = gst_umedpt_slide_settings_plan (&settings, &error);
  if (!plan) {
    GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_READING);
    return FALSE;
  }
  GST_OBJECT_LOCK (self);
  gst_video_info_set_format (&self->info, GST_VIDEO_FORMAT_RGB,
      settings.options.tile_size, settings.options.tile_size);
  self->n_tiles = umedpt_tile_plan_get_n_tiles (plan);
  self->n_skipped = umedpt_tile_plan_get_n_skipped (plan);
  self->n_pushed = self->n_bad = 0;
  self->name = gst_umedpt_slide_name (settings.location);
  self->downsample = umedpt_tile_plan_get_downsample (plan);
  self->plan = g_steal_pointer (&plan);
  self->threads = settings.threads;
  self->start_index = self->next = settings.start_index;
  GST_OBJECT_UNLOCK (self);
  GST_INFO_OBJECT (self,
      "%s: %" G_GUINT64_FORMAT " tiles, %" G_GUINT64_FORMAT
      " left out as background, %g level-0 pixels per pixel",
      settings.location, self->n_tiles, self->n_skipped, self->downsample);
  return TRUE;
}

/* The slide is opened here and not in start(): of a start() that fails,
 * GstBaseSrc posts an error of its own, which says less than ours and comes
 * later. */
static GstStateChangeReturn
gst_umedpt_slide_src_change_state (GstElement *element,
    GstStateChange transition)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (element);
  GstStateChangeReturn ret = GST_STATE_CHANGE_FAILURE;

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED &&
      !gst_umedpt_slide_src_open (self))
    return ret;
  ret = GST_ELEMENT_CLASS (gst_umedpt_slide_src_parent_class)
            ->change_state (element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
      (transition == GST_STATE_CHANGE_READY_TO_PAUSED &&
          ret == GST_STATE_CHANGE_FAILURE))
    gst_umedpt_slide_src_close (self);
  return ret;
}

/* The segment set here is where the stream begins unless the application has
 * asked for a seek already. */
static gboolean
gst_umedpt_slide_src_start (GstBaseSrc *base)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (base);
  GstSegment *segment = &base->segment;

  self->started = self->slide_sent = self->flushing = FALSE;
  GST_OBJECT_LOCK (self);
  segment->start = segment->time = segment->position =
      self->start_index * GST_SECOND;
  GST_OBJECT_UNLOCK (self);
  return self->plan != NULL;
}

static void
gst_umedpt_slide_src_close_reader (GstUmedptSlideSrc *self)
{
  UmedptTileReader *reader = NULL;

  g_mutex_lock (&self->reader_lock);
  reader = g_steal_pointer (&self->reader);
  g_mutex_unlock (&self->reader_lock);
  g_clear_pointer (&reader, umedpt_tile_reader_free);
}

static gboolean
gst_umedpt_slide_src_stop (GstBaseSrc *base)
{
  gst_umedpt_slide_src_close_reader (GST_UMEDPT_SLIDE_SRC (base));
  return TRUE;
}

/* unlock() is called from another thread while create() waits for a tile. A
 * cancelled reader is spent: create() opens a new one where it stopped. */
static gboolean
gst_umedpt_slide_src_unlock (GstBaseSrc *base)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (base);

  g_mutex_lock (&self->reader_lock);
  self->flushing = TRUE;
  if (self->reader)
    umedpt_tile_reader_cancel (self->reader);
  g_mutex_unlock (&self->reader_lock);
  return TRUE;
}

static gboolean
gst_umedpt_slide_src_unlock_stop (GstBaseSrc *base)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (base);

  gst_umedpt_slide_src_close_reader (self);
  g_mutex_lock (&self->reader_lock);
  self->flushing = FALSE;
  g_mutex_unlock (&self->reader_lock);
  return TRUE;
}

/* --- negotiation -------------------------------------------------------- */

static GstCaps *
gst_umedpt_slide_src_get_caps (GstBaseSrc *base, GstCaps *filter)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (base);
  GstCaps *caps = NULL;
  gint size = 0;

  GST_OBJECT_LOCK (self);
  if (self->plan)
    size = GST_VIDEO_INFO_WIDTH (&self->info);
  GST_OBJECT_UNLOCK (self);
  if (size > 0)
    caps = gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING, "RGB",
        "width", G_TYPE_INT, size, "height", G_TYPE_INT, size, "framerate",
        GST_TYPE_FRACTION, 1, 1, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1,
        "interlace-mode", G_TYPE_STRING, "progressive", "colorimetry",
        G_TYPE_STRING, "sRGB", NULL);
  else
    caps = gst_pad_get_pad_template_caps (GST_BASE_SRC_PAD (base));
  if (filter) {
    GstCaps *both =
        gst_caps_intersect_full (filter, caps, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref (caps);
    caps = both;
  }
  return caps;
}

/* The reader's rows have no padding, GStreamer's begin at multiples of four
 * bytes. Where that differs and downstream does not read GstVideoMeta, rows
 * are copied; the usual 224, 256, 512 go without. The memory comes from the
 * reader, so a pool, which the base class would fill, is declined. */
static gboolean
gst_umedpt_slide_src_decide_allocation (GstBaseSrc *base, GstQuery *query)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (base);
  gint row = GST_VIDEO_INFO_WIDTH (&self->info) * 3;

  self->copy_rows = row != GST_VIDEO_INFO_PLANE_STRIDE (&self->info, 0) &&
      !gst_query_find_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  GST_DEBUG_OBJECT (self, "rows are %s",
      self->copy_rows ? "copied" : "handed on as they are");
  while (gst_query_get_n_allocation_pools (query) > 0)
    gst_query_remove_nth_allocation_pool (query, 0);
  return TRUE;
}

/* --- streaming ---------------------------------------------------------- */

/* What those downstream need to know before the first tile. Stream-start and
 * caps are out; the segment follows with the first buffer. */
static void
gst_umedpt_slide_src_push_slide (GstUmedptSlideSrc *self)
{
  GstPad *pad = GST_BASE_SRC_PAD (self);

  if (self->slide_sent)
    return;
  self->slide_sent = TRUE;
  gst_pad_push_event (pad,
      gst_umedpt_event_new_slide (self->plan, self->start_index));
  gst_pad_push_event (pad,
      gst_event_new_tag (gst_tag_list_new (GST_TAG_TITLE, self->name, NULL)));
}

static void
gst_umedpt_slide_src_bad_tile (GstUmedptSlideSrc *self, const UmedptTile *tile,
    const GError *error)
{
  guint64 n_bad = 0;

  GST_OBJECT_LOCK (self);
  n_bad = ++self->n_bad;
  GST_OBJECT_UNLOCK (self);
  gst_pad_push_event (GST_BASE_SRC_PAD (self),
      gst_umedpt_event_new_bad_tile (tile, error->message));
  GST_WARNING_OBJECT (self,
      "tile %" G_GUINT64_FORMAT " at %" G_GINT64_FORMAT ",%" G_GINT64_FORMAT
      ": %s",
      tile->index, tile->x, tile->y, error->message);
  if (n_bad <= MAX_WARNINGS)
    GST_ELEMENT_WARNING (self, RESOURCE, READ,
        ("Tile %" G_GUINT64_FORMAT " at level-0 position %" G_GINT64_FORMAT
         ", %" G_GINT64_FORMAT " could not be read and is left out: %s",
            tile->index, tile->x, tile->y, error->message),
        (NULL));
}

/* No buffer follows; nor has the base class pushed a segment if there was no
 * tile at all. */
static void
gst_umedpt_slide_src_end (GstUmedptSlideSrc *self)
{
  GstBaseSrc *base = GST_BASE_SRC (self);
  guint64 n_bad = 0;

  if (!self->started)
    gst_pad_push_event (GST_BASE_SRC_PAD (base),
        gst_event_new_segment (&base->segment));
  self->started = TRUE;
  GST_OBJECT_LOCK (self);
  n_bad = self->n_bad;
  GST_OBJECT_UNLOCK (self);
  if (n_bad > MAX_WARNINGS)
    GST_ELEMENT_WARNING (self, RESOURCE, READ,
        ("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
         " tiles of '%s' could not be read and are left out.",
            n_bad, self->n_tiles, self->name),
        (NULL));
}

/* A seek may name an end. The base class sees to it, but only by buffers; a
 * bad tile is none. */
static gboolean
gst_umedpt_slide_src_at_stop (GstUmedptSlideSrc *self)
{
  const GstSegment *segment = &GST_BASE_SRC (self)->segment;

  return GST_CLOCK_TIME_IS_VALID (segment->stop) &&
      self->next * GST_SECOND >= segment->stop;
}

static void
gst_umedpt_slide_src_set_next (GstUmedptSlideSrc *self, guint64 next)
{
  GST_OBJECT_LOCK (self);
  self->next = next;
  GST_OBJECT_UNLOCK (self);
}

/* The reader, opened where the stream stands; NULL while flushing. */
static UmedptTileReader *
gst_umedpt_slide_src_get_reader (GstUmedptSlideSrc *self)
{
  UmedptTileReader *reader = NULL;

  g_mutex_lock (&self->reader_lock);
  if (!self->reader && !self->flushing)
    self->reader =
        umedpt_tile_reader_new (self->plan, self->threads, self->next);
  reader = self->flushing ? NULL : self->reader;
  g_mutex_unlock (&self->reader_lock);
  return reader;
}

/* Without memory a sound tile must not be recorded as a damaged one. */
static GstFlowReturn
gst_umedpt_slide_src_give_up (GstUmedptSlideSrc *self, const GError *error)
{
  gst_pad_push_event (GST_BASE_SRC_PAD (self), gst_umedpt_event_new_failed ());
  GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_RUNNING);
  return GST_FLOW_ERROR;
}

static GstFlowReturn
gst_umedpt_slide_src_create (GstPushSrc *push, GstBuffer **out)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (push);

  gst_umedpt_slide_src_push_slide (self);
  while (TRUE) {
    UmedptTileReader *reader = gst_umedpt_slide_src_get_reader (self);
    UmedptTile tile = { 0 };
    g_autoptr (GBytes) pixels = NULL;
    g_autoptr (GError) error = NULL;

    if (!reader)
      return GST_FLOW_FLUSHING;
    if (gst_umedpt_slide_src_at_stop (self)) {
      gst_umedpt_slide_src_end (self);
      return GST_FLOW_EOS;
    }
    switch (umedpt_tile_reader_next (reader, &tile, &pixels, &error)) {
      case UMEDPT_TILE_OK:
        gst_umedpt_slide_src_set_next (self, tile.index + 1);
        self->started = TRUE;
        *out = gst_umedpt_tile_buffer_new (&self->info, self->copy_rows, &tile,
            pixels);
        gst_buffer_add_umedpt_tile (*out, self->name, &tile, self->n_tiles,
            self->downsample);
        GST_OBJECT_LOCK (self);
        self->n_pushed++;
        GST_OBJECT_UNLOCK (self);
        return GST_FLOW_OK;
      case UMEDPT_TILE_BAD:
        if (g_error_matches (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY))
          return gst_umedpt_slide_src_give_up (self, error);
        gst_umedpt_slide_src_set_next (self, tile.index + 1);
        gst_umedpt_slide_src_bad_tile (self, &tile, error);
        break;
      case UMEDPT_TILE_END:
        gst_umedpt_slide_src_end (self);
        return GST_FLOW_EOS;
      case UMEDPT_TILE_CANCELLED:
        return GST_FLOW_FLUSHING;
    }
  }
}

/* --- time is tiles ------------------------------------------------------ */

static gboolean
gst_umedpt_slide_src_is_seekable (GstBaseSrc *base)
{
  return TRUE;
}

/* Called once before streaming begins, and for every seek; streaming has
 * stopped then. */
static gboolean
gst_umedpt_slide_src_do_seek (GstBaseSrc *base, GstSegment *segment)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (base);

  if (segment->rate < 0) {
    GST_DEBUG_OBJECT (self, "tiles are not played backwards");
    return FALSE;
  }
  gst_umedpt_slide_src_set_next (self, segment->position / GST_SECOND);
  gst_umedpt_slide_src_close_reader (self);
  self->started = self->slide_sent = FALSE;
  segment->duration = self->n_tiles * GST_SECOND;
  GST_DEBUG_OBJECT (self, "go on with tile %" G_GUINT64_FORMAT, self->next);
  return TRUE;
}

static gboolean
gst_umedpt_slide_src_query (GstBaseSrc *base, GstQuery *query)
{
  GstUmedptSlideSrc *self = GST_UMEDPT_SLIDE_SRC (base);
  guint64 n_tiles = 0, next = 0;
  gboolean open = FALSE;

  GST_OBJECT_LOCK (self);
  open = self->plan != NULL;
  n_tiles = self->n_tiles;
  next = self->next;
  GST_OBJECT_UNLOCK (self);
  return (open && gst_umedpt_tile_time_answer (query, n_tiles, next)) ||
      GST_BASE_SRC_CLASS (gst_umedpt_slide_src_parent_class)
          ->query (base, query);
}

/* --- class -------------------------------------------------------------- */

static void
gst_umedpt_slide_src_class_init (GstUmedptSlideSrcClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstBaseSrcClass *base = GST_BASE_SRC_CLASS (klass);

  object->set_property = gst_umedpt_slide_src_set_property;
  object->get_property = gst_umedpt_slide_src_get_property;
  object->finalize = gst_umedpt_slide_src_finalize;
  gst_umedpt_slide_settings_install (object);
  /**
   * GstUmedptSlideSrc:stats:
   *
   * Counts since the element was started: n-tiles in the plan, n-skipped as
   * background, n-pushed, n-bad (could not be read).
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "n-tiles, n-skipped, n-pushed, n-bad", GST_TYPE_STRUCTURE,
          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
  gst_type_mark_as_plugin_api (GST_TYPE_UMEDPT_TISSUE, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_UMEDPT_ORDER, 0);

  element->change_state = gst_umedpt_slide_src_change_state;
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "UMedPT slide source",
      "Source/File/Image", "Streams the tiles of a whole slide",
      "The UMedPT in C authors");

  base->start = gst_umedpt_slide_src_start;
  base->stop = gst_umedpt_slide_src_stop;
  base->unlock = gst_umedpt_slide_src_unlock;
  base->unlock_stop = gst_umedpt_slide_src_unlock_stop;
  base->get_caps = gst_umedpt_slide_src_get_caps;
  base->decide_allocation = gst_umedpt_slide_src_decide_allocation;
  base->is_seekable = gst_umedpt_slide_src_is_seekable;
  base->do_seek = gst_umedpt_slide_src_do_seek;
  base->query = gst_umedpt_slide_src_query;
  GST_PUSH_SRC_CLASS (klass)->create = gst_umedpt_slide_src_create;
}

static void
gst_umedpt_slide_src_init (GstUmedptSlideSrc *self)
{
  gst_umedpt_slide_settings_init (&self->settings);
  g_mutex_init (&self->reader_lock);
  gst_base_src_set_format (GST_BASE_SRC (self), GST_FORMAT_TIME);
}
