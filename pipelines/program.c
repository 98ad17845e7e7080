/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Beginning and end of a command-line program.
 */
#include "program.h"

#include <locale.h>
#include <stdio.h>

/* The user's language for text, but numbers with a point: what is printed is
 * read by other programs as well. */
void
program_begin (const char *name)
{
  setlocale (LC_ALL, "");
  setlocale (LC_NUMERIC, "C");
  g_set_prgname (name);
}

/* @text for a terminal: names and labels come out of files of strangers, and
 * control characters in them could rewrite what the user sees. */
char *
program_clean (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *clean = g_string_new (NULL);

  for (const char *c = valid; *c; c = g_utf8_next_char (c)) {
    gunichar character = g_utf8_get_char (c);
    g_string_append_unichar (clean,
        g_unichar_iscntrl (character) ? 0xfffd : character);
  }
  return g_string_free (clean, FALSE);
}

/* One line on standard error; returns @status. */
int
program_complain (int status, const char *format, ...)
{
  g_autofree char *text = NULL;
  g_autofree char *clean = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  clean = program_clean (text);
  g_printerr ("%s: %s%s\n", g_get_prgname (), clean,
      status == PROGRAM_USAGE ? " (--help tells more)" : "");
  return status;
}

/* The exit status of success, unless standard output could not be written. */
int
program_end (void)
{
  if (fflush (stdout) == 0 && !ferror (stdout))
    return PROGRAM_DONE;
  return program_complain (PROGRAM_FAILED,
      "Cannot write to standard output. Is the disk full?");
}
