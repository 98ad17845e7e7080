/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The few oneDNN calls that differ between API 2.6 (Debian 12) and 3.x, under
 * one name each. In 2.x a memory descriptor is a struct, in 3.x a handle; in
 * 2.x an operation descriptor comes before the primitive descriptor.
 */
#pragma once

#include <glib.h>
#include <oneapi/dnnl/dnnl.h>

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t ShimDesc;
typedef const_dnnl_memory_desc_t ShimConstDesc;

static inline dnnl_status_t
shim_desc_new (ShimDesc *desc, int n_dims, const dnnl_dims_t dims,
    dnnl_data_type_t type, dnnl_format_tag_t tag)
{
  return dnnl_memory_desc_create_with_tag (desc, n_dims, dims, type, tag);
}

static inline dnnl_status_t
shim_desc_copy (ShimDesc *desc, ShimConstDesc from)
{
  return dnnl_memory_desc_clone (desc, from);
}

static inline void
shim_desc_free (ShimDesc desc)
{
  if (desc)
    dnnl_memory_desc_destroy (desc);
}

static inline dnnl_status_t
shim_inner_product (dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
    ShimConstDesc src, ShimConstDesc weights, ShimConstDesc bias,
    ShimConstDesc dst, const_dnnl_primitive_attr_t attr)
{
  return dnnl_inner_product_forward_primitive_desc_create (pd, engine,
      dnnl_forward_inference, src, weights, bias, dst, attr);
}

static inline dnnl_status_t
shim_convolution (dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
    ShimConstDesc src, ShimConstDesc weights, ShimConstDesc bias,
    ShimConstDesc dst, const dnnl_dims_t strides, const dnnl_dims_t before,
    const dnnl_dims_t after, const_dnnl_primitive_attr_t attr)
{
  const dnnl_dims_t dense = { 0, 0 };

  return dnnl_convolution_forward_primitive_desc_create (pd, engine,
      dnnl_forward_inference, dnnl_convolution_direct, src, weights, bias, dst,
      strides, dense, before, after, attr);
}

static inline dnnl_status_t
shim_desc_new_strided (ShimDesc *desc, int n_dims, const dnnl_dims_t dims,
    dnnl_data_type_t type, const dnnl_dims_t strides)
{
  return dnnl_memory_desc_create_with_strides (desc, n_dims, dims, type,
      strides);
}

static inline dnnl_status_t
shim_desc_new_part (ShimDesc *desc, ShimConstDesc whole, const dnnl_dims_t dims,
    const dnnl_dims_t offsets)
{
  return dnnl_memory_desc_create_submemory (desc, whole, dims, offsets);
}

static inline dnnl_status_t
shim_append_sum (dnnl_post_ops_t ops)
{
  return dnnl_post_ops_append_sum (ops, 1, 0, dnnl_data_type_undef);
}

static inline dnnl_status_t
shim_matmul (dnnl_primitive_desc_t *pd, dnnl_engine_t engine, ShimConstDesc src,
    ShimConstDesc weights, ShimConstDesc dst, const_dnnl_primitive_attr_t attr)
{
  return dnnl_matmul_primitive_desc_create (pd, engine, src, weights, NULL, dst,
      attr);
}

/* @any: weights in the type of the forward pass, of any layout */
static inline dnnl_status_t
shim_convolution_weights (dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
    ShimConstDesc src, ShimConstDesc any, ShimConstDesc diff_weights,
    ShimConstDesc diff_dst, const dnnl_dims_t strides, const dnnl_dims_t before,
    const dnnl_dims_t after, const_dnnl_primitive_attr_t attr)
{
  const dnnl_dims_t dense = { 0, 0 };
  dnnl_primitive_desc_t hint = NULL;
  dnnl_status_t status = dnnl_convolution_forward_primitive_desc_create (&hint,
      engine, dnnl_forward_training, dnnl_convolution_direct, src, any, NULL,
      diff_dst, strides, dense, before, after, NULL);

  if (!status)
    status = dnnl_convolution_backward_weights_primitive_desc_create (pd,
        engine, dnnl_convolution_direct, src, diff_weights, NULL, diff_dst,
        strides, dense, before, after, hint, attr);
  dnnl_primitive_desc_destroy (hint);
  return status;
}

#else

typedef dnnl_memory_desc_t *ShimDesc;
typedef const dnnl_memory_desc_t *ShimConstDesc;

