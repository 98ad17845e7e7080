/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One head of one window of cosine attention, backwards, in one go: the
 * probabilities P are made again from q and k, and nothing of size L x L
 * leaves the cache but the gradient of the bias. With dO the gradient of the
 * output, D_i = sum_j P_ij (dO_i . v_j),
 *
 *   dV_j  = sum_i P_ij dO_i
 *   dS_ij = P_ij (dO_i . v_j - D_i)           also the gradient of the bias
 *   W_ij  = dS_ij / (|q_i| |k_j|)
 *   G_i   = sum_j W_ij k_j,   H_j = sum_i W_ij q_i
 *   dq_i  = scale (G_i - q_i (q_i . G_i) / |q_i|^2), dk_j alike from H_j
 *   dscale = sum_ij W_ij (q_i . k_j)
 *
 * (Dao et al. 2022, arXiv:2205.14135, appendix B.4, with the derivative of
 * x / |x| added.) W holds both norms, so that the products take q and k as
 * they are. In bf16 the operands P and W are rounded; all else is f32.
 */
#pragma once

#include "backend/cpu/attention-products.h"
#include "backend/cpu/kernels-train.h"

/* What one call works on. */
typedef struct
{
  UmedptAttentionDiff *diff;
  Products logits; /* q . k */
  Products values; /* dO . v */
  float *free; /* scratch that is left */
} Backward;

/* Rows of results held in registers: for head dimension 32. */
#define OUT_ROWS VALUE_ROWS

ALWAYS_INLINE Backward
begin_backward (UmedptAttentionDiff *diff, gboolean half)
{
  const gint64 L = diff->head.tokens;
  Backward b = { .diff = diff };
  gint32 *values = (gint32 *) diff->head.scratch + HEAD_DIM * L;

  b.logits = prepare_products (&diff->head, half);
  transpose_part (&diff->head, 2, half, values);
  b.values =
      (Products){ .head = &diff->head, .rows = diff->diff_dst, .keys = values };
  b.free = (float *) b.logits.query_norm + L;
  return b;
}

/* 4 queries from @i: dO . v into @dp [4][L]; D of each row into @mean, from
 * exp (logit) @e [4][L] and 1 / their sums. */
ALWAYS_INLINE void
multiply_values (const Backward *b, gint64 i, gboolean half, const float *e,
    const float *inverse, float *dp, float *mean)
{
  const gint64 L = b->diff->head.tokens;
  vf sum[4] = { { 0 } };

  for (gint64 j = 0; j < L; j += TILE) {
    vf acc[4][TILE_VECTORS] = { { { 0 } } };
    multiply_tile (&b->values, i, j, half, acc);
    UNROLL (4)
    for (int r = 0; r < 4; r++)
      UNROLL (4)
    for (int c = 0; c < TILE_VECTORS; c++) {
      vf_store (dp + r * L + j + c * LANES, acc[r][c]);
      sum[r] = acc[r][c] * vf_load (e + r * L + j + c * LANES) + sum[r];
    }
  }
  for (int r = 0; r < 4; r++)
    mean[r] = vf_sum (sum[r]) * inverse[r];
}

/* One vector of row @i: P from e, W from dO . v; adds dS to the bias's, and
 * returns the scale's. */
ALWAYS_INLINE vf
differentiate (const Backward *b, gint64 i, gint64 j, float inverse, float mean,
    vf *e, vf *dp, vf product)
{
  const gint64 L = b->diff->head.tokens;
  float *bias = b->diff->diff_bias + i * L + j;
  vf p = *e * vf_set (inverse);
  vf ds = p * (*dp - vf_set (mean));

  vf_store (bias, vf_load (bias) + ds);
  *e = p;
  *dp =
      ds * vf_set (b->logits.query_norm[i]) * vf_load (b->logits.key_norm + j);
  return *dp * product;
}

/* acc becomes scale (acc - x (x . acc) / |x|^2). Below eps the norm is a
 * constant. */
