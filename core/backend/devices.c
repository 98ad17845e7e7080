/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Asks for every backend by its name, and keeps the answer in words. Opening
 * one is what using it would do, so that the list does not promise more than
 * the use can hold.
 */
#include "backend/devices.h"

#include "backend/backend.h"

/* The best first; the order of the list. */
static const char *const names[] = { "cuda", "cpu", "ref" };

/**
 * umedpt_devices_list:
 *
 * Tries every backend that this version knows, the best first. The first call
 * may take a moment: it loads modules and starts drivers.
 *
 * Returns: (transfer full) (element-type UmedptDeviceInfo): all backends, also
 *   those that do not work here; free with g_array_unref()
 *
 * Since: 0.1
 */
GArray *
umedpt_devices_list (void)
{
  GArray *list = g_array_new (FALSE, TRUE, sizeof (UmedptDeviceInfo));

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (GError) error = NULL;
    UmedptBackend *backend = umedpt_backend_find (names[i], &error);
    UmedptDeviceInfo info = { .name = names[i] };

    if (backend)
      info.description = backend->description;
    else /* interned: answers are kept, so there are few */
      info.problem = g_intern_string (error->message);
    g_array_append_val (list, info);
  }
  return list;
}
