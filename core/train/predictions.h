/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an evaluation saw, image by image: truth and prediction as a line of
 * JSON each, for looking at errors and for comparing programs. The names of
 * members are those of docs/json-lines.md; what else there is stands in
 * docs/training.md.
 */
#pragma once

#include "train/trainer.h"

G_BEGIN_DECLS

typedef struct _UmedptPredictionWriter UmedptPredictionWriter;

UMEDPT_API
UmedptPredictionWriter *umedpt_prediction_writer_new (const char *path,
    GError **error);
UMEDPT_API
gboolean umedpt_prediction_writer_add (UmedptPredictionWriter *self,
    const UmedptPrediction *prediction, GError **error);
/* Gives the file its name. */
UMEDPT_API
gboolean umedpt_prediction_writer_finish (UmedptPredictionWriter *self,
    GError **error);
UMEDPT_API
void umedpt_prediction_writer_free (UmedptPredictionWriter *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptPredictionWriter,
    umedpt_prediction_writer_free)

G_END_DECLS
