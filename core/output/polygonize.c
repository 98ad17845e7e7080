/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Outlines of regions, traced while rows pass. A row is a list of runs; where
 * runs of two rows end, up to four cells meet in a vertex, and each region
 * there turns (a corner: one or three cells), goes straight on (two) or is all
 * there is (four). Outlines go clockwise around their region, so what is open
 * between two rows are the vertical sides of the last row's runs: at a right
 * side a corner that waits for its successor, at a left side one that waits
 * for its predecessor. Rows that equal the last one change nothing.
 */
#include "output/polygonize.h"

#include <string.h>

#include "base/error.h"
#include "output/polygonize-private.h"

#define NOTHING UMEDPT_NO_CORNER

typedef struct
{
  guint32 end; /* the column after the last one */
  guint32 region;
  guint32 left, right; /* corners at the top of the sides, open below */
  guint8 value;
} Run;

typedef struct
{
  guint32 first, last; /* corners, by UmedptCorner.other */
  guint32 parent; /* itself, or during a row what it was merged into */
  guint32 n_runs; /* in the last row */
  guint8 value;
} Region;

struct _UmedptPolygonizer
{
  gsize width;
  double x, y, scale;
  UmedptRegionFunc func;
  gpointer data;
  gboolean ended;

  guint32 row; /* number of rows so far */
  guint8 *last; /* [width], allocated with the first row */
  GArray *above, *below; /* of Run; the first and the last lie outside */
  GArray *regions; /* of Region */
  GArray *free_regions; /* guint32 */
  GArray *merged; /* guint32: regions that this row made part of another */

  UmedptCorner *corners;
  guint32 n_corners, max_corners;
  guint32 free_corners;
};

static Run *
run_at (const GArray *runs, guint i)
{
  return &g_array_index (runs, Run, i);
}

static Region *
region_at (const UmedptPolygonizer *self, guint32 i)
{
  return &g_array_index (self->regions, Region, i);
}

static void
add_run (GArray *runs, gsize end, guint8 value)
{
  Run run = { (guint32) end, NOTHING, NOTHING, NOTHING, value };

  g_array_append_val (runs, run);
}

/**
 * umedpt_polygonizer_new: (skip)
 * @width: pixels per row, below %G_MAXINT32
 * @x: where the first pixel begins
 * @y: where the first row begins
 * @scale: of a pixel, in the units of @x and @y
 * @func: (scope notified): is given each region when its last row has passed
 * @data: for @func
 *
 * Begins to trace the regions of a label image. Memory is that of the regions
 * which the last row touches.
 *
 * Returns: (transfer full): the polygonizer
 *
 * Since: 0.1
 */
UmedptPolygonizer *
umedpt_polygonizer_new (gint64 width, double x, double y, double scale,
    UmedptRegionFunc func, gpointer data)
{
  UmedptPolygonizer *self;

  g_return_val_if_fail (width > 0 && width < G_MAXINT32, NULL);
  g_return_val_if_fail (func != NULL && scale > 0, NULL);

  self = g_new0 (UmedptPolygonizer, 1);
  self->width = (gsize) width;
  self->x = x;
  self->y = y;
  self->scale = scale;
  self->func = func;
  self->data = data;
  self->above = g_array_new (FALSE, FALSE, sizeof (Run));
  self->below = g_array_new (FALSE, FALSE, sizeof (Run));
  self->regions = g_array_new (FALSE, FALSE, sizeof (Region));
  self->free_regions = g_array_new (FALSE, FALSE, sizeof (guint32));
  self->merged = g_array_new (FALSE, FALSE, sizeof (guint32));
  self->free_corners = NOTHING;
  add_run (self->above, 0, 0);
  add_run (self->above, self->width, 0);
  add_run (self->above, NOTHING, 0);
  return self;
}

/**
 * umedpt_polygonizer_free: (skip)
 * @self: (nullable): a polygonizer
 *
 * Regions that are not complete are lost.
 *
 * Since: 0.1
 */
void
umedpt_polygonizer_free (UmedptPolygonizer *self)
{
  if (!self)
    return;
  g_free (self->last);
  g_array_unref (self->above);
  g_array_unref (self->below);
  g_array_unref (self->regions);
  g_array_unref (self->free_regions);
  g_array_unref (self->merged);
  g_free (self->corners);
  g_free (self);
}

/* Where the run that begins at @x ends; eight pixels at a time. */
static gsize
find_end (const guint8 *row, gsize x, gsize width)
{
  const guint8 value = row[x];
  const guint64 pattern = value * G_GUINT64_CONSTANT (0x0101010101010101);

  for (x++; x + 8 <= width; x += 8) {
    guint64 word;

    memcpy (&word, row + x, 8);
    word = GUINT64_FROM_LE (word) ^ pattern;
    if (word != 0)
      return x + (gsize) __builtin_ctzll (word) / 8;
  }
  while (x < width && row[x] == value)
    x++;
  return x;
}

