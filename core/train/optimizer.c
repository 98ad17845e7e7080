/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Optimisers over sets of parameters: AdamW (Loshchilov and Hutter 2019,
 * arXiv:1711.05101) and SGD with momentum, each fused per parameter in an op
 * of the backend. What is done here is what concerns the set: the global norm
 * and clipping by it (Pascanu et al. 2013, arXiv:1211.5063), which parameters
 * decay, and the state.
 *
 * Steps are counted per parameter: a shared block that no task of a round used
 * has no gradient, stays as it is, and its bias correction does not move on.
 */
#include "train/optimizer.h"

#include <math.h>

#include "base/error.h"

/* As torch.nn.utils.clip_grad_norm_ has it. */
#define CLIP_EPSILON 1e-6

#define MAX_MOMENTS 2

static const char *const moment_names[MAX_MOMENTS] = { "moment1", "moment2" };

typedef struct
{
  guint index; /* in the parameters */
  gboolean decays;
  guint64 step;
  UmedptTensor *moments[MAX_MOMENTS]; /* (nullable) NULL before step 1 */
} Slot;

struct _UmedptOptimizer
{
  UmedptParameters *parameters; /* not owned */
  UmedptOptimizerSettings settings;
  guint n_moments;
  GArray *slots; /* of Slot, in the order of the names */
};

static void
slot_clear (gpointer data)
{
  Slot *slot = data;

  for (guint i = 0; i < MAX_MOMENTS; i++)
    g_clear_pointer (&slot->moments[i], umedpt_tensor_unref);
}

static gboolean
has_prefix (const char *name, const char *const *prefixes)
{
  if (!prefixes)
    return TRUE;
  for (guint i = 0; prefixes[i]; i++)
    if (g_str_has_prefix (name, prefixes[i]))
      return TRUE;
  return FALSE;
}

/* Weight decay shrinks what multiplies activations; biases, gains of norms and
 * temperatures are not weights in that sense. */
static gboolean
decays (const char *name, const UmedptTensor *tensor)
{
  return tensor->n_dims > 1 && !g_str_has_suffix (name, "bias") &&
      !g_str_has_suffix (name, "logit_scale");
}

static UmedptTensor *
slot_tensor (const UmedptOptimizer *self, const Slot *slot)
{
  return umedpt_parameters_get_tensor (self->parameters, slot->index);
}

static const char *
slot_name (const UmedptOptimizer *self, const Slot *slot)
{
  return umedpt_parameters_get_name (self->parameters, slot->index);
}

/* @prefixes: (nullable) NULL takes all. No parameter may be declared after
 * this. */
UmedptOptimizer *
umedpt_optimizer_new (UmedptParameters *parameters, const char *const *prefixes,
    const UmedptOptimizerSettings *settings)
{
  UmedptOptimizer *self = g_new0 (UmedptOptimizer, 1);

  self->parameters = parameters;
  self->settings = *settings;
  self->n_moments = settings->kind == UMEDPT_OPTIMIZER_ADAMW ? 2 : 1;
  self->slots = g_array_new (FALSE, TRUE, sizeof (Slot));
  g_array_set_clear_func (self->slots, slot_clear);
  for (guint i = 0; i < umedpt_parameters_get_n (parameters); i++) {
    const UmedptTensor *tensor = umedpt_parameters_get_tensor (parameters, i);
    const char *name = umedpt_parameters_get_name (parameters, i);

    if (tensor && tensor->requires_grad && has_prefix (name, prefixes)) {
      Slot slot = { .index = i };
      slot.decays = settings->decay_all || decays (name, tensor);
      g_array_append_val (self->slots, slot);
    }
  }
  return self;
}

void
umedpt_optimizer_free (UmedptOptimizer *self)
{
  if (!self)
    return;
  g_array_unref (self->slots);
  g_free (self);
}

/* The gradients that are there, in the order of the names. */
static GPtrArray *
list_gradients (UmedptOptimizer *self)
{
  GPtrArray *list = g_ptr_array_new ();

  for (guint i = 0; i < self->slots->len; i++) {
    const Slot *slot = &g_array_index (self->slots, Slot, i);
    UmedptTensor *grad = slot_tensor (self, slot)->grad;

    if (grad)
      g_ptr_array_add (list, grad);
  }
  return list;
}

