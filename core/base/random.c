/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * xoshiro256** 1.0 (Blackman and Vigna, "Scrambled linear pseudorandom number
 * generators", ACM TOMS 47(4), 2021), its state filled by splitmix64, as its
 * authors advise. Normals: Marsaglia's polar method (SIAM Review 6(3), 1964).
 * The logarithm it needs is our own: libm's last bit depends on the library's
 * version and on whether the processor has fused multiply-add, and a model's
 * initial values must not. This file is built with -ffp-contract=off.
 */
#include "base/random.h"

#include <math.h>

static guint64
splitmix64 (guint64 *state)
{
  guint64 z = (*state += 0x9e3779b97f4a7c15u);

  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static inline guint64
rotate_left (guint64 x, guint k)
{
  return (x << k) | (x >> (64 - k));
}

/* Starts the stream of @seed; every value is a good seed, 0 too. */
void
umedpt_random_init (UmedptRandom *self, guint64 seed)
{
  for (gsize i = 0; i < G_N_ELEMENTS (self->state); i++)
    self->state[i] = splitmix64 (&seed);
  self->spare = 0;
  self->has_spare = FALSE;
}

/* Starts the stream of @seed and @name. The name's FNV-1a hash goes through
 * splitmix64 before it meets the seed: FNV mixes its upper bits badly. */
void
umedpt_random_init_named (UmedptRandom *self, guint64 seed, const char *name)
{
  guint64 hash = 0xcbf29ce484222325u;

  for (const char *c = name; *c; c++)
    hash = (hash ^ (guint8) *c) * 0x100000001b3u;
  umedpt_random_init (self, splitmix64 (&seed) ^ splitmix64 (&hash));
}

/* 64 random bits. */
guint64
umedpt_random_next (UmedptRandom *self)
{
  guint64 *s = self->state;
  guint64 result = rotate_left (s[1] * 5, 7) * 9;
  guint64 t = s[1] << 17;

  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate_left (s[3], 45);
  return result;
}

/* 0 … @bound - 1, each as likely as any other. @bound is not 0. */
guint64
umedpt_random_below (UmedptRandom *self, guint64 bound)
{
  guint64 value, limit;

  g_return_val_if_fail (bound > 0, 0);
  limit = G_MAXUINT64 - G_MAXUINT64 % bound; /* a multiple of bound */
  do
    value = umedpt_random_next (self);
  while (value >= limit);
  return value % bound;
}

/* [0, 1), in steps of 2^-53. */
double
umedpt_random_uniform (UmedptRandom *self)
{
  return (double) (umedpt_random_next (self) >> 11) * 0x1p-53;
}

/* ln x for 0 < x <= 1 by the series of 2 artanh ((m - 1) / (m + 1)) after
 * bringing m near 1, where |s| < 0.172 and the twelfth term is below 1e-17. */
static double
natural_log (double x)
{
  int exponent;
  double m = frexp (x, &exponent), s, s2, sum = 0;

  if (m < G_SQRT2 / 2) {
    m *= 2;
    exponent--;
  }
  s = (m - 1) / (m + 1);
  s2 = s * s;
  for (int k = 12; k >= 0; k--)
    sum = sum * s2 + 1.0 / (2 * k + 1);
  return 2 * s * sum + exponent * G_LN2;
}

/* Mean 0, standard deviation 1. */
double
umedpt_random_normal (UmedptRandom *self)
{
  double x, y, r2, factor;

  if (self->has_spare) {
    self->has_spare = FALSE;
    return self->spare;
  }
  do {
    x = 2 * umedpt_random_uniform (self) - 1;
    y = 2 * umedpt_random_uniform (self) - 1;
    r2 = x * x + y * y;
  } while (r2 >= 1 || r2 == 0);
  factor = sqrt (-2 * natural_log (r2) / r2);
  self->spare = y * factor;
  self->has_spare = TRUE;
  return x * factor;
}

/* e^-x for 0 <= x <= 0.5, by its series; the 16th term is below 1e-18. */
static double
exp_minus (double x)
{
  double sum = 1;

  for (int k = 16; k >= 1; k--)
    sum = 1 - sum * x / k;
  return sum;
}

/* Normal with mean 0 and standard deviation @std, given that it lies within
 * -@cut … @cut. As torch.nn.init.trunc_normal_, @cut is absolute (2 there) and
 * not a multiple of @std. By rejection: of normals where most fit, else of
 * uniforms, of which at least e^-0.5 fit. */
double
umedpt_random_truncated_normal (UmedptRandom *self, double std, double cut)
{
  double x, q;

  g_return_val_if_fail (std > 0 && cut > 0, 0);
  if (cut >= std) {
    do
      x = std * umedpt_random_normal (self);
    while (x < -cut || x > cut);
    return x;
  }
  do {
    x = cut * (2 * umedpt_random_uniform (self) - 1);
    q = x / std;
  } while (umedpt_random_uniform (self) >= exp_minus (q * q / 2));
  return x;
}

void
umedpt_random_fill_uniform (UmedptRandom *self, float *dst, gsize n, double low,
    double high)
{
  for (gsize i = 0; i < n; i++)
    dst[i] = (float) (low + (high - low) * umedpt_random_uniform (self));
}

void
umedpt_random_fill_truncated_normal (UmedptRandom *self, float *dst, gsize n,
    double std, double cut)
{
  for (gsize i = 0; i < n; i++)
    dst[i] = (float) umedpt_random_truncated_normal (self, std, cut);
}
