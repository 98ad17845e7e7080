/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Parameters packed into the layout that oneDNN's products read best, once,
 * and hung on the parameter. Descriptors with weights "any" say which layout
 * that is, so packing waits for the first primitive.
 */
#define _DEFAULT_SOURCE
#define G_LOG_DOMAIN "Umedpt"
#include "backend/cpu/onednn-private.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/pool.h"

#define KEEP_LIMIT ((gsize) 512 << 20)
#define PART 192 /* outputs; oneDNN's blocks are of 64 at most */

/* Buffers of parameters that have new values and will be packed again soon:
 * asking the system for 100 MB in every training step would fault every page
 * again. All are given back when a model goes. */
static GMutex kept_lock;
static UmedptPackedWeights *kept;
static gsize kept_size;

static void
weights_free (UmedptPackedWeights *self)
{
  if (!self)
    return;
  dnnl_memory_destroy (self->memory);
  shim_desc_free (self->desc);
  free (self->data);
  g_free (self);
}

static gboolean
keep (UmedptPackedWeights *self)
{
  gboolean ok;

  g_mutex_lock (&kept_lock);
  ok = kept_size + self->size <= KEEP_LIMIT;
  if (ok) {
    self->next = kept;
    kept = self;
    kept_size += self->size;
  }
  g_mutex_unlock (&kept_lock);
  return ok;
}

static void
release_kept (void)
{
  UmedptPackedWeights *list;

  g_mutex_lock (&kept_lock);
  list = g_steal_pointer (&kept);
  kept_size = 0;
  g_mutex_unlock (&kept_lock);
  while (list) {
    UmedptPackedWeights *next = list->next;
    weights_free (list);
    list = next;
  }
}

/* One of the same layout, whose values may be overwritten. */
static UmedptPackedWeights *
take_kept (ShimConstDesc desc)
{
  UmedptPackedWeights **at, *found;

  g_mutex_lock (&kept_lock);
  for (at = &kept; *at; at = &(*at)->next)
    if (dnnl_memory_desc_equal ((*at)->desc, desc))
      break;
  found = *at;
  if (found) {
    *at = found->next;
    kept_size -= found->size;
  }
  g_mutex_unlock (&kept_lock);
  return found;
}

/* A large model's weights are streamed from memory for every image; in pages
 * of 2 MiB that is faster, most of all for the base encoder in bf16: fewer
 * address translations, and the hardware's prefetch stops at page ends. */
static UmedptPackedWeights *
weights_new (ShimConstDesc desc)
{
  const gsize huge = (gsize) 2 << 20;
  gsize size = dnnl_memory_desc_get_size (desc);
  gsize alignment = size >= huge ? huge : 64;
  UmedptPackedWeights *weights = take_kept (desc);

  if (weights)
    return weights;
  weights = g_new0 (UmedptPackedWeights, 1);
  weights->size = size = (MAX (size, 64) + 63) / 64 * 64;
  if (posix_memalign (&weights->data, alignment, size) != 0)
    weights->data = NULL;
  if (weights->data && size >= huge)
    madvise (weights->data, size, MADV_HUGEPAGE);
  if (!weights->data || shim_desc_copy (&weights->desc, desc) != dnnl_success ||
      dnnl_memory_create (&weights->memory, desc,
          umedpt_onednn_get_runtime ()->engine,
          weights->data) != dnnl_success) {
    weights_free (weights);
    return NULL;
  }
  return weights;
}