static const char *
name_of_gradient (UmedptOptimizer *self, const UmedptTensor *grad)
{
  for (guint i = 0; i < self->slots->len; i++) {
    const Slot *slot = &g_array_index (self->slots, Slot, i);

    if (slot_tensor (self, slot)->grad == grad)
      return slot_name (self, slot);
  }
  return NULL;
}

/* The root of the sum of all squares, in the order of the names. FALSE names
 * the first gradient that is not finite. */
static gboolean
global_norm (UmedptOptimizer *self, UmedptContext *context, double *norm,
    GError **error)
{
  g_autoptr (GPtrArray) grads = list_gradients (self);
  g_autofree double *sums = g_new0 (double, grads->len);
  double total = 0;

  if (!umedpt_op_square_sum_many (context, (UmedptTensor *const *) grads->pdata,
          grads->len, sums, error))
    return FALSE;
  for (guint i = 0; i < grads->len; i++) {
    total += sums[i];
    if (isfinite (total))
      continue;
    *norm = total;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "The gradient of %s is not finite. A lower learning rate, warm-up or "
        "clipping may help; nothing was changed.",
        name_of_gradient (self, grads->pdata[i]));
    return FALSE;
  }
  *norm = sqrt (total);
  return TRUE;
}

/* Memory for the state of all that will step, so that a step that begins can
 * be finished. */
static gboolean
make_moments (UmedptOptimizer *self, GError **error)
{
  for (guint i = 0; i < self->slots->len; i++) {
    Slot *slot = &g_array_index (self->slots, Slot, i);
    const UmedptTensor *tensor = slot_tensor (self, slot);

    for (guint m = 0; tensor->grad && m < self->n_moments; m++) {
      if (slot->moments[m])
        continue;
      slot->moments[m] = umedpt_tensor_new_zeros_in (tensor->memory,
          UMEDPT_DTYPE_F32, tensor->n_dims, tensor->shape, error);
      if (!slot->moments[m])
        return FALSE;
    }
  }
  return TRUE;
}

static gboolean
step_sgd (UmedptOptimizer *self, UmedptContext *context, double lr,
    double gradient_scale, GError **error)
{
  const UmedptOptimizerSettings *s = &self->settings;
  g_autoptr (GArray) steps = g_array_new (FALSE, FALSE, sizeof (UmedptSgdArgs));

  for (guint i = 0; i < self->slots->len; i++) {
    Slot *slot = &g_array_index (self->slots, Slot, i);
    UmedptTensor *tensor = slot_tensor (self, slot);
    const UmedptSgdArgs step = { .parameter = tensor,
      .gradient = tensor->grad,
      .moment = slot->moments[0],
      .lr = lr,
      .momentum = s->momentum,
      .weight_decay = slot->decays ? s->weight_decay : 0,
      .gradient_scale = gradient_scale,
      .nesterov = s->nesterov,
      .step = slot->step + 1 };

    if (!tensor->grad)
      continue;
    slot->step++;
    g_array_append_val (steps, step);
  }
  return umedpt_op_sgd_many (context, (const UmedptSgdArgs *) steps->data,
      steps->len, error);
}

static gboolean
step_adamw (UmedptOptimizer *self, UmedptContext *context, double lr,
    double gradient_scale, GError **error)
{
  const UmedptOptimizerSettings *s = &self->settings;
  g_autoptr (GArray) steps =
      g_array_new (FALSE, FALSE, sizeof (UmedptAdamwArgs));

  for (guint i = 0; i < self->slots->len; i++) {
    Slot *slot = &g_array_index (self->slots, Slot, i);
    UmedptTensor *tensor = slot_tensor (self, slot);
    const UmedptAdamwArgs step = { .parameter = tensor,
      .gradient = tensor->grad,
      .moment1 = slot->moments[0],
      .moment2 = slot->moments[1],
      .lr = lr,
      .beta1 = s->beta1,
      .beta2 = s->beta2,
      .epsilon = s->epsilon,
      .weight_decay = slot->decays ? s->weight_decay : 0,
      .gradient_scale = gradient_scale,
      .step = slot->step + 1 };

    if (!tensor->grad)
      continue;
    slot->step++;
    g_array_append_val (steps, step);
  }
  return umedpt_op_adamw_many (context, (const UmedptAdamwArgs *) steps->data,
      steps->len, error);
}

