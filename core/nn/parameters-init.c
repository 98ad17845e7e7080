/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Initial values of parameters. They depend on the seed and on the
 * parameter's name alone, so that the order of declaration is free, and a
 * model that gets another head keeps the initial values of the others.
 */
#include <math.h>

#include "base/random.h"
#include "nn/parameters-private.h"

static void
fill (float *dst, gsize n, float value)
{
  for (gsize i = 0; i < n; i++)
    dst[i] = value;
}

static void
fill_normal (UmedptRandom *random, float *dst, gsize n, double std)
{
  for (gsize i = 0; i < n; i++)
    dst[i] = (float) (umedpt_random_normal (random) * std);
}

static void
initialise (const UmedptParameter *entry, UmedptTensor *tensor, guint64 seed)
{
  float *data = UMEDPT_F32 (tensor);
  const gsize n = tensor->n_elements;
  UmedptRandom random;
  double bound;

  umedpt_random_init_named (&random, seed, entry->name);
  switch (entry->spec.init) {
    case UMEDPT_INIT_ZERO:
      fill (data, n, 0.0f);
      break;
    case UMEDPT_INIT_ONE:
      fill (data, n, 1.0f);
      break;
    case UMEDPT_INIT_LINEAR:
      umedpt_random_fill_truncated_normal (&random, data, n, 0.02, 2.0);
      break;
    case UMEDPT_INIT_CONV:
      bound = 1.0 / sqrt ((double) entry->spec.fan_in);
      umedpt_random_fill_uniform (&random, data, n, -bound, bound);
      break;
    case UMEDPT_INIT_LOGIT_SCALE:
      fill (data, n, (float) G_LN10);
      break;
    case UMEDPT_INIT_NORMAL:
      fill_normal (&random, data, n, 0.01);
      break;
    case UMEDPT_INIT_KAIMING:
      fill_normal (&random, data, n, sqrt (2.0 / (double) entry->spec.fan_in));
      break;
    case UMEDPT_INIT_FOCAL_PRIOR:
      fill (data, n, -4.59511985f); /* -ln 99 */
      break;
    case UMEDPT_INIT_BOX_PRIOR:
      fill (data, n, 2.0f);
      break;
  }
}

/* Gives every parameter its initial value. The same seed gives the same bits
 * on every machine. */
gboolean
umedpt_parameters_initialise (UmedptParameters *self, guint64 seed,
    GError **error)
{
  for (guint i = 0; i < self->entries->len; i++) {
    UmedptParameter *entry = umedpt_parameters_nth (self, i);
    UmedptTensor *tensor;

    if (!entry->slot)
      continue;
    tensor = umedpt_tensor_new (UMEDPT_DTYPE_F32, entry->spec.n_dims,
        entry->spec.shape, error);
    if (!tensor)
      return FALSE;
    initialise (entry, tensor, seed);
    if (!umedpt_parameter_set (entry, tensor, error))
      return FALSE;
  }
  umedpt_parameters_changed (self);
  return TRUE;
}
