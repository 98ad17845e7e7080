/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Every object that a tile finds waits until no later tile can add to it, is
 * linked meanwhile with those of other tiles that are the same, and leaves
 * with all it is linked with. That decisions fall only then, over all there
 * is to know, makes the result independent of the tiles' order, and lets an
 * object live whose owner, the tile in whose core its centre is, was skipped.
 *
 * The order of tiles is watched: where y never decreases (rows, serpentine)
 * what lies above the current tile is complete, and likewise in columns. The
 * first row is both, and any order begins somehow, so the first tiles wait
 * until it is clear; in no order, everything waits for the end.
 */
#include "output/objects-private.h"

#include <math.h>

#include "base/error.h"

/* That many tiles in order are no accident: of n random tiles in two rows, one
 * in 2^n / n begins so. */
#define MIN_TILES 32
/* A cut object's side is this near its tile's: half a pixel of 512, or where
 * tiles overlap, this much of the overlap, as detectors place sides roughly,
 * and what lies there whole is whole in the neighbour as well. */
#define NEAR_TILE (1.0 / 1024)
#define NEAR_OVERLAP (1.0 / 32)
#define CELLS_PER_TILE 8
#define MAX_POSITION 1e9 /* also GeoJSON's, see geojson.c */

struct _UmedptObjectMerger
{
  double min_overlap;
  UmedptObjectFunc func;
  gpointer data;
  gboolean failed;

  UmedptGrid *grid; /* of waiting; made by the first tile */
  UmedptGrid *cores; /* of tiles */
  GPtrArray *waiting; /* of UmedptFound, as they came */
  GPtrArray *tiles; /* of UmedptMergerTile, whose core is asked for */
  guint64 n_tiles;

  gboolean rows, columns; /* the tiles may be in this order */
  double last_x, last_y; /* of the last tile */
  double slack; /* the largest distance at which tiles meet */
  double edge; /* what ended before it has left */
  guint n_left; /* how many had to stay then */
};

/**
 * umedpt_object_clear: (skip)
 * @object: an object
 *
 * Frees what it owns, its outline.
 *
 * Since: 0.1
 */
void
umedpt_object_clear (UmedptObject *object)
{
  g_clear_pointer (&object->outline, umedpt_polygon_free);
}

static void
clear_object (gpointer data)
{
  umedpt_object_clear (data);
}

static void
tile_unref (UmedptMergerTile *tile)
{
  if (--tile->n_users == 0)
    g_free (tile);
}

void
umedpt_found_free (UmedptFound *self)
{
  umedpt_object_clear (&self->object);
  g_clear_pointer (&self->links, g_array_unref);
  tile_unref (self->tile);
  g_free (self);
}

static void
free_found (gpointer data)
{
  umedpt_found_free (data);
}

static void
unref_tile (gpointer data)
{
  tile_unref (data);
}

/**
 * umedpt_object_merger_new: (skip)
 * @min_overlap: above 0, up to 1: how much of the smaller of two objects must
 *   be common for them to be the same; %UMEDPT_OBJECTS_MIN_OVERLAP
 * @func: (scope forever): gets every whole object, once
 * @data: (nullable): for @func
 *
 * Begins with the objects of one slide.
 *
 * Returns: (transfer full): a merger
 *
 * Since: 0.1
 */
UmedptObjectMerger *
umedpt_object_merger_new (double min_overlap, UmedptObjectFunc func,
    gpointer data)
{
  UmedptObjectMerger *self;

  g_return_val_if_fail (min_overlap > 0 && min_overlap <= 1, NULL);
  g_return_val_if_fail (func != NULL, NULL);

  self = g_new0 (UmedptObjectMerger, 1);
  self->min_overlap = min_overlap;
  self->func = func;
  self->data = data;
  self->waiting = g_ptr_array_new_with_free_func (free_found);
  self->tiles = g_ptr_array_new_with_free_func (unref_tile);
  self->rows = self->columns = TRUE;
  self->edge = -G_MAXDOUBLE;
  return self;
}

