/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The file that umedptjson writes, line by line: a plain file, a named pipe or
 * a device.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct _GstUmedptJsonFile GstUmedptJsonFile;

/* @append: after what is there, else anew. @poll: controllable; waiting for a
 * slow reader ends when it is set to flushing. It outlives the file. */
GstUmedptJsonFile *gst_umedpt_json_file_new (const char *path, gboolean append,
    GstPoll *poll, GError **error);
/* Takes a line; with @at_once it is on its way to the disk on return. */
gboolean gst_umedpt_json_file_write (GstUmedptJsonFile *self, const char *line,
    gsize length, gboolean at_once, GError **error);
/* Writes what waits, and has the disk confirm it. */
gboolean gst_umedpt_json_file_sync (GstUmedptJsonFile *self, GError **error);
/* Writes what waits, as far as that is possible at once; frees @self also on
 * failure. */
gboolean gst_umedpt_json_file_close (GstUmedptJsonFile *self, GError **error);

G_END_DECLS
