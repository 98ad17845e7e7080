/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Probabilities of one head of one window of Swin V2's cosine attention (Liu
 * et al. 2022, section 3.2): what the forward and the backward kernel share.
 * Compiled once per instruction set.
 *
 * q and k are not normalised beforehand: with norms |q_i| and |k_j|,
 *   logit_ij = (q_i . k_j) (scale / |q_i|) (1 / |k_j|) + bias_ij,
 * which costs one multiplication more per logit, saves a pass over q and k,
 * and in bf16 one rounding. k is transposed into scratch so that lanes are
 * keys. The cosine bounds the logits, so that softmax needs no maximum: the
 * products go from registers through exp into probabilities. Only heads whose
 * scale is so large that exp might vanish find each row's maximum first, by
 * computing the products twice.
 */
#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

#define HEAD_DIM UMEDPT_HEAD_DIM

/* Vectors of logits per row in one register tile of 4 rows, and rows and
 * vectors of output held at once. */
#if LANES == 16
#define TILE_VECTORS 4
#define VALUE_ROWS 8
#elif LANES == 8
#define TILE_VECTORS 2
#define VALUE_ROWS 2
#else
#define TILE_VECTORS 2
#define VALUE_ROWS 1
#endif
#define TILE (TILE_VECTORS * LANES)
#define VALUE_VECTORS (HEAD_DIM / LANES)

#define ALWAYS_INLINE static inline __attribute__ ((always_inline))

typedef struct
{
  const UmedptAttentionHead *head;
  const void *const *rows; /* q: the head's rows */
  const gint32 *keys; /* transposed, [HEAD_DIM or HEAD_DIM / 2][L] */
  const float *key_norm; /* 1 / |k_j|, [L] */
  const float *query_norm; /* 1 / |q_i|, [L] */
} Products;

/* 1 / max (norm, 1e-12), as torch.nn.functional.normalize */
ALWAYS_INLINE vf
reciprocal_norm (vf square_sum)
{
  return vf_set (1) / vf_max (vf_sqrt (square_sum), vf_set (1e-12f));
}

#if defined(__AVX512BF16__)
/* Pairs of bf16 stand in 32-bit words; VDPBF16PS multiplies and adds pairs. */
ALWAYS_INLINE vf
dot_pairs (vf acc, __m512i a, __m512i b)
{
  return (vf) _mm512_dpbf16_ps ((__m512) acc, (__m512bh) a, (__m512bh) b);
}
#endif

/* 1 / |row| of the L rows that @transposed holds in its columns */
ALWAYS_INLINE void
column_norms (const gint32 *transposed, gint64 L, gboolean half, float *norm)
{
  for (gint64 j = 0; j < L; j += LANES) {
    vf sum = { 0 };
#if defined(__AVX512BF16__)
    for (int d = 0; half && d < HEAD_DIM / 2; d++) {
      __m512i x = _mm512_loadu_si512 (transposed + d * L + j);
      sum = dot_pairs (sum, x, x);
    }
#endif
    for (int d = 0; !half && d < HEAD_DIM; d++) {
      vf x = vf_load ((const float *) transposed + d * L + j);
      sum = x * x + sum;
    }
    vf_store (norm + j, reciprocal_norm (sum));
  }
}

/* The head's part of q (@part 0) or k (1), with tokens along the lanes. */
ALWAYS_INLINE void
transpose_part (const UmedptAttentionHead *head, int part, gboolean half,
    gint32 *dst)
{
  const gint32 *const *rows = (const gint32 *const *) head->rows;
  const gint64 L = head->tokens, words = half ? HEAD_DIM / 2 : HEAD_DIM;
  const gint64 offset = part * head->channels / (half ? 2 : 1);

  for (gint64 j = 0; j < L; j += 16)
    for (gint64 d = 0; d < words; d += 16)
      transpose_16x16 (rows + j, offset + d, dst + d * L + j, L);
}

/* acc[r] = q_r . k_j for 4 rows and the TILE keys from @j */
ALWAYS_INLINE void
multiply_tile (const Products *p, gint64 i, gint64 j, gboolean half,
    vf acc[4][TILE_VECTORS])
{
  const gint64 L = p->head->tokens;
  const void *const *rows = p->rows + i;

#if defined(__AVX512BF16__)
  for (int d = 0; half && d < HEAD_DIM / 2; d++) {
    const gint32 *k = p->keys + d * L + j;
    UNROLL (4)
    for (int r = 0; r < 4; r++) {
      __m512i q = _mm512_set1_epi32 (((const gint32 *) rows[r])[d]);
      UNROLL (4)
      for (int c = 0; c < TILE_VECTORS; c++)
        acc[r][c] = dot_pairs (acc[r][c], q, _mm512_loadu_si512 (k + 16 * c));
    }
  }
#endif
  for (int d = 0; !half && d < HEAD_DIM; d++) {
    const float *k = (const float *) p->keys + d * L + j;
    UNROLL (4)
    for (int r = 0; r < 4; r++) {
      vf q = vf_set (((const float *) rows[r])[d]);
      UNROLL (4)
      for (int c = 0; c < TILE_VECTORS; c++)
        acc[r][c] = q * vf_load (k + c * LANES) + acc[r][c];
    }
  }
}

