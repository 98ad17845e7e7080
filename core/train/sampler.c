/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Samplers of the paper's library: "cyclic" gives every task equally many
 * batches, so that small data sets are repeated; "concat" and "balanced" go
 * through each once. Balanced draws a task with the probability of its share
 * of what is left, which is a random order of all batches.
 */
#include "train/sampler.h"

#include "base/random.h"

struct _UmedptSamplerPlan
{
  UmedptSampler sampler;
  guint n_tasks;
  guint *n_batches; /* [n_tasks] */
  guint64 seed, length;
  /* BALANCED: the tasks of one epoch, drawn when first asked for */
  guint *order; /* (nullable) [length] */
  guint64 epoch;
};

UmedptSamplerPlan *
umedpt_sampler_plan_new (UmedptSampler sampler, guint n_tasks,
    const guint *n_batches, guint64 seed)
{
  UmedptSamplerPlan *self = g_new0 (UmedptSamplerPlan, 1);
  guint64 least = G_MAXUINT64, most = 0, sum = 0;

  for (guint i = 0; i < n_tasks; i++) {
    least = MIN (least, n_batches[i]);
    most = MAX (most, n_batches[i]);
    sum += n_batches[i];
  }
  self->sampler = sampler;
  self->n_tasks = n_tasks;
  self->n_batches = g_memdup2 (n_batches, n_tasks * sizeof *n_batches);
  self->seed = seed;
  if (sampler == UMEDPT_SAMPLER_CYCLIC)
    self->length = most * n_tasks;
  else if (sampler == UMEDPT_SAMPLER_SHORTEST)
    self->length = least * n_tasks;
  else
    self->length = sum;
  return self;
}

void
umedpt_sampler_plan_free (UmedptSamplerPlan *self)
{
  if (!self)
    return;
  g_free (self->n_batches);
  g_free (self->order);
  g_free (self);
}

guint64
umedpt_sampler_plan_get_length (const UmedptSamplerPlan *self)
{
  return self->length;
}

/* Fisher and Yates over all batches. */
static void
draw_order (UmedptSamplerPlan *self, guint64 epoch)
{
  g_autofree char *name = g_strdup_printf ("sampler/%" G_GUINT64_FORMAT, epoch);
  UmedptRandom random;
  guint64 n = 0;

  if (!self->order)
    self->order = g_new (guint, self->length);
  for (guint task = 0; task < self->n_tasks; task++)
    for (guint i = 0; i < self->n_batches[task]; i++)
      self->order[n++] = task;
  umedpt_random_init_named (&random, self->seed, name);
  for (guint64 i = n; i > 1; i--) {
    guint64 other = umedpt_random_below (&random, i);
    guint task = self->order[i - 1];

    self->order[i - 1] = self->order[other];
    self->order[other] = task;
  }
  self->epoch = epoch;
}

guint
umedpt_sampler_plan_get (UmedptSamplerPlan *self, guint64 epoch, guint64 index)
{
  guint task = 0;

  g_return_val_if_fail (index < self->length, 0);
  switch (self->sampler) {
    case UMEDPT_SAMPLER_CYCLIC:
    case UMEDPT_SAMPLER_SHORTEST:
      return (guint) (index % self->n_tasks);
    case UMEDPT_SAMPLER_CONCAT:
      while (index >= self->n_batches[task])
        index -= self->n_batches[task++];
      return task;
    case UMEDPT_SAMPLER_BALANCED:
      if (!self->order || self->epoch != epoch)
        draw_order (self, epoch);
      return self->order[index];
  }
  g_return_val_if_reached (0);
}