ALWAYS_INLINE void
project (vf acc[VALUE_VECTORS], const vf x[VALUE_VECTORS], float inverse_norm,
    float scale)
{
  float square = inverse_norm < 1e12f ? inverse_norm * inverse_norm : 0;
  vf sum = { 0 };
  float dot;

  UNROLL (8)
  for (int c = 0; c < VALUE_VECTORS; c++)
    sum = x[c] * acc[c] + sum;
  dot = vf_sum (sum);
  UNROLL (8)
  for (int c = 0; c < VALUE_VECTORS; c++)
    acc[c] = (acc[c] - x[c] * vf_set (dot * square)) * vf_set (scale);
}

ALWAYS_INLINE void
load_row (const void *row, gint64 offset, gboolean half, vf x[VALUE_VECTORS])
{
  UNROLL (8)
  for (int c = 0; c < VALUE_VECTORS; c++)
    x[c] = half ? vf_load_bf16 ((const guint16 *) row + offset + c * LANES)
                : vf_load ((const float *) row + offset + c * LANES);
}

ALWAYS_INLINE void
store_row (void *row, gint64 offset, gboolean half, const vf x[VALUE_VECTORS])
{
  UNROLL (8)
  for (int c = 0; c < VALUE_VECTORS; c++)
    if (half)
      vf_store_bf16 ((guint16 *) row + offset + c * LANES, x[c]);
    else
      vf_store ((float *) row + offset + c * LANES, x[c]);
}

/* G of OUT_ROWS tokens from @i to dq, or H to dk (@part 0, 1). */
ALWAYS_INLINE void
finish_normalised (const Backward *b, gint64 i, int part, gboolean half,
    vf acc[OUT_ROWS][VALUE_VECTORS])
{
  const UmedptAttentionHead *head = &b->diff->head;
  const float *norm = part ? b->logits.key_norm : b->logits.query_norm;
  const gint64 offset = part * head->channels;

  UNROLL (8)
  for (int r = 0; r < OUT_ROWS; r++) {
    vf x[VALUE_VECTORS];
    if (!b->diff->diff_qkv[i + r])
      continue;
    load_row (head->rows[i + r], offset, half, x);
    project (acc[r], x, norm[i + r], head->scale);
    store_row (b->diff->diff_qkv[i + r], offset, half, acc[r]);
  }
}

/* dV of OUT_ROWS tokens from @j; that of padding belongs to the bias. */
ALWAYS_INLINE void
finish_values (const Backward *b, gint64 j, gboolean half,
    vf acc[OUT_ROWS][VALUE_VECTORS])
{
  const UmedptAttentionDiff *diff = b->diff;

  UNROLL (8)
  for (int r = 0; r < OUT_ROWS; r++) {
    if (diff->diff_qkv[j + r]) {
      store_row (diff->diff_qkv[j + r], 2 * diff->head.channels, half, acc[r]);
      continue;
    }
    UNROLL (8)
    for (int c = 0; c < VALUE_VECTORS; c++) {
      float *sum = diff->diff_padding + c * LANES;
      vf_store (sum, vf_load (sum) + acc[r][c]);
    }
  }
}

/* Whether any of the @n queries from @i has an output. */
ALWAYS_INLINE gboolean
has_output (const Backward *b, gint64 i, int n)
{
  for (int r = 0; r < n; r++)
    if (b->diff->diff_qkv[i + r])
      return TRUE;
  return FALSE;
}

/* acc[r] = sum over n of a[n * next + r * step] b[n] */
ALWAYS_INLINE void
weigh_rows (const float *a, gint64 next, gint64 step, const float *b, gint64 L,
    vf acc[OUT_ROWS][VALUE_VECTORS])
{
  memset (acc, 0, sizeof (vf[OUT_ROWS][VALUE_VECTORS]));
  for (gint64 n = 0; n < L; n++) {
    UNROLL (8)
    for (int r = 0; r < OUT_ROWS; r++) {
      vf w = vf_set (a[n * next + r * step]);
      UNROLL (8)
      for (int c = 0; c < VALUE_VECTORS; c++)
        acc[r][c] = w * vf_load (b + n * HEAD_DIM + c * LANES) + acc[r][c];
    }
  }
}

