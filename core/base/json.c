/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A pull reader: the caller asks for what its format allows next and gets it
 * or an error; anything else cannot slip in. Only umedpt_json_skip() meets
 * values of unknown shape, and it stops at MAX_DEPTH.
 */
#include "base/json.h"

#include <string.h>

#include "base/error.h"

#define MAX_DEPTH 64
#define MAX_NUMBER 64 /* characters of a number */

static const char *const type_names[] = { "an object", "an array", "a string",
  "a number", "true or false", "null", "no JSON value" };

static void
skip_blanks (UmedptJson *self)
{
  while (self->at < self->end && strchr (" \t\r\n", *self->at) && *self->at)
    self->at++;
}

/* FALSE with @error: what was expected here and what stands here. */
static gboolean
fail_expected (UmedptJson *self, const char *expected, GError **error)
{
  const char *stop = self->at;
  g_autofree char *found = NULL;

  while (stop < self->end && stop - self->at < 24)
    stop = g_utf8_next_char (stop);
  found = g_strndup (self->at, stop - self->at);
  g_strdelimit (found, "\n\r\t", ' ');
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      "at byte %" G_GSIZE_FORMAT ": expected %s, found %s%s%s",
      (gsize) (self->at - self->begin), expected, *found ? "'" : "",
      *found ? found : "the end", *found ? "'" : "");
  return FALSE;
}

/* Begins to read @text, which must stay. FALSE if it is not UTF-8 (a NUL is
 * refused as well). */
gboolean
umedpt_json_init (UmedptJson *self, const char *text, gsize length,
    GError **error)
{
  const char *bad;

  *self = (UmedptJson){ text, text, text + length };
  if (g_utf8_validate_len (text, length, &bad))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      "at byte %" G_GSIZE_FORMAT ": expected UTF-8 text, found byte 0x%02x",
      (gsize) (bad - text), (guint8) *bad);
  return FALSE;
}

/* What comes next; moves to it. */
UmedptJsonType
umedpt_json_peek (UmedptJson *self)
{
  skip_blanks (self);
  if (self->at == self->end)
    return UMEDPT_JSON_NOTHING;
  switch (*self->at) {
    case '{':
      return UMEDPT_JSON_OBJECT;
    case '[':
      return UMEDPT_JSON_ARRAY;
    case '"':
      return UMEDPT_JSON_STRING;
    case 't':
    case 'f':
      return UMEDPT_JSON_BOOLEAN;
    case 'n':
      return UMEDPT_JSON_NULL;
    default:
      return *self->at == '-' || g_ascii_isdigit (*self->at)
          ? UMEDPT_JSON_NUMBER
          : UMEDPT_JSON_NOTHING;
  }
}

static gboolean
expect (UmedptJson *self, UmedptJsonType type, GError **error)
{
  if (umedpt_json_peek (self) == type)
    return TRUE;
  return fail_expected (self, type_names[type], error);
}

/* Enters an object or array. */
gboolean
umedpt_json_begin (UmedptJson *self, UmedptJsonType type, GError **error)
{
  if (!expect (self, type, error))
    return FALSE;
  self->at++;
  return TRUE;
}

/* To the next item: @more says whether there is one before @close. */
static gboolean
next_item (UmedptJson *self, char close, gboolean *first, gboolean *more,
    GError **error)
{
  gboolean at_first = *first;

  *first = FALSE;
  *more = FALSE;
  skip_blanks (self);
  if (self->at < self->end && *self->at == close) {
    self->at++;
    return TRUE;
  }
  if (!at_first) {
    if (self->at == self->end || *self->at != ',')
      return fail_expected (self, close == '}' ? "',' or '}'" : "',' or ']'",
          error);
    self->at++;
  }
  *more = TRUE;
  return TRUE;
}

/* Reads the next key of an object and the colon; @key (out) (transfer full) is
 * NULL after the last. @first is TRUE before the first call. */
gboolean
umedpt_json_next_key (UmedptJson *self, gboolean *first, char **key,
    GError **error)
{
  g_autofree char *name = NULL;
  gboolean more;

  *key = NULL;
  if (!next_item (self, '}', first, &more, error))
    return FALSE;
  if (!more)
    return TRUE;
  if (!umedpt_json_get_string (self, &name, error))
    return FALSE;
  skip_blanks (self);
  if (self->at == self->end || *self->at != ':')
    return fail_expected (self, "':'", error);
  self->at++;
  *key = g_steal_pointer (&name);
  return TRUE;
}

/* Moves to the next element of an array, if there is @more. */
gboolean
umedpt_json_next_element (UmedptJson *self, gboolean *first, gboolean *more,
    GError **error)
{
  return next_item (self, ']', first, more, error);
}

