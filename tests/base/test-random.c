/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The generators against their authors' published outputs, the distributions
 * by their moments (within five standard errors, with fixed seeds), and frozen
 * bits: a change of those would change every model made from a seed.
 */
#include "base/random.h"

#include <math.h>
#include <string.h>

#define N 200000

/* xoshiro256starstar.c from state 1, 2, 3, 4; splitmix64.c from 1234567. */
static void
test_published (void)
{
  UmedptRandom random = { .state = { 1, 2, 3, 4 } };
  static const guint64 expected[] = { 11520, 0, 1509978240, 1215971899390074240,
    1216172134540287360, 607988272756665600 };

  for (gsize i = 0; i < G_N_ELEMENTS (expected); i++)
    g_assert_cmpuint (umedpt_random_next (&random), ==, expected[i]);

  umedpt_random_init (&random, 1234567);
  g_assert_cmpuint (random.state[0], ==, 6457827717110365317u);
  g_assert_cmpuint (random.state[1], ==, 3203168211198807973u);
  g_assert_cmpuint (random.state[2], ==, 9817491932198370423u);
  g_assert_cmpuint (random.state[3], ==, 4593380528125082431u);
}

static void
test_named (void)
{
  UmedptRandom a, b;

  umedpt_random_init_named (&a, 7, "encoder.norm.weight");
  umedpt_random_init_named (&b, 7, "encoder.norm.weight");
  g_assert_cmpmem (a.state, sizeof a.state, b.state, sizeof b.state);
  umedpt_random_init_named (&b, 7, "encoder.norm.bias");
  g_assert_cmpuint (umedpt_random_next (&a), !=, umedpt_random_next (&b));
  umedpt_random_init_named (&a, 7, "encoder.norm.bias");
  umedpt_random_init_named (&b, 8, "encoder.norm.bias");
  g_assert_cmpuint (umedpt_random_next (&a), !=, umedpt_random_next (&b));
}

/* The generator of draw (): 0 uniform, 1 normal, 2.. truncated normals. */
typedef struct
{
  guint kind;
  double std, cut; /* of the truncated normals */
  double mean, variance; /* expected */
} Distribution;

static double
draw (UmedptRandom *random, const Distribution *d)
{
  if (d->kind == 0)
    return umedpt_random_uniform (random);
  if (d->kind == 1)
    return umedpt_random_normal (random);
  return umedpt_random_truncated_normal (random, d->std, d->cut);
}

/* Variance of a standard normal within -c … c: 1 - 2 c phi (c) / P. */
static double
truncated_variance (double c)
{
  double phi = exp (-c * c / 2) / sqrt (2 * G_PI);

  return 1 - 2 * c * phi / erf (c / G_SQRT2);
}

static void
test_moments (void)
{
  const Distribution distributions[] = {
    { 0, 0, 0, 0.5, 1.0 / 12 }, { 1, 0, 0, 0, 1 },
    { 2, 0.02, 2, 0, 0.02 * 0.02 }, /* the networks' */
    { 2, 1, 1.5, 0, truncated_variance (1.5) },
    { 2, 3, 2, 0, 9 * truncated_variance (2.0 / 3) },
    { 2, 100, 2, 0, 4.0 / 3 }, /* nearly uniform */
  };

  for (gsize i = 0; i < G_N_ELEMENTS (distributions); i++) {
    const Distribution *d = &distributions[i];
    UmedptRandom random;
    double sum = 0, squares = 0;

    umedpt_random_init (&random, i);
    for (guint n = 0; n < N; n++) {
      double x = draw (&random, d);
      if (d->kind == 0)
        g_assert_true (x >= 0 && x < 1);
      if (d->kind == 2)
        g_assert_cmpfloat (fabs (x), <=, d->cut);
      sum += x;
      squares += (x - d->mean) * (x - d->mean);
    }
    g_assert_cmpfloat_with_epsilon (sum / N, d->mean,
        5 * sqrt (d->variance / N));
    g_assert_cmpfloat_with_epsilon (squares / N / d->variance, 1,
        5 * sqrt (2.0 / N));
  }
}

/* The share of normals below some quantiles: the shape, tails included. */
static void
test_normal_shape (void)
{
  static const double at[] = { -3, -2, -1, 0, 0.5, 1, 2, 3 };
  guint below[G_N_ELEMENTS (at)] = { 0 };
  UmedptRandom random;

  umedpt_random_init (&random, 42);
  for (guint n = 0; n < N; n++) {
    double x = umedpt_random_normal (&random);
    for (gsize i = 0; i < G_N_ELEMENTS (at); i++)
      below[i] += x < at[i];
  }
  for (gsize i = 0; i < G_N_ELEMENTS (at); i++) {
    double p = 0.5 * erfc (-at[i] / G_SQRT2);
    g_assert_cmpfloat_with_epsilon (below[i] / (double) N, p,
        5 * sqrt (p * (1 - p) / N));
  }
}

static void
test_below (void)
{
  guint counts[7] = { 0 };
  UmedptRandom random;

  umedpt_random_init (&random, 3);
  for (guint n = 0; n < 70000; n++) {
    guint64 value = umedpt_random_below (&random, 7);
    g_assert_cmpuint (value, <, 7);
    counts[value]++;
  }
  for (guint i = 0; i < 7; i++)
    g_assert_cmpint (ABS ((gint) counts[i] - 10000), <, 5 * 93);
  g_assert_cmpuint (umedpt_random_below (&random, 1), ==, 0);
}

static void
test_frozen (void)
{
  UmedptRandom random;
  float values[4];
  double normals[2];
  guint32 bits[4];
  guint64 wide[2];

  umedpt_random_init_named (&random, 1, "encoder.features.0.0.weight");
  umedpt_random_fill_truncated_normal (&random, values, 4, 0.02, 2);
  memcpy (bits, values, sizeof bits);
  g_test_message ("0x%08x 0x%08x 0x%08x 0x%08x", bits[0], bits[1], bits[2],
      bits[3]);
  g_assert_cmphex (bits[0], ==, 0xbcc3c12e);
  g_assert_cmphex (bits[1], ==, 0xbac3e885);
  g_assert_cmphex (bits[2], ==, 0xbb74f9c1);
  g_assert_cmphex (bits[3], ==, 0x3bd0737d);

  umedpt_random_init (&random, 1);
  normals[0] = umedpt_random_normal (&random);
  normals[1] = umedpt_random_normal (&random);
  memcpy (wide, normals, sizeof wide);
  g_test_message ("0x%016" G_GINT64_MODIFIER "x 0x%016" G_GINT64_MODIFIER "x",
      wide[0], wide[1]);
  g_assert_cmphex (wide[0], ==, 0x3ffe267c87ac62eb);
  g_assert_cmphex (wide[1], ==, 0x3fc84abd879d0e18);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/random/published", test_published);
  g_test_add_func ("/random/named", test_named);
  g_test_add_func ("/random/moments", test_moments);
  g_test_add_func ("/random/normal-shape", test_normal_shape);
  g_test_add_func ("/random/below", test_below);
  g_test_add_func ("/random/frozen", test_frozen);
  return g_test_run ();
}
