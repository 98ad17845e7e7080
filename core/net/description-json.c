/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The JSON form of a description. One table of fields serves reading and
 * writing. Reading is strict, because a model file comes from strangers and
 * because a word that is passed over would change results in silence: unknown
 * keys are refused, missing ones are named, every number has a range, and the
 * sizes together must ask for a bearable amount of memory.
 *
 * "format" counts incompatible changes; it is read before anything else.
 */
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "net/description-private.h"

#define FORMAT 1

static const char *const poolings[] = { "average", "max", "combined", NULL };
typedef enum
{
  TEXT, /* char *, one of choices if there are any */
  RAW, /* char *, a JSON object */
  CHOICE, /* an enum */
  BOOLEAN, /* gboolean */
  INTEGER, /* gint */
  FOUR, /* gint[4] */
  REAL, /* double */
  TASKS,
} FieldKind;

typedef struct
{
  const char *key;
  FieldKind kind;
  gsize offset;
  double min, max;
  const char *const *choices;
  gboolean optional;
  gint fallback; /* of an optional number; written where it differs */
  gsize block; /* offset of the block's switch; 0: none */
} Field;

#define AT(member) G_STRUCT_OFFSET (UmedptDescription, member)

// clang-format off
static const Field fields[] = {
  { "arch", TEXT, AT (arch) },
  { "embed_dim", INTEGER, AT (embed_dim), 1, 1024 },
  { "depths", FOUR, AT (depths), 1, 64 },
  { "heads", FOUR, AT (heads), 1, 256 },
  { "window", INTEGER, AT (window), 2, 64 },
  { "patch", INTEGER, AT (patch), 1, 32 },
  { "mlp_ratio", REAL, AT (mlp_ratio), 0.125, 16 },
  { "stochastic_depth", REAL, AT (stochastic_depth), 0, 0.99 },
  { "encoder_norm", CHOICE, AT (encoder_norm), 0, 0, umedpt_norm_names },
  { "squeezer_norm", CHOICE, AT (squeezer_norm), 0, 0, umedpt_norm_names },
  { "pool_order", CHOICE, AT (pool_order), 0, 0, umedpt_order_names },
  { "squeeze_dense", BOOLEAN, AT (squeeze_dense) },
  { "pooling", TEXT, AT (pooling), 0, 0, poolings },
  { "squeezer_channels", INTEGER, AT (squeezer_channels), 0, 65536 },
  { "input_width", INTEGER, AT (input_width), 32, 4096 },
  { "input_height", INTEGER, AT (input_height), 32, 4096 },
  { "mpp", REAL, AT (mpp), 0, 1000 },
  { "pixel_decoder", BOOLEAN, AT (pixel_decoder), 0, 0, NULL, TRUE },
  { "pixel_channels", INTEGER, AT (pixel_channels), 1, 1024, NULL, TRUE, 16, AT (pixel_decoder) },
  { "pixel_hidden", INTEGER, AT (pixel_hidden), 1, 4096, NULL, TRUE, 96, AT (pixel_decoder) },
  { "decoder_norm", CHOICE, AT (decoder_norm), 0, 0, umedpt_norm_names, TRUE, UMEDPT_NORM_AFFINE, AT (pixel_decoder) },
  { "detection_decoder", BOOLEAN, AT (detection_decoder), 0, 0, NULL, TRUE },
  { "detection_channels", INTEGER, AT (detection_channels), 32, 2048, NULL, TRUE, 128, AT (detection_decoder) },
  { "grouper", CHOICE, AT (grouper), 0, 0, umedpt_grouper_names, TRUE, UMEDPT_GROUPER_NONE },
  { "tasks", TASKS, AT (tasks), 0, 0, NULL, TRUE },
  { "training", RAW, AT (training), 0, 0, NULL, TRUE },
  { "source", TEXT, AT (source), 0, 0, NULL, TRUE },
};
// clang-format on

G_STATIC_ASSERT (G_N_ELEMENTS (fields) <= 32); /* bits of `seen` */

/* A string; not empty, and one of @choices if there are any. */
static gboolean
read_text (UmedptJson *json, const char *const *choices, char **value,
    GError **error)
{
  gint which;

  if (choices) {
    if (!umedpt_json_get_choice (json, choices, &which, error))
      return FALSE;
    *value = g_strdup (choices[which]);
    return TRUE;
  }
  if (!umedpt_json_get_string (json, value, error))
    return FALSE;
  return **value ||
      umedpt_json_fail (error, "found an empty string; expected some text");
}

