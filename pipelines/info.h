/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The two halves of umedpt-info: what is here, and what a file is.
 */
#pragma once

#include "report.h"

G_BEGIN_DECLS

void info_system (Report *report);
gboolean info_model (Report *report, const char *path, GError **error);
gboolean info_tensors (Report *report, const char *path, GError **error);

G_END_DECLS
