/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The cache holds one reference on each object. New references are handed out
 * only here, under the lock, or by those who have one: so an object whose
 * count is 1 under the lock is in nobody's hands and stays so. A thread that
 * exists only while there is something in the cache looks once a second.
 * (Weak references could not keep an object longer than its last user, and
 * toggle references tell of the last user after he has let go, when the
 * object may be gone.)
 */
#include "infer/cache.h"

#define PERIOD G_USEC_PER_SEC

typedef struct
{
  GObject *object;
  gint64 idle_since; /* monotonic microseconds; 0: seen in use */
} Entry;

static GMutex lock;
static GHashTable *entries; /* char * -> Entry */
static gboolean watched; /* the thread runs */

static gboolean
is_idle (const Entry *entry)
{
  return g_atomic_int_get (&entry->object->ref_count) == 1;
}

/* Removes the entries that were idle for @keep microseconds and returns their
 * objects, to be released without the lock: that can take long. */
static GPtrArray *
collect (gint64 keep)
{
  GPtrArray *dead = g_ptr_array_new_with_free_func (g_object_unref);
  const gint64 now = g_get_monotonic_time ();
  GHashTableIter iter;
  gpointer value;

  if (!entries)
    return dead;
  g_hash_table_iter_init (&iter, entries);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Entry *entry = value;
    if (!is_idle (entry))
      entry->idle_since = 0;
    else if (entry->idle_since == 0 && keep > 0)
      entry->idle_since = now;
    else if (now - entry->idle_since >= keep) {
      g_ptr_array_add (dead, entry->object);
      g_hash_table_iter_remove (&iter);
    }
  }
  return dead;
}

static gpointer
watch (gpointer data)
{
  gboolean go_on = TRUE;

  while (go_on) {
    g_autoptr (GPtrArray) dead = NULL;

    g_usleep (PERIOD);
    g_mutex_lock (&lock);
    dead = collect (UMEDPT_CACHE_KEEP_SECONDS * G_USEC_PER_SEC);
    go_on = watched = g_hash_table_size (entries) > 0;
    g_mutex_unlock (&lock);
  }
  return NULL;
}

gpointer
umedpt_cache_get (const char *key)
{
  Entry *entry;
  gpointer object = NULL;

  g_mutex_lock (&lock);
  entry = entries ? g_hash_table_lookup (entries, key) : NULL;
  if (entry) {
    object = g_object_ref (entry->object);
    entry->idle_since = 0;
  }
  g_mutex_unlock (&lock);
  return object;
}

void
umedpt_cache_put (const char *key, gpointer object)
{
  Entry *entry = g_new0 (Entry, 1);
  Entry *old;
  GObject *dead = NULL;

  entry->object = g_object_ref (object);
  g_mutex_lock (&lock);
  if (!entries)
    entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  old = g_hash_table_lookup (entries, key);
  if (old)
    dead = old->object;
  g_hash_table_replace (entries, g_strdup (key), entry);
  if (!watched) {
    /* Without the thread objects are kept until umedpt_cache_trim(). */
    GThread *thread = g_thread_try_new ("umedpt-cache", watch, NULL, NULL);
    watched = thread != NULL;
    g_clear_pointer (&thread, g_thread_unref);
  }
  g_mutex_unlock (&lock);
  g_clear_object (&dead);
}

void
umedpt_cache_trim (void)
{
  g_autoptr (GPtrArray) dead = NULL;

  g_mutex_lock (&lock);
  dead = collect (0);
  g_mutex_unlock (&lock);
}

guint
umedpt_cache_get_size (void)
{
  guint size;

  g_mutex_lock (&lock);
  size = entries ? g_hash_table_size (entries) : 0;
  g_mutex_unlock (&lock);
  return size;
}
