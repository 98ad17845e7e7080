/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One head of one window of Swin V2's cosine attention (Liu et al. 2022,
 * section 3.2), from q, k, v rows scattered in memory to output rows scattered
 * in memory. Included by kernels.c, once per instruction set; probabilities
 * are made in attention-products.h.
 */
#pragma once

#include "backend/cpu/attention-products.h"

#define ROWS 8 /* query rows carried together */

static inline gboolean
block_is_wanted (const UmedptAttentionHead *head, gint64 i)
{
  for (int r = 0; r < ROWS; r++)
    if (head->dst[i + r])
      return TRUE;
  return FALSE;
}

/* dst[r] = inverse[r] * sum_j p[r][j] v[j], VALUE_ROWS rows at once */
static inline void
weigh_values_f32 (const UmedptAttentionHead *head, const float *p,
    const float *inverse, gint64 i)
{
  const gint64 L = head->tokens;
  vf acc[VALUE_ROWS][VALUE_VECTORS] = { { { 0 } } };

  for (gint64 j = 0; j < L; j++) {
    const float *v = (const float *) head->rows[j] + 2 * head->channels;
    UNROLL (8)
    for (int r = 0; r < VALUE_ROWS; r++) {
      vf a = vf_set (p[r * L + j]);
      UNROLL (8)
      for (int c = 0; c < VALUE_VECTORS; c++)
        acc[r][c] = a * vf_load (v + c * LANES) + acc[r][c];
    }
  }
  UNROLL (8)
  for (int r = 0; r < VALUE_ROWS; r++)
    if (head->dst[i + r])
      UNROLL (8)
  for (int c = 0; c < VALUE_VECTORS; c++)
    vf_store ((float *) head->dst[i + r] + c * LANES,
        acc[r][c] * vf_set (inverse[r]));
}

static void
attention_f32 (const UmedptAttentionHead *head)
{
  const gint64 L = head->tokens;
  const Products products = prepare_products (head, FALSE);
  float *p = (float *) products.query_norm + L;

  for (gint64 i = 0; i < L; i += ROWS) {
    float inverse[ROWS];

    if (!block_is_wanted (head, i))
      continue;
    for (int r = 0; r < ROWS; r += 4)
      make_probabilities (&products, i + r, FALSE, FALSE, p + r * L,
          inverse + r, NULL);
    for (int r = 0; r < ROWS; r += VALUE_ROWS)
      weigh_values_f32 (head, p + r * L, inverse + r, i + r);
  }
}

#if defined(__AVX512BF16__)

/* @p: 8 rows of L / 2 pairs, L words apart */
static inline void
weigh_values_bf16 (const UmedptAttentionHead *head, const gint32 *values,
    const gint32 *p, const float *inverse, gint64 i)
{
  const gint64 L = head->tokens;
  vf acc[ROWS][2] = { { { 0 } } };

  for (gint64 j = 0; j < L / 2; j++) {
    __m512i v0 = _mm512_loadu_si512 (values + 32 * j);
    __m512i v1 = _mm512_loadu_si512 (values + 32 * j + 16);
    UNROLL (8)
    for (int r = 0; r < ROWS; r++) {
      __m512i a = _mm512_set1_epi32 (p[r * L + j]);
      acc[r][0] = dot_pairs (acc[r][0], a, v0);
      acc[r][1] = dot_pairs (acc[r][1], a, v1);
    }
  }
  UNROLL (8)
  for (int r = 0; r < ROWS; r++)
    if (head->dst[i + r]) {
      guint16 *dst = head->dst[i + r];
      vf_store_bf16 (dst, acc[r][0] * vf_set (inverse[r]));
      vf_store_bf16 (dst + 16, acc[r][1] * vf_set (inverse[r]));
    }
}

static void
attention_bf16 (const UmedptAttentionHead *head)
{
  const gint64 L = head->tokens;
  const Products products = prepare_products (head, TRUE);
  gint32 *values = (gint32 *) head->scratch + HEAD_DIM * L;
  float *p = (float *) products.query_norm + L;

  pack_pairs (head->rows, L, 2 * head->channels, values);
  for (gint64 i = 0; i < L; i += ROWS) {
    float inverse[ROWS];

    if (!block_is_wanted (head, i))
      continue;
    for (int r = 0; r < ROWS; r += 4)
      make_probabilities (&products, i + r, TRUE, TRUE, p + r * L, inverse + r,
          NULL);
    weigh_values_bf16 (head, values, (const gint32 *) p, inverse, i);
  }
}

#endif
