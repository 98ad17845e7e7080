/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Weight gradients. Of a linear map: a product with strided operands that adds
 * to what is there, for a block of outputs, so that workers share one gradient
 * without a reduction. oneDNN's inner product does not take strides (it falls
 * to its reference code); its general product is as fast. Of a convolution:
 * oneDNN's own, for one band of rows.
 */
#define G_LOG_DOMAIN "Umedpt"
#include <string.h>

#include "backend/cpu/onednn-private.h"
#include "base/error.h"

/* dY^T [outputs, rows] X [rows, K], in the operands' places src and weights */
static dnnl_status_t
describe_linear (const UmedptPrimitiveKey *key, gpointer data, UmedptDescs *d,
    dnnl_primitive_desc_t *pd)
{
  const gint64 rows = key->band.src_rows;
  const dnnl_data_type_t type = umedpt_onednn_type (key->compute);
  const dnnl_dims_t diff = { key->O, rows },
                    diff_strides = { 1, key->diff_stride };
  const dnnl_dims_t src = { rows, key->C }, dst = { key->O, key->C };
  const dnnl_dims_t strides = { key->C, 1 };
  dnnl_primitive_attr_t attr = NULL;
  dnnl_status_t s;

  s = shim_desc_new_strided (&d->src, 2, diff, type, diff_strides);
  if (!s)
    s = shim_desc_new_strided (&d->weights, 2, src, type, strides);
  if (!s)
    s = shim_desc_new_strided (&d->dst, 2, dst, dnnl_f32, strides);
  if (!s)
    s = umedpt_onednn_attributes (TRUE, &attr);
  if (!s)
    s = shim_matmul (pd, umedpt_onednn_get_runtime ()->engine, d->src,
        d->weights, d->dst, attr);
  if (attr)
    dnnl_primitive_attr_destroy (attr);
  return s;
}

UmedptPrimitive *
umedpt_gradient_get_linear (UmedptDtype compute, gint64 rows, gint64 outputs,
    gint64 diff_stride, gint64 K, GError **error)
{
  UmedptPrimitiveKey key;

  memset (&key, 0, sizeof key);
  key.kind = UMEDPT_PRIMITIVE_LINEAR_GRADIENT;
  key.compute = compute;
  key.O = outputs;
  key.C = K;
  key.band.src_rows = rows;
  key.diff_stride = diff_stride;
  return umedpt_primitive_get (&key, describe_linear, NULL, error);
}

/* src and dst (the gradient of the result) as in the forward pass. @data: the
 * layout of the weights' gradient, or NULL: any. */
static dnnl_status_t
describe_conv (const UmedptPrimitiveKey *key, gpointer data, UmedptDescs *d,
    dnnl_primitive_desc_t *pd)
{
  const UmedptBand *b = &key->band;
  const dnnl_data_type_t type = umedpt_onednn_type (key->compute);
  const dnnl_dims_t src = { 1, key->C, b->src_rows, b->src_cols };
  const dnnl_dims_t dst = { 1, key->O, b->dst_rows, b->dst_cols };
  const dnnl_dims_t weights = { key->O, key->C, key->kh, key->kw };
  const dnnl_dims_t strides = { b->stride, b->stride };
  const dnnl_dims_t before = { b->above, b->left };
  const dnnl_dims_t after = { b->below, b->right };
  dnnl_primitive_attr_t attr = NULL;
  ShimDesc any = NULL;
  dnnl_status_t s;

  s = shim_desc_new (&d->src, 4, src, type, dnnl_nhwc);
  if (!s)
    s = shim_desc_new (&d->dst, 4, dst, type, dnnl_nhwc);
  if (!s)
    s = shim_desc_new (&any, 4, weights, type, dnnl_format_tag_any);
  if (!s)
    s = data ? shim_desc_copy (&d->weights, data)
             : shim_desc_new (&d->weights, 4, weights, dnnl_f32,
                   dnnl_format_tag_any);
  if (!s)
    s = umedpt_onednn_attributes (FALSE, &attr);
  if (!s)
    s = shim_convolution_weights (pd, umedpt_onednn_get_runtime ()->engine,
        d->src, any, d->weights, d->dst, strides, before, after, attr);
  if (!s) { /* the memory is that of the layout chosen */
    shim_desc_free (d->weights);
    s = shim_desc_copy (&d->weights,
        dnnl_primitive_desc_query_md (*pd, dnnl_query_diff_weights_md, 0));
  }
  shim_desc_free (any);
  if (attr)
    dnnl_primitive_attr_destroy (attr);
  return s;
}

