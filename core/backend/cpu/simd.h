/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A float vector as wide as the instruction set that this file is compiled
 * for, in the vector extension of gcc and clang: arithmetic is written once,
 * in plain operators (a * b + c becomes a fused multiply-add where there is
 * one), and intrinsics are left to the few things the extension cannot say.
 */
#pragma once

#include <string.h>

#include "tensor/tensor-private.h"

/* names of tables: umedpt_kernels_avx2 */
#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_ (a, b)

#if defined(__clang__)
#define UNROLL(n) _Pragma ("unroll")
#else
#define PRAGMA(x) _Pragma (#x)
#define UNROLL(n) PRAGMA (GCC unroll n)
#endif

#if defined(__AVX512F__)
#define LANES 16
#include <immintrin.h>
#elif defined(__AVX2__)
#define LANES 8
#include <immintrin.h>
#else
#define LANES 4
#endif

typedef float vf __attribute__ ((vector_size (4 * LANES)));
typedef gint32 vi __attribute__ ((vector_size (4 * LANES)));
typedef guint32 vu __attribute__ ((vector_size (4 * LANES)));
typedef guint16 vh __attribute__ ((vector_size (2 * LANES)));
typedef guint8 vb __attribute__ ((vector_size (LANES)));

static inline vf
vf_load (const float *p)
{
  vf v;
  memcpy (&v, p, sizeof v);
  return v;
}

static inline void
vf_store (float *p, vf v)
{
  memcpy (p, &v, sizeof v);
}

static inline vf
vf_set (float x)
{
  return x - (vf){ 0 };
}

/* lane by lane: mask (all ones or zeros) ? a : b */
static inline vf
vf_select (vi mask, vf a, vf b)
{
  return (vf) ((mask & (vi) a) | (~mask & (vi) b));
}

static inline vf
vf_max (vf a, vf b)
{
#if LANES == 16
  return (vf) _mm512_max_ps ((__m512) a, (__m512) b);
#elif LANES == 8
  return (vf) _mm256_max_ps ((__m256) a, (__m256) b);
#else
  return vf_select (a > b, a, b);
#endif
}

static inline vf
vf_min (vf a, vf b)
{
#if LANES == 16
  return (vf) _mm512_min_ps ((__m512) a, (__m512) b);
#elif LANES == 8
  return (vf) _mm256_min_ps ((__m256) a, (__m256) b);
#else
  return vf_select (a < b, a, b);
#endif
}

static inline vf
vf_abs (vf v)
{
  return (vf) ((vu) v & 0x7fffffff);
}

static inline float
vf_sum (vf v)
{
#if LANES == 16
  return _mm512_reduce_add_ps ((__m512) v);
#else
  float s[LANES];
  memcpy (s, &v, sizeof s);
  for (int step = LANES / 2; step; step /= 2)
    for (int i = 0; i < step; i++)
      s[i] += s[i + step];
  return s[0];
#endif
}

static inline float
vf_maximum (vf v)
{
#if LANES == 16
  return _mm512_reduce_max_ps ((__m512) v);
#else
  float m = v[0];
  for (int i = 1; i < LANES; i++)
    m = MAX (m, v[i]);
  return m;
#endif
}

static inline vf
vf_sqrt (vf v)
{
#if LANES == 16
  return (vf) _mm512_sqrt_ps ((__m512) v);
#elif LANES == 8
  return (vf) _mm256_sqrt_ps ((__m256) v);
#else
  for (int i = 0; i < LANES; i++)
    v[i] = __builtin_sqrtf (v[i]);
  return v;
#endif
}

/* bf16 is the upper half of an f32 */
static inline vf
vf_load_bf16 (const guint16 *p)
{
  vh h;
  memcpy (&h, p, sizeof h);
#if LANES == 16
  return (vf) _mm512_slli_epi32 (_mm512_cvtepu16_epi32 ((__m256i) h), 16);
#else
  return (vf) (__builtin_convertvector(h, vu) << 16);
#endif
}

/* Rounds to nearest even. Where the processor does it, denormals become 0. */
static inline void
vf_store_bf16 (guint16 *p, vf v)
{
#if defined(__AVX512BF16__)
  __m256bh h = _mm512_cvtneps_pbh ((__m512) v);
  memcpy (p, &h, sizeof h);
#else
  vu u = (vu) v;
  vi nan = v != v;
  vu rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  vh h =
      __builtin_convertvector((rounded & (vu) ~nan) | ((vu) nan & 0x7fc0), vh);
  memcpy (p, &h, sizeof h);
#endif
}

/* exp (x) for x <= 88; below -87 it stays at exp (-87). Relative error 2e-7;
 * with @coarse 5e-5, which is nothing beside bf16's 4e-3. */
static inline vf
vf_exp_below (vf x, gboolean coarse)
{
  const vf magic = vf_set (12582912.0f); /* 1.5 * 2^23: rounds to integer */
  vf n, f, p;

  x = vf_max (x, vf_set (-87.0f));
  n = x * vf_set (1.44269504f) + magic;
  f = n - magic;
  /* x - n ln 2, in two parts so that nothing is lost */
  x = x - f * vf_set (0.693359375f);
  x = x + f * vf_set (2.12194440e-4f);
  if (coarse) {
    p = vf_set (1.0f / 24);
  } else {
    p = vf_set (1.0f / 720);
    p = p * x + vf_set (1.0f / 120);
    p = p * x + vf_set (1.0f / 24);
  }
  p = p * x + vf_set (1.0f / 6);
  p = p * x + vf_set (0.5f);
  p = p * x + vf_set (1.0f);
  p = p * x + vf_set (1.0f);
  /* times 2^n: add n to the exponent */
  return (vf) ((vu) p + (((vu) n - (vu) magic) << 23));
}

/* exp (x), clamped to x in [-87, 88] */
static inline vf
vf_exp (vf x)
{
  return vf_exp_below (vf_min (x, vf_set (88.0f)), FALSE);
}

/* Transposes 16 rows of 16 32-bit words: dst[c * stride + r] = src[r][c]. */
static inline void
transpose_16x16 (const gint32 *const *src, gint64 offset, gint32 *dst,
    gint64 stride)
{
#if LANES == 16
  __m512i r[16], t[16];

  for (int i = 0; i < 16; i++)
    r[i] = _mm512_loadu_si512 (src[i] + offset);
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32 (r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32 (r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64 (t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64 (t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64 (t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64 (t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4 (r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4 (r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4 (r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4 (r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_i32x4 (t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4 (t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4 (t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4 (t[i + 4], t[i + 12], 0xdd);
  }
  for (int i = 0; i < 16; i++)
    _mm512_storeu_si512 (dst + i * stride, r[i]);
#else
  for (int c = 0; c < 16; c++)
    for (int i = 0; i < 16; i++)
      memcpy (dst + c * stride + i, src[i] + offset + c, 4);
#endif
}
