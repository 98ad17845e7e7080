/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Products of rows or maps with packed weights. A primitive made with weights
 * "any" says which layout it reads best; that of a usual number of rows is
 * taken by all others, or else they get a copy of their own. So layout, kernel
 * and thereby the last bit of a result follow from the sizes alone, and not
 * from what was computed before: a training that is resumed must not differ.
 * Data gradients are such products too, with the weights read transposed.
 */
#define G_LOG_DOMAIN "Umedpt"
#include <string.h>

#include "backend/cpu/onednn-private.h"

#define USUAL_ROWS 128
#define USUAL_SIDE 32

static dnnl_status_t
make_descs (const UmedptPrimitiveKey *key, UmedptDescs *d)
{
  const UmedptBand *b = &key->band;
  const gboolean conv = key->kind == UMEDPT_PRIMITIVE_CONV;
  const dnnl_data_type_t type = umedpt_onednn_type (key->compute);
  const dnnl_dims_t bias = { key->O };
  const dnnl_dims_t src2 = { b->src_rows, key->C };
  const dnnl_dims_t dst2 = { b->src_rows, key->O };
  const dnnl_dims_t src4 = { 1, key->C, b->src_rows, b->src_cols };
  const dnnl_dims_t dst4 = { 1, key->O, b->dst_rows, b->dst_cols };
  const int n = conv ? 4 : 2;
  dnnl_status_t s;

  s = shim_desc_new (&d->src, n, conv ? src4 : src2, type,
      conv ? dnnl_nhwc : dnnl_nc);
  if (!s && key->with_bias)
    s = shim_desc_new (&d->bias, 1, bias, dnnl_f32, dnnl_a);
  if (!s)
    s = shim_desc_new (&d->dst, n, conv ? dst4 : dst2,
        umedpt_onednn_type (key->dst_dtype), conv ? dnnl_nhwc : dnnl_nc);
  return s;
}

/* @weights: the layout that must be taken; NULL: any. */
static dnnl_status_t
make_primitive_desc (const UmedptPrimitiveKey *key, UmedptDescs *d,
    ShimConstDesc weights, dnnl_primitive_desc_t *pd)
{
  const UmedptBand *b = &key->band;
  const gboolean conv = key->kind == UMEDPT_PRIMITIVE_CONV;
  const dnnl_dims_t dims = { key->O, key->C, key->kh, key->kw };
  const dnnl_dims_t strides = { b->stride, b->stride };
  const dnnl_dims_t before = { b->above, b->left };
  const dnnl_dims_t after = { b->below, b->right };
  dnnl_engine_t engine = umedpt_onednn_get_runtime ()->engine;
  dnnl_primitive_attr_t attr = NULL;
  dnnl_status_t s;

  shim_desc_free (d->weights);
  d->weights = NULL;
  s = weights ? shim_desc_copy (&d->weights, weights)
              : shim_desc_new (&d->weights, conv ? 4 : 2, dims,
                    umedpt_onednn_type (key->compute), dnnl_format_tag_any);
  if (!s)
    s = umedpt_onednn_attributes (FALSE, &attr);
  if (!s && conv)
    s = shim_convolution (pd, engine, d->src, d->weights, d->bias, d->dst,
        strides, before, after, attr);
  else if (!s)
    s = shim_inner_product (pd, engine, d->src, d->weights, d->bias, d->dst,
        attr);
  if (attr)
    dnnl_primitive_attr_destroy (attr);
  return s;
}

/* @data: the layout that the weights shall have, or NULL. */
static dnnl_status_t
describe (const UmedptPrimitiveKey *key, gpointer data, UmedptDescs *d,
    dnnl_primitive_desc_t *pd)
{
  ShimConstDesc weights = data;
  dnnl_status_t s = make_descs (key, d);

  if (!s)
    s = make_primitive_desc (key, d, weights, pd);
  if (weights &&
      (s == dnnl_unimplemented || (!s && umedpt_onednn_is_reference (*pd)))) {
    /* the layout chosen for other rows does not suit these */
    dnnl_primitive_desc_destroy (*pd);
    *pd = NULL;
    s = make_primitive_desc (key, d, NULL, pd);
  }
  return s;
}

