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

UmedptTensor *
umedpt_pass_draw (const UmedptPass *self, const char *name, double rate,
    guint n_dims, const gint64 *shape, GError **error)
{
  UmedptTensor *mask =
      umedpt_tensor_new (UMEDPT_DTYPE_F32, n_dims, shape, error);
  const float kept = (float) (1 / (1 - rate));
  UmedptRandom random;

  if (!mask)
    return NULL;
  umedpt_random_init_named (&random, self->seed, name);
  for (gsize i = 0; i < mask->n_elements; i++)
    UMEDPT_F32 (mask)[i] = umedpt_random_uniform (&random) < rate ? 0 : kept;
  return mask;
}
