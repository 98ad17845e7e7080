/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is said of optimiser and schedule in a configuration: plain data, apart
 * from what carries it out (train/optimizer.h), so that programs may see it.
 */
#pragma once

#include "base/macros.h"

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
  gboolean heads; /* heads follow it, too; FALSE: they keep their rate */
} UmedptScheduleSettings;

G_END_DECLS
