/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The version of the library at run time; it may be newer than the headers
 * that a program was compiled with (see version.h).
 */
#include "base/version.h"

/**
 * umedpt_get_version:
 *
 * Returns: the version of the library in use, as "0.1.0"
 *
 * Since: 0.1
 */
const char *
umedpt_get_version (void)
{
  return UMEDPT_VERSION;
}
