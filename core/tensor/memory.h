/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Memory that is not the host's: a few functions that a backend with memory
 * of its own gives. Storage is taken from it and given back in the order of
 * the backend's queue: a block may be given back while queued work still uses
 * it, and whoever gets it next queues behind that work.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _UmedptMemory UmedptMemory;

struct _UmedptMemory
{
  const char *name; /* "cuda" */

  /* NULL with @error set (%UMEDPT_ERROR_NO_MEMORY) if there is not enough. */
  gpointer (*allocate) (UmedptMemory *self, gsize size, GError **error);
  void (*release) (UmedptMemory *self, gpointer data, gsize size);
  /* From host memory, which may be used again at once. */
  gboolean (*upload) (UmedptMemory *self, gpointer dst, gconstpointer host,
      gsize size, GError **error);
  /* To host memory; waits for all work that is queued. */
  gboolean (*download) (UmedptMemory *self, gpointer host, gconstpointer src,
      gsize size, GError **error);
  /* Within this memory; only queued. */
  gboolean (*copy) (UmedptMemory *self, gpointer dst, gconstpointer src,
      gsize size, GError **error);
  gboolean (*zero) (UmedptMemory *self, gpointer dst, gsize size,
      GError **error);
};

/* A picture that lies in such memory. */
typedef struct
{
  const guint8 *data;
  gsize stride; /* bytes from row to row */
  gint width, height;
  gint bytes; /* per pixel */
  gint offsets[3]; /* of red, green, blue in a pixel */
} UmedptDeviceImage;

G_END_DECLS
