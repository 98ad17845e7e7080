/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One head of one window of Swin V2's cosine attention (Liu et al. 2022,
 * section 3.2), from q, k, v rows scattered in memory to output rows scattered
 * in memory. Included by kernels.c, once per instruction set (allow: once).
 *
 * q and k are not normalised beforehand: with norms |q_i| and |k_j|,
 *   logit_ij = (q_i . k_j) (scale / |q_i|) (1 / |k_j|) + bias_ij,
 * which costs one multiplication more per logit, saves a pass over q and k,
 * and in bf16 one rounding. k is transposed into scratch so that lanes are
 * keys; eight query rows are carried through logits, softmax and the product
 * with v together, and their 8 L logits never leave the first cache.
 */
#pragma once

#define HEAD_DIM UMEDPT_HEAD_DIM
#define ROWS 8 /* query rows carried together */

/* Vectors of logits per row in one register tile of 4 rows. */
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
#define VALUE_VECTORS (HEAD_DIM / LANES)

/* 1 / max (norm, 1e-12), as torch.nn.functional.normalize */
static inline vf
reciprocal_norm (vf square_sum)
{
  return vf_set (1) / vf_max (vf_sqrt (square_sum), vf_set (1e-12f));
}

/* Logits to probabilities, without the division: p_j = exp (l_j - max).
 * Returns 1 / sum. @s: raw products in, p out, [L]. */
static inline float
softmax_row (const UmedptAttentionHead *head, gint64 i, float row_scale,
    const float *key_norm, float *s)
{
  const gint64 L = head->tokens;
  const float *bias = head->bias + i * L;
  vf top = vf_set (-3.0e38f), sum = { 0 };

  for (gint64 j = 0; j < L; j += LANES) {
    vf x = vf_load (s + j) * vf_set (row_scale) * vf_load (key_norm + j) +
        vf_load (bias + j);
    if (head->region) {
      vi other;
      memcpy (&other, head->region + j, sizeof other);
      x = x +
          vf_select (other != head->region[i], vf_set (-100.0f), vf_set (0));
    }
    top = vf_max (top, x);
    vf_store (s + j, x);
  }
  top = vf_set (vf_maximum (top));
  for (gint64 j = 0; j < L; j += LANES) {
    vf p = vf_exp (vf_load (s + j) - top);
    sum = sum + p;
    vf_store (s + j, p);
  }
  return 1 / vf_sum (sum);
}

static inline gboolean
block_is_wanted (const UmedptAttentionHead *head, gint64 i0)
{
  for (int r = 0; r < ROWS; r++)
    if (head->dst[i0 + r])
      return TRUE;
  return FALSE;
}

/* s[4][L] = q k^T; @kt: [HEAD_DIM][L] */
static inline void
products_f32 (const float *const *q, const float *kt, gint64 L, float *s)
{
  for (gint64 j = 0; j < L; j += TILE_VECTORS * LANES) {
    vf acc[4][TILE_VECTORS] = { { { 0 } } };
    for (int d = 0; d < HEAD_DIM; d++) {
      const float *k = kt + d * L + j;
      UNROLL (4)
      for (int r = 0; r < 4; r++) {
        vf a = vf_set (q[r][d]);
        UNROLL (4)
        for (int c = 0; c < TILE_VECTORS; c++)
          acc[r][c] = a * vf_load (k + c * LANES) + acc[r][c];
      }
    }
    UNROLL (4)
    for (int r = 0; r < 4; r++)
      UNROLL (4)
    for (int c = 0; c < TILE_VECTORS; c++)
      vf_store (s + r * L + j + c * LANES, acc[r][c]);
  }
}

/* dst[r] = inverse[r] * sum_j p[r][j] v[j], VALUE_ROWS rows at once */
static inline void
weighted_values_f32 (const UmedptAttentionHead *head, const float *p,
    const float *inverse, gint64 i0)
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
    if (head->dst[i0 + r])
      UNROLL (8)
  for (int c = 0; c < VALUE_VECTORS; c++)
    vf_store ((float *) head->dst[i0 + r] + c * LANES,
        acc[r][c] * vf_set (inverse[r]));
}