/* The product by whose layout weights of this shape are packed. */
static UmedptPrimitiveKey
make_usual (const UmedptPrimitiveKey *key)
{
  UmedptPrimitiveKey usual;
  UmedptBand *band = &usual.band;

  memcpy (&usual, key, sizeof usual); /* with padding */
  band->src_rows = USUAL_ROWS;
  if (key->kind != UMEDPT_PRIMITIVE_CONV)
    return usual;
  band->src_rows = band->src_cols = USUAL_SIDE;
  band->above = band->below = key->kh / 2;
  band->left = band->right = key->kw / 2;
  band->dst_rows = (USUAL_SIDE + 2 * band->above - key->kh) / band->stride + 1;
  band->dst_cols = (USUAL_SIDE + 2 * band->left - key->kw) / band->stride + 1;
  return usual;
}

static UmedptPrimitive *
get_primitive (const UmedptPrimitiveKey *key, GError **error)
{
  const UmedptPrimitiveKey usual_key = make_usual (key);
  UmedptPrimitive *usual =
      umedpt_primitive_get (&usual_key, describe, NULL, error);
  UmedptPrimitive *primitive = usual
      ? umedpt_primitive_get (key, describe, usual->weights_desc, error)
      : NULL;

  umedpt_primitive_unref (usual);
  return primitive;
}

static gboolean
get_product (UmedptPacked *self, UmedptPrimitiveKey *key,
    UmedptProduct *product, GError **error)
{
  UmedptPrimitive *primitive;

  key->O = self->O;
  key->C = self->C;
  key->kh = self->kh;
  key->kw = self->kw;
  key->compute = self->compute;
  g_mutex_lock (&self->lock);
  primitive = get_primitive (key, error);
  product->weights = primitive
      ? umedpt_packed_take_weights (self, primitive->weights_desc, error)
      : NULL;
  g_mutex_unlock (&self->lock);
  if (!product->weights) {
    umedpt_primitive_unref (primitive);
    return FALSE;
  }
  product->primitive = primitive;
  return TRUE;
}

gboolean
umedpt_packed_get_linear (UmedptPacked *self, gint64 rows, gboolean with_bias,
    UmedptDtype dst_dtype, UmedptProduct *product, GError **error)
{
  UmedptPrimitiveKey key;

  memset (&key, 0, sizeof key); /* padding too: keys are compared as bytes */
  key.kind = UMEDPT_PRIMITIVE_LINEAR;
  key.band.src_rows = rows;
  key.with_bias = with_bias;
  key.dst_dtype = dst_dtype;
  return get_product (self, &key, product, error);
}

gboolean
umedpt_packed_get_conv (UmedptPacked *self, const UmedptBand *band,
    gboolean with_bias, UmedptDtype dst_dtype, UmedptProduct *product,
    GError **error)
{
  UmedptPrimitiveKey key;

  memset (&key, 0, sizeof key);
  key.kind = UMEDPT_PRIMITIVE_CONV;
  key.band = *band;
  key.with_bias = with_bias;
  key.dst_dtype = dst_dtype;
  return get_product (self, &key, product, error);
}

void
umedpt_product_clear (UmedptProduct *product)
{
  umedpt_primitive_unref (product->primitive);
  *product = (UmedptProduct){ 0 };
}

gboolean
umedpt_product_run (const UmedptProduct *product, guint worker,
    gconstpointer src, const float *bias, gpointer dst)
{
  UmedptSlot *slot = &product->primitive->slots[worker];
  dnnl_exec_arg_t args[5];
  int n = 0;

  dnnl_memory_set_data_handle (slot->src, (gpointer) src);
  dnnl_memory_set_data_handle (slot->dst, dst);
  args[n++] = (dnnl_exec_arg_t){ DNNL_ARG_SRC, slot->src };
  args[n++] = (dnnl_exec_arg_t){ DNNL_ARG_WEIGHTS, product->weights->memory };
  args[n++] = (dnnl_exec_arg_t){ DNNL_ARG_DST, slot->dst };
  if (slot->bias) {
    dnnl_memory_set_data_handle (slot->bias, (gpointer) bias);
    args[n++] = (dnnl_exec_arg_t){ DNNL_ARG_BIAS, slot->bias };
  }
  return umedpt_primitive_execute (product->primitive, worker, n, args);
}