/**
 * umedpt_object_merger_free: (skip)
 * @self: (nullable): a merger
 *
 * What still waits is lost.
 *
 * Since: 0.1
 */
void
umedpt_object_merger_free (UmedptObjectMerger *self)
{
  if (!self)
    return;
  umedpt_grid_free (self->grid);
  umedpt_grid_free (self->cores);
  g_ptr_array_unref (self->waiting);
  g_ptr_array_unref (self->tiles);
  g_free (self);
}

/**
 * umedpt_object_merger_get_n_waiting: (skip)
 * @self: a merger
 *
 * Returns: how many objects that tiles have found wait for their neighbours
 *
 * Since: 0.1
 */
guint
umedpt_object_merger_get_n_waiting (UmedptObjectMerger *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->waiting->len;
}

/* By place, for the same order in every run. */
static gint
compare_objects (gconstpointer a, gconstpointer b)
{
  const UmedptObject *p = a, *q = b;
  const double keys[][2] = { { p->y1, q->y1 }, { p->x1, q->x1 },
    { p->y2, q->y2 }, { p->x2, q->x2 }, { p->task, q->task },
    { p->label, q->label }, { p->score, q->score } };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (keys[i][0] != keys[i][1])
      return keys[i][0] < keys[i][1] ? -1 : 1;
  return 0;
}

static gboolean
emit (UmedptObjectMerger *self, GArray *objects, GError **error)
{
  g_array_sort (objects, compare_objects);
  for (guint i = 0; i < objects->len; i++)
    if (!self->func (&g_array_index (objects, UmedptObject, i), self->data,
            error)) {
      self->failed = TRUE;
      return FALSE;
    }
  return TRUE;
}

/* All that is linked with @first, directly or not, into @component. Those that
 * were met have their index set to @mark. */
static void
collect (UmedptFound *first, guint mark, GPtrArray *component)
{
  g_ptr_array_set_size (component, 0);
  g_ptr_array_add (component, first);
  first->index = mark;
  for (guint i = 0; i < component->len; i++) {
    const UmedptFound *found = g_ptr_array_index (component, i);

    for (guint j = 0; found->links && j < found->links->len; j++) {
      UmedptFound *other = g_array_index (found->links, UmedptLink, j).other;

      if (other->index == mark)
        continue;
      other->index = mark;
      g_ptr_array_add (component, other);
    }
  }
}

/* Whether all of them end before @edge, along y or x. */
static gboolean
is_complete (GPtrArray *component, double edge, gboolean rows)
{
  for (guint i = 0; i < component->len; i++) {
    const UmedptFound *found = g_ptr_array_index (component, i);

    if ((rows ? found->object.y2 : found->object.x2) >= edge)
      return FALSE;
  }
  return TRUE;
}

/* Hands on what no tile beyond @edge can touch. */
static gboolean
flush (UmedptObjectMerger *self, double edge, gboolean rows, GError **error)
{
  const guint unseen = G_MAXUINT, seen = G_MAXUINT - 1;
  g_autoptr (GArray) objects =
      g_array_new (FALSE, FALSE, sizeof (UmedptObject));
  g_autoptr (GPtrArray) component = g_ptr_array_new ();
  g_autoptr (GPtrArray) all = g_steal_pointer (&self->waiting);

  self->waiting = g_ptr_array_new_with_free_func (free_found);
  g_array_set_clear_func (objects, clear_object);
  g_ptr_array_set_free_func (all, NULL);
  for (guint i = 0; i < all->len; i++) {
    UmedptFound *found = g_ptr_array_index (all, i);

    found->index = unseen;
    found->done = FALSE;
  }
  for (guint i = 0; i < all->len; i++) {
    UmedptFound *found = g_ptr_array_index (all, i);

    if (found->index != unseen)
      continue;
    collect (found, seen, component);
    if (!is_complete (component, edge, rows))
      continue;
    umedpt_objects_resolve (component, objects);
    for (guint j = 0; j < component->len; j++)
      ((UmedptFound *) g_ptr_array_index (component, j))->done = TRUE;
  }
  for (guint i = 0; i < all->len; i++) {
    UmedptFound *found = g_ptr_array_index (all, i);

    if (!found->done) {
      g_ptr_array_add (self->waiting, found);
      continue;
    }
    umedpt_grid_remove (self->grid, &found->item);
    umedpt_found_free (found);
  }
  self->n_left = self->waiting->len;
  return emit (self, objects, error);
}

