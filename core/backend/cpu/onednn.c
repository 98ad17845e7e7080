/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The bridge to oneDNN. What to know:
 * - Primitives take their number of OpenMP threads when they are made, so they
 *   are made and run under omp_set_num_threads (1), and the caller's setting
 *   is put back afterwards.
 * - The library's own scratchpad is thread-local to the maker in Debian's
 *   build; user scratchpads are given instead, one per worker.
 * - Descriptors with weights "any" say which packed layout is best; the first
 *   primitive of a parameter fixes it. A later one (another number of rows)
 *   must take it, or else gets a packed copy of its own.
 */
#define _DEFAULT_SOURCE
#define G_LOG_DOMAIN "Umedpt"
#include "backend/cpu/onednn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/cpu/dnnl-shim.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/pool.h"

#ifdef HAVE_OPENMP_RUNTIME
extern int omp_get_max_threads (void);
extern void omp_set_num_threads (int n);
#endif

typedef struct
{
  dnnl_stream_t stream;
  gpointer scratchpad;
  gsize scratchpad_size;
  gboolean is_set_up;
} WorkerState;

typedef struct
{
  dnnl_engine_t engine;
  WorkerState *workers;
  guint n_workers;
} Runtime;

typedef struct
{
  dnnl_memory_t src, bias, dst, scratchpad;
} Slot;

/* Packed weights, in memory of ours. */
typedef struct
{
  dnnl_memory_t memory;
  gpointer data;
} Weights;

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
  Weights *weights; /* of the packed form, or its own */
  gboolean owns_weights;
  gsize scratchpad_size;
  Slot *slots; /* one per worker */
  UmedptPrimitive *next;
};

struct _UmedptPacked
{
  UmedptTensor *weight; /* not owned: it owns us */
  UmedptWeightsLayout layout;
  UmedptDtype compute;
  gint64 O, C, kh, kw; /* linear: N, K, 1, 1 */
  GMutex lock;
  ShimDesc desc; /* of the packed weights; NULL until the first primitive */
  Weights *weights;
  UmedptPrimitive *primitives;
};

int
umedpt_onednn_enter (void)
{
#ifdef HAVE_OPENMP_RUNTIME
  int saved = omp_get_max_threads ();
  omp_set_num_threads (1);
  return saved;
#else
  return 1;
#endif
}

void
umedpt_onednn_leave (int saved)
{
#ifdef HAVE_OPENMP_RUNTIME
  omp_set_num_threads (saved);
#endif
}

static gboolean
check (dnnl_status_t status, const char *what, GError **error)
{
  if (status == dnnl_success)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR,
      status == dnnl_unimplemented       ? UMEDPT_ERROR_UNSUPPORTED
          : status == dnnl_out_of_memory ? UMEDPT_ERROR_NO_MEMORY
                                         : UMEDPT_ERROR_BACKEND,
      "oneDNN could not %s: status %d (%s).", what, (int) status,
      status == dnnl_unimplemented ? "not offered for this processor or shape"
          : status == dnnl_out_of_memory ? "out of memory"
                                         : "internal error");
  return FALSE;
}

/* oneDNN must not use instructions that UMEDPT_CPU has ruled out. */
static void
limit_isa (void)
{
  switch (umedpt_cpu_isa ()) {
    case UMEDPT_ISA_PORTABLE:
      dnnl_set_max_cpu_isa (dnnl_cpu_isa_sse41);
      break;
    case UMEDPT_ISA_AVX2:
      dnnl_set_max_cpu_isa (dnnl_cpu_isa_avx2);
      break;
    case UMEDPT_ISA_AVX512:
      dnnl_set_max_cpu_isa (dnnl_cpu_isa_avx512_core_vnni);
      break;
    case UMEDPT_ISA_AVX512_BF16:
      break;
  }
}

