/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Random numbers that are the same bits on every machine: integers from
 * xoshiro256**, and reals made of them by IEEE additions, products, quotients
 * and square roots alone, without the C library's transcendental functions.
 * A generator is a small struct on the stack; it takes no lock.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct
{
  guint64 state[4];
  double spare; /* normals are made in pairs */
  gboolean has_spare;
} UmedptRandom;

void umedpt_random_init (UmedptRandom *self, guint64 seed);
/* As many streams as there are names: a parameter's initial values depend on
 * the seed and its name, not on what was made before it. */
void umedpt_random_init_named (UmedptRandom *self, guint64 seed,
    const char *name);

guint64 umedpt_random_next (UmedptRandom *self);
guint64 umedpt_random_below (UmedptRandom *self, guint64 bound);
double umedpt_random_uniform (UmedptRandom *self);
double umedpt_random_normal (UmedptRandom *self);
double umedpt_random_truncated_normal (UmedptRandom *self, double std,
    double cut);

/* n values, rounded to single precision. */
void umedpt_random_fill_uniform (UmedptRandom *self, float *dst, gsize n,
    double low, double high);
void umedpt_random_fill_truncated_normal (UmedptRandom *self, float *dst,
    gsize n, double std, double cut);

G_END_DECLS