/* Tiles that ended before @edge own nothing that is still to come. */
static void
drop_tiles (UmedptObjectMerger *self, double edge, gboolean rows)
{
  guint kept = 0;

  for (guint i = 0; i < self->tiles->len; i++) {
    UmedptMergerTile *tile = g_ptr_array_index (self->tiles, i);

    if ((rows ? tile->bounds.y2 : tile->bounds.x2) >= edge) {
      self->tiles->pdata[kept++] = tile;
      continue;
    }
    umedpt_grid_remove (self->cores, &tile->core);
    tile_unref (tile);
  }
  g_ptr_array_set_free_func (self->tiles, NULL);
  g_ptr_array_set_size (self->tiles, (gint) kept);
  g_ptr_array_set_free_func (self->tiles, unref_tile);
}

/* Looks at where the next tile lies, and lets go what it leaves behind. Going
 * over all that waits is worth it when a fair part is new. */
static gboolean
advance (UmedptObjectMerger *self, const UmedptObjectTile *tile, GError **error)
{
  double edge;

  if (self->n_tiles > 0) {
    self->rows &= tile->y1 >= self->last_y;
    self->columns &= tile->x1 >= self->last_x;
  }
  self->last_x = tile->x1;
  self->last_y = tile->y1;
  if (self->rows == self->columns || self->n_tiles < MIN_TILES)
    return TRUE;
  edge = (self->rows ? tile->y1 : tile->x1) - self->slack;
  if (edge <= self->edge || self->waiting->len <= self->n_left / 4 * 5)
    return TRUE;
  self->edge = edge;
  if (!flush (self, edge, self->rows, error))
    return FALSE;
  drop_tiles (self, edge, self->rows);
  return TRUE;
}

static gboolean
check_tile (const UmedptObjectTile *tile, GError **error)
{
  if (tile->x1 < tile->x2 && tile->y1 < tile->y2 && tile->x1 >= -MAX_POSITION &&
      tile->y1 >= -MAX_POSITION && tile->x2 <= MAX_POSITION &&
      tile->y2 <= MAX_POSITION && tile->core_x1 >= tile->x1 &&
      tile->core_x2 <= tile->x2 && tile->core_y1 >= tile->y1 &&
      tile->core_y2 <= tile->y2 && tile->core_x1 <= tile->core_x2 &&
      tile->core_y1 <= tile->core_y2)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "A tile reaches from (%g, %g) to (%g, %g), its core from (%g, %g) to "
      "(%g, %g); expected a core within the tile, within %g pixels.",
      tile->x1, tile->y1, tile->x2, tile->y2, tile->core_x1, tile->core_y1,
      tile->core_x2, tile->core_y2, MAX_POSITION);
  return FALSE;
}

static gboolean
check_object (const UmedptObject *object, GError **error)
{
  const UmedptPolygon *outline = object->outline;

  if (object->x1 < object->x2 && object->y1 < object->y2 &&
      fabs (object->x1) <= MAX_POSITION && fabs (object->y1) <= MAX_POSITION &&
      fabs (object->x2) <= MAX_POSITION && fabs (object->y2) <= MAX_POSITION &&
      object->area > 0 && isfinite (object->area) && isfinite (object->score) &&
      (!outline || (outline->ends->len > 0 && outline->radius == 0)))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "An object of class %d reaches from (%g, %g) to (%g, %g), with area %g "
      "and score %g; expected finite numbers, an area, and if there is an "
      "outline, rings.",
      object->label, object->x1, object->y1, object->x2, object->y2,
      object->area, (double) object->score);
  return FALSE;
}

