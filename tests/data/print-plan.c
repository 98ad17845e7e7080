/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Prints the plan of a slide's tiles as lines of numbers, for tile-coords.py,
 * which computes the same on its own. Options are key=value.
 */
#include <stdlib.h>
#include <string.h>

#include "data/tiles.h"

/* Numbers with all their digits, and a point whatever the locale. */
static const char *
exact (double value, char text[G_ASCII_DTOSTR_BUF_SIZE])
{
  return g_ascii_dtostr (text, G_ASCII_DTOSTR_BUF_SIZE, value);
}

static void
set_option (UmedptTileOptions *o, const char *key, const char *value)
{
  double number = g_ascii_strtod (value, NULL);

  if (g_str_equal (key, "tile"))
    o->tile_size = (gint) number;
  else if (g_str_equal (key, "overlap"))
    o->overlap = (gint) number;
  else if (g_str_equal (key, "mpp"))
    o->mpp = number;
  else if (g_str_equal (key, "magnification"))
    o->magnification = number;
  else if (g_str_equal (key, "level"))
    o->level = (gint) number;
  else if (g_str_equal (key, "slide_mpp"))
    o->slide_mpp = number;
  else if (g_str_equal (key, "order"))
    o->order = (UmedptOrder) number;
  else if (strlen (key) == 2 && key[0] == 'r' && key[1] >= '0' && key[1] <= '3')
    o->region[key[1] - '0'] = (gint64) number;
  else
    g_error ("unknown option %s", key);
}

int
main (int argc, char **argv)
{
  UmedptTileOptions options = UMEDPT_TILE_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSlide) slide = NULL;
  g_autoptr (UmedptTilePlan) plan = NULL;
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  options.tissue = UMEDPT_TISSUE_NONE;
  for (int i = 2; i < argc; i++) {
    g_auto (GStrv) pair = g_strsplit (argv[i], "=", 2);

    set_option (&options, pair[0], pair[1]);
  }
  slide = argc > 1 ? umedpt_slide_open (argv[1], &error) : NULL;
  plan = slide != NULL ? umedpt_tile_plan_new (slide, &options, &error) : NULL;
  if (plan == NULL) {
    g_printerr ("print-plan: %s\n",
        error != NULL ? error->message : "no slide");
    return 1;
  }
  g_print ("%s\n", exact (umedpt_tile_plan_get_downsample (plan), text));
  for (guint64 i = 0; i < umedpt_tile_plan_get_n_tiles (plan); i++) {
    UmedptTile t;

    umedpt_tile_plan_get_tile (plan, i, &t);
    g_print ("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
             " %" G_GINT64_FORMAT " %s\n",
        t.x, t.y, t.width, t.height, exact (t.valid, text));
  }
  return 0;
}
