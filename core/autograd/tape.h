/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tape: what the checked ops have computed, in order, so that gradients
 * can be computed in the opposite order (reverse-mode differentiation; the
 * vocabulary is PyTorch's).
 *
 * A context with a tape records each op that has an input whose gradient is
 * wanted (`requires_grad`), and marks the output likewise; all others leave
 * nothing behind, so that a frozen encoder costs no memory. Gradients hang on
 * the tensors (`grad`): those of parameters are f32 and stay and grow until
 * somebody takes them; those of activations are dropped as soon as the op
 * that made the activation has used them, and the activation with them.
 *
 *   umedpt_context_set_tape (context, tape);
 *   … forward … logits
 *   … loss: diff_logits
 *   umedpt_tape_seed (logits, diff_logits);
 *   umedpt_tape_backward (tape, context, &error);
 *
 * Tapes may be nested in time: what is recorded on one tape (values derived
 * from parameters) can be an input to ops on others; their gradients gather
 * on it until its own backward pass runs.
 */
#pragma once

#include "autograd/ops.h"

G_BEGIN_DECLS

typedef struct _UmedptTape UmedptTape;

#define UMEDPT_TAPE_MAX_HELD 16

/* Computes the gradients of an op's inputs from @diff_dst, the gradient of
 * its output. @args: as recorded. It may take the output's gradient over
 * (umedpt_tape_give_grad() with @diff_dst itself): nobody else needs it. */
typedef gboolean (*UmedptBackwardFunc) (UmedptContext *context,
    gconstpointer args, UmedptTensor *diff_dst, GError **error);

UmedptTape *umedpt_tape_new (void);
void umedpt_tape_free (UmedptTape *self);
guint umedpt_tape_get_n_recorded (const UmedptTape *self);

/* (nullable) @tape: not owned; NULL ends recording. */
void umedpt_context_set_tape (UmedptContext *context, UmedptTape *tape);
UmedptTape *umedpt_context_get_tape (const UmedptContext *context);

/* Whether ops on @context must record if one of the (nullable) tensors
 * requires a gradient. The list ends with the count @n. */
gboolean umedpt_tape_wants (const UmedptContext *context, guint n,
    UmedptTensor *const *inputs);
/* Records an op: @args (copied, @size bytes) refers to the tensors @held,
 * which are kept until the backward pass; marks @dst. */
void umedpt_tape_record (UmedptContext *context, UmedptTensor *dst,
    UmedptBackwardFunc backward, gconstpointer args, gsize size, guint n_held,
    UmedptTensor *const *held);

/* Adds @diff to the gradient of @tensor: the start of a backward pass. @diff
 * may become that gradient and is then changed: it must not be used after. */
gboolean umedpt_tape_seed (UmedptTensor *tensor, UmedptTensor *diff,
    GError **error);
/* Runs over all that is recorded, last first, and leaves the tape empty. Ops
 * whose output got no gradient are passed over. */
gboolean umedpt_tape_backward (UmedptTape *self, UmedptContext *context,
    GError **error);

/* For backward functions. The place for the gradient of an activation: NULL
 * if none is wanted; *accumulate tells whether there is one already, to which
 * to add. */
gboolean umedpt_tape_activation_grad (UmedptTensor *tensor, UmedptTensor **diff,
    gboolean *accumulate, GError **error);
/* The same for parameters and what is derived from them: f32, zeros at
 * first, always to be added to. */
gboolean umedpt_tape_parameter_grad (UmedptTensor *tensor, UmedptTensor **diff,
    GError **error);
/* Where the gradient is @diff itself (residual paths): taken over without a
 * copy if @tensor has none yet, else added. @diff must not be used after. */
gboolean umedpt_tape_give_grad (UmedptContext *context, UmedptTensor *tensor,
    UmedptTensor *diff, GError **error);

/* Activation checkpointing (Chen et al. 2016): runs @forward without
 * recording, and again, recording, when the backward pass comes. @forward
 * must compute the same both times. @data is freed with @destroy. A block in
 * which no gradient is wanted leaves nothing on the tape. */
typedef UmedptTensor *(*UmedptForwardFunc) (UmedptContext *context,
    gpointer data, UmedptTensor *x, GError **error);
UmedptTensor *umedpt_tape_checkpoint (UmedptContext *context,
    UmedptForwardFunc forward, gpointer data, GDestroyNotify destroy,
    UmedptTensor *x, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptTape, umedpt_tape_free)

G_END_DECLS
