/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The strict JSON reader against the cases of RFC 8259, and what it writes:
 * numbers that read back to the same bits, strings with all that needs escape.
 */
#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/random.h"

/* Whether @text is one JSON value. */
static gboolean
is_valid (const char *text)
{
  g_autoptr (GError) error = NULL;
  UmedptJson json;
  gboolean valid = umedpt_json_init (&json, text, strlen (text), &error) &&
      umedpt_json_skip (&json, &error) && umedpt_json_finish (&json, &error);

  g_assert_true (valid == (error == NULL));
  if (error)
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  return valid;
}

static void
test_grammar (void)
{
  static const char *const good[] = { "{}", "[]", " [ ] ", "null", "true",
    "false", "0", "-0", "-1.5e+3", "1E9", "0.1", "1e999", "\"\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "\"\\ud83d\\ude00\"", "\"é😀\x7f\"",
    "[1,[2,{\"a\":[]}]]", "{\"a\":1,\"a\":2}", "\t\r\n0" };
  static const char *const bad[] = { "", " ", "{", "[", "]", "[1", "[1,]",
    "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}",
    "nul", "True", "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "NaN",
    "Infinity", "'a'", "\"", "\"\\", "\"\\a\"", "\"\\u12\"", "\"\\u12g4\"",
    "\"\\ud83d\"", "\"\\ud83d\\u0041\"", "\"\\ude00\"", "\"\\u0000\"", "\"\n\"",
    "1 1", "\v1", "\xef\xbb\xbf{}", "\"\xed\xa0\x80\"" };

  for (gsize i = 0; i < G_N_ELEMENTS (good); i++) {
    g_test_message ("good: %s", good[i]);
    g_assert_true (is_valid (good[i]));
  }
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree char *shown = g_strescape (bad[i], NULL);
    g_test_message ("bad: %s", shown);
    g_assert_false (is_valid (bad[i]));
  }
}

static void
test_integers (void)
{
  static const struct
  {
    const char *text;
    gint64 min, max, value;
    gboolean good;
  } cases[] = {
    { "0", 0, 0, 0, TRUE },
    { "-0", 0, 0, 0, TRUE },
    { "9223372036854775807", 0, G_MAXINT64, G_MAXINT64, TRUE },
    { "-9223372036854775808", G_MININT64, 0, G_MININT64, TRUE },
    { "9223372036854775808", 0, G_MAXINT64, 0, FALSE },
    { "18446744073709551617", 0, G_MAXINT64, 0, FALSE },
    { "-18446744073709551615", 0, G_MAXINT64, 0, FALSE },
    { "11", 0, 10, 0, FALSE },
    { "-1", 0, 10, 0, FALSE },
    { "1.0", 0, 10, 0, FALSE },
    { "1e0", 0, 10, 0, FALSE },
    { "\"1\"", 0, 10, 0, FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    UmedptJson json;
    gint64 value = 0;
    gboolean good;

    umedpt_json_init (&json, cases[i].text, strlen (cases[i].text), &error);
    good = umedpt_json_get_integer (&json, cases[i].min, cases[i].max, &value,
        &error);
    g_test_message ("%s", cases[i].text);
    g_assert_true (good == cases[i].good && good == (error == NULL));
    if (good)
      g_assert_cmpint (value, ==, cases[i].value);
  }
}

/* Any double is written so that it reads back the same. */
static void
test_doubles (void)
{
  UmedptRandom random;

  umedpt_random_init (&random, 5);
  for (guint i = 0; i < 10000; i++) {
    guint64 bits = umedpt_random_next (&random);
    g_autoptr (GString) text = g_string_new (NULL);
    g_autoptr (GError) error = NULL;
    double value, read;
    UmedptJson json;

    memcpy (&value, &bits, sizeof value);
    if (!isfinite (value))
      continue;
    umedpt_json_append_double (text, value);
    umedpt_json_init (&json, text->str, text->len, &error);
    umedpt_json_get_double (&json, -G_MAXDOUBLE, G_MAXDOUBLE, &read, &error);
    g_assert_no_error (error);
    g_assert_cmpmem (&read, sizeof read, &value, sizeof value);
  }
}

/* Any string of characters but NUL comes back. */
static void
test_strings (void)
{
  UmedptRandom random;

  umedpt_random_init (&random, 6);
  for (guint i = 0; i < 2000; i++) {
    g_autoptr (GString) value = g_string_new (NULL);
    g_autoptr (GString) text = g_string_new (NULL);
    g_autofree char *read = NULL;
    g_autoptr (GError) error = NULL;
    UmedptJson json;

    for (guint n = 0; n < 20; n++) {
      gunichar limit = umedpt_random_below (&random, 2) ? 0x80 : 0x110000;
      gunichar c = 1 + (gunichar) umedpt_random_below (&random, limit - 1);
      if (g_unichar_validate (c))
        g_string_append_unichar (value, c);
    }
    umedpt_json_append_string (text, value->str);
    g_assert_true (umedpt_json_init (&json, text->str, text->len, &error));
    g_assert_true (umedpt_json_get_string (&json, &read, &error));
    g_assert_cmpstr (read, ==, value->str);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json/grammar", test_grammar);
  g_test_add_func ("/json/integers", test_integers);
  g_test_add_func ("/json/doubles", test_doubles);
  g_test_add_func ("/json/strings", test_strings);
  return g_test_run ();
}