static inline dnnl_status_t
shim_desc_new (ShimDesc *desc, int n_dims, const dnnl_dims_t dims,
    dnnl_data_type_t type, dnnl_format_tag_t tag)
{
  *desc = g_new0 (dnnl_memory_desc_t, 1);
  return dnnl_memory_desc_init_by_tag (*desc, n_dims, dims, type, tag);
}

static inline dnnl_status_t
shim_desc_copy (ShimDesc *desc, ShimConstDesc from)
{
  *desc = g_new (dnnl_memory_desc_t, 1);
  **desc = *from;
  return dnnl_success;
}

static inline void
shim_desc_free (ShimDesc desc)
{
  g_free (desc);
}

static inline dnnl_status_t
shim_inner_product (dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
    ShimConstDesc src, ShimConstDesc weights, ShimConstDesc bias,
    ShimConstDesc dst, const_dnnl_primitive_attr_t attr)
{
  dnnl_inner_product_desc_t op;
  dnnl_status_t status = dnnl_inner_product_forward_desc_init (&op,
      dnnl_forward_inference, src, weights, bias, dst);

  return status ? status
                : dnnl_primitive_desc_create (pd, &op, attr, engine, NULL);
}

static inline dnnl_status_t
shim_convolution (dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
    ShimConstDesc src, ShimConstDesc weights, ShimConstDesc bias,
    ShimConstDesc dst, const dnnl_dims_t strides, const dnnl_dims_t before,
    const dnnl_dims_t after, const_dnnl_primitive_attr_t attr)
{
  dnnl_convolution_desc_t op;
  dnnl_status_t status = dnnl_convolution_forward_desc_init (&op,
      dnnl_forward_inference, dnnl_convolution_direct, src, weights, bias, dst,
      strides, before, after);

  return status ? status
                : dnnl_primitive_desc_create (pd, &op, attr, engine, NULL);
}

static inline dnnl_status_t
shim_desc_new_strided (ShimDesc *desc, int n_dims, const dnnl_dims_t dims,
    dnnl_data_type_t type, const dnnl_dims_t strides)
{
  *desc = g_new0 (dnnl_memory_desc_t, 1);
  return dnnl_memory_desc_init_by_strides (*desc, n_dims, dims, type, strides);
}

static inline dnnl_status_t
shim_desc_new_part (ShimDesc *desc, ShimConstDesc whole, const dnnl_dims_t dims,
    const dnnl_dims_t offsets)
{
  *desc = g_new0 (dnnl_memory_desc_t, 1);
  return dnnl_memory_desc_init_submemory (*desc, whole, dims, offsets);
}

static inline dnnl_status_t
shim_append_sum (dnnl_post_ops_t ops)
{
  return dnnl_post_ops_append_sum (ops, 1);
}

static inline dnnl_status_t
shim_matmul (dnnl_primitive_desc_t *pd, dnnl_engine_t engine, ShimConstDesc src,
    ShimConstDesc weights, ShimConstDesc dst, const_dnnl_primitive_attr_t attr)
{
  dnnl_matmul_desc_t op;
  dnnl_status_t status = dnnl_matmul_desc_init (&op, src, weights, NULL, dst);

  return status ? status
                : dnnl_primitive_desc_create (pd, &op, attr, engine, NULL);
}

/* @any: weights in the type of the forward pass, of any layout */
static inline dnnl_status_t
shim_convolution_weights (dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
    ShimConstDesc src, ShimConstDesc any, ShimConstDesc diff_weights,
    ShimConstDesc diff_dst, const dnnl_dims_t strides, const dnnl_dims_t before,
    const dnnl_dims_t after, const_dnnl_primitive_attr_t attr)
{
  dnnl_primitive_desc_t hint = NULL;
  dnnl_convolution_desc_t op;
  dnnl_status_t status = dnnl_convolution_forward_desc_init (&op,
      dnnl_forward_training, dnnl_convolution_direct, src, any, NULL, diff_dst,
      strides, before, after);

  if (!status)
    status = dnnl_primitive_desc_create (&hint, &op, NULL, engine, NULL);
  if (!status)
    status = dnnl_convolution_backward_weights_desc_init (&op,
        dnnl_convolution_direct, src, diff_weights, NULL, diff_dst, strides,
        before, after);
  if (!status)
    status = dnnl_primitive_desc_create (pd, &op, attr, engine, hint);
  dnnl_primitive_desc_destroy (hint);
  return status;
}

#endif
