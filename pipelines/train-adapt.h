/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A configuration for tasks of one's own, turned to a trained model.
 */
#pragma once

#include "train.h"

G_BEGIN_DECLS

/* Turns @keys to begin with @model: with @frozen all blocks that it has stay
 * as they are, and its tasks with them. @fraction: of the training images of
 * each task, 0: as the keys say. */
gboolean train_adapt_keys (GKeyFile *keys, const char *model, gboolean frozen,
    double fraction, GError **error);

G_END_DECLS