/* Four hexadecimal digits at @at, or -1. */
static gint
parse_hex4 (const char *at, const char *end)
{
  gint value = 0;

  if (end - at < 4)
    return -1;
  for (guint i = 0; i < 4; i++) {
    gint digit = g_ascii_xdigit_value (at[i]);
    if (digit < 0)
      return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* \uXXXX, or two of them that make a surrogate pair. NUL is refused: it would
 * end a C string early. */
static gboolean
parse_unicode_escape (UmedptJson *self, GString *text, GError **error)
{
  gint high = parse_hex4 (self->at + 2, self->end), low = -1;

  if (high > 0 && (high < 0xd800 || high > 0xdfff)) {
    g_string_append_unichar (text, high);
    self->at += 6;
    return TRUE;
  }
  if (high >= 0xd800 && high < 0xdc00 && self->end - self->at >= 12 &&
      self->at[6] == '\\' && self->at[7] == 'u')
    low = parse_hex4 (self->at + 8, self->end);
  if (low < 0xdc00 || low > 0xdfff)
    return fail_expected (self, "an escaped character", error);
  g_string_append_unichar (text,
      0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
  self->at += 12;
  return TRUE;
}

static gboolean
parse_escape (UmedptJson *self, GString *text, GError **error)
{
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  const char *found;

  if (self->end - self->at < 2)
    return fail_expected (self, "an escaped character", error);
  if (self->at[1] == 'u')
    return parse_unicode_escape (self, text, error);
  found = strchr (names, self->at[1]);
  if (!found || !*found)
    return fail_expected (self, "an escaped character", error);
  g_string_append_c (text, values[found - names]);
  self->at += 2;
  return TRUE;
}

/* @value (out) (transfer full) */
gboolean
umedpt_json_get_string (UmedptJson *self, char **value, GError **error)
{
  g_autoptr (GString) text = NULL;

  if (!expect (self, UMEDPT_JSON_STRING, error))
    return FALSE;
  self->at++;
  text = g_string_new (NULL);
  while (self->at < self->end && *self->at != '"') {
    const char *start = self->at;

    if ((guint8) *start < 0x20)
      return fail_expected (self, "no control character in a string", error);
    if (*start == '\\') {
      if (!parse_escape (self, text, error))
        return FALSE;
      continue;
    }
    while (self->at < self->end && *self->at != '"' && *self->at != '\\' &&
        (guint8) *self->at >= 0x20)
      self->at++;
    g_string_append_len (text, start, self->at - start);
  }
  if (self->at == self->end)
    return fail_expected (self, "'\"' at the end of a string", error);
  self->at++;
  *value = g_string_free (g_steal_pointer (&text), FALSE);
  return TRUE;
}

static const char *
skip_digits (const char *at, const char *end)
{
  while (at < end && g_ascii_isdigit (*at))
    at++;
  return at;
}

/* The end of the number that begins here by the grammar of RFC 8259, or NULL;
 * @integer: whether it has neither fraction nor exponent. */
static const char *
find_number_end (UmedptJson *self, gboolean *integer)
{
  const char *at = self->at + (*self->at == '-'), *digits = at;

  at = skip_digits (digits, self->end);
  if (at == digits || (*digits == '0' && at - digits > 1))
    return NULL;
  *integer = TRUE;
  if (at < self->end && *at == '.') {
    digits = at + 1;
    at = skip_digits (digits, self->end);
    if (at == digits)
      return NULL;
    *integer = FALSE;
  }
  if (at < self->end && (*at == 'e' || *at == 'E')) {
    digits = at + 1;
    if (digits < self->end && (*digits == '+' || *digits == '-'))
      digits++;
    at = skip_digits (digits, self->end);
    if (at == digits)
      return NULL;
    *integer = FALSE;
  }
  return at;
}

/* An integer of @min … @max, written without fraction and exponent. */
gboolean
umedpt_json_get_integer (UmedptJson *self, gint64 min, gint64 max,
    gint64 *value, GError **error)
{
  g_autofree char *range = NULL;
  g_autofree char *digits = NULL;
  const char *stop = NULL;
  gboolean integer = FALSE;

  range = g_strdup_printf ("an integer from %" G_GINT64_FORMAT
                           " to %" G_GINT64_FORMAT,
      min, max);
  if (umedpt_json_peek (self) == UMEDPT_JSON_NUMBER)
    stop = find_number_end (self, &integer);
  if (!stop || !integer || stop - self->at > MAX_NUMBER)
    return fail_expected (self, range, error);
  digits = g_strndup (self->at, stop - self->at);
  if (!g_ascii_string_to_signed (digits, 10, min, max, value, NULL))
    return fail_expected (self, range, error);
  self->at = stop;
  return TRUE;
}

/* A number of @min … @max. */
gboolean
umedpt_json_get_double (UmedptJson *self, double min, double max, double *value,
    GError **error)
{
  g_autofree char *range = g_strdup_printf ("a number from %g to %g", min, max);
  g_autofree char *digits = NULL;
  const char *stop = NULL;
  gboolean integer;

  if (umedpt_json_peek (self) == UMEDPT_JSON_NUMBER)
    stop = find_number_end (self, &integer);
  if (!stop || stop - self->at > MAX_NUMBER)
    return fail_expected (self, range, error);
  digits = g_strndup (self->at, stop - self->at);
  *value = g_ascii_strtod (digits, NULL);
  if (!(*value >= min && *value <= max))
    return fail_expected (self, range, error);
  self->at = stop;
  return TRUE;
}

static gboolean
take_word (UmedptJson *self, const char *word)
{
  gsize length = strlen (word);

  if ((gsize) (self->end - self->at) < length ||
      memcmp (self->at, word, length) != 0)
    return FALSE;
  self->at += length;
  return TRUE;
}

gboolean
umedpt_json_get_boolean (UmedptJson *self, gboolean *value, GError **error)
{
  skip_blanks (self);
  *value = take_word (self, "true");
  if (*value || take_word (self, "false"))
    return TRUE;
  return fail_expected (self, type_names[UMEDPT_JSON_BOOLEAN], error);
}

/* Texts of strangers are cut to a length ("%.40s"), perhaps within a character:
 * the message is made valid again. */
gboolean
umedpt_json_fail (GError **error, const char *format, ...)
{
  g_autofree char *text = NULL;
  g_autofree char *valid = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  valid = g_utf8_make_valid (text, -1);
  g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT, valid);
  return FALSE;
}

/* The index of @word in @choices (NULL-terminated), or -1 with @error set. */
gint
umedpt_json_find_choice (const char *word, const char *const *choices,
    GError **error)
{
  g_autofree char *list = NULL;

  for (gint i = 0; choices[i]; i++)
    if (strcmp (word, choices[i]) == 0)
      return i;
  list = g_strjoinv ("', '", (char **) choices);
  umedpt_json_fail (error, "found '%.40s'; expected one of '%s'", word, list);
  return -1;
}

/* A string that is one of @choices; @index (out) */
gboolean
umedpt_json_get_choice (UmedptJson *self, const char *const *choices,
    gint *index, GError **error)
{
  g_autofree char *word = NULL;

  if (!umedpt_json_get_string (self, &word, error))
    return FALSE;
  *index = umedpt_json_find_choice (word, choices, error);
  return *index >= 0;
}

static gboolean skip_value (UmedptJson *self, guint depth, GError **error);

static gboolean
skip_items (UmedptJson *self, gboolean object, guint depth, GError **error)
{
  gboolean first = TRUE, more;

  if (depth == MAX_DEPTH)
    return fail_expected (self, "less deeply nested values", error);
  self->at++;
  for (;;) {
    if (object) {
      g_autofree char *key = NULL;
      if (!umedpt_json_next_key (self, &first, &key, error))
        return FALSE;
      more = key != NULL;
    } else if (!umedpt_json_next_element (self, &first, &more, error)) {
      return FALSE;
    }
    if (!more)
      return TRUE;
    if (!skip_value (self, depth + 1, error))
      return FALSE;
  }
}

static gboolean
skip_value (UmedptJson *self, guint depth, GError **error)
{
  UmedptJsonType type = umedpt_json_peek (self);
  g_autofree char *string = NULL;
  const char *stop;
  gboolean boolean;

  switch (type) {
    case UMEDPT_JSON_OBJECT:
    case UMEDPT_JSON_ARRAY:
      return skip_items (self, type == UMEDPT_JSON_OBJECT, depth, error);
    case UMEDPT_JSON_STRING:
      return umedpt_json_get_string (self, &string, error);
    case UMEDPT_JSON_NUMBER: /* of any size */
      stop = find_number_end (self, &boolean);
      if (!stop)
        break;
      self->at = stop;
      return TRUE;
    case UMEDPT_JSON_BOOLEAN:
      return umedpt_json_get_boolean (self, &boolean, error);
    case UMEDPT_JSON_NULL:
      if (take_word (self, "null"))
        return TRUE;
      break;
    case UMEDPT_JSON_NOTHING:
      break;
  }
  return fail_expected (self, "a JSON value", error);
}

/* Passes over a value of any kind, checking it. */
gboolean
umedpt_json_skip (UmedptJson *self, GError **error)
{
  return skip_value (self, 0, error);
}

/* FALSE if anything but blanks is left. */
gboolean
umedpt_json_finish (UmedptJson *self, GError **error)
{
  skip_blanks (self);
  if (self->at == self->end)
    return TRUE;
  return fail_expected (self, "the end of the text", error);
}
