/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Primitives of oneDNN, one per number of rows (or band of a convolution) of a
 * parameter, with memory objects for every worker. The library's own
 * scratchpad is thread-local to the maker in Debian's build; user scratchpads
 * are given instead. The first primitive of a parameter fixes the layout of
 * its weights; a later one must take it, or else gets a packed copy of its own.
 */
#define G_LOG_DOMAIN "Umedpt"
#include "backend/cpu/onednn-private.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

typedef struct
{
  dnnl_memory_t src, bias, dst, scratchpad;
} Slot;

/* What distinguishes the primitives of one parameter. */
typedef struct
{
  UmedptBand band; /* of a linear map: rows in src_rows, the rest 0 */
  gboolean with_bias;
  UmedptDtype dst_dtype;
} Key;

struct _UmedptPrimitive
{
  Key key;
  dnnl_primitive_t primitive;
  UmedptPackedWeights *weights; /* of the packed form, or its own */
  gboolean owns_weights;
  gsize scratchpad_size;
  Slot *slots; /* one per worker */
  UmedptPrimitive *next;
};

static dnnl_data_type_t
dnnl_type (UmedptDtype dtype)
{
  return dtype == UMEDPT_DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

static void
primitive_free (UmedptPrimitive *self)
{
  UmedptOnednnRuntime *runtime = umedpt_onednn_get_runtime ();

  for (guint i = 0; self->slots && i < runtime->n_workers; i++) {
    dnnl_memory_destroy (self->slots[i].src);
    dnnl_memory_destroy (self->slots[i].bias);
    dnnl_memory_destroy (self->slots[i].dst);
    dnnl_memory_destroy (self->slots[i].scratchpad);
  }
  if (self->owns_weights)
    umedpt_packed_weights_free (self->weights);
  dnnl_primitive_destroy (self->primitive);
  g_free (self->slots);
  g_free (self);
}

void
umedpt_primitives_free (UmedptPrimitive *list)
{
  while (list) {
    UmedptPrimitive *next = list->next;
    primitive_free (list);
    list = next;
  }
}

/* The descriptors of a primitive's operands. */
typedef struct
{
  ShimDesc src, weights, bias, dst;
} Descs;

static void
descs_clear (Descs *d)
{
  shim_desc_free (d->src);
  shim_desc_free (d->weights);
  shim_desc_free (d->bias);
  shim_desc_free (d->dst);
}

static dnnl_status_t
make_descs (UmedptPacked *self, const Key *key, Descs *d)
{
  const UmedptBand *b = &key->band;
  const gboolean conv = self->layout == UMEDPT_WEIGHTS_CONV;
  const dnnl_data_type_t type = dnnl_type (self->compute);
  const dnnl_dims_t bias = { self->O };
  const dnnl_dims_t weights = { self->O, self->C, self->kh, self->kw };
  const dnnl_dims_t src2 = { b->src_rows, self->C };
  const dnnl_dims_t dst2 = { b->src_rows, self->O };
  const dnnl_dims_t src4 = { 1, self->C, b->src_rows, b->src_cols };
  const dnnl_dims_t dst4 = { 1, self->O, b->dst_rows, b->dst_cols };
  const int n = conv ? 4 : 2;
  dnnl_status_t s;

  s = shim_desc_new (&d->src, n, conv ? src4 : src2, type,
      conv ? dnnl_nhwc : dnnl_nc);
  if (!s)
    s = self->desc
        ? shim_desc_copy (&d->weights, self->desc)
        : shim_desc_new (&d->weights, n, weights, type, dnnl_format_tag_any);
  if (!s && key->with_bias)
    s = shim_desc_new (&d->bias, 1, bias, dnnl_f32, dnnl_a);
  if (!s)
    s = shim_desc_new (&d->dst, n, conv ? dst4 : dst2,
        dnnl_type (key->dst_dtype), conv ? dnnl_nhwc : dnnl_nc);
  return s;
}

static dnnl_status_t
make_primitive_desc (UmedptPacked *self, const Key *key, const Descs *d,
    dnnl_primitive_desc_t *pd)
{
  const UmedptBand *b = &key->band;
  const dnnl_dims_t strides = { b->stride, b->stride };
  const dnnl_dims_t before = { b->above, b->left };
  const dnnl_dims_t after = { b->below, b->right };
  dnnl_engine_t engine = umedpt_onednn_get_runtime ()->engine;
  dnnl_primitive_attr_t attr;
  dnnl_status_t s = dnnl_primitive_attr_create (&attr);

  if (s)
    return s;
  dnnl_primitive_attr_set_scratchpad_mode (attr, dnnl_scratchpad_mode_user);
  if (self->layout == UMEDPT_WEIGHTS_CONV)
    s = shim_convolution (pd, engine, d->src, d->weights, d->bias, d->dst,
        strides, before, after, attr);
  else
    s = shim_inner_product (pd, engine, d->src, d->weights, d->bias, d->dst,
        attr);
  dnnl_primitive_attr_destroy (attr);
  return s;
}

/* Whether oneDNN fell to its reference code, which is hundreds of times
 * slower than any other. */
static gboolean
is_reference (const_dnnl_primitive_desc_t pd)
{
  const char *name = NULL;

  dnnl_primitive_desc_query (pd, dnnl_query_impl_info_str, 0, &name);
  return name && g_str_has_prefix (name, "ref");
}

static dnnl_status_t
make_slots (UmedptPrimitive *self, const Descs *d, ShimConstDesc scratchpad)
{
  UmedptOnednnRuntime *runtime = umedpt_onednn_get_runtime ();
  dnnl_status_t s = dnnl_success;

  self->slots = g_new0 (Slot, runtime->n_workers);
  for (guint i = 0; i < runtime->n_workers && !s; i++) {
    Slot *slot = &self->slots[i];
    s = dnnl_memory_create (&slot->src, d->src, runtime->engine,
        DNNL_MEMORY_NONE);
    if (!s)
      s = dnnl_memory_create (&slot->dst, d->dst, runtime->engine,
          DNNL_MEMORY_NONE);
    if (!s && d->bias)
      s = dnnl_memory_create (&slot->bias, d->bias, runtime->engine,
          DNNL_MEMORY_NONE);
    if (!s && self->scratchpad_size)
      s = dnnl_memory_create (&slot->scratchpad, scratchpad, runtime->engine,
          DNNL_MEMORY_NONE);
  }
  return s;
}

/* Gives the primitive its weights: the shared ones where the layouts agree. */
static gboolean
take_weights (UmedptPacked *self, UmedptPrimitive *primitive,
    ShimConstDesc wanted, GError **error)
{
  if (!self->weights) {
    self->weights = umedpt_packed_make_weights (self, wanted, error);
    if (!self->weights ||
        !umedpt_onednn_check (shim_desc_copy (&self->desc, wanted),
            "copy a descriptor", error))
      return FALSE;
  }
  primitive->weights = self->weights;
  if (!dnnl_memory_desc_equal (self->desc, wanted)) {
    primitive->weights = umedpt_packed_make_weights (self, wanted, error);
    primitive->owns_weights = TRUE;
  }
  return primitive->weights != NULL;
}

static UmedptPrimitive *
primitive_new (UmedptPacked *self, const Key *key, GError **error)
{
  UmedptPrimitive *primitive = g_new0 (UmedptPrimitive, 1);
  Descs d = { 0 };
  dnnl_primitive_desc_t pd = NULL;
  ShimConstDesc scratchpad;
  dnnl_status_t s = make_descs (self, key, &d);
  gboolean ok;

  primitive->key = *key;
  if (!s)
    s = make_primitive_desc (self, key, &d, &pd);
  if (self->desc && (s == dnnl_unimplemented || (!s && is_reference (pd)))) {
    /* the layout chosen for other rows does not suit these */
    const dnnl_dims_t dims = { self->O, self->C, self->kh, self->kw };
    dnnl_primitive_desc_destroy (pd);
    pd = NULL;
    shim_desc_free (d.weights);
    d.weights = NULL;
    s = shim_desc_new (&d.weights, self->layout == UMEDPT_WEIGHTS_CONV ? 4 : 2,
        dims, dnnl_type (self->compute), dnnl_format_tag_any);
    if (!s)
      s = make_primitive_desc (self, key, &d, &pd);
  }
  if (!s)
    s = dnnl_primitive_create (&primitive->primitive, pd);
  if (!s) {
    scratchpad = dnnl_primitive_desc_query_md (pd, dnnl_query_scratchpad_md, 0);
    primitive->scratchpad_size =
        scratchpad ? dnnl_memory_desc_get_size (scratchpad) : 0;
    s = make_slots (primitive, &d, scratchpad);
  }
  ok = umedpt_onednn_check (s, "make a matrix product or convolution", error) &&
      take_weights (self, primitive,
          dnnl_primitive_desc_query_md (pd, dnnl_query_weights_md, 0), error);
  dnnl_primitive_desc_destroy (pd);
  descs_clear (&d);
  if (!ok) {
    primitive_free (primitive);
    return NULL;
  }
  return primitive;
}

static UmedptPrimitive *
get_primitive (UmedptPacked *self, const Key *key, GError **error)
{
  UmedptPrimitive *found;

  g_mutex_lock (&self->lock);
  for (found = self->primitives; found; found = found->next)
    if (memcmp (&found->key, key, sizeof *key) == 0)
      break;
  if (!found) {
    int saved = umedpt_onednn_enter ();
    found = primitive_new (self, key, error);
    umedpt_onednn_leave (saved);
    if (found) {
      found->next = self->primitives;
      self->primitives = found;
    }
  }
  g_mutex_unlock (&self->lock);
  return found;
}

UmedptPrimitive *
umedpt_packed_get_linear (UmedptPacked *self, gint64 rows, gboolean with_bias,
    UmedptDtype dst_dtype, GError **error)
{
  Key key;

  memset (&key, 0, sizeof key); /* padding too: keys are compared as bytes */
  key.band.src_rows = rows;
  key.with_bias = with_bias;
  key.dst_dtype = dst_dtype;
  return get_primitive (self, &key, error);
}

UmedptPrimitive *
umedpt_packed_get_conv (UmedptPacked *self, const UmedptBand *band,
    gboolean with_bias, UmedptDtype dst_dtype, GError **error)
{
  Key key;

  memset (&key, 0, sizeof key);
  key.band = *band;
  key.with_bias = with_bias;
  key.dst_dtype = dst_dtype;
  return get_primitive (self, &key, error);
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

gboolean
umedpt_primitive_run (UmedptPrimitive *self, guint worker, gconstpointer src,
    const float *bias, gpointer dst)
{
  UmedptOnednnWorker *state = &umedpt_onednn_get_runtime ()->workers[worker];
  Slot *slot = &self->slots[worker];
  dnnl_exec_arg_t args[5];
  int n = 0;

  if (worker > 0 && !state->is_set_up) {
    umedpt_onednn_enter (); /* a pool thread is ours for good */
    state->is_set_up = TRUE;
  }
  dnnl_memory_set_data_handle (slot->src, (gpointer) src);
  dnnl_memory_set_data_handle (slot->dst, dst);
  args[n++] = (dnnl_exec_arg_t){ DNNL_ARG_SRC, slot->src };
  args[n++] = (dnnl_exec_arg_t){ DNNL_ARG_WEIGHTS, self->weights->memory };
  args[n++] = (dnnl_exec_arg_t){ DNNL_ARG_DST, slot->dst };
  if (slot->bias) {
    dnnl_memory_set_data_handle (slot->bias, (gpointer) bias);
    args[n++] = (dnnl_exec_arg_t){ DNNL_ARG_BIAS, slot->bias };
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