/* The engine and the workers' streams, made once; NULL if oneDNN fails. */
static Runtime *
get_runtime (void)
{
  static gsize runtime;

  if (g_once_init_enter (&runtime)) {
    Runtime *made = g_new0 (Runtime, 1);
    limit_isa ();
    made->n_workers = umedpt_pool_get_n_workers (umedpt_pool_get_default ());
    made->workers = g_new0 (WorkerState, made->n_workers);
    if (dnnl_engine_create (&made->engine, dnnl_cpu, 0) != dnnl_success)
      made->engine = NULL;
    for (guint i = 0; made->engine && i < made->n_workers; i++)
      if (dnnl_stream_create (&made->workers[i].stream, made->engine,
              dnnl_stream_default_flags) != dnnl_success)
        made->engine = NULL;
    g_once_init_leave (&runtime, (gsize) made);
  }
  return (Runtime *) runtime;
}

/* bf16 is emulated (slowly) or refused by oneDNN without native support. */
gboolean
umedpt_onednn_supports (UmedptDtype compute)
{
  return compute == UMEDPT_DTYPE_F32 ||
      umedpt_cpu_isa () >= UMEDPT_ISA_AVX512_BF16;
}

char *
umedpt_onednn_version (void)
{
  const dnnl_version_t *version = dnnl_version ();

  return g_strdup_printf ("%d.%d.%d", version->major, version->minor,
      version->patch);
}

static dnnl_data_type_t
dnnl_type (UmedptDtype dtype)
{
  return dtype == UMEDPT_DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

static void
weights_free (Weights *weights)
{
  if (!weights)
    return;
  dnnl_memory_destroy (weights->memory);
  free (weights->data);
  g_free (weights);
}

/* A large model's weights are streamed from memory for every image; in pages
 * of 2 MiB that is faster (the base encoder in bf16 by a seventh): fewer
 * address translations, and the hardware's prefetch stops at page ends. */
static Weights *
weights_new (ShimConstDesc desc)
{
  const gsize huge = (gsize) 2 << 20;
  gsize size = dnnl_memory_desc_get_size (desc);
  gsize alignment = size >= huge ? huge : 64;
  Weights *weights = g_new0 (Weights, 1);

  size = (size + 63) / 64 * 64;
  if (posix_memalign (&weights->data, alignment, MAX (size, 64)) != 0)
    weights->data = NULL;
  if (weights->data && size >= huge)
    madvise (weights->data, size, MADV_HUGEPAGE);
  if (!weights->data ||
      dnnl_memory_create (&weights->memory, desc, get_runtime ()->engine,
          weights->data) != dnnl_success) {
    weights_free (weights);
    return NULL;
  }
  return weights;
}

static void
primitive_free (UmedptPrimitive *self)
{
  Runtime *runtime = get_runtime ();

  for (guint i = 0; self->slots && i < runtime->n_workers; i++) {
    dnnl_memory_destroy (self->slots[i].src);
    dnnl_memory_destroy (self->slots[i].bias);
    dnnl_memory_destroy (self->slots[i].dst);
    dnnl_memory_destroy (self->slots[i].scratchpad);
  }
  if (self->owns_weights)
    weights_free (self->weights);
  dnnl_primitive_destroy (self->primitive);
  g_free (self->slots);
  g_free (self);
}

static void
packed_free (gpointer data)
{
  UmedptPacked *self = data;

  while (self->primitives) {
    UmedptPrimitive *next = self->primitives->next;
    primitive_free (self->primitives);
    self->primitives = next;
  }
  weights_free (self->weights);
  shim_desc_free (self->desc);
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* The weights in the order that the primitive reads; owned by the caller when
 * it differs from the parameter's. */
static const float *
arrange_weights (UmedptPacked *self, float **owned)
{
  const float *src = UMEDPT_F32 (self->weight);
  gint64 patch = self->weight->shape[self->weight->n_dims - 1];
  float scale = self->layout == UMEDPT_WEIGHTS_PATCH_U8 ? 1.0f / 255 : 1.0f;
  float *dst;

  if (self->layout != UMEDPT_WEIGHTS_PATCH &&
      self->layout != UMEDPT_WEIGHTS_PATCH_U8)
    return src;
  dst = *owned = g_new (float, self->weight->n_elements);
  for (gint64 o = 0; o < self->O; o++)
    for (gint64 c = 0; c < 3; c++)
      for (gint64 i = 0; i < patch * patch; i++)
        dst[o * self->C + i * 3 + c] =
            src[o * self->C + c * patch * patch + i] * scale;
  return dst;
}

/* The weights reordered to @desc. */
static Weights *
pack_weights (UmedptPacked *self, ShimConstDesc desc, GError **error)
{
  Runtime *runtime = get_runtime ();
  const gboolean conv = self->layout == UMEDPT_WEIGHTS_CONV;
  const dnnl_dims_t dims = { self->O, self->C, self->kh, self->kw };
  g_autofree float *owned = NULL;
  const float *src = arrange_weights (self, &owned);
  ShimDesc plain = NULL;
  dnnl_memory_t from = NULL;
  Weights *to = weights_new (desc);
  dnnl_primitive_desc_t pd = NULL;
  dnnl_primitive_t reorder = NULL;
  dnnl_stream_t stream = NULL;
  dnnl_status_t s = to ? dnnl_success : dnnl_out_of_memory;

  if (!s)
    s = shim_desc_new (&plain, conv ? 4 : 2, dims, dnnl_f32,
        conv ? dnnl_oihw : dnnl_oi);
  if (!s)
    s = dnnl_memory_create (&from, plain, runtime->engine, (gpointer) src);
  if (!s)
    s = dnnl_reorder_primitive_desc_create (&pd, plain, runtime->engine, desc,
        runtime->engine, NULL);
  if (!s)
    s = dnnl_primitive_create (&reorder, pd);
  if (!s)
    s = dnnl_stream_create (&stream, runtime->engine,
        dnnl_stream_default_flags);
  if (!s) {
    dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, from },
      { DNNL_ARG_TO, to->memory } };
    s = dnnl_primitive_execute (reorder, stream, 2, args);
  }
  if (!s)
    s = dnnl_stream_wait (stream);
  dnnl_stream_destroy (stream);
  dnnl_primitive_destroy (reorder);
  dnnl_primitive_desc_destroy (pd);
  dnnl_memory_destroy (from);
  shim_desc_free (plain);
  if (!check (s, "pack weights", error)) {
    weights_free (to);
    return NULL;
  }
  umedpt_tensor_release_pages (self->weight);
  return to;
}

