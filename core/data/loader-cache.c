/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoded samples that are kept, since small sets are read again in every
 * epoch. Most images had 8 bits: if at most 256 values occur, at the places
 * that 8 bits have, they are kept as bytes and a table of the very floats, and
 * grey ones as one channel; so an entry takes a twelfth to a quarter of the
 * sample and gives back the same bits.
 */
#include <string.h>

#include "data/loader-private.h"

typedef struct
{
  gatomicrefcount refs;
  guint index;
  gsize bytes;
  GList link; /* in the queue of use */

  UmedptSample rest; /* all but the image */
  guint channels; /* 1: grey */
  guint8 *packed; /* or … */
  gfloat *plain;
  gfloat table[256];
} Entry;

struct _UmedptSampleCache
{
  guint n_masks;
  gsize max_bytes;
  GMutex lock; /* guards all below */
  gsize bytes;
  GHashTable *entries; /* index → Entry, not owned */
  GQueue used; /* the most recently used first; owns the entries */
};

static void
entry_unref (Entry *entry)
{
  if (!g_atomic_ref_count_dec (&entry->refs))
    return;
  g_free (entry->rest.labels);
  g_free (entry->rest.weights);
  g_free (entry->rest.mask);
  g_clear_pointer (&entry->rest.boxes, g_array_unref);
  g_free (entry->packed);
  g_free (entry->plain);
  g_free (entry);
}

static void *
copy (gconstpointer data, gsize size)
{
  return data ? g_memdup2 (data, size) : NULL;
}

/* A copy of everything but the image, which stays as it is. */
static void
copy_rest (const UmedptSample *from, guint n_masks, UmedptSample *to)
{
  gsize n = (gsize) from->width * from->height;
  gfloat *image = to->image;

  *to = *from;
  to->image = image;
  to->labels = copy (from->labels, n_masks * sizeof (gfloat));
  to->weights = copy (from->weights, n_masks * sizeof (gfloat));
  to->mask = copy (from->mask, n * n_masks);
  to->boxes = from->boxes ? g_array_copy (from->boxes) : NULL;
}

static gboolean
is_grey (const gfloat *image, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (image[3 * i] != image[3 * i + 1] || image[3 * i] != image[3 * i + 2])
      return FALSE;
  return TRUE;
}

/* Bytes if every value is one of at most 256, one near each k / 255. */
static gboolean
pack (Entry *entry, const gfloat *image, gsize n)
{
  gsize step = entry->channels == 1 ? 3 : 1;
  gboolean known[256] = { FALSE };

  entry->packed = g_malloc (n);
  for (gsize i = 0; i < n; i++) {
    gfloat value = image[i * step];
    guint k = value >= 0 && value <= 1 ? (guint) (value * 255 + 0.5f) : 0;

    if (!known[k]) {
      known[k] = TRUE;
      entry->table[k] = value;
    }
    /* Bits, so that -0 and NaN are not taken for something else. */
    if (memcmp (&entry->table[k], &value, sizeof value) != 0) {
      g_clear_pointer (&entry->packed, g_free);
      return FALSE;
    }
    entry->packed[i] = (guint8) k;
  }
  return TRUE;
}

static Entry *
entry_new (guint index, const UmedptSample *sample, guint n_masks)
{
  Entry *entry = g_new0 (Entry, 1);
  gsize pixels = (gsize) sample->width * sample->height, n, step;

  g_atomic_ref_count_init (&entry->refs);
  entry->index = index;
  entry->link.data = entry;
  copy_rest (sample, n_masks, &entry->rest);
  entry->channels = is_grey (sample->image, pixels) ? 1 : 3;
  n = pixels * entry->channels;
  step = entry->channels == 1 ? 3 : 1;
  entry->bytes = sizeof (Entry) + n;
  if (!pack (entry, sample->image, n)) {
    entry->plain = g_new (gfloat, n);
    for (gsize i = 0; i < n; i++)
      entry->plain[i] = sample->image[i * step];
    entry->bytes += n * (sizeof (gfloat) - 1);
  }
  if (sample->mask)
    entry->bytes += pixels * n_masks;
  if (sample->boxes)
    entry->bytes += sample->boxes->len * sizeof (UmedptBox);
  return entry;
}

