/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The truth file of a synthetic slide: JSON (RFC 8259) with every nucleus as
 * [x, y, radius, class] and every island of tissue with its area and outline,
 * in level-0 pixels. Numbers are written with a point whatever the locale.
 */
#include "data/synth-scene.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include <glib/gstdio.h>

#include "base/error.h"

#define OUTLINE 180 /* points of an outline */

static void
put (FILE *file, const char *before, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  fputs (before, file);
  fputs (g_ascii_formatd (text, sizeof text, "%.2f", value), file);
}

static void
write_island (FILE *file, const UmedptSynthIsland *island)
{
  put (file, "{\"area\": ", umedpt_synth_island_area (island));
  put (file, ", \"centre\": [", island->x);
  put (file, ", ", island->y);
  fputs ("], \"outline\": [", file);
  for (gint i = 0; i < OUTLINE; i++) {
    double angle = 2 * G_PI * i / OUTLINE;
    double r = umedpt_synth_island_radius (island, angle);

    put (file, i > 0 ? ", [" : "[", island->x + r * cos (angle));
    put (file, ", ", island->y + r * sin (angle));
    fputs ("]", file);
  }
  fputs ("]}", file);
}

static void
write_all (FILE *file, const UmedptSynthScene *scene,
    const UmedptSynthOptions *o)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  fprintf (file,
      "{\n\"format\": \"umedpt-synth-truth\",\n\"version\": 1,\n"
      "\"width\": %" G_GINT64_FORMAT ",\n\"height\": %" G_GINT64_FORMAT
      ",\n\"seed\": %" G_GUINT64_FORMAT ",\n\"mpp\": %s,\n",
      o->width, o->height, o->seed, g_ascii_dtostr (text, sizeof text, o->mpp));
  fprintf (file, "\"background\": [%u, %u, %u],\n\"classes\": [",
      umedpt_synth_background[0], umedpt_synth_background[1],
      umedpt_synth_background[2]);
  for (guint i = 0; i < UMEDPT_SYNTH_CLASSES; i++)
    fprintf (file, "%s\"%s\"", i > 0 ? ", " : "", umedpt_synth_class_name (i));
  fputs ("],\n\"tissue\": [\n", file);
  for (guint i = 0; i < scene->islands->len; i++) {
    fputs (i > 0 ? ",\n" : "", file);
    write_island (file, &g_array_index (scene->islands, UmedptSynthIsland, i));
  }
  fputs ("],\n\"nuclei\": [\n", file);
  for (guint i = 0; i < scene->nuclei->len; i++) {
    const UmedptSynthNucleus *n =
        &g_array_index (scene->nuclei, UmedptSynthNucleus, i);

    put (file, i > 0 ? ",\n[" : "[", (double) n->x);
    put (file, ", ", (double) n->y);
    put (file, ", ", (double) n->radius);
    fprintf (file, ", %u]", n->kind);
  }
  fputs ("]\n}\n", file);
}

gboolean
umedpt_synth_truth_write (const UmedptSynthScene *scene,
    const UmedptSynthOptions *options, const char *path, GError **error)
{
  FILE *file = g_fopen (path, "w");
  gboolean ok = FALSE;

  if (file != NULL) {
    write_all (file, scene, options);
    ok = !ferror (file);
    ok = fclose (file) == 0 && ok;
  }
  if (!ok) {
    int code = errno;

    g_set_error (error, UMEDPT_ERROR,
        code == ENOSPC ? UMEDPT_ERROR_NO_SPACE : UMEDPT_ERROR_IO,
        "Cannot write the truth file “%s”: %s.", path, g_strerror (code));
  }
  return ok;
}