/* A parameter that lives on has only got new values. */
static void
packed_free (gpointer data)
{
  UmedptPacked *self = data;
  gboolean lives_on = !g_atomic_ref_count_compare (&self->weight->ref_count, 0);

  while (self->weights) {
    UmedptPackedWeights *next = self->weights->next;
    if (!lives_on || !keep (self->weights))
      weights_free (self->weights);
    self->weights = next;
  }
  if (!lives_on)
    release_kept ();
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* [N, 3, p, p] as [N, p, p, 3], for memory order of pixels */
static void
arrange_patches (const UmedptPacked *self, float *dst)
{
  const float *src = UMEDPT_F32 (self->weight);
  const gint64 patch = self->weight->shape[3], area = patch * patch;
  float scale = self->layout == UMEDPT_WEIGHTS_PATCH_U8 ? 1.0f / 255 : 1.0f;

  for (gint64 o = 0; o < self->O; o++)
    for (gint64 c = 0; c < 3; c++)
      for (gint64 i = 0; i < area; i++)
        dst[o * self->C + i * 3 + c] = src[o * self->C + c * area + i] * scale;
}

/* [O, C, kh, kw] as [C, O, kh, kw] with the taps in reverse */
static void
arrange_flipped (const UmedptPacked *self, float *dst)
{
  const float *src = UMEDPT_F32 (self->weight);
  const gint64 area = self->kh * self->kw;

  for (gint64 c = 0; c < self->O; c++)
    for (gint64 o = 0; o < self->C; o++)
      for (gint64 i = 0; i < area; i++)
        dst[(c * self->C + o) * area + area - 1 - i] =
            src[(o * self->O + c) * area + i];
}

/* The weights in the order that the primitive reads; owned by the caller when
 * it differs from the parameter's. */
static const float *
arrange_weights (UmedptPacked *self, float **owned)
{
  switch (self->layout) {
    case UMEDPT_WEIGHTS_PATCH:
    case UMEDPT_WEIGHTS_PATCH_U8:
      *owned = g_new (float, self->weight->n_elements);
      arrange_patches (self, *owned);
      return *owned;
    case UMEDPT_WEIGHTS_CONV_FLIPPED:
      *owned = g_new (float, self->weight->n_elements);
      arrange_flipped (self, *owned);
      return *owned;
    case UMEDPT_WEIGHTS_LINEAR:
    case UMEDPT_WEIGHTS_TRANSPOSED:
    case UMEDPT_WEIGHTS_CONV:
    default:
      return UMEDPT_F32 (self->weight);
  }
}

dnnl_status_t
umedpt_onednn_reorder (ShimConstDesc from_desc, gpointer from,
    ShimConstDesc to_desc, gpointer to)
{
  UmedptOnednnRuntime *runtime = umedpt_onednn_get_runtime ();
  dnnl_memory_t from_memory = NULL, to_memory = NULL;
  dnnl_primitive_desc_t pd = NULL;
  dnnl_primitive_t reorder = NULL;
  dnnl_stream_t stream = NULL;
  int saved = umedpt_onednn_enter ();
  dnnl_status_t s =
      dnnl_memory_create (&from_memory, from_desc, runtime->engine, from);

  if (!s)
    s = dnnl_memory_create (&to_memory, to_desc, runtime->engine, to);
  if (!s)
    s = dnnl_reorder_primitive_desc_create (&pd, from_desc, runtime->engine,
        to_desc, runtime->engine, NULL);
  if (!s)
    s = dnnl_primitive_create (&reorder, pd);
  if (!s)
    s = dnnl_stream_create (&stream, runtime->engine,
        dnnl_stream_default_flags);
  if (!s) {
    dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, from_memory },
      { DNNL_ARG_TO, to_memory } };
    s = dnnl_primitive_execute (reorder, stream, 2, args);
  }
  if (!s)
    s = dnnl_stream_wait (stream);
  dnnl_stream_destroy (stream);
  dnnl_primitive_destroy (reorder);
  dnnl_primitive_desc_destroy (pd);
  dnnl_memory_destroy (to_memory);
  dnnl_memory_destroy (from_memory);
  umedpt_onednn_leave (saved);
  return s;
}

/* Linear weights in parts of whole blocks of outputs: in training all weights
 * are packed in every step. */
typedef struct
{
  ShimConstDesc from_desc, to_desc;
  gpointer from, to;
  gint64 O, C;
  atomic_int failed;
} PackJob;

