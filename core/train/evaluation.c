/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An evaluation, which is JSON, as tables for people: metrics over all, per
 * class, and the confusion matrix with a row per true class. Read strictly
 * from the JSON and nothing else, so that what is printed is what was stored.
 */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "train/trainer.h"

typedef struct
{
  char *name;
  double value; /* NaN: null */
} Value;

static void
value_clear (gpointer data)
{
  g_free (((Value *) data)->name);
}

static GArray *
values_new (void)
{
  GArray *values = g_array_new (FALSE, FALSE, sizeof (Value));

  g_array_set_clear_func (values, value_clear);
  return values;
}

static gboolean
read_number (UmedptJson *json, double *value, GError **error)
{
  if (umedpt_json_peek (json) != UMEDPT_JSON_NULL)
    return umedpt_json_get_double (json, -G_MAXDOUBLE, G_MAXDOUBLE, value,
        error);
  *value = NAN;
  return umedpt_json_skip (json, error);
}

/* {"name": number, …} */
static gboolean
read_values (UmedptJson *json, GArray *values, GError **error)
{
  gboolean first = TRUE;

  if (!umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    Value value = { NULL, NAN };

    if (!umedpt_json_next_key (json, &first, &value.name, error))
      return FALSE;
    if (!value.name)
      return TRUE;
    if (!read_number (json, &value.value, error)) {
      g_free (value.name);
      return FALSE;
    }
    g_array_append_val (values, value);
  }
}

static void
append_values (GString *text, const GArray *values)
{
  for (guint i = 0; i < values->len; i++) {
    const Value *value = &g_array_index (values, Value, i);

    if (isnan (value->value))
      g_string_append_printf (text, "  %-14s      -\n", value->name);
    else
      g_string_append_printf (text, "  %-14s %8.4f\n", value->name,
          value->value);
  }
}

/* {"label": {"name": number}, …} */
static gboolean
append_per_class (UmedptJson *json, GString *text, GError **error)
{
  gboolean first = TRUE;

  if (!umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *label = NULL;
    g_autoptr (GArray) values = values_new ();

    if (!umedpt_json_next_key (json, &first, &label, error))
      return FALSE;
    if (!label)
      return TRUE;
    if (!read_values (json, values, error))
      return FALSE;
    g_string_append_printf (text, "  %s:", label);
    for (guint i = 0; i < values->len; i++) {
      const Value *value = &g_array_index (values, Value, i);
      g_string_append_printf (text,
          isnan (value->value) ? "  %s -" : "  %s %.4f", value->name,
          value->value);
    }
    g_string_append_c (text, '\n');
  }
}

static gboolean
append_row (UmedptJson *json, GString *text, GError **error)
{
  gboolean first = TRUE, more;
  double value;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  g_string_append (text, " ");
  for (;;) {
    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more)
      break;
    if (!read_number (json, &value, error))
      return FALSE;
    g_string_append_printf (text, " %9.0f", value);
  }
  g_string_append_c (text, '\n');
  return TRUE;
}

static gboolean
append_confusion (UmedptJson *json, GString *text, GError **error)
{
  gboolean first = TRUE, more;

  if (umedpt_json_peek (json) == UMEDPT_JSON_NULL)
    return umedpt_json_skip (json, error);
  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  g_string_append (text, "  confusion (a row per true class):\n");
  for (;;) {
    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more)
      return TRUE;
    if (!append_row (json, text, error))
      return FALSE;
  }
}

static gboolean
append_member (UmedptJson *json, const char *key, GString *text, GError **error)
{
  g_autoptr (GArray) values = values_new ();
  double value;

  if (g_str_equal (key, "loss") || g_str_equal (key, "n")) {
    if (!read_number (json, &value, error))
      return FALSE;
    g_string_append_printf (text,
        isnan (value) ? "  %-14s -\n" : "  %-14s %8.6g\n", key, value);
    return TRUE;
  }
  if (g_str_equal (key, "metrics")) {
    if (!read_values (json, values, error))
      return FALSE;
    append_values (text, values);
    return TRUE;
  }
  if (g_str_equal (key, "per_class"))
    return append_per_class (json, text, error);
  if (g_str_equal (key, "confusion"))
    return append_confusion (json, text, error);
  return umedpt_json_skip (json, error);
}

/**
 * umedpt_evaluation_to_text:
 * @json: what umedpt_evaluate() returned
 * @error: return location for a #GError
 *
 * Returns: (transfer full): tables for people, or %NULL with @error set
 *   (%UMEDPT_ERROR_FORMAT)
 *
 * Since: 0.1
 */
char *
umedpt_evaluation_to_text (const char *json, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gboolean first = TRUE;
  UmedptJson reader;

  g_return_val_if_fail (json != NULL, NULL);
  if (!umedpt_json_init (&reader, json, strlen (json), error) ||
      !umedpt_json_begin (&reader, UMEDPT_JSON_OBJECT, error))
    return NULL;
  for (;;) {
    g_autofree char *key = NULL;

    if (!umedpt_json_next_key (&reader, &first, &key, error))
      return NULL;
    if (!key)
      return g_string_free (g_steal_pointer (&text), FALSE);
    if (!append_member (&reader, key, text, error))
      return NULL;
  }
}

/* The first of the object "metrics" is the one that counts (metrics.h). */
static gboolean
take_first (UmedptJson *json, char **name, double *value, GError **error)
{
  g_autoptr (GArray) values = values_new ();
  Value *first;

  if (!read_values (json, values, error))
    return FALSE;
  if (!values->len)
    return umedpt_json_fail (error, "there are no metrics");
  first = &g_array_index (values, Value, 0);
  *name = g_steal_pointer (&first->name);
  *value = first->value;
  return TRUE;
}

/**
 * umedpt_evaluation_get_main:
 * @json: what umedpt_evaluate() returned
 * @name: (out) (transfer full): of the metric by which models are compared
 * @value: (out): its value, NaN where it is not defined
 * @error: return location for a #GError
 *
 * Returns: %TRUE, or %FALSE with @error set (%UMEDPT_ERROR_FORMAT)
 *
 * Since: 0.1
 */
gboolean
umedpt_evaluation_get_main (const char *json, char **name, double *value,
    GError **error)
{
  gboolean first = TRUE;
  UmedptJson reader;

  g_return_val_if_fail (json && name && value, FALSE);
  if (!umedpt_json_init (&reader, json, strlen (json), error) ||
      !umedpt_json_begin (&reader, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *key = NULL;

    if (!umedpt_json_next_key (&reader, &first, &key, error))
      return FALSE;
    if (!key)
      return umedpt_json_fail (error, "the key 'metrics' is missing");
    if (g_str_equal (key, "metrics"))
      return take_first (&reader, name, value, error);
    if (!umedpt_json_skip (&reader, error))
      return FALSE;
  }
}
