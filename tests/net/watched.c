/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Functions in the place of a backend's own, which count, and fail when they
 * are asked to.
 */
#include "watched.h"

#include "base/error.h"

Watched watched;

static UmedptBackend *backend, original;
static UmedptMemory own_memory;
static GMutex memory_lock;

#define DEFINE_COUNTER(slot, Type) \
  static gboolean count_##slot (UmedptBackend *self, \
      const Umedpt##Type##Args *args, GError **error) \
  { \
    g_atomic_int_inc (&watched.n_ops); \
    return original.slot (self, args, error); \
  }
UMEDPT_FOREACH_OP (DEFINE_COUNTER)

static gboolean
fails (gint *countdown)
{
  return g_atomic_int_get (countdown) > 0 &&
      g_atomic_int_dec_and_test (countdown);
}

static gboolean
refuse (gint code, GError **error)
{
  g_set_error_literal (error, UMEDPT_ERROR, code, "as the test wants it");
  return FALSE;
}

static gboolean
watch_begin (UmedptBackend *self, GError **error)
{
  if (watched.no_graphs)
    return refuse (UMEDPT_ERROR_BACKEND, error);
  g_atomic_int_inc (&watched.n_records);
  return original.graph_begin (self, error);
}

static gpointer
watch_end (UmedptBackend *self, GError **error)
{
  gpointer graph = original.graph_end (self, error);

  if (!graph || !fails (&watched.fail_record))
    return graph;
  original.graph_free (self, graph);
  refuse (UMEDPT_ERROR_BACKEND, error);
  return NULL;
}

static gboolean
watch_run (UmedptBackend *self, gpointer graph, GError **error)
{
  if (fails (&watched.fail_run))
    return refuse (UMEDPT_ERROR_BACKEND, error);
  g_atomic_int_inc (&watched.n_runs);
  return original.graph_run (self, graph, error);
}

static gboolean
count_memory (gsize size)
{
  gboolean ok;

  g_mutex_lock (&memory_lock);
  ok = (!watched.budget || watched.in_use + size <= watched.budget) &&
      (!watched.largest || size <= watched.largest);
  if (ok) {
    watched.in_use += size;
    watched.peak = MAX (watched.peak, watched.in_use);
    watched.peak_piece = MAX (watched.peak_piece, size);
  }
  g_mutex_unlock (&memory_lock);
  return ok;
}

static gpointer
watch_allocate (UmedptMemory *self, gsize size, GError **error)
{
  gpointer data;

  if (fails (&watched.fail_allocation) || !count_memory (size)) {
    refuse (UMEDPT_ERROR_NO_MEMORY, error);
    return NULL;
  }
  data = own_memory.allocate (self, size, error);
  if (!data) {
    g_mutex_lock (&memory_lock);
    watched.in_use -= size;
    g_mutex_unlock (&memory_lock);
  }
  return data;
}

static void
watch_release (UmedptMemory *self, gpointer data, gsize size)
{
  g_mutex_lock (&memory_lock);
  watched.in_use -= size;
  g_mutex_unlock (&memory_lock);
  own_memory.release (self, data, size);
}

UmedptBackend *
watch_backend (GError **error)
{
  backend = umedpt_backend_find ("cuda", error);
  if (!backend)
    return NULL;
  original = *backend;
  own_memory = *backend->memory;
#define SET_COUNTER(slot, Type) backend->slot = count_##slot;
  UMEDPT_FOREACH_OP (SET_COUNTER)
  backend->graph_begin = watch_begin;
  backend->graph_end = watch_end;
  backend->graph_run = watch_run;
  backend->memory->allocate = watch_allocate;
  backend->memory->release = watch_release;
  return backend;
}

void
watch_reset (void)
{
  watched.n_ops = watched.n_runs = watched.n_records = 0;
}

gboolean
watch_is_slow (void)
{
  return g_str_has_prefix (backend->description, "emulated");
}
