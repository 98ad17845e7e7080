/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pictures of the first images of each validation, with truth and prediction:
 * pictures/<task>/<number>.png in the run's folder, newer ones over older.
 */
#pragma once

#include "train/trainer.h"

G_BEGIN_DECLS

typedef struct _TrainPictures TrainPictures;

TrainPictures *train_pictures_new (const char *folder);
void train_pictures_free (TrainPictures *self);
/* Draws and writes; what cannot be written is told once. */
void train_pictures_add (TrainPictures *self,
    const UmedptPrediction *prediction);
/* The next ones are those of another validation. */
void train_pictures_restart (TrainPictures *self);

G_END_DECLS