static gboolean
check_input (const UmedptObjectTile *tile, GArray *objects, GError **error)
{
  if (!check_tile (tile, error))
    return FALSE;
  for (guint i = 0; i < objects->len; i++)
    if (!check_object (&g_array_index (objects, UmedptObject, i), error))
      return FALSE;
  return TRUE;
}

/* How near to each side of a tile is at the side: left, top, right, bottom. */
static void
get_near (const UmedptObjectTile *tile, double near[4])
{
  const double overlaps[] = { tile->core_x1 - tile->x1,
    tile->core_y1 - tile->y1, tile->x2 - tile->core_x2,
    tile->y2 - tile->core_y2 };
  double side = MAX (tile->x2 - tile->x1, tile->y2 - tile->y1);

  for (guint i = 0; i < 4; i++)
    near[i] = MAX (side * NEAR_TILE, 2 * overlaps[i] * NEAR_OVERLAP);
}

static UmedptMergerTile *
add_tile (UmedptObjectMerger *self, const UmedptObjectTile *at)
{
  UmedptMergerTile *tile = g_new0 (UmedptMergerTile, 1);
  double side = MAX (at->x2 - at->x1, at->y2 - at->y1), near[4];
  UmedptRect bounds = { at->x1, at->y1, at->x2, at->y2 };
  UmedptRect core = { at->core_x1, at->core_y1, at->core_x2, at->core_y2 };

  if (!self->grid) {
    self->grid = umedpt_grid_new (side / CELLS_PER_TILE);
    self->cores = umedpt_grid_new (side);
  }
  tile->bounds = bounds;
  tile->core.bounds = core;
  tile->number = self->n_tiles++;
  tile->n_users = 1;
  get_near (at, near);
  for (guint i = 0; i < 4; i++)
    self->slack = MAX (self->slack, 2 * near[i] + UMEDPT_OBJECTS_SEAM);
  umedpt_grid_add (self->cores, &tile->core);
  g_ptr_array_add (self->tiles, tile);
  return tile;
}

static gboolean
has_centre (const UmedptRect *core, const UmedptObject *object)
{
  double x = (object->x1 + object->x2) / 2, y = (object->y1 + object->y2) / 2;

  return x >= core->x1 && x < core->x2 && y >= core->y1 && y < core->y2;
}

/* Takes the outline of @object. For the search it is as large as its part
 * in the tile, and a little more: what else may be said of it cannot matter. */
static UmedptFound *
new_found (UmedptObjectMerger *self, UmedptObject *object,
    UmedptMergerTile *tile, const double near[4])
{
  UmedptFound *found = g_new0 (UmedptFound, 1);
  const UmedptRect *t = &tile->bounds;
  const double slack = self->slack;
  UmedptRect bounds = { CLAMP (object->x1, t->x1, t->x2) - slack,
    CLAMP (object->y1, t->y1, t->y2) - slack,
    CLAMP (object->x2, t->x1, t->x2) + slack,
    CLAMP (object->y2, t->y1, t->y2) + slack };

  found->item.bounds = bounds;
  found->object = *object;
  object->outline = NULL;
  found->tile = tile;
  tile->n_users++;
  if (object->x1 <= t->x1 + near[0])
    found->sides |= UMEDPT_SIDE_LEFT;
  if (object->y1 <= t->y1 + near[1])
    found->sides |= UMEDPT_SIDE_TOP;
  if (object->x2 >= t->x2 - near[2])
    found->sides |= UMEDPT_SIDE_RIGHT;
  if (object->y2 >= t->y2 - near[3])
    found->sides |= UMEDPT_SIDE_BOTTOM;
  found->in_core = has_centre (&tile->core.bounds, object);
  return found;
}

