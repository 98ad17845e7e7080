/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A folder per test, and the file that it is about.
 */
#pragma once

#include <glib.h>

typedef struct
{
  char *folder;
  char *path;
} Folder;

/* @name: of the file. */
void folder_init (Folder *self, const char *name);
/* With all that is in it. */
void folder_clear (Folder *self);
guint folder_count (const Folder *self);
