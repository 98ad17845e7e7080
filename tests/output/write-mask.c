/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * write-mask PATH WIDTH HEIGHT MPP: writes a mask whose contents follow from a
 * formula that check-mask.py knows as well, in parts of 300 x 300 pixels that
 * do not come in order.
 */
#include <stdio.h>

#include "output/mask-file.h"

#define PART 300

static const char *const labels[] = { "background", "tumour & <stroma>",
  "\303\266dema \"2\"", NULL };
static const guint32 colors[] = { 0x000000, 0x56b4e9, 0xe69f00, 0x123456 };

static guint8
value_at (gint64 x, gint64 y)
{
  if ((x / 97 + y / 61) % 3 == 0)
    return 255;
  return (guint8) ((x * x / 1000 + y * 7 / 100 + (x ^ y) / 64) % 4);
}

static gboolean
write_parts (UmedptMaskWriter *writer, gint64 width, gint64 height,
    GError **error)
{
  const gint64 columns = (width + PART - 1) / PART;
  const gint64 n = columns * ((height + PART - 1) / PART);
  guint8 part[PART * PART];

  /* 7919 is a prime, so every part comes once unless n is a multiple of it */
  for (gint64 k = 0; k < n; k++) {
    gint64 i = k * 7919 % n;
    gint64 x = i % columns * PART, y = i / columns * PART;

    for (gint p = 0; p < PART * PART; p++)
      part[p] = value_at (x + p % PART, y + p / PART);
    if (!umedpt_mask_writer_add (writer, x, y, PART, PART, part, PART, error))
      return FALSE;
  }
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (UmedptMaskWriter) writer = NULL;
  g_autoptr (GError) error = NULL;
  UmedptMaskInfo info = { .labels = labels,
    .colors = colors,
    .n_colors = G_N_ELEMENTS (colors),
    .slide = "sl\303\244ide \"1\" <a&b>\001",
    .model_hash = "0123abcd",
    .config_hash = "89ef4567" };

  if (argc != 5)
    return 2;
  info.width = g_ascii_strtoll (argv[2], NULL, 10);
  info.height = g_ascii_strtoll (argv[3], NULL, 10);
  info.mpp = g_ascii_strtod (argv[4], NULL);
  writer = umedpt_mask_writer_new (argv[1], &info, FALSE, &error);
  if (writer && write_parts (writer, info.width, info.height, &error) &&
      umedpt_mask_writer_finish (writer, &error))
    return 0;
  fprintf (stderr, "%s\n", error->message);
  return 1;
}