static gboolean
read_integer (UmedptJson *json, double min, double max, gint *value,
    GError **error)
{
  gint64 wide;

  if (!umedpt_json_get_integer (json, (gint64) min, (gint64) max, &wide, error))
    return FALSE;
  *value = (gint) wide;
  return TRUE;
}

static gboolean
read_four (UmedptJson *json, const Field *field, gint *values, GError **error)
{
  gboolean first = TRUE, more;
  guint n = 0;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;;) {
    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more || n == 4)
      break;
    if (!read_integer (json, field->min, field->max, &values[n++], error))
      return FALSE;
  }
  if (!more && n == 4)
    return TRUE;
  return umedpt_json_fail (error, "expected four numbers, one per stage");
}

/* Keeps the text of an object whose content is not ours to judge. */
static gboolean
read_raw (UmedptJson *json, char **value, GError **error)
{
  const char *begin;

  if (umedpt_json_peek (json) != UMEDPT_JSON_OBJECT)
    return umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error);
  begin = json->at;
  if (!umedpt_json_skip (json, error))
    return FALSE;
  *value = g_strndup (begin, json->at - begin);
  return TRUE;
}

static gboolean
read_field (UmedptJson *json, const Field *field, UmedptDescription *self,
    GError **error)
{
  gpointer at = G_STRUCT_MEMBER_P (self, field->offset);

  switch (field->kind) {
    case TEXT:
      return read_text (json, field->choices, at, error);
    case RAW:
      return read_raw (json, at, error);
    case CHOICE:
      return umedpt_json_get_choice (json, field->choices, at, error);
    case BOOLEAN:
      return umedpt_json_get_boolean (json, at, error);
    case INTEGER:
      return read_integer (json, field->min, field->max, at, error);
    case FOUR:
      return read_four (json, field, at, error);
    case REAL:
      return umedpt_json_get_double (json, field->min, field->max, at, error);
    case TASKS:
      return umedpt_description_read_tasks (json, self->tasks, error);
  }
  g_return_val_if_reached (FALSE);
}

static gint
find_field (const char *key, GError **error)
{
  for (gint i = 0; i < (gint) G_N_ELEMENTS (fields); i++)
    if (strcmp (key, fields[i].key) == 0)
      return i;
  umedpt_json_fail (error,
      "the key '%.40s' is unknown to this version, and passing it over could "
      "change results; a newer version of the program may know it",
      key);
  return -1;
}

/* One member of the top object. The format was read before. */
static gboolean
read_member (UmedptJson *json, const char *key, UmedptDescription *self,
    guint32 *seen, GError **error)
{
  gint which;

  if (strcmp (key, "format") == 0)
    return umedpt_json_skip (json, error);
  which = find_field (key, error);
  if (which < 0)
    return FALSE;
  if (*seen & 1u << which)
    return umedpt_json_fail (error, "the key '%s' is given twice", key);
  *seen |= 1u << which;
  if (read_field (json, &fields[which], self, error))
    return TRUE;
  g_prefix_error (error, "'%s': ", key);
  return FALSE;
}