/* @like (nullable): another band's, whose layout must be taken. */
UmedptPrimitive *
umedpt_gradient_get_conv (UmedptDtype compute, const UmedptBand *band,
    const gint64 *weight_shape, const UmedptPrimitive *like, GError **error)
{
  UmedptPrimitiveKey key;
  UmedptPrimitive *primitive;

  memset (&key, 0, sizeof key);
  key.kind = UMEDPT_PRIMITIVE_CONV_GRADIENT;
  key.compute = compute;
  key.O = weight_shape[0];
  key.C = weight_shape[1];
  key.kh = weight_shape[2];
  key.kw = weight_shape[3];
  key.band = *band;
  primitive = umedpt_primitive_get (&key, describe_conv,
      like ? like->weights_desc : NULL, error);
  if (primitive && like &&
      !dnnl_memory_desc_equal (primitive->weights_desc, like->weights_desc)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "bands of a convolution want gradients of different layouts.");
    umedpt_primitive_unref (primitive);
    return NULL;
  }
  return primitive;
}

/* The bytes of a gradient as umedpt_gradient_run() writes it. */
gsize
umedpt_gradient_get_size (const UmedptPrimitive *self)
{
  return dnnl_memory_desc_get_size (self->weights_desc);
}

/* @from, as it was written, into @to [O, C, kh, kw]. Not from a worker. */
gboolean
umedpt_gradient_unpack (const UmedptPrimitive *self, float *from, float *to,
    GError **error)
{
  const UmedptPrimitiveKey *key = &self->key;
  const dnnl_dims_t dims = { key->O, key->C, key->kh, key->kw };
  ShimDesc plain = NULL;
  dnnl_status_t s = shim_desc_new (&plain, 4, dims, dnnl_f32, dnnl_oihw);

  if (!s)
    s = umedpt_onednn_reorder (self->weights_desc, from, plain, to);
  shim_desc_free (plain);
  return umedpt_onednn_check (s, "unpack a gradient", error);
}

gboolean
umedpt_gradient_run (UmedptPrimitive *self, guint worker,
    gconstpointer diff_dst, gconstpointer src, float *diff_weight)
{
  const gboolean conv = self->key.kind == UMEDPT_PRIMITIVE_CONV_GRADIENT;
  UmedptSlot *slot = &self->slots[worker];
  dnnl_exec_arg_t args[4];

  if (conv) {
    dnnl_memory_set_data_handle (slot->src, (gpointer) src);
    dnnl_memory_set_data_handle (slot->weights, diff_weight);
    dnnl_memory_set_data_handle (slot->dst, (gpointer) diff_dst);
    args[0] = (dnnl_exec_arg_t){ DNNL_ARG_SRC, slot->src };
    args[1] = (dnnl_exec_arg_t){ DNNL_ARG_DIFF_WEIGHTS, slot->weights };
    args[2] = (dnnl_exec_arg_t){ DNNL_ARG_DIFF_DST, slot->dst };
  } else {
    dnnl_memory_set_data_handle (slot->src, (gpointer) diff_dst);
    dnnl_memory_set_data_handle (slot->weights, (gpointer) src);
    dnnl_memory_set_data_handle (slot->dst, diff_weight);
    args[0] = (dnnl_exec_arg_t){ DNNL_ARG_SRC, slot->src };
    args[1] = (dnnl_exec_arg_t){ DNNL_ARG_WEIGHTS, slot->weights };
    args[2] = (dnnl_exec_arg_t){ DNNL_ARG_DST, slot->dst };
  }
  return umedpt_primitive_execute (self, worker, 3, args);
}
