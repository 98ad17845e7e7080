/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Inside of the reference backend. Elements are read and written through
 * umedpt_ref_get() and umedpt_ref_set(), whatever their type, and every matrix
 * product is a row of operands against a matrix of operands: one rule for bf16
 * in one place.
 */
#pragma once

#include "backend/backend.h"

G_BEGIN_DECLS

/* Element @i of an f32, bf16 or u8 tensor; u8 as it is, 0 … 255. */
static inline float
umedpt_ref_get (const UmedptTensor *tensor, gsize i)
{
  switch (tensor->dtype) {
    case UMEDPT_DTYPE_BF16:
      return umedpt_bf16_to_f32 (UMEDPT_BF16 (tensor)[i]);
    case UMEDPT_DTYPE_U8:
      return UMEDPT_U8 (tensor)[i];
    default:
      return UMEDPT_F32 (tensor)[i];
  }
}

static inline void
umedpt_ref_set (UmedptTensor *tensor, gsize i, double value)
{
  if (tensor->dtype == UMEDPT_DTYPE_BF16)
    UMEDPT_BF16 (tensor)[i] = umedpt_f32_to_bf16 ((float) value);
  else
    UMEDPT_F32 (tensor)[i] = (float) value;
}

/* @value as an operand of a matrix product formed in @compute. */
static inline float
umedpt_ref_round (float value, UmedptDtype compute)
{
  return compute == UMEDPT_DTYPE_BF16
      ? umedpt_bf16_to_f32 (umedpt_f32_to_bf16 (value))
      : value;
}

/* An optional vector of parameters: @fallback where there is none. */
static inline double
umedpt_ref_param (const UmedptTensor *tensor, gsize i, double fallback)
{
  return tensor ? UMEDPT_F32 (tensor)[i] : fallback;
}

/* The size of the last dimension, and the product of all others. */
static inline gsize
umedpt_ref_columns (const UmedptTensor *tensor)
{
  return tensor->n_dims ? (gsize) tensor->shape[tensor->n_dims - 1] : 1;
}

static inline gsize
umedpt_ref_rows (const UmedptTensor *tensor)
{
  gsize rows = 1;

  for (guint i = 0; i + 1 < tensor->n_dims; i++)
    rows *= (gsize) tensor->shape[i];
  return rows;
}

double umedpt_ref_activation (double x, UmedptActivation activation);
void umedpt_ref_normalise (double *row, gsize n, const UmedptTensor *gamma,
    const UmedptTensor *beta, double epsilon);
UmedptTensor *umedpt_ref_operand (UmedptTensor *tensor, UmedptDtype compute,
    GError **error);
void umedpt_ref_product (const float *row, const UmedptTensor *weight,
    const UmedptTensor *bias, gsize n, gsize k, double *out);

#define UMEDPT_REF_OP(slot, Type) \
  gboolean umedpt_ref_##slot (UmedptBackend *backend, \
      const Umedpt##Type##Args *args, GError **error);
UMEDPT_FOREACH_OP (UMEDPT_REF_OP)
#undef UMEDPT_REF_OP

G_END_DECLS
