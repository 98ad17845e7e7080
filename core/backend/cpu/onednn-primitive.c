/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The cache of oneDNN's primitives, with memory objects for every worker. They
 * depend on sizes and types and not on weights: training packs weights anew
 * after every step and finds its primitives again, and blocks of equal shape
 * share them. Images of many sizes want many primitives, so the cache is
 * bounded; what was not used for longest goes first.
 *
 * The library's own scratchpad is thread-local to the maker in Debian's build;
 * user scratchpads are given instead.
 */
#define G_LOG_DOMAIN "Umedpt"
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/onednn-private.h"
#include "base/error.h"

#define MAX_CACHED 512 /* a few tens of kB each */

static GMutex lock;
static GHashTable *cache; /* key -> primitive, which holds the key */
static guint64 uses;

static guint
key_hash (gconstpointer data)
{
  const guint32 *words = data;
  guint hash = 5381;

  for (gsize i = 0; i < sizeof (UmedptPrimitiveKey) / sizeof *words; i++)
    hash = hash * 33 + words[i];
  return hash;
}

static gboolean
key_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, sizeof (UmedptPrimitiveKey)) == 0;
}

void
umedpt_primitive_unref (UmedptPrimitive *self)
{
  UmedptOnednnRuntime *runtime = umedpt_onednn_get_runtime ();

  if (!self || !g_atomic_ref_count_dec (&self->ref_count))
    return;
  for (guint i = 0; self->slots && i < runtime->n_workers; i++) {
    dnnl_memory_destroy (self->slots[i].src);
    dnnl_memory_destroy (self->slots[i].weights);
    dnnl_memory_destroy (self->slots[i].bias);
    dnnl_memory_destroy (self->slots[i].dst);
    dnnl_memory_destroy (self->slots[i].scratchpad);
  }
  dnnl_primitive_destroy (self->primitive);
  shim_desc_free (self->weights_desc);
  g_free (self->slots);
  g_free (self);
}

void
umedpt_descs_clear (UmedptDescs *descs)
{
  shim_desc_free (descs->src);
  shim_desc_free (descs->weights);
  shim_desc_free (descs->bias);
  shim_desc_free (descs->dst);
  memset (descs, 0, sizeof *descs);
}

/* Whether oneDNN fell to its reference code, which is hundreds of times
 * slower than any other. */
gboolean
umedpt_onednn_is_reference (const_dnnl_primitive_desc_t pd)
{
  const char *name = NULL;

  dnnl_primitive_desc_query (pd, dnnl_query_impl_info_str, 0, &name);
  return name && g_str_has_prefix (name, "ref");
}

dnnl_status_t
umedpt_onednn_attributes (gboolean add, dnnl_primitive_attr_t *attr)
{
  dnnl_post_ops_t ops = NULL;
  dnnl_status_t s = dnnl_primitive_attr_create (attr);

  if (!s)
    s = dnnl_primitive_attr_set_scratchpad_mode (*attr,
        dnnl_scratchpad_mode_user);
  if (!s && add)
    s = dnnl_post_ops_create (&ops);
  if (!s && add)
    s = shim_append_sum (ops);
  if (!s && add)
    s = dnnl_primitive_attr_set_post_ops (*attr, ops);
  if (ops)
    dnnl_post_ops_destroy (ops);
  return s;
}

static dnnl_status_t
make_memory (dnnl_memory_t *memory, ShimConstDesc desc)
{
  return desc ? dnnl_memory_create (memory, desc,
                    umedpt_onednn_get_runtime ()->engine, DNNL_MEMORY_NONE)
              : dnnl_success;
}

static dnnl_status_t
make_slots (UmedptPrimitive *self, const UmedptDescs *d,
    ShimConstDesc scratchpad)
{
  UmedptOnednnRuntime *runtime = umedpt_onednn_get_runtime ();
  const gboolean packed = self->key.kind == UMEDPT_PRIMITIVE_LINEAR ||
      self->key.kind == UMEDPT_PRIMITIVE_CONV;
  dnnl_status_t s = dnnl_success;

  self->slots = g_new0 (UmedptSlot, runtime->n_workers);
  for (guint i = 0; i < runtime->n_workers && !s; i++) {
    UmedptSlot *slot = &self->slots[i];
    s = make_memory (&slot->src, d->src);
    if (!s && !packed)
      s = make_memory (&slot->weights, d->weights);
    if (!s)
      s = make_memory (&slot->dst, d->dst);
    if (!s)
      s = make_memory (&slot->bias, d->bias);
    if (!s && self->scratchpad_size)
      s = make_memory (&slot->scratchpad, scratchpad);
  }
  return s;
}

