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

/* Element @i of an i32 tensor: class, or group. */
static inline gint32
umedpt_ref_index (const UmedptTensor *tensor, gsize i)
{
  return ((const gint32 *) tensor->data)[i];
}

/* Writes to an optional gradient of an activation, or adds to it. */
static inline void
umedpt_ref_put (UmedptTensor *tensor, gsize i, double value,
    gboolean accumulate)
{
  if (tensor)
    umedpt_ref_set (tensor, i,
        accumulate ? umedpt_ref_get (tensor, i) + value : value);
}

/* Adds [n] values to an optional gradient of parameters; NULL: none. */
static inline void
umedpt_ref_add_sums (UmedptTensor *tensor, const double *values, gsize n)
{
  for (gsize i = 0; tensor && i < n; i++)
    UMEDPT_F32 (tensor)[i] = (float) (UMEDPT_F32 (tensor)[i] + values[i]);
}

/* The values of an optional vector of parameters. */
static inline const float *
umedpt_ref_values (const UmedptTensor *tensor)
{
  return tensor ? UMEDPT_F32 (tensor) : NULL;
}

/* What the normed branch of row @i of @m is multiplied by. */
static inline double
umedpt_ref_branch_scale (const UmedptTensor *scale, gsize i, gsize m)
{
  return scale ? UMEDPT_F32 (scale)[i / (m / scale->n_elements)] : 1;
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

/* The sums of one norm over rows: gradients of gamma and beta. */
typedef struct
{
  gsize n;
  const float *gamma; /* (nullable) [n] */
  double epsilon;
  double *diff_gamma, *diff_beta; /* [n] */
} UmedptRefNormSums;

/* The sums of one matrix product over rows: gradients of weight and bias. */
typedef struct
{
  gsize n, k;
  UmedptTensor *weight; /* operands, n rows of k */
  UmedptDtype compute;
  double *diff_weight; /* (nullable) [n, k] */
  double *diff_bias; /* [n] */
  float *operand; /* scratch [n] */
} UmedptRefProductSums;

void umedpt_ref_norm_sums_init (UmedptRefNormSums *self, gsize n,
    const float *gamma, double epsilon);
void umedpt_ref_norm_sums_add (UmedptRefNormSums *self, UmedptTensor *gamma,
    UmedptTensor *beta);
void umedpt_ref_norm_sums_clear (UmedptRefNormSums *self);
void umedpt_ref_normalise_backward (UmedptRefNormSums *self, const float *row,
    double *diff);

gboolean umedpt_ref_product_sums_init (UmedptRefProductSums *self, gsize n,
    gsize k, UmedptTensor *weight, UmedptDtype compute, gboolean wants_weight,
    GError **error);
void umedpt_ref_product_sums_add (UmedptRefProductSums *self,
    UmedptTensor *weight, UmedptTensor *bias);
void umedpt_ref_product_sums_clear (UmedptRefProductSums *self);
void umedpt_ref_product_backward (UmedptRefProductSums *self,
    const double *diff, const float *row, double *diff_row);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (UmedptRefNormSums, umedpt_ref_norm_sums_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (UmedptRefProductSums,
    umedpt_ref_product_sums_clear)

double umedpt_ref_binary_cross_entropy_of (double z, double target);
double umedpt_ref_focal_of (double z, gboolean positive, double *slope);
double umedpt_ref_activation_slope (double x, UmedptActivation activation);
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