/* A future format may have other keys and ranges: its number comes first. */
static gboolean
check_format (const char *text, gsize length, GError **error)
{
  gboolean first = TRUE, found = FALSE;
  UmedptJson json;

  if (!umedpt_json_init (&json, text, length, error) ||
      !umedpt_json_begin (&json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *key = NULL;
    gint64 format;

    if (!umedpt_json_next_key (&json, &first, &key, error))
      return FALSE;
    if (!key)
      break;
    if (strcmp (key, "format") != 0) {
      if (!umedpt_json_skip (&json, error))
        return FALSE;
      continue;
    }
    if (found)
      return umedpt_json_fail (error, "the key 'format' is given twice");
    found = TRUE;
    if (!umedpt_json_get_integer (&json, 1, G_MAXINT, &format, error))
      return FALSE;
    if (format != FORMAT)
      return umedpt_json_fail (error,
          "its format is %" G_GINT64_FORMAT
          ", and this version reads format %d; use a newer version",
          format, FORMAT);
  }
  if (!found)
    return umedpt_json_fail (error, "the key 'format' is missing");
  return umedpt_json_finish (&json, error);
}

/* Everything that the fields say together. */
static gboolean
check_all (const UmedptDescription *self, GError **error)
{
  return umedpt_description_check_sizes (self, error) &&
      umedpt_description_check_arch (self, error) &&
      umedpt_description_check_tasks (self, UMEDPT_ERROR_FORMAT, error);
}

static gboolean
read_members (UmedptDescription *self, const char *text, gsize length,
    GError **error)
{
  gboolean first = TRUE;
  guint32 seen = 0;
  UmedptJson json;

  if (!umedpt_json_init (&json, text, length, error) ||
      !umedpt_json_begin (&json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *key = NULL;

    if (!umedpt_json_next_key (&json, &first, &key, error))
      return FALSE;
    if (!key)
      break;
    if (!read_member (&json, key, self, &seen, error))
      return FALSE;
  }
  for (gsize i = 0; i < G_N_ELEMENTS (fields); i++)
    if (!fields[i].optional && !(seen & 1u << i))
      return umedpt_json_fail (error, "the key '%s' is missing", fields[i].key);
  return TRUE;
}

/**
 * umedpt_description_new_from_json:
 * @json: the JSON text of a model file
 * @length: its bytes, or -1 if it ends with a NUL
 * @error: return location for a #GError
 *
 * Reads a description strictly: unknown, missing and repeated keys, and
 * numbers out of range, are errors.
 *
 * Returns: (transfer full): the description, or %NULL with @error set
 *   (%UMEDPT_ERROR_FORMAT)
 *
 * Since: 0.1
 */
UmedptDescription *
umedpt_description_new_from_json (const char *json, gssize length,
    GError **error)
{
  g_autoptr (UmedptDescription) self = NULL;
  gsize size;

  g_return_val_if_fail (json != NULL, NULL);
  size = length < 0 ? strlen (json) : (gsize) length;
  self = umedpt_description_alloc ();
  if (!check_format (json, size, error) ||
      !read_members (self, json, size, error) || !check_all (self, error)) {
    g_prefix_error (error, "The description of the model is not valid: ");
    return NULL;
  }
  return g_steal_pointer (&self);
}

/* Optional fields are written if they say something: what older files do not
 * have leaves the text, and so the hash, of those files as it was. */
static gboolean
is_written (const Field *field, const UmedptDescription *self)
{
  gconstpointer at = G_STRUCT_MEMBER_P (self, field->offset);

  if (field->kind == TEXT || field->kind == RAW)
    return *(char *const *) at != NULL;
  if (!field->optional || field->kind == TASKS)
    return TRUE;
  return *(const gint *) at != field->fallback ||
      (field->block &&
          *(const gboolean *) G_STRUCT_MEMBER_P (self, field->block));
}

static void
append_value (GString *text, const Field *field, const UmedptDescription *self)
{
  gconstpointer at = G_STRUCT_MEMBER_P (self, field->offset);
  const gint *four = at;

  switch (field->kind) {
    case TEXT:
      umedpt_json_append_string (text, *(char *const *) at);
      break;
    case RAW:
      g_string_append (text, *(char *const *) at);
      break;
    case CHOICE:
      umedpt_json_append_string (text, field->choices[*(const gint *) at]);
      break;
    case BOOLEAN:
      g_string_append (text, *(const gboolean *) at ? "true" : "false");
      break;
    case INTEGER:
      g_string_append_printf (text, "%d", *(const gint *) at);
      break;
    case FOUR:
      g_string_append_printf (text, "[%d,%d,%d,%d]", four[0], four[1], four[2],
          four[3]);
      break;
    case REAL:
      umedpt_json_append_double (text, *(const double *) at);
      break;
    case TASKS:
      umedpt_description_append_tasks (text, self->tasks);
      break;
  }
}

/**
 * umedpt_description_to_json:
 * @self: a description; its training record is a JSON object
 *
 * Returns: (transfer full): its JSON text; equal descriptions give equal text
 *
 * Since: 0.1
 */
char *
umedpt_description_to_json (const UmedptDescription *self)
{
  g_autoptr (GString) text = NULL;

  g_return_val_if_fail (self != NULL, NULL);
  text = g_string_new (NULL);
  g_string_append_printf (text, "{\"format\":%d", FORMAT);
  for (gsize i = 0; i < G_N_ELEMENTS (fields); i++) {
    const Field *field = &fields[i];

    if (!is_written (field, self))
      continue;
    g_string_append_c (text, ',');
    umedpt_json_append_string (text, field->key);
    g_string_append_c (text, ':');
    append_value (text, field, self);
  }
  g_string_append_c (text, '}');
  return g_string_free (g_steal_pointer (&text), FALSE);
}