/* Whether another tile's core has the centre: of the new objects, and, by the
 * new tile, of those that wait. */
static void
find_owners (UmedptObjectMerger *self, GPtrArray *fresh,
    const UmedptMergerTile *tile)
{
  g_autoptr (GPtrArray) near = g_ptr_array_new ();

  for (guint i = 0; i < fresh->len; i++) {
    UmedptFound *found = g_ptr_array_index (fresh, i);

    if (found->in_core)
      continue;
    umedpt_grid_find (self->cores, &found->item.bounds, near);
    for (guint j = 0; j < near->len && !found->owned; j++) {
      const UmedptMergerTile *other = g_ptr_array_index (near, j);

      found->owned =
          other != tile && has_centre (&other->core.bounds, &found->object);
    }
  }
  umedpt_grid_find (self->grid, &tile->core.bounds, near);
  for (guint j = 0; j < near->len; j++) {
    UmedptFound *found = g_ptr_array_index (near, j);

    found->owned |= has_centre (&tile->core.bounds, &found->object);
  }
}

/**
 * umedpt_object_merger_add_tile: (skip)
 * @self: a merger
 * @tile: where the tile lies, absolute level-0 pixels
 * @objects: (element-type UmedptObject): what was found in it, in any order;
 *   their outlines are taken, and it is emptied, whatever comes
 * @error: return location for an error
 *
 * Adds what one tile has found. An object that lies wholly inside its tile
 * belongs to the tile in whose core (left and upper side included, the others
 * not) its centre is: another tile's finding in the same place is its twin and
 * goes, and one that the owner does not confirm goes too, unless the owner was
 * never added. An object at a side of the tile is cut: if another tile has it
 * whole, that one stays; if others have parts, they are united; if there are
 * none, it stays as it is.
 *
 * Returns: %FALSE with @error set if a number cannot be right
 *   (%UMEDPT_ERROR_DATA) or the function for whole objects failed
 *
 * Since: 0.1
 */
gboolean
umedpt_object_merger_add_tile (UmedptObjectMerger *self,
    const UmedptObjectTile *tile, GArray *objects, GError **error)
{
  g_autoptr (GPtrArray) fresh = NULL;
  UmedptMergerTile *added;
  double near[4];
  gboolean ok;

  g_return_val_if_fail (self != NULL && tile != NULL, FALSE);
  g_return_val_if_fail (objects != NULL && !self->failed, FALSE);

  ok = check_input (tile, objects, error) && advance (self, tile, error);
  if (ok) {
    fresh = g_ptr_array_new ();
    added = add_tile (self, tile);
    get_near (tile, near);
    for (guint i = 0; i < objects->len; i++)
      g_ptr_array_add (fresh,
          new_found (self, &g_array_index (objects, UmedptObject, i), added,
              near));
    find_owners (self, fresh, added);
    umedpt_objects_match (fresh, self->grid, self->min_overlap);
    for (guint i = 0; i < fresh->len; i++) {
      UmedptFound *found = g_ptr_array_index (fresh, i);

      umedpt_grid_add (self->grid, &found->item);
      g_ptr_array_add (self->waiting, found);
    }
  }
  for (guint i = 0; i < objects->len; i++)
    umedpt_object_clear (&g_array_index (objects, UmedptObject, i));
  g_array_set_size (objects, 0);
  return ok;
}

/**
 * umedpt_object_merger_finish: (skip)
 * @self: a merger
 * @error: return location for an error
 *
 * After the last tile: hands on what still waits.
 *
 * Returns: %FALSE with @error set if the function for whole objects failed
 *
 * Since: 0.1
 */
gboolean
umedpt_object_merger_finish (UmedptObjectMerger *self, GError **error)
{
  g_return_val_if_fail (self != NULL && !self->failed, FALSE);

  return flush (self, G_MAXDOUBLE, TRUE, error);
}