static UmedptPrimitive *
primitive_new (const UmedptPrimitiveKey *key, UmedptDescribeFunc describe,
    gpointer data, GError **error)
{
  UmedptPrimitive *self = g_new0 (UmedptPrimitive, 1);
  UmedptDescs d = { 0 };
  dnnl_primitive_desc_t pd = NULL;
  ShimConstDesc scratchpad;
  int saved = umedpt_onednn_enter ();
  dnnl_status_t s = describe (key, data, &d, &pd);

  g_atomic_ref_count_init (&self->ref_count);
  self->key = *key;
  if (!s)
    s = dnnl_primitive_create (&self->primitive, pd);
  if (!s)
    s = shim_desc_copy (&self->weights_desc,
        dnnl_primitive_desc_query_md (pd,
            key->kind == UMEDPT_PRIMITIVE_CONV_GRADIENT
                ? dnnl_query_diff_weights_md
                : dnnl_query_weights_md,
            0));
  if (!s) {
    scratchpad = dnnl_primitive_desc_query_md (pd, dnnl_query_scratchpad_md, 0);
    self->scratchpad_size =
        scratchpad ? dnnl_memory_desc_get_size (scratchpad) : 0;
    s = make_slots (self, &d, scratchpad);
  }
  dnnl_primitive_desc_destroy (pd);
  umedpt_descs_clear (&d);
  umedpt_onednn_leave (saved);
  if (!umedpt_onednn_check (s, "make a matrix product or convolution", error)) {
    umedpt_primitive_unref (self);
    return NULL;
  }
  return self;
}

static void
release (gpointer primitive)
{
  umedpt_primitive_unref (primitive);
}

/* Under the lock. */
static void
drop_oldest (void)
{
  UmedptPrimitive *oldest = NULL;
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, cache);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (!oldest || ((UmedptPrimitive *) value)->last_use < oldest->last_use)
      oldest = value;
  if (oldest)
    g_hash_table_remove (cache, &oldest->key);
}

UmedptPrimitive *
umedpt_primitive_get (const UmedptPrimitiveKey *key,
    UmedptDescribeFunc describe, gpointer data, GError **error)
{
  UmedptPrimitive *found;

  g_mutex_lock (&lock);
  if (!cache)
    cache = g_hash_table_new_full (key_hash, key_equal, NULL, release);
  found = g_hash_table_lookup (cache, key);
  if (!found) {
    found = primitive_new (key, describe, data, error);
    if (found && g_hash_table_size (cache) >= MAX_CACHED)
      drop_oldest ();
    if (found)
      g_hash_table_insert (cache, &found->key, found);
  }
  if (found) {
    found->last_use = ++uses;
    g_atomic_ref_count_inc (&found->ref_count);
  }
  g_mutex_unlock (&lock);
  return found;
}

static gpointer
get_scratchpad (UmedptOnednnWorker *state, gsize size)
{
  if (state->scratchpad_size < size) {
    free (state->scratchpad);
    state->scratchpad = aligned_alloc (64, (size + 4095) / 4096 * 4096);
    state->scratchpad_size = state->scratchpad ? size : 0;
  }
  return state->scratchpad;
}

/* @args has room for one more. */
gboolean
umedpt_primitive_execute (UmedptPrimitive *self, guint worker, int n,
    dnnl_exec_arg_t *args)
{
  UmedptOnednnWorker *state = &umedpt_onednn_get_runtime ()->workers[worker];
  UmedptSlot *slot = &self->slots[worker];

  if (worker > 0 && !state->is_set_up) {
    umedpt_onednn_enter (); /* a pool thread is ours for good */
    state->is_set_up = TRUE;
  }
  if (slot->scratchpad) {
    gpointer pad = get_scratchpad (state, self->scratchpad_size);
    if (!pad)
      return FALSE;
    dnnl_memory_set_data_handle (slot->scratchpad, pad);
    args[n++] = (dnnl_exec_arg_t){ DNNL_ARG_SCRATCHPAD, slot->scratchpad };
  }
  return dnnl_primitive_execute (self->primitive, state->stream, n, args) ==
      dnnl_success;
}
