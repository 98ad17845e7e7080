/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reading tiles ahead of their use. Threads claim the next index and decode
 * it into a ring of slots; the caller takes the slots in order. A thread may
 * run ahead of the caller by the ring's size at most, which bounds memory and
 * keeps the order whatever the number of threads. Threads start with the first
 * tile asked for, so that a reader that is made and dropped costs nothing.
 */
#include "data/tiles.h"

#include "base/cpu.h"
#include "base/error.h"

#define MAX_THREADS 64
#define BATCH 16 /* so that a consumer that takes a batch at once never waits */
#define MAX_AHEAD 64
/* The ring of large tiles holds no more bytes than this. */
#define MAX_BYTES (256 * 1024 * 1024)

typedef struct
{
  gboolean ready;
  GBytes *rgb; /* NULL: bad */
  GError *error;
} Slot;

struct _UmedptTileReader
{
  UmedptTilePlan *plan;
  guint64 n_tiles;
  gint side;
  double downsample;

  GThread **threads;
  guint n_threads;
  gboolean started;

  GMutex lock; /* guards all below */
  GCond decoded; /* a slot got ready, or cancelled */
  GCond taken; /* a slot got free, or cancelled */
  gboolean cancelled;
  guint64 next_read, next_out;
  guint n_slots;
  Slot *slots; /* tile i is in slot i % n_slots */
};

/**
 * umedpt_tile_reader_new:
 * @plan: a plan
 * @n_threads: threads that decode, 0 = as many as cores
 * @start_index: the tile to begin with; at or beyond the end means no tile
 *
 * Returns: (transfer full): a reader, to be freed with
 *   umedpt_tile_reader_free()
 *
 * Since: 0.1
 */
UmedptTileReader *
umedpt_tile_reader_new (UmedptTilePlan *plan, guint n_threads,
    guint64 start_index)
{
  UmedptTileReader *reader;
  gint64 bytes, fitting;

  g_return_val_if_fail (UMEDPT_IS_TILE_PLAN (plan), NULL);

  reader = g_new0 (UmedptTileReader, 1);
  reader->plan = g_object_ref (plan);
  reader->n_tiles = umedpt_tile_plan_get_n_tiles (plan);
  reader->side = umedpt_tile_plan_get_options (plan)->tile_size;
  reader->downsample = umedpt_tile_plan_get_downsample (plan);
  if (n_threads == 0)
    n_threads = umedpt_cpu_count ();
  reader->n_threads = CLAMP (n_threads, 1, MAX_THREADS);
  reader->threads = g_new0 (GThread *, reader->n_threads);
  reader->next_read = reader->next_out = MIN (start_index, reader->n_tiles);
  bytes = (gint64) reader->side * reader->side * 3;
  fitting = MAX (MAX_BYTES / bytes, 2);
  reader->n_slots =
      (guint) MIN (MIN (2 * reader->n_threads + BATCH, MAX_AHEAD), fitting);
  reader->slots = g_new0 (Slot, reader->n_slots);
  g_mutex_init (&reader->lock);
  g_cond_init (&reader->decoded);
  g_cond_init (&reader->taken);
  return reader;
}

/* Decodes tile @index; NULL with @error set if it is damaged. */
static GBytes *
decode (UmedptTileReader *reader, guint64 index, GError **error)
{
  gsize stride = (gsize) reader->side * 3, size = stride * reader->side;
  g_autofree guint8 *rgb = g_try_malloc (size);
  UmedptTile tile;

  if (rgb == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "No memory for a tile of %d x %d pixels.", reader->side, reader->side);
    return NULL;
  }
  umedpt_tile_plan_get_tile (reader->plan, index, &tile);
  if (!umedpt_slide_read (umedpt_tile_plan_get_slide (reader->plan),
          (double) tile.x, (double) tile.y, reader->downsample, reader->side,
          reader->side, rgb, stride, NULL, NULL, error))
    return NULL;
  return g_bytes_new_take (g_steal_pointer (&rgb), size);
}

static gpointer
run (gpointer data)
{
  UmedptTileReader *reader = data;

  g_mutex_lock (&reader->lock);
  for (;;) {
    GError *error = NULL;
    guint64 index;
    GBytes *rgb;
    Slot *slot;

    while (!reader->cancelled && reader->next_read < reader->n_tiles &&
        reader->next_read >= reader->next_out + reader->n_slots)
      g_cond_wait (&reader->taken, &reader->lock);
    if (reader->cancelled || reader->next_read >= reader->n_tiles)
      break;
    index = reader->next_read++;
    g_mutex_unlock (&reader->lock);

    rgb = decode (reader, index, &error);

    g_mutex_lock (&reader->lock);
    slot = &reader->slots[index % reader->n_slots];
    slot->rgb = rgb;
    slot->error = error;
    slot->ready = TRUE;
    if (index == reader->next_out)
      g_cond_broadcast (&reader->decoded);
  }
  g_mutex_unlock (&reader->lock);
  return NULL;
}