typedef struct
{
  UmedptWeightsLayout layout;
  UmedptDtype compute;
} PackRequest;

static gpointer
packed_new (UmedptTensor *weight, gpointer data, GError **error)
{
  const PackRequest *request = data;
  UmedptPacked *self = g_new0 (UmedptPacked, 1);

  g_mutex_init (&self->lock);
  self->weight = weight;
  self->layout = request->layout;
  self->compute = request->compute;
  self->O = weight->shape[0];
  self->C = weight->n_elements / MAX (self->O, 1);
  self->kh = self->kw = 1;
  if (self->layout == UMEDPT_WEIGHTS_CONV) {
    self->C = weight->shape[1];
    self->kh = weight->shape[2];
    self->kw = weight->shape[3];
  }
  return self;
}

/* The form of @weight for products in @compute. Packing itself waits for the
 * first primitive, whose shape decides the layout. Owned by @weight. */
UmedptPacked *
umedpt_packed_get (UmedptTensor *weight, UmedptWeightsLayout layout,
    UmedptDtype compute, GError **error)
{
  static const char keys[UMEDPT_N_WEIGHTS][2];
  PackRequest request = { layout, compute };

  if (!get_runtime ()->engine) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "oneDNN could not be started.");
    return NULL;
  }
  return umedpt_tensor_attach (weight,
      &keys[layout][compute == UMEDPT_DTYPE_BF16], packed_new, &request,
      packed_free, error);
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
  dnnl_engine_t engine = get_runtime ()->engine;
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
  Runtime *runtime = get_runtime ();
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
    self->weights = pack_weights (self, wanted, error);
    if (!self->weights ||
        !check (shim_desc_copy (&self->desc, wanted), "copy a descriptor",
            error))
      return FALSE;
  }
  primitive->weights = self->weights;
  if (!dnnl_memory_desc_equal (self->desc, wanted)) {
    primitive->weights = pack_weights (self, wanted, error);
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
  ok = check (s, "make a matrix product or convolution", error) &&
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
get_scratchpad (WorkerState *state, gsize size)
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
  WorkerState *state = &get_runtime ()->workers[worker];
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