/* Products of row @i with keys from @j to logits. */
ALWAYS_INLINE vf
finish_logits (const Products *p, gint64 i, gint64 j, vf x)
{
  const UmedptAttentionHead *head = p->head;

  x = x * vf_set (head->scale * p->query_norm[i]) * vf_load (p->key_norm + j) +
      vf_load (head->bias + i * head->tokens + j);
  if (head->region) {
    vi other;
    memcpy (&other, head->region + j, sizeof other);
    x = x + vf_select (other != head->region[i], vf_set (-100), vf_set (0));
  }
  return x;
}

/* The maxima of the logits of 4 rows. */
ALWAYS_INLINE void
find_maxima (const Products *p, gint64 i, gboolean half, float *maxima)
{
  vf top[4];

  for (int r = 0; r < 4; r++)
    top[r] = vf_set (-3.0e38f);
  for (gint64 j = 0; j < p->head->tokens; j += TILE) {
    vf acc[4][TILE_VECTORS] = { { { 0 } } };
    multiply_tile (p, i, j, half, acc);
    UNROLL (4)
    for (int r = 0; r < 4; r++)
      UNROLL (4)
    for (int c = 0; c < TILE_VECTORS; c++)
      top[r] =
          vf_max (top[r], finish_logits (p, i + r, j + c * LANES, acc[r][c]));
  }
  for (int r = 0; r < 4; r++)
    maxima[r] = vf_maximum (top[r]);
}

ALWAYS_INLINE void
store_probabilities (vf x[TILE_VECTORS], gboolean half, float *dst, gint64 j)
{
#if defined(__AVX512BF16__)
  for (int c = 0; half && c < TILE_VECTORS; c += 2) {
    __m512bh h = _mm512_cvtne2ps_pbh ((__m512) x[c + 1], (__m512) x[c]);
    memcpy ((guint16 *) dst + j + c * LANES, &h, sizeof h);
  }
#endif
  for (int c = 0; !half && c < TILE_VECTORS; c++)
    vf_store (dst + j + c * LANES, x[c]);
}

/* exp (logit - bound) of 4 rows into dst [4][L] (floats; with @narrow bf16 in
 * the first half of each row's place); 1 / sum of each row into @inverse. @raw
 * [4][L] (may be NULL) gets the products q . k. */
ALWAYS_INLINE void
make_probabilities (const Products *p, gint64 i, gboolean half, gboolean narrow,
    float *dst, float *inverse, float *raw)
{
  const gint64 L = p->head->tokens;
  float bounds[4] = { p->head->bound, p->head->bound, p->head->bound,
    p->head->bound };
  vf sum[4] = { { 0 } };

  if (p->head->exact)
    find_maxima (p, i, half, bounds);
  for (gint64 j = 0; j < L; j += TILE) {
    vf acc[4][TILE_VECTORS] = { { { 0 } } };
    multiply_tile (p, i, j, half, acc);
    UNROLL (4)
    for (int r = 0; r < 4; r++) {
      UNROLL (4)
      for (int c = 0; c < TILE_VECTORS; c++) {
        vf x = finish_logits (p, i + r, j + c * LANES, acc[r][c]);
        if (raw)
          vf_store (raw + r * L + j + c * LANES, acc[r][c]);
        acc[r][c] = vf_exp_below (x - vf_set (bounds[r]), half);
        sum[r] = sum[r] + acc[r][c];
      }
      store_probabilities (acc[r], narrow, dst + r * L, j);
    }
  }
  for (int r = 0; r < 4; r++)
    inverse[r] = 1 / vf_sum (sum[r]);
}

/* Scratch, in this order: transposed k, packed v, norms, probabilities. The
 * transposed q has its turn in the place of v. */
ALWAYS_INLINE Products
prepare_products (const UmedptAttentionHead *head, gboolean half)
{
  const gint64 L = head->tokens;
  gint32 *keys = (gint32 *) head->scratch, *queries = keys + HEAD_DIM * L;
  float *key_norm = (float *) (queries + HEAD_DIM * L);
  float *query_norm = key_norm + L;

  transpose_part (head, 0, half, queries);
  column_norms (queries, L, half, query_norm);
  transpose_part (head, 1, half, keys);
  column_norms (keys, L, half, key_norm);
  return (Products){ head, head->rows, keys, key_norm, query_norm };
}

#if defined(__AVX512BF16__)

/* Rows packed for pairs: word n of row pair j is (row[2j][n], row[2j + 1][n]),
 * [L / 2][32]; @rows are 32 numbers each, from @offset on. */
static inline void
pack_pairs (const void *const *rows, gint64 L, gint64 offset, gint32 *packed)
{
  guint16 low[32], high[32];
  __m512i il, ih;

  for (int i = 0; i < 16; i++) {
    low[2 * i] = i;
    low[2 * i + 1] = 32 + i;
    high[2 * i] = 16 + i;
    high[2 * i + 1] = 48 + i;
  }
  il = _mm512_loadu_si512 (low);
  ih = _mm512_loadu_si512 (high);
  for (gint64 j = 0; j < L; j += 2) {
    __m512i a = _mm512_loadu_si512 ((const guint16 *) rows[j] + offset);
    __m512i b = _mm512_loadu_si512 ((const guint16 *) rows[j + 1] + offset);
    _mm512_storeu_si512 (packed + j * 16, _mm512_permutex2var_epi16 (a, il, b));
    _mm512_storeu_si512 (packed + j * 16 + 16,
        _mm512_permutex2var_epi16 (a, ih, b));
  }
}

#endif