/* FALSE with @error set if the system gives not even one thread. */
static gboolean
start (UmedptTileReader *reader, GError **error)
{
  GError *local = NULL;

  for (guint i = 0; i < reader->n_threads && local == NULL; i++)
    reader->threads[i] = g_thread_try_new ("umedpt-tile", run, reader, &local);
  if (reader->threads[0] == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "Cannot start a thread to read tiles: %s.", local->message);
    g_error_free (local);
    return FALSE;
  }
  g_clear_error (&local);
  reader->started = TRUE;
  return TRUE;
}

/**
 * umedpt_tile_reader_free:
 * @reader: a reader; no other thread may be inside umedpt_tile_reader_next()
 *
 * Stops the threads, which finish the tile at hand, and frees everything.
 *
 * Since: 0.1
 */
void
umedpt_tile_reader_free (UmedptTileReader *reader)
{
  if (reader == NULL)
    return;
  umedpt_tile_reader_cancel (reader);
  for (guint i = 0; i < reader->n_threads; i++)
    if (reader->threads[i] != NULL)
      g_thread_join (reader->threads[i]);
  for (guint i = 0; i < reader->n_slots; i++) {
    g_clear_pointer (&reader->slots[i].rgb, g_bytes_unref);
    g_clear_error (&reader->slots[i].error);
  }
  g_free (reader->slots);
  g_free (reader->threads);
  g_mutex_clear (&reader->lock);
  g_cond_clear (&reader->decoded);
  g_cond_clear (&reader->taken);
  g_object_unref (reader->plan);
  g_free (reader);
}

/**
 * umedpt_tile_reader_next:
 * @reader: a reader; one thread at a time
 * @tile: (out caller-allocates): which tile
 * @rgb: (out) (transfer full): tile_size x tile_size x 3 bytes, RGB, without
 *   padding; set with %UMEDPT_TILE_OK only
 * @error: return location for the reason of %UMEDPT_TILE_BAD
 *
 * Waits for the next tile in the plan's order.
 *
 * Returns: what became of it
 *
 * Since: 0.1
 */
UmedptTileStatus
umedpt_tile_reader_next (UmedptTileReader *reader, UmedptTile *tile,
    GBytes **rgb, GError **error)
{
  UmedptTileStatus status = UMEDPT_TILE_OK;
  GError *local = NULL;
  Slot *slot;

  g_return_val_if_fail (reader != NULL && tile != NULL && rgb != NULL,
      UMEDPT_TILE_END);
  g_return_val_if_fail (error == NULL || *error == NULL, UMEDPT_TILE_END);

  *rgb = NULL;
  g_mutex_lock (&reader->lock);
  slot = &reader->slots[reader->next_out % reader->n_slots];
  if (!reader->cancelled && reader->next_out < reader->n_tiles) {
    if (!reader->started && !start (reader, &slot->error))
      slot->ready = TRUE;
    while (!reader->cancelled && !slot->ready)
      g_cond_wait (&reader->decoded, &reader->lock);
  }
  if (reader->cancelled)
    status = UMEDPT_TILE_CANCELLED;
  else if (reader->next_out >= reader->n_tiles)
    status = UMEDPT_TILE_END;
  else {
    umedpt_tile_plan_get_tile (reader->plan, reader->next_out, tile);
    *rgb = g_steal_pointer (&slot->rgb);
    local = g_steal_pointer (&slot->error);
    slot->ready = FALSE;
    reader->next_out++;
    /* Without threads nobody has claimed this tile, and nobody may now: its
     * slot belongs to a later one. */
    reader->next_read = MAX (reader->next_read, reader->next_out);
    g_cond_broadcast (&reader->taken);
    if (local != NULL)
      status = UMEDPT_TILE_BAD;
  }
  g_mutex_unlock (&reader->lock);
  if (local != NULL)
    g_propagate_error (error, local);
  return status;
}

/**
 * umedpt_tile_reader_cancel:
 * @reader: a reader
 *
 * Makes this and every later umedpt_tile_reader_next() return
 * %UMEDPT_TILE_CANCELLED. May be called from any thread, any number of times.
 *
 * Since: 0.1
 */
void
umedpt_tile_reader_cancel (UmedptTileReader *reader)
{
  g_return_if_fail (reader != NULL);
  g_mutex_lock (&reader->lock);
  reader->cancelled = TRUE;
  g_cond_broadcast (&reader->decoded);
  g_cond_broadcast (&reader->taken);
  g_mutex_unlock (&reader->lock);
}