static void
find_runs (UmedptPolygonizer *self, const guint8 *row)
{
  g_array_set_size (self->below, 0);
  add_run (self->below, 0, 0);
  for (gsize x = 0; x < self->width;) {
    gsize end = find_end (row, x, self->width);

    add_run (self->below, end, row[x]);
    x = end;
  }
  add_run (self->below, NOTHING, 0);
}

static guint32
find_root (UmedptPolygonizer *self, guint32 region)
{
  while (region_at (self, region)->parent != region) {
    Region *r = region_at (self, region);

    r->parent = region_at (self, r->parent)->parent;
    region = r->parent;
  }
  return region;
}

static guint32
add_region (UmedptPolygonizer *self, guint8 value)
{
  Region region = { NOTHING, NOTHING, self->regions->len, 0, value };
  guint n_free = self->free_regions->len;

  if (n_free == 0) {
    g_array_append_val (self->regions, region);
    return region.parent;
  }
  region.parent = g_array_index (self->free_regions, guint32, n_free - 1);
  g_array_set_size (self->free_regions, n_free - 1);
  *region_at (self, region.parent) = region;
  return region.parent;
}

static void
merge_regions (UmedptPolygonizer *self, guint32 a, guint32 b)
{
  Region *into = region_at (self, a), *from = region_at (self, b);

  from->parent = a;
  into->n_runs += from->n_runs;
  if (into->first == NOTHING)
    into->first = from->first;
  else
    self->corners[into->last].other = from->first;
  if (from->last != NOTHING)
    into->last = from->last;
  g_array_append_val (self->merged, b);
}

/* Finds out which regions the runs below belong to; then all runs name
 * regions that are not part of another. */
static void
join_runs (UmedptPolygonizer *self)
{
  for (guint i = 0, j = 0; i < self->above->len && j < self->below->len;) {
    Run *a = run_at (self->above, i), *b = run_at (self->below, j);

    if (a->value == b->value && a->value != 0) {
      guint32 region = find_root (self, a->region);

      if (b->region == NOTHING)
        b->region = region;
      else if (find_root (self, b->region) != region)
        merge_regions (self, find_root (self, b->region), region);
    }
    i += a->end <= b->end;
    j += b->end <= a->end;
  }
  for (guint i = 0; i < self->above->len; i++) {
    Run *run = run_at (self->above, i);

    if (run->value != 0)
      run->region = find_root (self, run->region);
  }
  for (guint i = 0; i < self->below->len; i++) {
    Run *run = run_at (self->below, i);

    if (run->value == 0)
      continue;
    run->region = run->region == NOTHING ? add_region (self, run->value)
                                         : find_root (self, run->region);
    region_at (self, run->region)->n_runs++;
  }
  if (self->merged->len > 0)
    g_array_append_vals (self->free_regions, self->merged->data,
        self->merged->len);
  g_array_set_size (self->merged, 0);
}

/* Room for @n more corners. */
static gboolean
reserve_corners (UmedptPolygonizer *self, guint64 n, GError **error)
{
  guint64 needed = self->n_corners + n, size = self->max_corners;
  UmedptCorner *corners = NULL;

  if (needed <= size)
    return TRUE;
  size = MAX (MAX (needed, size + size / 2), 1024);
  if (size < NOTHING)
    corners = g_try_renew (UmedptCorner, self->corners, size);
  if (!corners) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "The outlines of the regions of a mask of %" G_GSIZE_FORMAT
        " pixels per row have %u corners at row %u, too many for the memory. "
        "The mask is very ragged: smooth it, or make it at a coarser scale.",
        self->width, self->n_corners, self->row);
    return FALSE;
  }
  self->corners = corners;
  self->max_corners = (guint32) size;
  return TRUE;
}

static guint32
add_corner (UmedptPolygonizer *self, guint32 region, guint32 x,
    gboolean touches)
{
  Region *r = region_at (self, region);
  guint32 i = self->free_corners;

  if (i != NOTHING)
    self->free_corners = self->corners[i].other;
  else
    i = self->n_corners++;
  self->corners[i] = (UmedptCorner){ .x = x,
    .touches = touches != FALSE,
    .y = self->row,
    .next = NOTHING,
    .other = NOTHING };
  if (r->first == NOTHING)
    r->first = i;
  else
    self->corners[r->last].other = i;
  r->last = i;
  return i;
}

/* The sides that meet in a vertex, clockwise; side k lies clockwise after
 * cell k. An outline arrives by the last side of its cells and leaves by the
 * first. */
enum
{
  UP,
  RIGHT,
  DOWN,
  LEFT
};

/* What is open on the horizontal sides left of a vertex. */
typedef struct
{
  guint32 bottom; /* of the run above: waits for its predecessor */
  guint32 top; /* of the run below: waits for its successor */
} Pending;