/* 1 / |k_j| from the transposed keys */
static inline void
key_norms_f32 (const float *kt, gint64 L, float *norm)
{
  for (gint64 j = 0; j < L; j += LANES) {
    vf sum = { 0 };
    for (int d = 0; d < HEAD_DIM; d++) {
      vf k = vf_load (kt + d * L + j);
      sum = k * k + sum;
    }
    vf_store (norm + j, reciprocal_norm (sum));
  }
}

static inline float
query_norm_f32 (const float *q)
{
  vf sum = { 0 };

  for (int d = 0; d < HEAD_DIM; d += LANES)
    sum = vf_load (q + d) * vf_load (q + d) + sum;
  return 1 / MAX (__builtin_sqrtf (vf_sum (sum)), 1e-12f);
}

static void
attention_f32 (const UmedptAttentionHead *head)
{
  const gint64 L = head->tokens;
  const gint32 *const *rows = (const gint32 *const *) head->rows;
  float *kt = head->scratch, *norm = kt + HEAD_DIM * L, *s = norm + L;

  for (gint64 j = 0; j < L; j += 16)
    for (int d = 0; d < HEAD_DIM; d += 16)
      transpose_16x16 (rows + j, head->channels + d,
          (gint32 *) (kt + d * L + j), L);
  key_norms_f32 (kt, L, norm);

  for (gint64 i = 0; i < L; i += ROWS) {
    float inverse[ROWS];
    const float *const *q = (const float *const *) head->rows + i;

    if (!block_is_wanted (head, i))
      continue;
    products_f32 (q, kt, L, s);
    products_f32 (q + 4, kt, L, s + 4 * L);
    for (int r = 0; r < ROWS; r++)
      inverse[r] = softmax_row (head, i + r,
          head->scale * query_norm_f32 (q[r]), norm, s + r * L);
    for (int r = 0; r < ROWS; r += VALUE_ROWS)
      weighted_values_f32 (head, s + r * L, inverse + r, i + r);
  }
}

#if defined(__AVX512BF16__)

/* Pairs of bf16 stand in 32-bit words; VDPBF16PS multiplies and adds pairs. */
static inline vf
dot_pairs (vf acc, __m512i a, __m512i b)
{
  return (vf) _mm512_dpbf16_ps ((__m512) acc, (__m512bh) a, (__m512bh) b);
}

/* s[4][L] = q k^T; @kt: [HEAD_DIM / 2][L] pairs */
static inline void
products_bf16 (const gint32 *const *q, const gint32 *kt, gint64 L, float *s)
{
  for (gint64 j = 0; j < L; j += 64) {
    vf acc[4][4] = { { { 0 } } };
    for (int d = 0; d < HEAD_DIM / 2; d++) {
      const gint32 *k = kt + d * L + j;
      UNROLL (4)
      for (int r = 0; r < 4; r++) {
        __m512i a = _mm512_set1_epi32 (q[r][d]);
        UNROLL (4)
        for (int c = 0; c < 4; c++)
          acc[r][c] = dot_pairs (acc[r][c], a, _mm512_loadu_si512 (k + 16 * c));
      }
    }
    UNROLL (4)
    for (int r = 0; r < 4; r++)
      UNROLL (4)
    for (int c = 0; c < 4; c++)
      vf_store (s + r * L + j + 16 * c, acc[r][c]);
  }
}

/* v packed: word n of row pair j is (v[2j][n], v[2j + 1][n]), [L / 2][32] */
static inline void
pack_values_bf16 (const UmedptAttentionHead *head, gint32 *packed)
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
  for (gint64 j = 0; j < head->tokens; j += 2) {
    const guint16 *const *rows = (const guint16 *const *) head->rows + j;
    __m512i a = _mm512_loadu_si512 (rows[0] + 2 * head->channels);
    __m512i b = _mm512_loadu_si512 (rows[1] + 2 * head->channels);
    _mm512_storeu_si512 (packed + j * 16, _mm512_permutex2var_epi16 (a, il, b));
    _mm512_storeu_si512 (packed + j * 16 + 16,
        _mm512_permutex2var_epi16 (a, ih, b));
  }
}

