/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Optimisers over sets of parameters by name: one for the shared blocks, one
 * per head. The state of one (moments, step count) can be stored and restored
 * bit by bit. Also the learning rate's schedule, and an average of weights.
 */
#pragma once

#include "nn/parameters.h"
#include "autograd/ops.h"
#include "train/ranks.h"
#include "train/settings.h"

G_BEGIN_DECLS

typedef struct _UmedptOptimizer UmedptOptimizer;

/* The parameters whose name begins with one of @prefixes (NULL-terminated)
 * and that require a gradient; those of @parameters must stay alive. */
UmedptOptimizer *umedpt_optimizer_new (UmedptParameters *parameters,
    const char *const *prefixes, const UmedptOptimizerSettings *settings);
void umedpt_optimizer_free (UmedptOptimizer *self);
/* One step with the learning rate times @factor; parameters without a
 * gradient stay as they are. Drops the gradients. @norm: (nullable) the global
 * norm before clipping. A norm that is not finite is an error (DATA), and
 * nothing is changed. Does not call umedpt_parameters_changed(). */
gboolean umedpt_optimizer_step (UmedptOptimizer *self, UmedptContext *context,
    double factor, double *norm, GError **error);
void umedpt_optimizer_zero (UmedptOptimizer *self);
/* State, under names <prefix><parameter>.moment1 …, and the steps in the
 * metadata. */
gboolean umedpt_optimizer_store (UmedptOptimizer *self,
    UmedptSafetensorsWriter *writer, const char *prefix, GError **error);
gboolean umedpt_optimizer_load (UmedptOptimizer *self, UmedptSafetensors *file,
    const char *prefix, GError **error);

/* Adds the gradients over all ranks; a parameter that any rank used has one
 * afterwards on all. */
gboolean umedpt_optimizer_sum (UmedptOptimizer *self, UmedptContext *context,
    UmedptRanks *ranks, GError **error);
/* Parameters and state become those of rank @root. */
gboolean umedpt_optimizer_share (UmedptOptimizer *self, UmedptRanks *ranks,
    guint root, GError **error);

/* Its state is plain data: store and restore it by value. */
typedef struct
{
  double best; /* PLATEAU */
  guint bad_epochs;
  double factor;
} UmedptScheduleState;

void umedpt_schedule_init (UmedptScheduleState *state);
double umedpt_schedule_factor (const UmedptScheduleSettings *settings,
    const UmedptScheduleState *state, guint64 round, guint epoch);
/* After each epoch, with the validation loss. */
void umedpt_schedule_epoch (const UmedptScheduleSettings *settings,
    UmedptScheduleState *state, double loss);

/* Exponential moving average of all parameters that require a gradient. */
typedef struct _UmedptAverage UmedptAverage;

UmedptAverage *umedpt_average_new (UmedptParameters *parameters, double decay,
    GError **error);
void umedpt_average_free (UmedptAverage *self);
gboolean umedpt_average_update (UmedptAverage *self, UmedptContext *context,
    GError **error);
/* Exchanges parameters and average; twice restores. */
void umedpt_average_swap (UmedptAverage *self);
/* The averages of parameters with @prefix become those of rank @root. */
gboolean umedpt_average_share (UmedptAverage *self, UmedptRanks *ranks,
    const char *prefix, guint root, GError **error);
gboolean umedpt_average_store (UmedptAverage *self,
    UmedptSafetensorsWriter *writer, const char *prefix, GError **error);
gboolean umedpt_average_load (UmedptAverage *self, UmedptSafetensors *file,
    const char *prefix, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptOptimizer, umedpt_optimizer_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptAverage, umedpt_average_free)

G_END_DECLS
