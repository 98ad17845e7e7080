/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A configuration with its data sets open, of all tasks or of some.
 */
#pragma once

#include "train.h"

G_BEGIN_DECLS

/* @tasks: (nullable) the names of those that are wanted. */
UmedptTrainConfig *train_open_config (const char *path, char *const *changes,
    char *const *tasks, GError **error);

G_END_DECLS
