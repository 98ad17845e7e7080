/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Connected components by runs: runs of neighbouring rows that touch are
 * joined (union and find), and the runs of a region are then laid together.
 */
#include "overlay/gstumedptpaintregions.h"

#include <stdlib.h>
#include <string.h>

#include "overlay/gstumedpthysteresis.h"

typedef struct
{
  guint first, n; /* of its runs */
  gint x0, y0, x1, y1;
  guint64 area;
  gint label;
} Region;

/* @parents: [n_runs]; a root is its own parent */
static guint
find_root (guint *parents, guint i)
{
  while (parents[i] != i)
    i = parents[i] = parents[parents[i]];
  return i;
}

/* The smaller number becomes the root, so that a root comes first. */
static void
join (guint *parents, guint a, guint b)
{
  a = find_root (parents, a);
  b = find_root (parents, b);
  parents[MAX (a, b)] = MIN (a, b);
}

static void
join_rows (const GstUmedptRun *runs, guint n_runs, guint *parents)
{
  guint above = 0;

  for (guint i = 0; i < n_runs; i++) {
    parents[i] = i;
    /* what ends before this run begins touches no later one either */
    while (runs[above].y + 1 < runs[i].y ||
        (runs[above].y + 1 == runs[i].y && runs[above].x1 <= runs[i].x0))
      above++;
    for (guint j = above; runs[j].y + 1 == runs[i].y && runs[j].x0 < runs[i].x1;
         j++)
      if (runs[j].label == runs[i].label)
        join (parents, i, j);
  }
}

static void
extend (Region *region, const GstUmedptRun *run)
{
  region->x0 = MIN (region->x0, run->x0);
  region->x1 = MAX (region->x1, run->x1);
  region->y1 = run->y + 1; /* rows come in order */
  region->area += (guint64) (run->x1 - run->x0);
  region->n++;
}

/* The regions, and in @owners the number of that of each run. */
static GArray *
gather (const GstUmedptRun *runs, guint n_runs, guint *owners)
{
  GArray *regions = g_array_new (FALSE, FALSE, sizeof (Region));
  g_autofree guint *parents = g_new (guint, n_runs);

  join_rows (runs, n_runs, parents);
  for (guint i = 0; i < n_runs; i++) {
    const GstUmedptRun *run = &runs[i];
    const guint root = find_root (parents, i);

    if (root == i) {
      const Region region = { 0, 0, run->x0, run->y, run->x1, run->y + 1, 0,
        run->label };

      owners[i] = regions->len;
      g_array_append_val (regions, region);
    } else {
      owners[i] = owners[root];
    }
    extend (&g_array_index (regions, Region, owners[i]), run);
  }
  return regions;
}

/* All runs, those of a region together. (transfer full) */
static GstUmedptRun *
lay_together (const GstUmedptRun *runs, guint n_runs, GArray *regions,
    const guint *owners)
{
  GstUmedptRun *sorted = g_new (GstUmedptRun, n_runs);
  guint next = 0;

  for (guint r = 0; r < regions->len; r++) {
    Region *region = &g_array_index (regions, Region, r);

    region->first = next;
    next += region->n;
    region->n = 0;
  }
  for (guint i = 0; i < n_runs; i++) {
    Region *region = &g_array_index (regions, Region, owners[i]);

    sorted[region->first + region->n++] = runs[i];
  }
  return sorted;
}

static gint
compare_areas (gconstpointer a, gconstpointer b)
{
  const guint64 x = ((const Region *) a)->area, y = ((const Region *) b)->area;

  return (x < y) - (x > y);
}

void
gst_umedpt_regions_find (const GstUmedptRun *runs, guint n_runs, GArray *boxes,
    GPtrArray *shapes)
{
  g_autofree guint *owners = g_new (guint, n_runs);
  g_autofree GstUmedptRun *sorted = NULL;
  g_autoptr (GArray) regions = gather (runs, n_runs, owners);

  sorted = lay_together (runs, n_runs, regions, owners);
  g_array_sort (regions, compare_areas);
  for (guint r = 0; r < MIN (regions->len, GST_UMEDPT_HYSTERESIS_MOST_OBJECTS);
       r++) {
    const Region *region = &g_array_index (regions, Region, r);
    const GstUmedptBox box = { (gfloat) region->x0, (gfloat) region->y0,
      (gfloat) (region->x1 - region->x0), (gfloat) (region->y1 - region->y0), 1,
      region->label };

    g_array_append_val (boxes, box);
    g_ptr_array_add (shapes,
        g_bytes_new (sorted + region->first, region->n * sizeof *sorted));
  }
}

void
gst_umedpt_regions_paint (guint8 *map, gint width, GBytes *shape)
{
  gsize size = 0;
  const GstUmedptRun *runs = g_bytes_get_data (shape, &size);

  for (gsize i = 0; i < size / sizeof *runs; i++)
    memset (map + (gsize) runs[i].y * width + runs[i].x0, runs[i].label,
        (gsize) (runs[i].x1 - runs[i].x0));
}