static void
pack_part (gpointer data, guint worker, guint part)
{
  PackJob *job = data;
  const gint64 first = part * PART;
  const dnnl_dims_t dims = { MIN (PART, job->O - first), job->C };
  const dnnl_dims_t offsets = { first, 0 };
  ShimDesc from = NULL, to = NULL;
  dnnl_status_t s = shim_desc_new_part (&from, job->from_desc, dims, offsets);

  if (!s)
    s = shim_desc_new_part (&to, job->to_desc, dims, offsets);
  if (!s)
    s = umedpt_onednn_reorder (from, job->from, to, job->to);
  if (s)
    atomic_store (&job->failed, 1);
  shim_desc_free (from);
  shim_desc_free (to);
}

static dnnl_status_t
pack (const UmedptPacked *self, ShimConstDesc plain, const float *src,
    UmedptPackedWeights *to)
{
  PackJob job = { .from_desc = plain,
    .to_desc = to->desc,
    .from = (gpointer) src,
    .to = to->data,
    .O = self->O,
    .C = self->C };

  /* whole blocks: nothing is padded */
  if (self->kh * self->kw == 1 && self->O % PART == 0 && self->C % 64 == 0 &&
      self->O > PART) {
    umedpt_pool_run (umedpt_pool_get_default (), (guint) (self->O / PART),
        pack_part, &job);
    if (!atomic_load (&job.failed))
      return dnnl_success;
  }
  return umedpt_onednn_reorder (plain, (gpointer) src, to->desc, to->data);
}

/* The weights in the layout @desc, packed on first use. */
UmedptPackedWeights *
umedpt_packed_take_weights (UmedptPacked *self, ShimConstDesc desc,
    GError **error)
{
  const gboolean conv = self->layout == UMEDPT_WEIGHTS_CONV ||
      self->layout == UMEDPT_WEIGHTS_CONV_FLIPPED;
  const dnnl_dims_t dims = { self->O, self->C, self->kh, self->kw };
  g_autofree float *owned = NULL;
  const float *src;
  ShimDesc plain = NULL;
  UmedptPackedWeights *to, **end = &self->weights;
  dnnl_status_t s;

  for (; *end; end = &(*end)->next)
    if (dnnl_memory_desc_equal ((*end)->desc, desc))
      return *end;
  src = arrange_weights (self, &owned);
  to = weights_new (desc);
  s = to ? shim_desc_new (&plain, conv ? 4 : 2, dims, dnnl_f32,
               conv                                            ? dnnl_oihw
                   : self->layout == UMEDPT_WEIGHTS_TRANSPOSED ? dnnl_io
                                                               : dnnl_oi)
         : dnnl_out_of_memory;
  if (!s)
    s = pack (self, plain, src, to);
  shim_desc_free (plain);
  if (!umedpt_onednn_check (s, "pack weights", error)) {
    weights_free (to);
    return NULL;
  }
  umedpt_tensor_release_pages (self->weight);
  to->next = NULL;
  *end = to;
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
  if (request->layout == UMEDPT_WEIGHTS_CONV ||
      request->layout == UMEDPT_WEIGHTS_CONV_FLIPPED) {
    self->C = weight->shape[1];
    self->kh = weight->shape[2];
    self->kw = weight->shape[3];
  }
  if (request->layout == UMEDPT_WEIGHTS_TRANSPOSED ||
      request->layout == UMEDPT_WEIGHTS_CONV_FLIPPED) {
    gint64 outputs = self->O;
    self->O = self->C;
    self->C = outputs;
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

  if (!umedpt_onednn_get_runtime ()->engine) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "oneDNN could not be started.");
    return NULL;
  }
  return umedpt_tensor_attach (weight,
      &keys[layout][compute == UMEDPT_DTYPE_BF16], packed_new, &request,
      packed_free, error);
}
