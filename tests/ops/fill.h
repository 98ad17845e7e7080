/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tensors for tests, the same bits on every machine: values come from a
 * 64-bit linear congruential generator (Knuth's MMIX constants), whose upper
 * bits are good enough to be no pattern to an op.
 */
#pragma once

#include "tensor/tensor-private.h"

typedef struct
{
  guint64 state;
} Lcg;

/* In [-1, 1). */
static inline float
lcg_next (Lcg *lcg)
{
  lcg->state = lcg->state * G_GUINT64_CONSTANT (6364136223846793005) +
      G_GUINT64_CONSTANT (1442695040888963407);
  return (float) ((gint32) (lcg->state >> 32) / 2147483648.0);
}

static inline UmedptTensor *
fill_new (UmedptDtype dtype, guint n_dims, const gint64 *shape)
{
  g_autoptr (GError) error = NULL;
  UmedptTensor *tensor = umedpt_tensor_new (dtype, n_dims, shape, &error);

  g_assert_no_error (error);
  return tensor;
}

/* Uniform in offset ± amplitude; u8: all bytes. */
static inline UmedptTensor *
fill_random (Lcg *lcg, UmedptDtype dtype, float amplitude, float offset,
    guint n_dims, const gint64 *shape)
{
  UmedptTensor *tensor = fill_new (dtype, n_dims, shape);

  for (gsize i = 0; i < tensor->n_elements; i++) {
    float value = lcg_next (lcg) * amplitude + offset;

    if (dtype == UMEDPT_DTYPE_U8)
      UMEDPT_U8 (tensor)[i] = (guint8) (lcg->state >> 56);
    else if (dtype == UMEDPT_DTYPE_BF16)
      UMEDPT_BF16 (tensor)[i] = umedpt_f32_to_bf16 (value);
    else
      UMEDPT_F32 (tensor)[i] = value;
  }
  return tensor;
}

/* Moves a (nullable) tensor to another memory; NULL: the host's. */
static inline void
fill_move (UmedptTensor *tensor, UmedptMemory *memory)
{
  g_autoptr (GError) error = NULL;

  if (tensor)
    umedpt_tensor_move (tensor, memory, &error);
  g_assert_no_error (error);
}

static inline float
fill_get (const UmedptTensor *tensor, gsize i)
{
  return tensor->dtype == UMEDPT_DTYPE_BF16
      ? umedpt_bf16_to_f32 (UMEDPT_BF16 (tensor)[i])
      : UMEDPT_F32 (tensor)[i];
}

/* clang-format off */
#define SHAPE(...) \
  G_N_ELEMENTS (((const gint64[]){ __VA_ARGS__ })), \
  (const gint64[]){ __VA_ARGS__ }

/* An f32 tensor of the given values. */
#define VALUES(shape, ...) \
  fill_values (shape, G_N_ELEMENTS (((const float[]){ __VA_ARGS__ })), \
      (const float[]){ __VA_ARGS__ })
/* clang-format on */

static inline UmedptTensor *
fill_values (guint n_dims, const gint64 *shape, gsize n, const float *values)
{
  UmedptTensor *tensor = fill_new (UMEDPT_DTYPE_F32, n_dims, shape);

  g_assert_cmpuint (tensor->n_elements, ==, n);
  for (gsize i = 0; i < n; i++)
    UMEDPT_F32 (tensor)[i] = values[i];
  return tensor;
}