gboolean
umedpt_optimizer_step (UmedptOptimizer *self, UmedptContext *context,
    double factor, double *norm, GError **error)
{
  double total = 0, scale = 1;
  gboolean ok = global_norm (self, context, &total, error);

  if (norm)
    *norm = total;
  if (!ok || !make_moments (self, error))
    return FALSE;
  if (self->settings.clip > 0)
    scale = MIN (1.0, self->settings.clip / (total + CLIP_EPSILON));
  ok = self->settings.kind == UMEDPT_OPTIMIZER_SGD
      ? step_sgd (self, context, self->settings.lr * factor, scale, error)
      : step_adamw (self, context, self->settings.lr * factor, scale, error);
  if (ok)
    umedpt_optimizer_zero (self);
  return ok;
}

/* Drops all gradients. */
void
umedpt_optimizer_zero (UmedptOptimizer *self)
{
  for (guint i = 0; i < self->slots->len; i++) {
    const Slot *slot = &g_array_index (self->slots, Slot, i);

    g_clear_pointer (&slot_tensor (self, slot)->grad, umedpt_tensor_unref);
  }
}

/* Tensors in host memory are shared with @writer: it must be written before
 * the next step. A parameter that never had a gradient has no state. */
gboolean
umedpt_optimizer_store (UmedptOptimizer *self, UmedptSafetensorsWriter *writer,
    const char *prefix, GError **error)
{
  for (guint i = 0; i < self->slots->len; i++) {
    const Slot *slot = &g_array_index (self->slots, Slot, i);
    const char *name = slot_name (self, slot);
    g_autofree char *key = g_strdup_printf ("%s%s.step", prefix, name);
    g_autofree char *value = g_strdup_printf ("%" G_GUINT64_FORMAT, slot->step);

    if (slot->step == 0)
      continue;
    umedpt_safetensors_writer_set_metadata (writer, key, value);
    for (guint m = 0; m < self->n_moments; m++) {
      g_autofree char *full =
          g_strdup_printf ("%s%s.%s", prefix, name, moment_names[m]);
      g_autoptr (UmedptTensor) values =
          umedpt_tensor_to (slot->moments[m], NULL, error);

      if (!values)
        return FALSE;
      umedpt_safetensors_writer_add (writer, full, values);
    }
  }
  return TRUE;
}

/* A copy of a tensor of @file that must be like @like, where that lies. */
static UmedptTensor *
load_moment (UmedptSafetensors *file, const char *name,
    const UmedptTensor *like, GError **error)
{
  g_autoptr (UmedptTensor) found =
      umedpt_safetensors_get_tensor (file, name, error);
  g_autoptr (UmedptTensor) copy = NULL;

  if (!found)
    return NULL;
  if (found->dtype != UMEDPT_DTYPE_F32 ||
      !umedpt_tensor_same_shape (found, like)) {
    g_autofree char *is = umedpt_tensor_describe (found);
    g_autofree char *expected = umedpt_tensor_describe (like);
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "The optimiser's state %s is %s instead of %s: it belongs to another "
        "model.",
        name, is, expected);
    return NULL;
  }
  copy = umedpt_tensor_new_in (like->memory, UMEDPT_DTYPE_F32, like->n_dims,
      like->shape, error);
  if (!copy || !umedpt_tensor_copy (copy, found, error))
    return NULL;
  return g_steal_pointer (&copy);
}

static gboolean
load_slot (const UmedptOptimizer *self, UmedptSafetensors *file,
    const char *prefix, Slot *slot, GError **error)
{
  const char *name = slot_name (self, slot);
  g_autofree char *key = g_strdup_printf ("%s%s.step", prefix, name);
  const char *value = umedpt_safetensors_get_metadata (file, key);

  if (!value)
    return TRUE; /* has not stepped yet */
  if (!g_ascii_string_to_unsigned (value, 10, 1, G_MAXUINT64, &slot->step,
          NULL)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "The metadata '%s' is '%s', which is no number of steps.", key, value);
    return FALSE;
  }
  for (guint m = 0; m < self->n_moments; m++) {
    g_autofree char *full =
        g_strdup_printf ("%s%s.%s", prefix, name, moment_names[m]);

    slot->moments[m] =
        load_moment (file, full, slot_tensor (self, slot), error);
    if (!slot->moments[m])
      return FALSE;
  }
  return TRUE;
}

