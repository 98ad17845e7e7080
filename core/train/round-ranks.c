/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the processes of a run tell each other besides gradients. Who owns a
 * task (shares.c) runs its passes and steps its head, and the first owner
 * validates it; the others learn its numbers after each round and validation,
 * because all decide alike, and its head before a checkpoint is written.
 */
#include <string.h>

#include "base/error.h"
#include "tensor/tensor-private.h"
#include "train/trainer-private.h"

gboolean
umedpt_trainer_join (UmedptTrainer *self, GError **error)
{
  GError *problem = NULL;

  self->ranks = umedpt_ranks_open (&problem);
  if (!problem)
    return TRUE;
  g_propagate_error (error, problem);
  return FALSE;
}

#define NAME_SIZE 16

/* Of one task in one round. */
typedef struct
{
  double total, parts[4];
  guint32 passes, n_parts;
  char names[4][NAME_SIZE];
} TaskNumbers;

/* Of one rank in one round. */
typedef struct
{
  double images, loader_wait, activations;
} RankNumbers;

static void
pack_task (UmedptTrainer *self, guint i, TaskNumbers *numbers)
{
  const UmedptLoss *loss = &self->last.losses[i];

  numbers->total = loss->total;
  numbers->passes = self->last.passes[i];
  numbers->n_parts = loss->n_parts;
  for (guint k = 0; k < loss->n_parts; k++) {
    numbers->parts[k] = loss->parts[k];
    g_strlcpy (numbers->names[k], loss->names[k], NAME_SIZE);
  }
}

/* Who does not own the task has zeros. */
static void
add_task (UmedptTrainer *self, guint i, const TaskNumbers *numbers)
{
  UmedptLoss *loss = &self->last.losses[i];

  loss->total += numbers->total;
  self->last.passes[i] += numbers->passes;
  loss->n_parts = MAX (loss->n_parts, numbers->n_parts);
  for (guint k = 0; k < numbers->n_parts; k++) {
    loss->parts[k] += numbers->parts[k];
    loss->names[k] = g_intern_string (numbers->names[k]);
  }
}

static gboolean
tell_rank (UmedptTrainer *self, GError **error)
{
  UmedptRound *last = &self->last;
  const RankNumbers mine = { (double) last->images, last->loader_wait,
    (double) last->activations };
  guint size = umedpt_ranks_get_size (self->ranks);
  g_autofree RankNumbers *all = g_new0 (RankNumbers, size);

  if (!umedpt_ranks_gather (self->ranks, &mine, all, sizeof mine, error))
    return FALSE;
  last->images = 0;
  for (guint r = 0; r < size; r++) {
    last->images += (guint64) all[r].images;
    last->loader_wait = MAX (last->loader_wait, all[r].loader_wait);
    last->activations = MAX (last->activations, (gsize) all[r].activations);
  }
  return TRUE;
}

gboolean
umedpt_trainer_tell_round (UmedptTrainer *self, GError **error)
{
  guint size = umedpt_ranks_get_size (self->ranks);
  g_autofree TaskNumbers *mine = g_new0 (TaskNumbers, self->n_tasks);
  g_autofree TaskNumbers *all = g_new0 (TaskNumbers, self->n_tasks * size);

  if (!self->ranks)
    return TRUE;
  for (guint i = 0; i < self->n_tasks; i++)
    pack_task (self, i, &mine[i]);
  if (!umedpt_ranks_gather (self->ranks, mine, all,
          self->n_tasks * sizeof *mine, error))
    return FALSE;
  for (guint i = 0; i < self->n_tasks; i++) {
    self->last.losses[i] = (UmedptLoss){ 0 };
    self->last.passes[i] = 0;
    for (guint r = 0; r < size; r++)
      add_task (self, i, &all[(gsize) r * self->n_tasks + i]);
  }
  return tell_rank (self, error);
}

gboolean
umedpt_trainer_tell_validation (UmedptTrainer *self, guint task,
    UmedptValidation *validation, GError **error)
{
  guint root = umedpt_trainer_get_owner (self, task);
  struct
  {
    double loss;
    guint64 length;
  } head = { validation->loss, 0 };

  if (!self->ranks)
    return TRUE;
  if (umedpt_trainer_leads (self, task)) {
    validation->json =
        umedpt_validation_to_json (validation, self->tasks[task].description);
    head.length = strlen (validation->json);
  }
  if (!umedpt_ranks_broadcast (self->ranks, &head, sizeof head, root, error))
    return FALSE;
  validation->loss = head.loss;
  if (!validation->json)
    validation->json = g_malloc0 (head.length + 1);
  return umedpt_ranks_broadcast (self->ranks, validation->json, head.length,
      root, error);
}

