/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What all our command-line programs do alike: how they begin, complain and
 * end. Exit status 0: done; 1: it failed; 2: the command line is wrong.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

enum
{
  PROGRAM_DONE = 0,
  PROGRAM_FAILED = 1,
  PROGRAM_USAGE = 2,
};

void program_begin (const char *name);
int program_complain (int status, const char *format, ...) G_GNUC_PRINTF (2, 3);
int program_end (void);
char *program_clean (const char *text);

G_END_DECLS
