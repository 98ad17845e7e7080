/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The meta is internal: what it holds means something only to elements of this
 * process with the same session. A plain copy of the buffer keeps it, since
 * the picture is the same.
 */
#include "inference/gstumedptfeatures.h"

#include <string.h>

#define WANTED "umedpt-features"

typedef struct
{
  GstMeta meta;

  UmedptEncoding *encoding;
  guint index;
  guint64 checksum; /* of the frame's pixels */
} FeaturesMeta;

static gboolean
features_init (GstMeta *meta, gpointer params, GstBuffer *buffer)
{
  ((FeaturesMeta *) meta)->encoding = NULL;
  ((FeaturesMeta *) meta)->index = 0;
  ((FeaturesMeta *) meta)->checksum = 0;
  return TRUE;
}

static void
features_free (GstMeta *meta, GstBuffer *buffer)
{
  g_clear_pointer (&((FeaturesMeta *) meta)->encoding, umedpt_encoding_unref);
}

static gboolean
features_transform (GstBuffer *to, GstMeta *meta, GstBuffer *from, GQuark type,
    gpointer data)
{
  const FeaturesMeta *self = (const FeaturesMeta *) meta;

  if (!GST_META_TRANSFORM_IS_COPY (type) ||
      ((GstMetaTransformCopy *) data)->region)
    return FALSE;
  gst_umedpt_features_attach (to, self->encoding, self->index, self->checksum);
  return TRUE;
}

static GType
features_api (void)
{
  static gsize type = 0;
  static const char *tags[] = { NULL };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type,
        gst_meta_api_type_register ("GstUmedptFeaturesMetaAPI", tags));
  return type;
}

static const GstMetaInfo *
features_info (void)
{
  static gsize info = 0;

  if (g_once_init_enter (&info))
    g_once_init_leave (&info,
        (gsize) gst_meta_register (features_api (), "GstUmedptFeaturesMeta",
            sizeof (FeaturesMeta), features_init, features_free,
            features_transform));
  return (const GstMetaInfo *) info;
}

/* --- asking ------------------------------------------------------------- */

void
gst_umedpt_features_propose (GstQuery *query, const GstUmedptWanted *wanted)
{
  // clang-format off
  g_autoptr (GstStructure) params = gst_structure_new (WANTED,
      "session", G_TYPE_POINTER, wanted->session,
      "width", G_TYPE_INT, wanted->width,
      "height", G_TYPE_INT, wanted->height,
      NULL);
  // clang-format on

  gst_query_add_allocation_meta (query, features_api (), params);
}

GArray *
gst_umedpt_features_parse (GstQuery *query)
{
  GArray *all = g_array_new (FALSE, FALSE, sizeof (GstUmedptWanted));
  const guint n = gst_query_get_n_allocation_metas (query);

  for (guint i = 0; i < n; i++) {
    const GstStructure *params = NULL;
    GstUmedptWanted wanted = { NULL, 0, 0 };

    if (gst_query_parse_nth_allocation_meta (query, i, &params) ==
            features_api () &&
        params &&
        gst_structure_get (params, "session", G_TYPE_POINTER, &wanted.session,
            "width", G_TYPE_INT, &wanted.width, "height", G_TYPE_INT,
            &wanted.height, NULL))
      g_array_append_val (all, wanted);
  }
  return all;
}

gboolean
gst_umedpt_features_are_wanted (const GArray *wanted,
    const GstUmedptWanted *features)
{
  for (guint i = 0; wanted && i < wanted->len; i++) {
    const GstUmedptWanted *one = &g_array_index (wanted, GstUmedptWanted, i);

    if (one->session == features->session && one->width == features->width &&
        one->height == features->height)
      return TRUE;
  }
  return FALSE;
}

/* --- giving ------------------------------------------------------------- */

static GstUmedptWanted
describe (const UmedptEncoding *encoding)
{
  GstUmedptWanted what = { umedpt_encoding_get_session (encoding), 0, 0 };

  umedpt_encoding_get_size (encoding, &what.width, &what.height);
  return what;
}