static gboolean
share_loader (UmedptTrainer *self, guint i, guint root, GError **error)
{
  UmedptLoader *loader = self->tasks[i].loader;
  struct
  {
    guint64 epoch, batch;
  } place;
  guint batch;

  umedpt_loader_tell (loader, &place.epoch, &batch);
  place.batch = batch;
  if (!umedpt_ranks_broadcast (self->ranks, &place, sizeof place, root, error))
    return FALSE;
  if (!umedpt_trainer_owns (self, i))
    umedpt_loader_seek (loader, place.epoch, (guint) place.batch);
  return TRUE;
}

/* Whether all ranks step this parameter: not the heads that have one owner. */
static gboolean
is_common (UmedptTrainer *self, const char *name)
{
  if (!g_str_has_prefix (name, UMEDPT_TASKS_PREFIX))
    return TRUE;
  for (guint i = 0; i < self->n_tasks; i++) {
    g_autofree char *prefix = g_strdup_printf (UMEDPT_TASKS_PREFIX "%s.",
        self->tasks[i].config->name);

    if (g_str_has_prefix (name, prefix))
      return umedpt_trainer_is_shared (self, i);
  }
  return FALSE;
}

/* FNV-1a over the common parameters, in words of 32 bits. */
static gboolean
hash_shared (UmedptTrainer *self, guint64 *hash, GError **error)
{
  UmedptParameters *parameters = umedpt_model_get_parameters (self->model);

  *hash = 14695981039346656037u;
  for (guint i = 0; i < umedpt_parameters_get_n (parameters); i++) {
    UmedptTensor *tensor = umedpt_parameters_get_tensor (parameters, i);
    g_autofree guint32 *words = NULL;

    if (!tensor || tensor->dtype != UMEDPT_DTYPE_F32 ||
        !is_common (self, umedpt_parameters_get_name (parameters, i)))
      continue;
    words = g_new (guint32, tensor->n_elements + 1);
    if (!umedpt_ranks_read_tensor (tensor, words, error))
      return FALSE;
    for (gsize j = 0; j < tensor->n_elements; j++)
      *hash = (*hash ^ words[j]) * 1099511628211u;
  }
  return TRUE;
}

/* All ranks take the same steps from the same bits. Where they do not (another
 * build or processor on one node), nobody should believe the result. */
static gboolean
check_alike (UmedptTrainer *self, GError **error)
{
  guint size = umedpt_ranks_get_size (self->ranks);
  g_autofree guint64 *all = g_new0 (guint64, size);
  guint64 mine;
  gboolean ok = hash_shared (self, &mine, error);

  if (!umedpt_ranks_agree (self->ranks, ok, error) ||
      !umedpt_ranks_gather (self->ranks, &mine, all, sizeof mine, error))
    return FALSE;
  for (guint r = 1; r < size; r++)
    if (all[r] != all[0]) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "After round %" G_GUINT64_FORMAT " the shared blocks of process %u "
          "differ from those of process 0. Use the same build, device and "
          "UMEDPT_CPU in all processes.",
          self->state.round, r);
      return FALSE;
    }
  return TRUE;
}

gboolean
umedpt_trainer_share_heads (UmedptTrainer *self, GError **error)
{
  if (self->ranks && !check_alike (self, error))
    return FALSE;
  for (guint i = 0; self->ranks && i < self->n_tasks; i++) {
    guint root = umedpt_trainer_get_owner (self, i);
    g_autofree char *prefix = g_strdup_printf (UMEDPT_TASKS_PREFIX "%s.",
        self->tasks[i].config->name);

    if (!umedpt_optimizer_share (self->tasks[i].optimizer, self->ranks, root,
            error) ||
        (self->average &&
            !umedpt_average_share (self->average, self->ranks, prefix, root,
                error)) ||
        !share_loader (self, i, root, error))
      return FALSE;
  }
  if (self->ranks)
    umedpt_parameters_changed (umedpt_model_get_parameters (self->model));
  return TRUE;
}
