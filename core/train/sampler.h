/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The order of the tasks within an epoch. What pass i of epoch e is follows
 * from the seed, e and i alone, so that a sampler has no state to save.
 */
#pragma once

#include "train/config.h"

G_BEGIN_DECLS

typedef struct _UmedptSamplerPlan UmedptSamplerPlan;

/* @n_batches: [n_tasks] batches in each task's loader, none 0. */
UmedptSamplerPlan *umedpt_sampler_plan_new (UmedptSampler sampler,
    guint n_tasks, const guint *n_batches, guint64 seed);
void umedpt_sampler_plan_free (UmedptSamplerPlan *self);
/* Passes in an epoch. */
guint64 umedpt_sampler_plan_get_length (const UmedptSamplerPlan *self);
/* The task of pass @index of @epoch. */
guint umedpt_sampler_plan_get (UmedptSamplerPlan *self, guint64 epoch,
    guint64 index);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptSamplerPlan, umedpt_sampler_plan_free)

G_END_DECLS