/* Scattered rows side by side. */
ALWAYS_INLINE const float *
gather_rows (const void *const *rows, gint64 L, gint64 offset, float *dst)
{
  for (gint64 i = 0; i < L; i++)
    memcpy (dst + i * HEAD_DIM, (const float *) rows[i] + offset,
        HEAD_DIM * sizeof (float));
  return dst;
}

/* P and W of 4 queries from @i, in place: @p holds e, @w dO . v; @raw [4][L] is
 * scratch. Returns the scale's gradient. */
static inline float
differentiate_f32 (const Backward *b, gint64 i, float *p, float *w, float *raw)
{
  const gint64 L = b->diff->head.tokens;
  float inverse[4], mean[4];
  vf sum = { 0 };

  if (!has_output (b, i, 4)) {
    memset (p, 0, 4 * L * sizeof *p);
    memset (w, 0, 4 * L * sizeof *w);
    return 0;
  }
  make_probabilities (&b->logits, i, FALSE, FALSE, p, inverse, raw);
  multiply_values (b, i, FALSE, p, inverse, w, mean);
  for (int r = 0; r < 4; r++)
    for (gint64 j = r * L; j < (r + 1) * L; j += LANES) {
      vf e = vf_load (p + j), dp = vf_load (w + j);
      sum = sum +
          differentiate (b, i + r, j - r * L, inverse[r], mean[r], &e, &dp,
              vf_load (raw + j));
      vf_store (p + j, e);
      vf_store (w + j, dp);
    }
  return vf_sum (sum);
}

static void
attention_backward_f32 (UmedptAttentionDiff *diff)
{
  const UmedptAttentionHead *head = &diff->head;
  const gint64 L = head->tokens;
  const Backward b = begin_backward (diff, FALSE);
  float *p = b.free, *w = p + L * L, *rest = w + L * L;
  const float *q = gather_rows (head->rows, L, 0, rest);
  const float *k =
      gather_rows (head->rows, L, head->channels, rest + HEAD_DIM * L);
  const float *g = gather_rows (diff->diff_dst, L, 0, rest + 2 * HEAD_DIM * L);
  vf acc[OUT_ROWS][VALUE_VECTORS];

  for (gint64 i = 0; i < L; i += 4)
    diff->diff_scale += differentiate_f32 (&b, i, p + i * L, w + i * L,
        rest + 3 * HEAD_DIM * L);
  for (gint64 i = 0; i < L; i += OUT_ROWS) {
    weigh_rows (w + i * L, 1, L, k, L, acc);
    finish_normalised (&b, i, 0, FALSE, acc);
  }
  for (gint64 j = 0; j < L; j += OUT_ROWS) {
    weigh_rows (w + j, L, 1, q, L, acc);
    finish_normalised (&b, j, 1, FALSE, acc);
    weigh_rows (p + j, L, 1, g, L, acc);
    finish_values (&b, j, FALSE, acc);
  }
}

#if defined(__AVX512BF16__)

/* Word n: (bf16 (low[n]), bf16 (high[n])) */
ALWAYS_INLINE __m512i
make_pairs (vf low, vf high, __m512i interleave)
{
  return _mm512_permutexvar_epi16 (interleave,
      (__m512i) _mm512_cvtne2ps_pbh ((__m512) high, (__m512) low));
}

/* As weigh_rows, with pairs: b is what pack_pairs() made. */
ALWAYS_INLINE void
weigh_pairs (const gint32 *a, gint64 next, gint64 step, const gint32 *b,
    gint64 n_pairs, vf acc[OUT_ROWS][VALUE_VECTORS])
{
  memset (acc, 0, sizeof (vf[OUT_ROWS][VALUE_VECTORS]));
  for (gint64 n = 0; n < n_pairs; n++) {
    __m512i b0 = _mm512_loadu_si512 (b + 32 * n);
    __m512i b1 = _mm512_loadu_si512 (b + 32 * n + 16);
    UNROLL (8)
    for (int r = 0; r < OUT_ROWS; r++) {
      __m512i w = _mm512_set1_epi32 (a[n * next + r * step]);
      acc[r][0] = dot_pairs (acc[r][0], w, b0);
      acc[r][1] = dot_pairs (acc[r][1], w, b1);
    }
  }
}

