/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The pipeline of a slide with the truth in the place of a network: tiles of
 * umedptslidesrc get the discs that they show, as boxes and as a mask, and an
 * embedding, and go to umedptslidesink. check-slide-outputs.py compares the
 * files with the truth.
 *
 *   truth-slide DISCS MASK-SIZE BOUNDS-X BOUNDS-Y BAD "SOURCE" "SINK"
 *
 * DISCS: a file with a line "x y radius class" each, level-0 pixels; BOUNDS:
 * what the slide shall say of its bounds; BAD: number of a tile that shall come
 * as unreadable, -1: none; SOURCE, SINK: properties of the two elements.
 */
#include <locale.h>
#include <stdio.h>

#include "common/gstumedptmeta.h"
#include "common/gstumedptresults.h"
#include "discs.h"

typedef struct
{
  GArray *discs;
  gint mask_size;
  gint64 bounds_x, bounds_y, bad;
} Truth;

static GArray *
read_discs (const char *path)
{
  GArray *discs = g_array_new (FALSE, FALSE, sizeof (TestDisc));
  FILE *file = fopen (path, "r");
  TestDisc disc;

  if (!file)
    g_error ("cannot open %s", path);
  while (fscanf (file, "%lf %lf %lf %d", &disc.x, &disc.y, &disc.radius,
             &disc.label) == 4)
    g_array_append_val (discs, disc);
  fclose (file);
  return discs;
}

/* Two features: the tile's place, so that a row tells its tile. */
static void
add_tensor (GstBuffer *buffer, const TestTile *tile)
{
  const float values[] = { (float) tile->x, (float) tile->y };
  GstUmedptTensorMeta *meta =
      (GstUmedptTensorMeta *) gst_buffer_add_meta (buffer,
          gst_meta_get_info (GST_UMEDPT_TENSOR_META_NAME), NULL);

  meta->id = g_quark_from_static_string (GST_UMEDPT_TENSOR_EMBEDDING);
  meta->data_type = GST_UMEDPT_TENSOR_F32;
  meta->num_dims = 1;
  meta->dims[0] = G_N_ELEMENTS (values);
  meta->data = gst_buffer_new_memdup (values, sizeof values);
}

static GstPadProbeReturn
on_tile (GstPad *pad, GstPadProbeInfo *info, const Truth *truth)
{
  GstBuffer *buffer =
      gst_buffer_make_writable (GST_PAD_PROBE_INFO_BUFFER (info));
  const GstStructure *meta = gst_buffer_get_umedpt_tile (buffer);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  guint64 index = 0;
  TestTile tile = { 0 };

  GST_PAD_PROBE_INFO_DATA (info) = buffer;
  gst_structure_get_int (gst_caps_get_structure (caps, 0), "width", &tile.size);
  gst_structure_get_uint64 (meta, "index", &index);
  gst_structure_get_int64 (meta, "x", &tile.x);
  gst_structure_get_int64 (meta, "y", &tile.y);
  gst_structure_get_double (meta, "downsample", &tile.downsample);
  if ((gint64) index == truth->bad) {
    gst_pad_push_event (pad,
        gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
            gst_structure_new ("umedpt-bad-tile", "index", G_TYPE_UINT64, index,
                "x", G_TYPE_INT64, tile.x, "y", G_TYPE_INT64, tile.y, "reason",
                G_TYPE_STRING, "torn", NULL)));
    return GST_PAD_PROBE_DROP;
  }
  test_add_boxes (buffer, &tile, truth->discs);
  test_add_mask (buffer, &tile, truth->discs, truth->mask_size);
  add_tensor (buffer, &tile);
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_event (GstPadProbeInfo *info, const Truth *truth)
{
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);

  if (gst_event_has_name (event, "umedpt-slide")) {
    event = gst_event_make_writable (event);
    gst_structure_set (gst_event_writable_structure (event), "bounds-x",
        G_TYPE_INT64, truth->bounds_x, "bounds-y", G_TYPE_INT64,
        truth->bounds_y, NULL);
    GST_PAD_PROBE_INFO_DATA (info) = event;
  }
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_probe (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  if (GST_PAD_PROBE_INFO_TYPE (info) & GST_PAD_PROBE_TYPE_BUFFER)
    return on_tile (pad, info, data);
  return on_event (info, data);
}

/* Prints what programs would see; the exit status. */
static int
run (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  gboolean failed = gst_element_set_state (pipeline, GST_STATE_PLAYING) ==
      GST_STATE_CHANGE_FAILURE;
  gboolean done = FALSE;

  while (!done) {
    g_autoptr (GstMessage) message =
        gst_bus_timed_pop_filtered (bus, failed ? 0 : GST_CLOCK_TIME_NONE,
            GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING |
                GST_MESSAGE_ELEMENT);
    g_autofree char *text = NULL;

    if (!message)
      break;
    if (gst_message_get_structure (message))
      text = gst_structure_to_string (gst_message_get_structure (message));
    printf ("%s: %s\n", GST_MESSAGE_TYPE_NAME (message), text ? text : "");
    failed = failed || GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR;
    done = failed || GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS;
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return failed ? 1 : 0;
}

int
main (int argc, char **argv)
{
  Truth truth;
  g_autofree char *line = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstElement) identity = NULL;
  g_autoptr (GstPad) pad = NULL;
  int status;

  gst_init (&argc, &argv);
  setlocale (LC_NUMERIC, "C");
  if (argc != 8)
    g_error ("usage: truth-slide DISCS MASK-SIZE BOUNDS-X BOUNDS-Y BAD SOURCE "
             "SINK");
  truth = (Truth){ read_discs (argv[1]),
    (gint) g_ascii_strtoll (argv[2], NULL, 10),
    g_ascii_strtoll (argv[3], NULL, 10), g_ascii_strtoll (argv[4], NULL, 10),
    g_ascii_strtoll (argv[5], NULL, 10) };
  line = g_strdup_printf ("umedptslidesrc %s ! queue ! identity name=i ! "
                          "umedptslidesink %s",
      argv[6], argv[7]);
  pipeline = gst_parse_launch (line, &error);
  if (error)
    g_error ("%s: %s", line, error->message);
  identity = gst_bin_get_by_name (GST_BIN (pipeline), "i");
  pad = gst_element_get_static_pad (identity, "src");
  gst_pad_add_probe (pad,
      GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_probe,
      &truth, NULL);
  status = run (pipeline);
  g_array_unref (truth.discs);
  return status;
}