/* Replaces the whole state by that in @file, or changes nothing. */
gboolean
umedpt_optimizer_load (UmedptOptimizer *self, UmedptSafetensors *file,
    const char *prefix, GError **error)
{
  g_autoptr (GArray) slots =
      g_array_sized_new (FALSE, TRUE, sizeof (Slot), self->slots->len);

  g_array_set_clear_func (slots, slot_clear);
  for (guint i = 0; i < self->slots->len; i++) {
    const Slot *old = &g_array_index (self->slots, Slot, i);
    Slot slot = { .index = old->index, .decays = old->decays };
    gboolean ok = load_slot (self, file, prefix, &slot, error);

    g_array_append_val (slots, slot);
    if (!ok)
      return FALSE;
  }
  g_array_unref (self->slots);
  self->slots = g_steal_pointer (&slots);
  return TRUE;
}

/* Which of the slots have a gradient on any rank, [slots->len]. */
static gboolean
find_used (UmedptOptimizer *self, UmedptRanks *ranks, guint8 *used,
    GError **error)
{
  const guint n = self->slots->len, size = umedpt_ranks_get_size (ranks);
  g_autofree guint8 *mine = g_new0 (guint8, n + 1);
  g_autofree guint8 *all = g_new0 (guint8, (gsize) n * size + 1);

  for (guint i = 0; i < n; i++)
    mine[i] =
        slot_tensor (self, &g_array_index (self->slots, Slot, i))->grad != NULL;
  if (!umedpt_ranks_gather (ranks, mine, all, n, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    for (guint r = 0; r < size; r++)
      used[i] |= all[(gsize) r * n + i];
  return TRUE;
}

/* What this rank's tasks did not use is zero here. */
static gboolean
make_gradients (UmedptOptimizer *self, const guint8 *used, GError **error)
{
  for (guint i = 0; i < self->slots->len; i++) {
    UmedptTensor *tensor =
        slot_tensor (self, &g_array_index (self->slots, Slot, i));

    if (!used[i] || tensor->grad)
      continue;
    tensor->grad = umedpt_tensor_new_zeros_in (tensor->memory, UMEDPT_DTYPE_F32,
        tensor->n_dims, tensor->shape, error);
    if (!tensor->grad)
      return FALSE;
  }
  return TRUE;
}

gboolean
umedpt_optimizer_sum (UmedptOptimizer *self, UmedptContext *context,
    UmedptRanks *ranks, GError **error)
{
  g_autofree guint8 *used = g_new0 (guint8, self->slots->len + 1);
  g_autoptr (GPtrArray) grads = NULL;
  gboolean ok;

  if (!ranks)
    return TRUE;
  if (!find_used (self, ranks, used, error))
    return FALSE;
  ok = make_gradients (self, used, error);
  if (!umedpt_ranks_agree (ranks, ok, error))
    return FALSE;
  grads = list_gradients (self);
  return umedpt_ranks_sum (ranks, context, (UmedptTensor *const *) grads->pdata,
      grads->len, error);
}

/* A rank that has no memory takes part no further; the messages of the others
 * end with it. */
static gboolean
share_slot (UmedptOptimizer *self, Slot *slot, UmedptRanks *ranks, guint root,
    GError **error)
{
  UmedptTensor *tensor = slot_tensor (self, slot);

  if (!umedpt_ranks_broadcast (ranks, &slot->step, sizeof slot->step, root,
          error) ||
      !umedpt_ranks_broadcast_tensor (ranks, tensor, root, error))
    return FALSE;
  for (guint m = 0; slot->step && m < self->n_moments; m++) {
    if (!slot->moments[m])
      slot->moments[m] = umedpt_tensor_new_zeros_in (tensor->memory,
          UMEDPT_DTYPE_F32, tensor->n_dims, tensor->shape, error);
    if (!slot->moments[m] ||
        !umedpt_ranks_broadcast_tensor (ranks, slot->moments[m], root, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
umedpt_optimizer_share (UmedptOptimizer *self, UmedptRanks *ranks, guint root,
    GError **error)
{
  for (guint i = 0; i < self->slots->len; i++)
    if (!share_slot (self, &g_array_index (self->slots, Slot, i), ranks, root,
            error))
      return FALSE;
  return TRUE;
}