#define LANES 4
#define PRIME G_GUINT64_CONSTANT (0x9e3779b185ebca87) /* odd, bits mixed */

static guint64
mix (guint64 sum, guint64 word)
{
  sum = (sum ^ word) * PRIME;
  return sum ^ (sum >> 29);
}

/* Not against malice, only against brushes; in lanes, as the processor
 * multiplies several at once. */
static void
add_row (guint64 *lanes, const guint8 *row, gsize n)
{
  guint64 words[LANES];
  gsize i = 0;

  for (; i + sizeof words <= n; i += sizeof words) {
    memcpy (words, row + i, sizeof words);
    for (guint k = 0; k < LANES; k++)
      lanes[k] = mix (lanes[k], words[k]);
  }
  memset (words, 0, sizeof words);
  memcpy (words, row + i, n - i);
  for (guint k = 0; k < LANES; k++)
    lanes[k] = mix (lanes[k], words[k]);
}

guint64
gst_umedpt_features_checksum (const GstVideoFrame *frame)
{
  const guint8 *data = GST_VIDEO_FRAME_PLANE_DATA (frame, 0);
  const gssize stride = GST_VIDEO_FRAME_PLANE_STRIDE (frame, 0);
  const gint width = GST_VIDEO_FRAME_WIDTH (frame);
  const gsize row =
      (gsize) width * (gsize) GST_VIDEO_FRAME_COMP_PSTRIDE (frame, 0);
  guint64 lanes[LANES] = { 1, 2, 3, 4 };
  guint64 sum = mix ((guint64) width, GST_VIDEO_FRAME_FORMAT (frame));

  for (gint y = 0; y < GST_VIDEO_FRAME_HEIGHT (frame); y++)
    add_row (lanes, data + y * stride, row);
  for (guint k = 0; k < LANES; k++)
    sum = mix (sum, lanes[k]);
  return sum;
}

static gboolean
drop_same (GstBuffer *buffer, GstMeta **meta, gpointer key)
{
  if ((*meta)->info->api == features_api ()) {
    const GstUmedptWanted *one = key;
    const GstUmedptWanted what = describe (((FeaturesMeta *) *meta)->encoding);
    if (what.session == one->session && what.width == one->width &&
        what.height == one->height)
      *meta = NULL;
  }
  return TRUE;
}

void
gst_umedpt_features_attach (GstBuffer *buffer, UmedptEncoding *encoding,
    guint index, guint64 checksum)
{
  GstUmedptWanted key = describe (encoding);
  FeaturesMeta *meta = NULL;

  gst_buffer_foreach_meta (buffer, drop_same, &key);
  meta = (FeaturesMeta *) gst_buffer_add_meta (buffer, features_info (), NULL);
  meta->encoding = umedpt_encoding_ref (encoding);
  meta->index = index;
  meta->checksum = checksum;
}

UmedptEncoding *
gst_umedpt_features_get (GstBuffer *buffer, const GstUmedptWanted *wanted,
    guint *index, guint64 *checksum)
{
  gpointer state = NULL;
  GstMeta *meta = NULL;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state,
              features_api ()))) {
    const FeaturesMeta *self = (const FeaturesMeta *) meta;
    const GstUmedptWanted what = describe (self->encoding);

    if (what.session == wanted->session && what.width == wanted->width &&
        what.height == wanted->height) {
      *index = self->index;
      *checksum = self->checksum;
      return self->encoding;
    }
  }
  return NULL;
}

static gboolean
drop_unwanted (GstBuffer *buffer, GstMeta **meta, gpointer wanted)
{
  if ((*meta)->info->api == features_api ()) {
    const GstUmedptWanted what = describe (((FeaturesMeta *) *meta)->encoding);
    if (!gst_umedpt_features_are_wanted (wanted, &what))
      *meta = NULL;
  }
  return TRUE;
}

void
gst_umedpt_features_release (GstBuffer *buffer, const GArray *wanted)
{
  gst_buffer_foreach_meta (buffer, drop_unwanted, (gpointer) wanted);
}
