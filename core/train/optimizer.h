/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Optimisers over sets of parameters by name: one for the shared blocks, one
 * per head. The state of one (moments, step count) can be stored and restored
 * bit by bit. Also the learning rate's schedule, and an average of weights.
 */
#pragma once

#include "nn/parameters.h"
#include "autograd/ops.h"

G_BEGIN_DECLS

typedef enum
{
  UMEDPT_OPTIMIZER_ADAMW,
  UMEDPT_OPTIMIZER_SGD,
} UmedptOptimizerKind;

typedef struct
{
  UmedptOptimizerKind kind;
  double lr, weight_decay;
  double beta1, beta2, epsilon; /* AdamW: 0.9, 0.999, 1e-8 */
  double momentum; /* SGD: 0.8 */
  gboolean nesterov;
  double clip; /* of the gradient's global norm; 0: none */
  gboolean decay_all; /* FALSE: not biases, norms, logit scales, 1-D */
} UmedptOptimizerSettings;

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

typedef enum
{
  UMEDPT_SCHEDULE_CONSTANT,
  UMEDPT_SCHEDULE_COSINE,
  UMEDPT_SCHEDULE_STEP,
  UMEDPT_SCHEDULE_PLATEAU,
} UmedptScheduleKind;

typedef struct
{
  UmedptScheduleKind kind;
  guint64 warmup; /* rounds, linear from 0 */
  guint64 total; /* rounds: where the cosine ends */
  double minimum; /* factor at the end: 0.01 */
  double gamma; /* STEP and PLATEAU multiply by it: 0.1 */
  guint step; /* STEP: epochs */
  guint patience; /* PLATEAU: epochs without improvement: 4 */
  double threshold; /* PLATEAU: relative: 1e-4 */
} UmedptScheduleSettings;

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
void umedpt_average_update (UmedptAverage *self);
/* Exchanges parameters and average; twice restores. */
void umedpt_average_swap (UmedptAverage *self);
gboolean umedpt_average_store (UmedptAverage *self,
    UmedptSafetensorsWriter *writer, const char *prefix, GError **error);
gboolean umedpt_average_load (UmedptAverage *self, UmedptSafetensors *file,
    const char *prefix, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptOptimizer, umedpt_optimizer_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptAverage, umedpt_average_free)

G_END_DECLS
