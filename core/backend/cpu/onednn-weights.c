/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Parameters packed into the layout that oneDNN's products read best, once,
 * and hung on the parameter. Descriptors with weights "any" say which layout
 * that is, so packing waits for the first primitive.
 */
#define _DEFAULT_SOURCE
#define G_LOG_DOMAIN "Umedpt"
#include "backend/cpu/onednn-private.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/error.h"

void
umedpt_packed_weights_free (UmedptPackedWeights *weights)
{
  if (!weights)
    return;
  dnnl_memory_destroy (weights->memory);
  free (weights->data);
  g_free (weights);
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
  UmedptPackedWeights *weights = g_new0 (UmedptPackedWeights, 1);

  size = (size + 63) / 64 * 64;
  if (posix_memalign (&weights->data, alignment, MAX (size, 64)) != 0)
    weights->data = NULL;
  if (weights->data && size >= huge)
    madvise (weights->data, size, MADV_HUGEPAGE);
  if (!weights->data ||
      dnnl_memory_create (&weights->memory, desc,
          umedpt_onednn_get_runtime ()->engine,
          weights->data) != dnnl_success) {
    umedpt_packed_weights_free (weights);
    return NULL;
  }
  return weights;
}

static void
packed_free (gpointer data)
{
  UmedptPacked *self = data;

  umedpt_primitives_free (self->primitives);
  umedpt_packed_weights_free (self->weights);
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
UmedptPackedWeights *
umedpt_packed_make_weights (UmedptPacked *self, ShimConstDesc desc,
    GError **error)
{
  UmedptOnednnRuntime *runtime = umedpt_onednn_get_runtime ();
  const gboolean conv = self->layout == UMEDPT_WEIGHTS_CONV;
  const dnnl_dims_t dims = { self->O, self->C, self->kh, self->kw };
  g_autofree float *owned = NULL;
  const float *src = arrange_weights (self, &owned);
  ShimDesc plain = NULL;
  dnnl_memory_t from = NULL;
  UmedptPackedWeights *to = weights_new (desc);
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
  if (!umedpt_onednn_check (s, "pack weights", error)) {
    umedpt_packed_weights_free (to);
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

  if (!umedpt_onednn_get_runtime ()->engine) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "oneDNN could not be started.");
    return NULL;
  }
  return umedpt_tensor_attach (weight,
      &keys[layout][compute == UMEDPT_DTYPE_BF16], packed_new, &request,
      packed_free, error);
}
