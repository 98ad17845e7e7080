/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What umedptslidesink tells at the end: element messages for programs, INFO
 * messages for people, and a WARNING if tiles are missing.
 */
#include "slide/gstumedptslideoutput.h"

/* What was written, and of what. */
typedef struct
{
  GstElement *element;
  const GstUmedptSlideRun *run;
  guint64 n_tiles, n_bad, n_expected;
} Report;

/* What is said of a file, round the number of what is in it. */
static const char *const texts[GST_UMEDPT_SLIDE_N_FILES][2] = {
  [GST_UMEDPT_SLIDE_FILE_REGIONS] = { "", " regions are" },
  [GST_UMEDPT_SLIDE_FILE_MASK] = { "A mask of ", " classes is" },
  [GST_UMEDPT_SLIDE_FILE_DETECTIONS] = { "", " objects are" },
  [GST_UMEDPT_SLIDE_FILE_TABLE] = { "Counts of ", " objects are" },
  [GST_UMEDPT_SLIDE_FILE_HEATMAP] = { "A picture of ", " tiles is" },
  [GST_UMEDPT_SLIDE_FILE_FEATURES] = { "Features of ", " tiles are" },
};

static const char *
get_path (const Report *self, const GstUmedptSlideWritten *file)
{
  return self->run->settings->paths[file->file];
}

/* gst-launch-1.0 shows only the second text of an INFO. */
static void
say (const Report *self, const GstUmedptSlideWritten *file)
{
  g_autofree char *text =
      g_strdup_printf ("%s%" G_GUINT64_FORMAT
                       "%s written to '%s'; %" G_GUINT64_FORMAT
                       " tiles could not be read.",
          texts[file->file][0], file->count, texts[file->file][1],
          get_path (self, file), self->n_bad);

  GST_ELEMENT_INFO (self->element, RESOURCE, WRITE, ("%s", text), ("%s", text));
}

static void
post (const Report *self, GstStructure *message)
{
  gst_element_post_message (self->element,
      gst_message_new_element (GST_OBJECT (self->element), message));
}

/* @all: what the last message says */
static void
report_file (const Report *self, const GstUmedptSlideWritten *file,
    GstStructure *all)
{
  const char *path = get_path (self, file);
  g_autoptr (GstStructure) one = gst_structure_new ("umedpt-file", "path",
      G_TYPE_STRING, path, "count", G_TYPE_UINT64, file->count, NULL);

  gst_structure_set (all, gst_umedpt_slide_file_name (file->file),
      GST_TYPE_STRUCTURE, one, NULL);
  if (file->file == GST_UMEDPT_SLIDE_FILE_FEATURES)
    post (self,
        gst_structure_new ("umedpt-features-written", "path", G_TYPE_STRING,
            path, "rows", G_TYPE_UINT64, file->count, "bad-tiles",
            G_TYPE_UINT64, self->n_bad, "expected", G_TYPE_UINT64,
            self->n_expected, NULL));
  say (self, file);
}

void
gst_umedpt_slide_report (GstElement *element, const GstUmedptSlideRun *run,
    const GArray *written, guint64 n_tiles, guint64 n_bad)
{
  const Report self = { element, run, n_tiles, n_bad,
    gst_umedpt_slide_n_expected (run->slide) };
  const char *slide = gst_structure_get_string (run->slide, "slide");
  GstStructure *all = gst_structure_new ("umedpt-slide-written", "slide",
      G_TYPE_STRING, slide, "tiles", G_TYPE_UINT64, n_tiles, "bad-tiles",
      G_TYPE_UINT64, n_bad, "expected", G_TYPE_UINT64, self.n_expected, NULL);

  for (guint i = 0; i < written->len; i++)
    report_file (&self, &g_array_index (written, GstUmedptSlideWritten, i),
        all);
  post (&self, all);
  if (n_tiles + n_bad != self.n_expected)
    GST_ELEMENT_WARNING (element, STREAM, FAILED,
        ("The result of the slide '%s' is not complete: of %" G_GUINT64_FORMAT
         " tiles %" G_GUINT64_FORMAT " have come and %" G_GUINT64_FORMAT
         " could not be read; the others did not arrive, as after a seek or an "
         "early end.",
            slide, self.n_expected, n_tiles, n_bad),
        (NULL));
}
