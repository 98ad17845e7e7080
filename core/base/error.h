/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The library's error domain. A message names the thing, what was found, what
 * was expected, and what to do; the code lets a program choose its reaction.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

/**
 * UmedptError:
 * @UMEDPT_ERROR_SHAPE: a tensor or image has the wrong dimensions
 * @UMEDPT_ERROR_DTYPE: a tensor has the wrong element type
 * @UMEDPT_ERROR_FORMAT: a file is not of the format expected, or damaged
 * @UMEDPT_ERROR_IO: a file cannot be opened, read or written
 * @UMEDPT_ERROR_NOT_FOUND: a file or a named thing does not exist
 * @UMEDPT_ERROR_EXISTS: a file is there already and must not be replaced
 * @UMEDPT_ERROR_NO_SPACE: the disk is full
 * @UMEDPT_ERROR_NO_MEMORY: memory is exhausted
 * @UMEDPT_ERROR_BACKEND: a device or a compute library failed
 * @UMEDPT_ERROR_UNSUPPORTED: valid, but not offered here; the text says why
 * @UMEDPT_ERROR_SETTINGS: an option, property or argument is wrong or missing
 * @UMEDPT_ERROR_DATA: the data cannot be right (NaN in a feature, …)
 * @UMEDPT_ERROR_CANCELLED: stopped on request
 *
 * Codes of the %UMEDPT_ERROR domain.
 */
typedef enum
{
  UMEDPT_ERROR_SHAPE,
  UMEDPT_ERROR_DTYPE,
  UMEDPT_ERROR_FORMAT,
  UMEDPT_ERROR_IO,
  UMEDPT_ERROR_NOT_FOUND,
  UMEDPT_ERROR_EXISTS,
  UMEDPT_ERROR_NO_SPACE,
  UMEDPT_ERROR_NO_MEMORY,
  UMEDPT_ERROR_BACKEND,
  UMEDPT_ERROR_UNSUPPORTED,
  UMEDPT_ERROR_SETTINGS,
  UMEDPT_ERROR_DATA,
  UMEDPT_ERROR_CANCELLED,
} UmedptError;

#define UMEDPT_ERROR (umedpt_error_quark ())

UMEDPT_API
GQuark umedpt_error_quark (void);

G_END_DECLS