static UmedptSample *
entry_expand (const Entry *entry, guint n_masks)
{
  UmedptSample *sample =
      umedpt_sample_new (entry->rest.width, entry->rest.height);
  gsize pixels = (gsize) entry->rest.width * entry->rest.height;

  if (!sample)
    return NULL; /* as if it were not there */
  copy_rest (&entry->rest, n_masks, sample);
  if (entry->channels == 3 && entry->packed)
    for (gsize i = 0; i < 3 * pixels; i++)
      sample->image[i] = entry->table[entry->packed[i]];
  else if (entry->channels == 3)
    memcpy (sample->image, entry->plain, 3 * pixels * sizeof (gfloat));
  else
    for (gsize i = 0; i < pixels; i++) {
      gfloat v =
          entry->packed ? entry->table[entry->packed[i]] : entry->plain[i];

      sample->image[3 * i] = sample->image[3 * i + 1] =
          sample->image[3 * i + 2] = v;
    }
  return sample;
}

UmedptSampleCache *
umedpt_sample_cache_new (gsize max_bytes, guint n_masks)
{
  UmedptSampleCache *self = g_new0 (UmedptSampleCache, 1);

  self->max_bytes = max_bytes;
  self->n_masks = n_masks;
  g_mutex_init (&self->lock);
  g_queue_init (&self->used);
  self->entries = g_hash_table_new (NULL, NULL);
  return self;
}

static void
remove_oldest (UmedptSampleCache *self)
{
  Entry *entry = g_queue_pop_tail_link (&self->used)->data;

  g_hash_table_remove (self->entries, GUINT_TO_POINTER (entry->index));
  self->bytes -= entry->bytes;
  entry_unref (entry);
}

void
umedpt_sample_cache_free (UmedptSampleCache *self)
{
  if (!self)
    return;
  while (self->used.length > 0)
    remove_oldest (self);
  g_hash_table_unref (self->entries);
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* (transfer full) (nullable) */
UmedptSample *
umedpt_sample_cache_lookup (UmedptSampleCache *self, guint index)
{
  UmedptSample *sample = NULL;
  Entry *entry;

  g_mutex_lock (&self->lock);
  entry = g_hash_table_lookup (self->entries, GUINT_TO_POINTER (index));
  if (entry) {
    g_queue_unlink (&self->used, &entry->link);
    g_queue_push_head_link (&self->used, &entry->link);
    g_atomic_ref_count_inc (&entry->refs);
  }
  g_mutex_unlock (&self->lock);
  if (entry) {
    sample = entry_expand (entry, self->n_masks);
    entry_unref (entry);
  }
  return sample;
}

/* Keeps a copy, unless it would fill the cache alone. */
void
umedpt_sample_cache_insert (UmedptSampleCache *self, guint index,
    const UmedptSample *sample)
{
  Entry *entry = entry_new (index, sample, self->n_masks);
  gpointer key = GUINT_TO_POINTER (index);

  g_mutex_lock (&self->lock);
  if (entry->bytes <= self->max_bytes &&
      !g_hash_table_contains (self->entries, key)) {
    while (self->bytes + entry->bytes > self->max_bytes)
      remove_oldest (self);
    g_hash_table_insert (self->entries, key, entry);
    g_queue_push_head_link (&self->used, &entry->link);
    self->bytes += entry->bytes;
    entry = NULL;
  }
  g_mutex_unlock (&self->lock);
  g_clear_pointer (&entry, entry_unref);
}

gsize
umedpt_sample_cache_get_bytes (UmedptSampleCache *self)
{
  gsize bytes;

  g_mutex_lock (&self->lock);
  bytes = self->bytes;
  g_mutex_unlock (&self->lock);
  return bytes;
}
