/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backends that are found at run time. See module.c.
 */
#pragma once

#include "backend/backend.h"

G_BEGIN_DECLS

UmedptBackend *umedpt_backend_module (const char *name, GError **error);

G_END_DECLS