/* P and W in pairs of queries, [L / 2][L] words, and W in pairs of keys,
 * [L][L / 2]; rows of e, dO . v and q . k. */
typedef struct
{
  gint32 *p, *w, *w_rows;
  float *e, *dp, *raw; /* [4][L] */
} PairBuffers;

/* As differentiate_f32. */
static inline float
differentiate_bf16 (const Backward *b, gint64 i, const PairBuffers *to)
{
  const gint64 L = b->diff->head.tokens;
  const __m512i interleave =
      _mm512_set_epi16 (31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9,
          24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  float inverse[4], mean[4];
  vf sum = { 0 };

  if (!has_output (b, i, 4)) {
    memset (to->p + i / 2 * L, 0, 2 * L * sizeof *to->p);
    memset (to->w + i / 2 * L, 0, 2 * L * sizeof *to->w);
    memset (to->w_rows + i * L / 2, 0, 2 * L * sizeof *to->w);
    return 0;
  }
  make_probabilities (&b->logits, i, TRUE, FALSE, to->e, inverse, to->raw);
  multiply_values (b, i, TRUE, to->e, inverse, to->dp, mean);
  for (int r = 0; r < 4; r += 2)
    for (gint64 j = 0; j < L; j += LANES) {
      guint16 *rows = (guint16 *) (to->w_rows + (i + r) * L / 2) + j;
      gint64 at = (i + r) / 2 * L + j;
      vf e0 = vf_load (to->e + r * L + j), dp0 = vf_load (to->dp + r * L + j);
      vf e1 = vf_load (to->e + (r + 1) * L + j);
      vf dp1 = vf_load (to->dp + (r + 1) * L + j);
      sum = sum +
          differentiate (b, i + r, j, inverse[r], mean[r], &e0, &dp0,
              vf_load (to->raw + r * L + j));
      sum = sum +
          differentiate (b, i + r + 1, j, inverse[r + 1], mean[r + 1], &e1,
              &dp1, vf_load (to->raw + (r + 1) * L + j));
      _mm512_storeu_si512 (to->p + at, make_pairs (e0, e1, interleave));
      _mm512_storeu_si512 (to->w + at, make_pairs (dp0, dp1, interleave));
      vf_store_bf16 (rows, dp0);
      vf_store_bf16 (rows + L, dp1);
    }
  return vf_sum (sum);
}

static void
attention_backward_bf16 (UmedptAttentionDiff *diff)
{
  const UmedptAttentionHead *head = &diff->head;
  const gint64 L = head->tokens;
  const Backward b = begin_backward (diff, TRUE);
  gint32 *p = (gint32 *) b.free, *q = p + 3 * L * L / 2, *k = q + 16 * L;
  gint32 *g = k + 16 * L;
  float *rows = (float *) (g + 16 * L);
  const PairBuffers to = { p, p + L * L / 2, p + L * L, rows, rows + 4 * L,
    rows + 8 * L };
  vf acc[OUT_ROWS][VALUE_VECTORS];

  pack_pairs (head->rows, L, 0, q);
  pack_pairs (head->rows, L, head->channels, k);
  pack_pairs (diff->diff_dst, L, 0, g);
  for (gint64 i = 0; i < L; i += 4)
    diff->diff_scale += differentiate_bf16 (&b, i, &to);
  for (gint64 i = 0; i < L; i += OUT_ROWS) {
    weigh_pairs (to.w_rows + i * L / 2, 1, L / 2, k, L / 2, acc);
    finish_normalised (&b, i, 0, TRUE, acc);
  }
  for (gint64 j = 0; j < L; j += OUT_ROWS) {
    weigh_pairs (to.w + j, L, 1, q, L / 2, acc);
    finish_normalised (&b, j, 1, TRUE, acc);
    weigh_pairs (to.p + j, L, 1, g, L / 2, acc);
    finish_values (&b, j, TRUE, acc);
  }
}

#endif