static inline void
weighted_values_bf16 (const UmedptAttentionHead *head, const gint32 *values,
    const float *s, const float *inverse, gint64 i0)
{
  const gint64 L = head->tokens;
  vf acc[ROWS][2] = { { { 0 } } };
  guint16 *p = (guint16 *) s; /* each row is packed in place */

  for (int r = 0; r < ROWS; r++)
    for (gint64 j = 0; j < L; j += 32) {
      __m512 a = (__m512) vf_load (s + r * L + j);
      __m512 b = (__m512) vf_load (s + r * L + j + 16);
      __m512bh h = _mm512_cvtne2ps_pbh (b, a);
      memcpy (p + r * 2 * L + j, &h, sizeof h);
    }
  for (gint64 j = 0; j < L / 2; j++) {
    __m512i v0 = _mm512_loadu_si512 (values + 32 * j);
    __m512i v1 = _mm512_loadu_si512 (values + 32 * j + 16);
    UNROLL (8)
    for (int r = 0; r < ROWS; r++) {
      __m512i a = _mm512_set1_epi32 (((const gint32 *) s)[r * L + j]);
      acc[r][0] = dot_pairs (acc[r][0], a, v0);
      acc[r][1] = dot_pairs (acc[r][1], a, v1);
    }
  }
  UNROLL (8)
  for (int r = 0; r < ROWS; r++)
    if (head->dst[i0 + r]) {
      guint16 *dst = head->dst[i0 + r];
      vf_store_bf16 (dst, acc[r][0] * vf_set (inverse[r]));
      vf_store_bf16 (dst + 16, acc[r][1] * vf_set (inverse[r]));
    }
}

static inline void
key_norms_bf16 (const gint32 *kt, gint64 L, float *norm)
{
  for (gint64 j = 0; j < L; j += 16) {
    vf sum = { 0 };
    for (int d = 0; d < HEAD_DIM / 2; d++) {
      __m512i k = _mm512_loadu_si512 (kt + d * L + j);
      sum = dot_pairs (sum, k, k);
    }
    vf_store (norm + j, reciprocal_norm (sum));
  }
}

static inline float
query_norm_bf16 (const gint32 *q)
{
  __m512i x = _mm512_loadu_si512 (q);
  vf sum = dot_pairs ((vf){ 0 }, x, x);

  return 1 / MAX (__builtin_sqrtf (vf_sum (sum)), 1e-12f);
}

static void
attention_bf16 (const UmedptAttentionHead *head)
{
  const gint64 L = head->tokens;
  const gint32 *const *rows = (const gint32 *const *) head->rows;
  gint32 *kt = (gint32 *) head->scratch, *values = kt + HEAD_DIM / 2 * L;
  float *norm = (float *) (values + HEAD_DIM / 2 * L), *s = norm + L;

  for (gint64 j = 0; j < L; j += 16)
    transpose_16x16 (rows + j, head->channels / 2, kt + j, L);
  key_norms_bf16 (kt, L, norm);
  pack_values_bf16 (head, values);

  for (gint64 i = 0; i < L; i += ROWS) {
    float inverse[ROWS];

    if (!block_is_wanted (head, i))
      continue;
    products_bf16 (rows + i, kt, L, s);
    products_bf16 (rows + i + 4, kt, L, s + 4 * L);
    for (int r = 0; r < ROWS; r++)
      inverse[r] = softmax_row (head, i + r,
          head->scale * query_norm_bf16 (rows[i + r]), norm, s + r * L);
    weighted_values_bf16 (head, values, s, inverse, i);
  }
}

#endif
