/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The random masks of a training pass: dropout (Srivastava et al. 2014) and
 * stochastic depth (Huang et al. 2016) are the same drawing over elements or
 * over images. What is kept is divided by its probability, so that inference
 * needs no factor.
 */
#include "net/pass.h"

#include "base/random.h"
#include "tensor/tensor-private.h"

void
umedpt_pass_fill (const UmedptPass *self, const char *name, double rate,
    float *values, gsize n)
{
  const float kept = (float) (1 / (1 - rate));
  UmedptRandom random;

  umedpt_random_init_named (&random, self->seed, name);
  for (gsize i = 0; i < n; i++)
    values[i] = umedpt_random_uniform (&random) < rate ? 0 : kept;
}

UmedptTensor *
umedpt_pass_draw (const UmedptPass *self, UmedptContext *context,
    const char *name, double rate, guint n_dims, const gint64 *shape,
    GError **error)
{
  g_autoptr (UmedptTensor) mask =
      umedpt_tensor_new (UMEDPT_DTYPE_F32, n_dims, shape, error);

  if (!mask)
    return NULL;
  umedpt_pass_fill (self, name, rate, UMEDPT_F32 (mask), mask->n_elements);
  return umedpt_tensor_to (mask, umedpt_context_get_backend (context)->memory,
      error);
}
