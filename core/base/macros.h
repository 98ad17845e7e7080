/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What every header of the library needs: the mark of an exported symbol.
 * Everything is compiled with hidden visibility; a function that programs may
 * call carries UMEDPT_API and a name that begins with umedpt_.
 */
#pragma once

#include <glib.h>

#define UMEDPT_API __attribute__ ((visibility ("default"))) extern