/* @cells: upper left, upper right, lower right, lower left. */
static void
do_vertex (UmedptPolygonizer *self, Run *cells[4], guint32 x, Pending *pending)
{
  const Pending old = *pending;

  for (guint k = 0; k < 4; k++) {
    const guint8 value = cells[k]->value;
    const guint out = (k + 3) % 4;
    guint n = 1, in = k;
    guint32 arriving, leaving;

    if (value == 0 || cells[out]->value == value)
      continue;
    for (; cells[(in + 1) % 4]->value == value; n++)
      in = (in + 1) % 4;
    /* A straight side is passed on, its corners lie elsewhere. */
    leaving = out == UP ? cells[1]->left : old.bottom;
    arriving = in == UP ? cells[0]->right : old.top;
    if (n != 2) {
      gboolean touches = n == 1 && cells[(k + 2) % 4]->value == value;
      guint32 corner = add_corner (self, cells[k]->region, x, touches);

      if (out == UP || out == LEFT)
        self->corners[corner].next = leaving;
      if (in == UP || in == LEFT)
        self->corners[arriving].next = corner;
      leaving = arriving = corner;
    }
    if (in == RIGHT)
      pending->bottom = leaving;
    else if (in == DOWN)
      cells[2]->left = leaving;
    if (out == RIGHT)
      pending->top = arriving;
    else if (out == DOWN)
      cells[3]->right = arriving;
  }
}

static void
do_vertices (UmedptPolygonizer *self)
{
  Pending pending = { NOTHING, NOTHING };
  guint i = 0, j = 0;

  while (i + 1 < self->above->len || j + 1 < self->below->len) {
    Run *a = run_at (self->above, i), *b = run_at (self->below, j);
    Run *cells[4] = { a, a, b, b };
    guint32 x = MIN (a->end, b->end);

    if (a->end == x)
      cells[1] = run_at (self->above, ++i);
    if (b->end == x)
      cells[2] = run_at (self->below, ++j);
    do_vertex (self, cells, x, &pending);
  }
}

/* Hands over the regions that end with the row above. */
static gboolean
deliver (UmedptPolygonizer *self, GError **error)
{
  for (guint i = 0; i < self->above->len; i++) {
    guint32 index = run_at (self->above, i)->region;
    Region *region;
    UmedptPolygon *polygon;

    if (index == NOTHING)
      continue;
    region = region_at (self, index);
    if (--region->n_runs > 0)
      continue;
    polygon = umedpt_corners_to_polygon (self->corners, region->first, self->x,
        self->y, self->scale);
    self->corners[region->last].other = self->free_corners;
    self->free_corners = region->first;
    g_array_append_val (self->free_regions, index);
    if (!self->func (region->value, polygon, self->data, error))
      return FALSE;
  }
  return TRUE;
}

/* The row below is in self->below, without regions. */
static gboolean
do_row (UmedptPolygonizer *self, GError **error)
{
  GArray *runs = self->below;
  gboolean ok;

  /* Two regions at most have a corner where a run ends, four where two do. */
  if (!reserve_corners (self, 2 * ((guint64) runs->len + self->above->len),
          error))
    return FALSE;
  join_runs (self);
  do_vertices (self);
  ok = deliver (self, error);
  self->below = self->above;
  self->above = runs;
  return ok;
}

/**
 * umedpt_polygonizer_add_row: (skip)
 * @self: a polygonizer that has not finished
 * @row: u8 `[width]`: the next row; 0 is no region
 * @error: return location for a #GError
 *
 * Returns: %FALSE with @error set if there is no memory
 *   (%UMEDPT_ERROR_NO_MEMORY) or the function failed; then @self can only be
 *   freed
 *
 * Since: 0.1
 */
gboolean
umedpt_polygonizer_add_row (UmedptPolygonizer *self, const guint8 *row,
    GError **error)
{
  g_return_val_if_fail (self != NULL && row != NULL && !self->ended, FALSE);

  if (!self->last)
    self->last = g_try_malloc0 (self->width);
  self->ended = TRUE; /* unless all goes well */
  if (!self->last || self->row >= G_MAXINT32 - 1) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "A mask with %" G_GSIZE_FORMAT " pixels per row and more than %u rows "
        "is too large for outlines. Make it at a coarser scale.",
        self->width, self->row);
    return FALSE;
  }
  if (memcmp (row, self->last, self->width) != 0) {
    memcpy (self->last, row, self->width);
    find_runs (self, row);
    if (!do_row (self, error))
      return FALSE;
  }
  self->row++;
  self->ended = FALSE;
  return TRUE;
}

/**
 * umedpt_polygonizer_finish: (skip)
 * @self: a polygonizer that has not finished
 * @error: return location for a #GError
 *
 * Ends the image: the regions that its last row touches are complete.
 *
 * Returns: %FALSE with @error set as umedpt_polygonizer_add_row()
 *
 * Since: 0.1
 */
gboolean
umedpt_polygonizer_finish (UmedptPolygonizer *self, GError **error)
{
  g_return_val_if_fail (self != NULL && !self->ended, FALSE);

  self->ended = TRUE;
  g_array_set_size (self->below, 0);
  add_run (self->below, 0, 0);
  add_run (self->below, self->width, 0);
  add_run (self->below, NOTHING, 0);
  return do_row (self, error);
}
