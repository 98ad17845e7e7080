/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The pieces of a line of JSON, appended to a string. Commas come by themselves.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Before an element of an array: a comma, unless it is the first. */
void gst_umedpt_json_separate (GString *line);
void gst_umedpt_json_append_string (GString *line, const char *value);
void gst_umedpt_json_append_double (GString *line, double value);
/* As many digits as it takes to read the same float. */
void gst_umedpt_json_append_float (GString *line, gfloat value);
void gst_umedpt_json_append_uint (GString *line, guint64 value);

/* Members of an object; what is begun is ended by appending its bracket. */
void gst_umedpt_json_add_key (GString *line, const char *key);
void gst_umedpt_json_begin_object (GString *line, const char *key);
void gst_umedpt_json_begin_array (GString *line, const char *key);
/* @value: (nullable) */
void gst_umedpt_json_add_string (GString *line, const char *key,
    const char *value);
void gst_umedpt_json_add_uint (GString *line, const char *key, guint64 value);
void gst_umedpt_json_add_int (GString *line, const char *key, gint64 value);
void gst_umedpt_json_add_double (GString *line, const char *key, double value);
void gst_umedpt_json_add_float (GString *line, const char *key, gfloat value);
void gst_umedpt_json_add_boolean (GString *line, const char *key,
    gboolean value);
/* Nanoseconds; null for GST_CLOCK_TIME_NONE. */
void gst_umedpt_json_add_time (GString *line, const char *key,
    GstClockTime time);

G_END_DECLS
