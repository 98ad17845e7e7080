/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A spatial hash: the plane in square cells, a chain of items for each cell,
 * cells picked by a hash of their numbers. Cells that share a chain only cost
 * a comparison, since a query compares bounds anyway. The table grows with
 * its content, so that a chain stays short whatever the slide's size is.
 */
#include "output/objects-private.h"

#include <math.h>

#define FIRST_SIZE 1024 /* chains; a power of two */

typedef struct _Entry Entry;
struct _Entry
{
  UmedptGridItem *item;
  gint64 x, y; /* the cell */
  Entry *next;
};

struct _UmedptGrid
{
  double cell;
  Entry **chains;
  gsize n_chains, n_entries;
  guint stamp;
};

typedef struct
{
  gint64 x1, y1, x2, y2; /* inclusive */
} Cells;

UmedptGrid *
umedpt_grid_new (double cell)
{
  UmedptGrid *self = g_new0 (UmedptGrid, 1);

  self->cell = cell;
  self->n_chains = FIRST_SIZE;
  self->chains = g_new0 (Entry *, self->n_chains);
  return self;
}

void
umedpt_grid_free (UmedptGrid *self)
{
  if (!self)
    return;
  for (gsize i = 0; i < self->n_chains; i++)
    while (self->chains[i]) {
      Entry *entry = self->chains[i];

      self->chains[i] = entry->next;
      g_free (entry);
    }
  g_free (self->chains);
  g_free (self);
}

static Cells
cells_of (const UmedptGrid *self, const UmedptRect *rect)
{
  Cells cells = { (gint64) floor (rect->x1 / self->cell),
    (gint64) floor (rect->y1 / self->cell),
    (gint64) floor (rect->x2 / self->cell),
    (gint64) floor (rect->y2 / self->cell) };

  return cells;
}

static gsize
chain_of (const UmedptGrid *self, gint64 x, gint64 y)
{
  guint64 hash = (guint64) x * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15) +
      (guint64) y * G_GUINT64_CONSTANT (0xc2b2ae3d27d4eb4f);

  hash ^= hash >> 29;
  hash *= G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  return (gsize) (hash ^ hash >> 32) & (self->n_chains - 1);
}

static void
put (UmedptGrid *self, Entry *entry)
{
  gsize chain = chain_of (self, entry->x, entry->y);

  entry->next = self->chains[chain];
  self->chains[chain] = entry;
}

static void
grow (UmedptGrid *self)
{
  Entry **old = self->chains;
  gsize n = self->n_chains;

  self->n_chains = 2 * n;
  self->chains = g_new0 (Entry *, self->n_chains);
  for (gsize i = 0; i < n; i++)
    while (old[i]) {
      Entry *entry = old[i];

      old[i] = entry->next;
      put (self, entry);
    }
  g_free (old);
}

void
umedpt_grid_add (UmedptGrid *self, UmedptGridItem *item)
{
  Cells cells = cells_of (self, &item->bounds);

  item->stamp = self->stamp;
  for (gint64 y = cells.y1; y <= cells.y2; y++)
    for (gint64 x = cells.x1; x <= cells.x2; x++) {
      Entry *entry = g_new (Entry, 1);

      entry->item = item;
      entry->x = x;
      entry->y = y;
      put (self, entry);
      self->n_entries++;
    }
  if (self->n_entries > self->n_chains)
    grow (self);
}

void
umedpt_grid_remove (UmedptGrid *self, UmedptGridItem *item)
{
  Cells cells = cells_of (self, &item->bounds);

  for (gint64 y = cells.y1; y <= cells.y2; y++)
    for (gint64 x = cells.x1; x <= cells.x2; x++) {
      Entry **at = &self->chains[chain_of (self, x, y)], *entry;

      while ((*at)->item != item || (*at)->x != x || (*at)->y != y)
        at = &(*at)->next;
      entry = *at;
      *at = entry->next;
      g_free (entry);
      self->n_entries--;
    }
}

static gboolean
touch (const UmedptRect *a, const UmedptRect *b)
{
  return a->x1 <= b->x2 && b->x1 <= a->x2 && a->y1 <= b->y2 && b->y1 <= a->y2;
}

void
umedpt_grid_find (UmedptGrid *self, const UmedptRect *rect, GPtrArray *found)
{
  Cells cells = cells_of (self, rect);

  g_ptr_array_set_size (found, 0);
  self->stamp++;
  for (gint64 y = cells.y1; y <= cells.y2; y++)
    for (gint64 x = cells.x1; x <= cells.x2; x++)
      for (Entry *entry = self->chains[chain_of (self, x, y)]; entry;
           entry = entry->next) {
        if (entry->item->stamp == self->stamp ||
            !touch (&entry->item->bounds, rect))
          continue;
        entry->item->stamp = self->stamp;
        g_ptr_array_add (found, entry->item);
      }
}
