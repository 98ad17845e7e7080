/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The error domain's quark; the codes are described in error.h.
 */
#include "base/error.h"

/**
 * umedpt_error_quark:
 *
 * Returns: the quark of the %UMEDPT_ERROR domain
 *
 * Since: 0.1
 */
G_DEFINE_QUARK (umedpt_error_quark, umedpt_error)
