/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reads log.jsonl (JSON Lines, one object per line) into flat lists of leaves.
 * Objects are walked with a bounded depth; arrays are kept as text, for the
 * few readers that want them.
 */
#include "output/run-log.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

#define MAX_DEPTH 8

static void
leaf_free (gpointer data)
{
  UmedptLeaf *leaf = data;

  g_free (leaf->path);
  g_free (leaf->text);
  g_free (leaf);
}

void
umedpt_run_event_free (UmedptRunEvent *self)
{
  if (!self)
    return;
  g_free (self->type);
  g_ptr_array_unref (self->leaves);
  g_free (self);
}

static UmedptLeaf *
add_leaf (UmedptRunEvent *event, UmedptLeafKind kind, const char *path)
{
  UmedptLeaf *leaf = g_new0 (UmedptLeaf, 1);

  leaf->kind = kind;
  leaf->path = g_strdup (path);
  leaf->number = NAN;
  g_ptr_array_add (event->leaves, leaf);
  return leaf;
}

static gboolean
read_text (UmedptJson *json, UmedptJsonType type, UmedptLeaf *leaf,
    GError **error)
{
  gboolean value;

  if (type == UMEDPT_JSON_STRING)
    return umedpt_json_get_string (json, &leaf->text, error);
  if (!umedpt_json_get_boolean (json, &value, error))
    return FALSE;
  leaf->text = g_strdup (value ? "true" : "false");
  return TRUE;
}

/* An array or null: passed over, its text kept. */
static gboolean
read_raw (UmedptJson *json, UmedptLeaf *leaf, GError **error)
{
  const char *begin = json->at;

  if (!umedpt_json_skip (json, error))
    return FALSE;
  leaf->text = g_strstrip (g_strndup (begin, json->at - begin));
  return TRUE;
}

static gboolean read_value (UmedptRunEvent *event, UmedptJson *json,
    const char *path, guint depth, GError **error);

static gboolean
read_object (UmedptRunEvent *event, UmedptJson *json, const char *path,
    guint depth, GError **error)
{
  gboolean first = TRUE;

  if (depth == MAX_DEPTH)
    return umedpt_json_fail (error, "objects are nested deeper than %d",
        MAX_DEPTH);
  if (!umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *key = NULL;
    g_autofree char *full = NULL;

    if (!umedpt_json_next_key (json, &first, &key, error))
      return FALSE;
    if (!key)
      return TRUE;
    full = *path ? g_strconcat (path, "/", key, NULL) : g_strdup (key);
    if (!read_value (event, json, full, depth + 1, error))
      return FALSE;
  }
}

static gboolean
read_value (UmedptRunEvent *event, UmedptJson *json, const char *path,
    guint depth, GError **error)
{
  const UmedptJsonType type = umedpt_json_peek (json);

  switch (type) {
    case UMEDPT_JSON_OBJECT:
      return read_object (event, json, path, depth, error);
    case UMEDPT_JSON_NUMBER:
      return umedpt_json_get_double (json, -DBL_MAX, DBL_MAX,
          &add_leaf (event, UMEDPT_LEAF_NUMBER, path)->number, error);
    case UMEDPT_JSON_STRING:
    case UMEDPT_JSON_BOOLEAN:
      return read_text (json, type, add_leaf (event, UMEDPT_LEAF_TEXT, path),
          error);
    case UMEDPT_JSON_NULL:
      add_leaf (event, UMEDPT_LEAF_NUMBER, path);
      return umedpt_json_skip (json, error);
    default:
      return read_raw (json, add_leaf (event, UMEDPT_LEAF_ARRAY, path), error);
  }
}

UmedptRunEvent *
umedpt_run_event_parse (const char *line, gssize length, GError **error)
{
  g_autoptr (UmedptRunEvent) event = g_new0 (UmedptRunEvent, 1);
  const UmedptLeaf *leaf;
  UmedptJson json;

  event->leaves = g_ptr_array_new_with_free_func (leaf_free);
  if (!umedpt_json_init (&json, line, length < 0 ? strlen (line) : length,
          error) ||
      !read_object (event, &json, "", 0, error) ||
      !umedpt_json_finish (&json, error))
    return NULL;
  leaf = umedpt_run_event_find (event, "type");
  event->type = g_strdup (leaf && leaf->text ? leaf->text : "");
  leaf = umedpt_run_event_find (event, "round");
  event->round = leaf && isfinite (leaf->number) ? (gint64) leaf->number : 0;
  return g_steal_pointer (&event);
}

const UmedptLeaf *
umedpt_run_event_find (const UmedptRunEvent *self, const char *path)
{
  for (guint i = 0; i < self->leaves->len; i++) {
    const UmedptLeaf *leaf = g_ptr_array_index (self->leaves, i);
    if (g_str_equal (leaf->path, path))
      return leaf;
  }
  return NULL;
}

static void
event_free (gpointer data)
{
  umedpt_run_event_free (data);
}

GPtrArray *
umedpt_run_log_read (const char *folder, GError **error)
{
  g_autofree char *path = g_build_filename (folder, "log.jsonl", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GPtrArray) events = g_ptr_array_new_with_free_func (event_free);
  g_autoptr (GError) local = NULL;
  guint number = 0;
  char *end;

  if (!g_file_get_contents (path, &text, NULL, &local)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
        "The folder '%s' holds no log of a training run: %s", folder,
        local->message);
    return NULL;
  }
  for (char *line = text; (end = strchr (line, '\n')); line = end + 1) {
    UmedptRunEvent *event;

    number++;
    event = umedpt_run_event_parse (line, end - line, error);
    if (!event) {
      g_prefix_error (error, "Line %u of '%s' is damaged, ", number, path);
      return NULL;
    }
    g_ptr_array_add (events, event);
  }
  return g_steal_pointer (&events);
}
