/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a merger of objects has given back.
 */
#pragma once

#include "output/objects.h"

typedef struct
{
  GArray *objects; /* UmedptObject without outlines */
  GArray *rings; /* guint: of each */
} Collected;

void collected_init (Collected *self);
void collected_clear (Collected *self);
/* A UmedptObjectFunc; @data: Collected */
gboolean collected_add (const UmedptObject *object, gpointer data,
    GError **error);
UmedptObject *collected_nth (const Collected *self, guint i);
