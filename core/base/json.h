/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A strict reader of JSON (RFC 8259) for input that may be hostile. It goes
 * over the text once, builds no tree, and never recurses without a limit:
 * json-glib recurses as deep as the input says, lets integers wrap around
 * ("-18446744073709551615" reads as 1) and hides duplicate keys, which would
 * all end in wrong tensor shapes. Also the pieces that a writer needs.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

/* On the stack; borrows the text. */
typedef struct
{
  const char *begin, *at, *end;
} UmedptJson;

typedef enum
{
  UMEDPT_JSON_OBJECT,
  UMEDPT_JSON_ARRAY,
  UMEDPT_JSON_STRING,
  UMEDPT_JSON_NUMBER,
  UMEDPT_JSON_BOOLEAN,
  UMEDPT_JSON_NULL,
  UMEDPT_JSON_NOTHING, /* the end of the text, or no JSON */
} UmedptJsonType;

/* All that return gboolean set UMEDPT_ERROR_FORMAT with "at byte N: …". */
gboolean umedpt_json_init (UmedptJson *self, const char *text, gsize length,
    GError **error);
UmedptJsonType umedpt_json_peek (UmedptJson *self);
gboolean umedpt_json_begin (UmedptJson *self, UmedptJsonType type,
    GError **error);
gboolean umedpt_json_next_key (UmedptJson *self, gboolean *first, char **key,
    GError **error);
gboolean umedpt_json_next_element (UmedptJson *self, gboolean *first,
    gboolean *more, GError **error);
gboolean umedpt_json_get_string (UmedptJson *self, char **value,
    GError **error);
gboolean umedpt_json_get_integer (UmedptJson *self, gint64 min, gint64 max,
    gint64 *value, GError **error);
gboolean umedpt_json_get_double (UmedptJson *self, double min, double max,
    double *value, GError **error);
gboolean umedpt_json_get_boolean (UmedptJson *self, gboolean *value,
    GError **error);
gboolean umedpt_json_get_choice (UmedptJson *self, const char *const *choices,
    gint *index, GError **error);
gboolean umedpt_json_skip (UmedptJson *self, GError **error);
gboolean umedpt_json_finish (UmedptJson *self, GError **error);

/* For what only the caller can judge: sets FORMAT, returns FALSE. */
gboolean umedpt_json_fail (GError **error, const char *format, ...)
    G_GNUC_PRINTF (2, 3);
gint umedpt_json_find_choice (const char *word, const char *const *choices,
    GError **error);

void umedpt_json_append_string (GString *text, const char *value);
void umedpt_json_append_double (GString *text, double value);

G_END_DECLS
