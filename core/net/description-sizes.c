/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The sizes of a description that comes from a stranger: each number has its
 * range, but only together do they say how much memory a model asks for. What
 * is counted here is approximate (norms and biases are left out) and meant to
 * refuse the absurd before anything is allocated.
 */
#include <math.h>

#include "net/description-private.h"

#define MAX_PARAMETERS 4e9
#define MAX_BIAS 16777216.0 /* numbers in one block's position bias */
#define MAX_BIASES 268435456.0 /* in those of all blocks: 1 GiB */

/* Weights of the decoders, the grouper and the heads. */
static double
count_tasks (const UmedptDescription *self)
{
  const double d = umedpt_description_get_embedding_size (self);
  const double dense = MAX (d, 8.0 * self->embed_dim);
  const double hidden = self->pixel_hidden, channels = self->detection_channels;
  double n = self->grouper == UMEDPT_GROUPER_NONE ? 0 : 2 * d * d;

  if (self->pixel_decoder)
    n += 9 * hidden * (dense + 8.0 * self->embed_dim + 7 * hidden) +
        9.0 * self->pixel_channels * self->pixel_channels;
  if (self->detection_decoder)
    n += channels * (dense + 6.0 * self->embed_dim) +
        9 * 13 * channels * channels;
  for (guint i = 0; i < self->tasks->len; i++) {
    const UmedptTaskDescription *task = g_ptr_array_index (self->tasks, i);
    const double k = umedpt_task_description_get_n_outputs (task);

    if (task->kind == UMEDPT_TASK_DETECTION)
      n += 9 * channels * (k + 5);
    else
      n += k *
          (umedpt_task_kind_is_dense (task->kind) ? 9 * self->pixel_channels
                                                  : d);
  }
  return n;
}

/* The sizes together: whole numbers of channels, and no more memory than a
 * real model takes. */
gboolean
umedpt_description_check_sizes (const UmedptDescription *self, GError **error)
{
  double window = self->window, patch = self->patch, n_parameters;
  double last = 8.0 * self->embed_dim, biases = 0;

  n_parameters = 3 * patch * patch * self->embed_dim +
      last * self->squeezer_channels + count_tasks (self);
  for (gint i = 0; i < 4; i++) {
    double channels = ldexp (self->embed_dim, i);
    double hidden = channels * self->mlp_ratio;

    if ((self->embed_dim << i) % self->heads[i] != 0)
      return umedpt_json_fail (error,
          "stage %d has %g channels, not a multiple of its %d "
          "heads",
          i + 1, channels, self->heads[i]);
    if (hidden != floor (hidden))
      return umedpt_json_fail (error,
          "mlp_ratio %g of %g channels is no whole number", self->mlp_ratio,
          channels);
    if (self->heads[i] * pow (window, 4) > MAX_BIAS)
      return umedpt_json_fail (error,
          "window %d with %d heads needs too much memory", self->window,
          self->heads[i]);
    biases += self->depths[i] * self->heads[i] * pow (window, 4);
    n_parameters += self->depths[i] * channels * (4 * channels + 2 * hidden) +
        (i < 3 ? 8 * channels * channels : 0);
  }
  if (biases > MAX_BIASES)
    return umedpt_json_fail (error,
        "window %d in blocks with %g heads in all needs too much memory",
        self->window, biases / pow (window, 4));
  if (n_parameters > MAX_PARAMETERS)
    return umedpt_json_fail (error,
        "the sizes make %.3g parameters; at most %.3g are "
        "offered",
        n_parameters, MAX_PARAMETERS);
  return TRUE;
}
