/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What attention needs besides the image follows from parameters alone: the
 * bias with the key's part 0, the logit scale, the position bias (a small MLP
 * over all offsets of a window). Inference computes it once per state of the
 * parameters. Training computes and records it once per round, because all
 * images of all tasks of a round share it: their gradients gather on these
 * values, and go on to the parameters when the round ends.
 */
#include "base/error.h"
#include "net/swin-private.h"

static void
values_clear (gpointer data)
{
  UmedptSwinValues *values = data;

  for (guint i = 0; i < values->n_blocks; i++)
    umedpt_swin_prepared_clear (&values->blocks[i]);
  g_free (values->blocks);
}

UmedptSwinValues *
umedpt_swin_values_ref (UmedptSwinValues *self)
{
  return g_atomic_rc_box_acquire (self);
}

void
umedpt_swin_values_unref (UmedptSwinValues *self)
{
  g_atomic_rc_box_release_full (self, values_clear);
}

static UmedptSwinValues *
compute (UmedptSwin *self, UmedptContext *context, GError **error)
{
  g_autoptr (UmedptSwinValues) values = g_atomic_rc_box_new0 (UmedptSwinValues);

  values->backend = umedpt_context_get_backend (context);
  values->generation = umedpt_parameters_get_generation (self->parameters);
  values->n_blocks = self->n_blocks;
  values->blocks = g_new0 (UmedptSwinPrepared, self->n_blocks);
  for (guint i = 0; i < self->n_blocks; i++)
    if (!umedpt_swin_block_prepare (&self->blocks[i], context,
            &values->blocks[i], error))
      return NULL;
  return g_steal_pointer (&values);
}

/* Without recording, and again when parameters or backend are others; who
 * computes with the old values keeps them meanwhile. */
static UmedptSwinValues *
get_cached (UmedptSwin *self, UmedptContext *context, GError **error)
{
  UmedptTape *tape = umedpt_context_get_tape (context);
  UmedptSwinValues *values = self->prepared;

  if (values &&
      values->generation ==
          umedpt_parameters_get_generation (self->parameters) &&
      values->backend == umedpt_context_get_backend (context))
    return umedpt_swin_values_ref (values);
  g_clear_pointer (&self->prepared, umedpt_swin_values_unref);
  umedpt_context_set_tape (context, NULL);
  self->prepared = compute (self, context, error);
  umedpt_context_set_tape (context, tape);
  return self->prepared ? umedpt_swin_values_ref (self->prepared) : NULL;
}

/* Whether values that a round computes must be recorded. */
static gboolean
values_train (const UmedptSwin *self)
{
  for (guint i = 0; i < self->n_blocks; i++) {
    const UmedptSwinBlock *block = &self->blocks[i];

    if (block->qkv.bias->requires_grad || block->logit_scale->requires_grad ||
        block->position1.weight->requires_grad ||
        block->position1.bias->requires_grad ||
        block->position2.weight->requires_grad)
      return TRUE;
  }
  return FALSE;
}

static UmedptSwinValues *
get_round (UmedptSwin *self, UmedptContext *context, GError **error)
{
  if (self->round &&
      self->round->generation ==
          umedpt_parameters_get_generation (self->parameters) &&
      self->round->backend == umedpt_context_get_backend (context))
    return umedpt_swin_values_ref (self->round);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "The encoder is trained outside of a round, or its parameters have "
      "changed within one: a forward pass that is recorded belongs between "
      "umedpt_model_begin_round() and umedpt_model_end_round().");
  return NULL;
}

/* (transfer full) */
UmedptSwinValues *
umedpt_swin_get_values (UmedptSwin *self, UmedptContext *context,
    GError **error)
{
  UmedptSwinValues *values;

  g_mutex_lock (&self->lock);
  values = umedpt_context_get_tape (context) && values_train (self)
      ? get_round (self, context, error)
      : get_cached (self, context, error);
  g_mutex_unlock (&self->lock);
  return values;
}

static void
drop_round (UmedptSwin *self)
{
  g_clear_pointer (&self->round, umedpt_swin_values_unref);
  g_clear_pointer (&self->round_tape, umedpt_tape_free);
}

void
umedpt_swin_drop_prepared (UmedptSwin *self)
{
  drop_round (self);
  g_clear_pointer (&self->prepared, umedpt_swin_values_unref);
}

/* Drops what an earlier round, that did not come to its end, has left. */
gboolean
umedpt_swin_begin_round (UmedptSwin *self, UmedptContext *context,
    GError **error)
{
  UmedptTape *tape = umedpt_context_get_tape (context);
  gboolean ok;

  g_mutex_lock (&self->lock);
  drop_round (self);
  self->round_tape = umedpt_tape_new ();
  umedpt_context_set_tape (context, self->round_tape);
  self->round = compute (self, context, error);
  umedpt_context_set_tape (context, tape);
  ok = self->round != NULL;
  g_mutex_unlock (&self->lock);
  return ok;
}

gboolean
umedpt_swin_end_round (UmedptSwin *self, UmedptContext *context, GError **error)
{
  gboolean ok;

  g_mutex_lock (&self->lock);
  ok = self->round != NULL;
  if (ok)
    ok = umedpt_tape_backward (self->round_tape, context, error);
  else
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "umedpt_model_end_round() without umedpt_model_begin_round().");
  drop_round (self);
  g_mutex_unlock (&self->lock);
  return ok;
}
