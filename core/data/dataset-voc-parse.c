/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pascal VOC's XML (Everingham et al., "The PASCAL Visual Object Classes
 * Challenge", IJCV 88, 2010) by GLib's small parser, which knows no entities
 * of its own and so cannot be blown up. Only the elements that say something
 * about boxes are looked at, each at its place; <object><part> is skipped.
 */
#include "data/dataset-annotations.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/dataset-private.h"

#define MAX_OBJECTS 1000000
#define MAX_DEPTH 64

typedef struct
{
  UmedptVoc *voc;
  GString *path, *text; /* "/annotation/object/name", its text */
  guint depth;
  guint seen; /* bits: which numbers the object at hand has */
} Reader;

static const char *const numbers[] = { "xmin", "ymin", "xmax", "ymax" };

static gboolean
fail (GMarkupParseContext *context, const char *problem, const char *found,
    GError **error)
{
  gint line;

  g_markup_parse_context_get_position (context, &line, NULL);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT, "line %d: %s%s%s%s",
      line, problem, found ? ", not “" : "", found ? found : "",
      found ? "”" : "");
  return FALSE;
}

static void
on_start (GMarkupParseContext *context, const char *element, const char **names,
    const char **values, gpointer data, GError **error)
{
  Reader *self = data;
  gint line;

  if (++self->depth > MAX_DEPTH) {
    fail (context, "elements are nested too deeply", NULL, error);
    return;
  }
  g_string_append_c (self->path, '/');
  g_string_append (self->path, element);
  g_string_truncate (self->text, 0);
  if (self->depth == 1 && strcmp (element, "annotation") != 0)
    fail (context, "expected the element <annotation>", element, error);
  if (strcmp (self->path->str, "/annotation/object") == 0) {
    UmedptVocObject object = { 0 };

    g_markup_parse_context_get_position (context, &line, NULL);
    object.line = (guint) line;
    g_array_append_val (self->voc->objects, object);
    self->seen = 0;
    if (self->voc->objects->len > MAX_OBJECTS)
      fail (context, "too many objects", NULL, error);
  }
}

static gboolean
read_number (GMarkupParseContext *context, const char *text, double *value,
    GError **error)
{
  char *end = NULL;

  *value = g_ascii_strtod (text, &end);
  if (*text != '\0' && *end == '\0' && isfinite (*value) &&
      fabs (*value) <= 1e7)
    return TRUE;
  return fail (context, "expected a number", text, error);
}

static gboolean
read_side (GMarkupParseContext *context, const char *text, gint *side,
    GError **error)
{
  double value = 0;

  if (!read_number (context, text, &value, error))
    return FALSE;
  /* some annotators' programs write 0 for "not known" */
  if (value < 0 || value > UMEDPT_IMAGE_MAX_SIDE)
    return fail (context, "expected a number of pixels", text, error);
  *side = (gint) value;
  return TRUE;
}

static gboolean
end_object (Reader *self, GMarkupParseContext *context, GError **error)
{
  const UmedptVocObject *object = &g_array_index (self->voc->objects,
      UmedptVocObject, self->voc->objects->len - 1);

  if (object->name == NULL || *object->name == '\0')
    return fail (context, "an <object> has no <name>", NULL, error);
  if (self->seen != 15)
    return fail (context,
        "an <object> has no <bndbox> with xmin, ymin, xmax and ymax", NULL,
        error);
  return TRUE;
}

/* @key: what follows "/annotation/object". */
static gboolean
end_in_object (Reader *self, GMarkupParseContext *context, const char *key,
    const char *text, GError **error)
{
  UmedptVocObject *object = &g_array_index (self->voc->objects, UmedptVocObject,
      self->voc->objects->len - 1);
  double *values[] = { &object->xmin, &object->ymin, &object->xmax,
    &object->ymax };

  if (*key == '\0')
    return end_object (self, context, error);
  if (strcmp (key, "/name") == 0) {
    if (object->name != NULL)
      return fail (context, "an <object> has two names", NULL, error);
    object->name = g_strdup (text);
  } else if (strcmp (key, "/difficult") == 0) {
    object->difficult = strcmp (text, "1") == 0;
  } else if (g_str_has_prefix (key, "/bndbox/")) {
    for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
      if (strcmp (key + strlen ("/bndbox/"), numbers[i]) != 0)
        continue;
      if (self->seen & (1u << i))
        return fail (context, "a number of a box is given twice", NULL, error);
      self->seen |= 1u << i;
      return read_number (context, text, values[i], error);
    }
  }
  return TRUE;
}

static void
on_end (GMarkupParseContext *context, const char *element, gpointer data,
    GError **error)
{
  Reader *self = data;
  const char *path = self->path->str;
  const char *text = g_strstrip (self->text->str);

  if (strcmp (path, "/annotation/filename") == 0) {
    g_free (self->voc->filename);
    self->voc->filename = g_strdup (text);
  } else if (strcmp (path, "/annotation/size/width") == 0) {
    read_side (context, text, &self->voc->width, error);
  } else if (strcmp (path, "/annotation/size/height") == 0) {
    read_side (context, text, &self->voc->height, error);
  } else if (g_str_has_prefix (path, "/annotation/object") &&
      (path[strlen ("/annotation/object")] == '/' ||
          path[strlen ("/annotation/object")] == '\0')) {
    end_in_object (self, context, path + strlen ("/annotation/object"), text,
        error);
  }
  g_string_truncate (self->path, self->path->len - strlen (element) - 1);
  g_string_truncate (self->text, 0);
  self->depth--;
}

static void
on_text (GMarkupParseContext *context, const char *text, gsize length,
    gpointer data, GError **error)
{
  Reader *self = data;

  if (self->text->len + length > 65536)
    return; /* no element that is looked at holds so much */
  g_string_append_len (self->text, text, (gssize) length);
}

static void
object_clear (gpointer object)
{
  g_free (((UmedptVocObject *) object)->name);
}

UmedptVoc *
umedpt_voc_parse (const char *text, gsize length, GError **error)
{
  static const GMarkupParser parser = { on_start, on_end, on_text };
  g_autoptr (UmedptVoc) self = g_new0 (UmedptVoc, 1);
  g_autoptr (GString) path = g_string_new (NULL);
  g_autoptr (GString) content = g_string_new (NULL);
  Reader reader = { self, path, content };
  g_autoptr (GMarkupParseContext) context = NULL;
  GError *local = NULL;

  self->objects = g_array_new (FALSE, TRUE, sizeof (UmedptVocObject));
  g_array_set_clear_func (self->objects, object_clear);
  context = g_markup_parse_context_new (&parser,
      G_MARKUP_TREAT_CDATA_AS_TEXT | G_MARKUP_PREFIX_ERROR_POSITION, &reader,
      NULL);
  if (g_markup_parse_context_parse (context, text, (gssize) length, &local) &&
      g_markup_parse_context_end_parse (context, &local))
    return g_steal_pointer (&self);
  if (local->domain == UMEDPT_ERROR) {
    g_propagate_error (error, local);
  } else {
    const char *end;

    if (!g_utf8_validate (local->message, -1, &end))
      local->message[end - local->message] = '\0';
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT, "no XML: %s",
        local->message);
    g_error_free (local);
  }
  return NULL;
}

void
umedpt_voc_free (UmedptVoc *self)
{
  g_free (self->filename);
  g_array_unref (self->objects);
  g_free (self);
}
