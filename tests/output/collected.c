/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a merger of objects has given back; outlines are its own, their number
 * of rings is kept.
 */
#include "collected.h"

void
collected_init (Collected *self)
{
  self->objects = g_array_new (FALSE, FALSE, sizeof (UmedptObject));
  self->rings = g_array_new (FALSE, FALSE, sizeof (guint));
}

void
collected_clear (Collected *self)
{
  g_array_unref (self->objects);
  g_array_unref (self->rings);
}

gboolean
collected_add (const UmedptObject *object, gpointer data, GError **error)
{
  Collected *self = data;
  UmedptObject copy = *object;
  guint rings = object->outline ? object->outline->ends->len : 0;

  copy.outline = NULL;
  g_array_append_val (self->objects, copy);
  g_array_append_val (self->rings, rings);
  return TRUE;
}

UmedptObject *
collected_nth (const Collected *self, guint i)
{
  g_assert_cmpuint (i, <, self->objects->len);
  return &g_array_index (self->objects, UmedptObject, i);
}
