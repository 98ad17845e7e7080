/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checks everything that the format promises before a byte of data is used,
 * because model files come from strangers. The rules are those of the
 * reference implementation (https://github.com/huggingface/safetensors): the
 * header has at most 100 MB; each byte of the data belongs to exactly one
 * tensor, so no overlaps and no holes; a byte range is as long as dtype and
 * shape say. Stricter than it: no duplicate names or keys. The order of the
 * header need not be that of the data.
 */
#include "tensor/safetensors-header.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

/* Element types of the format. Those without a counterpart here are an error
 * only when such a tensor is asked for. */
static const struct
{
  const char *name;
  gsize size;
  gint dtype;
} dtypes[] = {
  { "F32", 4, UMEDPT_DTYPE_F32 },
  { "BF16", 2, UMEDPT_DTYPE_BF16 },
  { "F16", 2, UMEDPT_DTYPE_F16 },
  { "I32", 4, UMEDPT_DTYPE_I32 },
  { "I64", 8, UMEDPT_DTYPE_I64 },
  { "U8", 1, UMEDPT_DTYPE_U8 },
  { "F64", 8, -1 },
  { "U64", 8, -1 },
  { "C64", 8, -1 },
  { "U32", 4, -1 },
  { "I16", 2, -1 },
  { "U16", 2, -1 },
  { "I8", 1, -1 },
  { "BOOL", 1, -1 },
  { "F8_E4M3", 1, -1 },
  { "F8_E5M2", 1, -1 },
  { "F8_E8M0", 1, -1 },
};

G_STATIC_ASSERT (G_BYTE_ORDER == G_LITTLE_ENDIAN); /* as the format is */

const char *
umedpt_safetensors_dtype_name (UmedptDtype dtype)
{
  for (gsize i = 0; i < G_N_ELEMENTS (dtypes); i++)
    if (dtypes[i].dtype == (gint) dtype)
      return dtypes[i].name;
  g_return_val_if_reached (NULL);
}

static void
entry_free (gpointer data)
{
  UmedptSafetensorsEntry *entry = data;

  g_free (entry->name);
  g_free (entry);
}

void
umedpt_safetensors_header_free (UmedptSafetensorsHeader *self)
{
  g_hash_table_unref (self->by_name);
  g_hash_table_unref (self->metadata);
  g_ptr_array_unref (self->entries);
  g_free (self);
}

static gboolean
parse_dtype (UmedptJson *json, UmedptSafetensorsEntry *entry, gsize *size,
    GError **error)
{
  g_autofree char *name = NULL;

  if (!umedpt_json_get_string (json, &name, error))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (dtypes); i++)
    if (strcmp (name, dtypes[i].name) == 0) {
      entry->dtype_name = dtypes[i].name;
      entry->dtype = dtypes[i].dtype;
      *size = dtypes[i].size;
      return TRUE;
    }
  return umedpt_json_fail (error,
      "the dtype is '%.20s'; expected one of the format, as F32 or BF16", name);
}

static gboolean
parse_shape (UmedptJson *json, UmedptSafetensorsEntry *entry, GError **error)
{
  gboolean first = TRUE, more;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;;) {
    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more)
      return TRUE;
    if (entry->n_dims == UMEDPT_MAX_DIMS) {
      return umedpt_json_fail (error,
          "the shape has more than %d dimensions, which is the most that is "
          "offered here",
          UMEDPT_MAX_DIMS);
    }
    if (!umedpt_json_get_integer (json, 0, G_MAXINT64,
            &entry->shape[entry->n_dims], error))
      return FALSE;
    entry->n_dims++;
  }
}

static gboolean
parse_offsets (UmedptJson *json, UmedptSafetensorsEntry *entry, GError **error)
{
  guint64 *const targets[] = { &entry->begin, &entry->end };
  gboolean first = TRUE, more;
  guint n = 0;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;;) {
    gint64 value;

    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more || n == 2)
      break;
    if (!umedpt_json_get_integer (json, 0, G_MAXINT64, &value, error))
      return FALSE;
    *targets[n++] = (guint64) value;
  }
  if (!more && n == 2)
    return TRUE;
  return umedpt_json_fail (error,
      "data_offsets has %s than two numbers; expected [begin, end]",
      more ? "more" : "fewer");
}

/* The range must be as long as type and shape say. */
static gboolean
check_size (const UmedptSafetensorsEntry *entry, gsize element_size,
    GError **error)
{
  guint64 size = element_size;
  gboolean fits = TRUE, empty = FALSE;

  /* An empty tensor is empty, however large its other dimensions are. */
  for (guint i = 0; i < entry->n_dims; i++)
    empty = empty || entry->shape[i] == 0;
  for (guint i = 0; i < entry->n_dims && !empty; i++)
    fits =
        fits && g_uint64_checked_mul (&size, size, (guint64) entry->shape[i]);
  if (!fits) {
    return umedpt_json_fail (error,
        "the shape has more bytes than 64 bits can count");
  }
  if (empty)
    size = 0;
  if (entry->begin <= entry->end && entry->end - entry->begin == size)
    return TRUE;
  return umedpt_json_fail (error,
      "data_offsets is [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
      "]; expected a range of %" G_GUINT64_FORMAT
      " bytes, as dtype and shape say",
      entry->begin, entry->end, size);
}

enum
{
  HAS_DTYPE = 1,
  HAS_SHAPE = 2,
  HAS_OFFSETS = 4,
};

static gboolean
fail_missing (guint has, GError **error)
{
  const char *key = !(has & HAS_DTYPE) ? "dtype"
      : !(has & HAS_SHAPE)             ? "shape"
                                       : "data_offsets";

  return umedpt_json_fail (error, "the key '%s' is missing", key);
}

static gboolean
fail_twice (const char *key, GError **error)
{
  return umedpt_json_fail (error, "the key '%.40s' is given twice", key);
}

/* {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}; other keys are
 * passed over, as the reference implementation does. */
static gboolean
parse_entry (UmedptJson *json, UmedptSafetensorsEntry *entry, GError **error)
{
  gboolean first = TRUE;
  gsize element_size = 0;
  guint has = 0;

  if (!umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *key = NULL;
    guint which;
    gboolean good;

    if (!umedpt_json_next_key (json, &first, &key, error))
      return FALSE;
    if (!key)
      break;
    which = strcmp (key, "dtype") == 0      ? HAS_DTYPE
        : strcmp (key, "shape") == 0        ? HAS_SHAPE
        : strcmp (key, "data_offsets") == 0 ? HAS_OFFSETS
                                            : 0;
    if (has & which)
      return fail_twice (key, error);
    has |= which;
    good = which == HAS_DTYPE  ? parse_dtype (json, entry, &element_size, error)
        : which == HAS_SHAPE   ? parse_shape (json, entry, error)
        : which == HAS_OFFSETS ? parse_offsets (json, entry, error)
                               : umedpt_json_skip (json, error);
    if (!good)
      return FALSE;
  }
  if (has != (HAS_DTYPE | HAS_SHAPE | HAS_OFFSETS))
    return fail_missing (has, error);
  return check_size (entry, element_size, error);
}

static gboolean
parse_metadata (UmedptJson *json, GHashTable *metadata, GError **error)
{
  gboolean first = TRUE;

  if (!umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *key = NULL;
    g_autofree char *value = NULL;

    if (!umedpt_json_next_key (json, &first, &key, error))
      return FALSE;
    if (!key)
      return TRUE;
    if (g_hash_table_contains (metadata, key))
      return fail_twice (key, error);
    if (!umedpt_json_get_string (json, &value, error))
      return FALSE;
    g_hash_table_insert (metadata, g_steal_pointer (&key),
        g_steal_pointer (&value));
  }
}

/* One member of the header: the metadata or a tensor. Takes @key. */
static gboolean
parse_member (UmedptSafetensorsHeader *self, UmedptJson *json, char *key,
    gboolean *has_metadata, GError **error)
{
  gboolean metadata = strcmp (key, UMEDPT_SAFETENSORS_METADATA) == 0;
  g_autofree char *name = key;
  g_autofree char *clipped = NULL;
  UmedptSafetensorsEntry *entry;

  if (metadata ? *has_metadata : g_hash_table_contains (self->by_name, key))
    return fail_twice (key, error);
  if (metadata) {
    *has_metadata = TRUE;
    if (parse_metadata (json, self->metadata, error))
      return TRUE;
    g_prefix_error (error, "__metadata__, a map of strings: ");
    return FALSE;
  }
  entry = g_new0 (UmedptSafetensorsEntry, 1);
  entry->name = g_steal_pointer (&name);
  g_ptr_array_add (self->entries, entry);
  g_hash_table_insert (self->by_name, entry->name, entry);
  if (parse_entry (json, entry, error))
    return TRUE;
  clipped = g_utf8_substring (entry->name, 0,
      MIN (g_utf8_strlen (entry->name, -1), 100));
  g_prefix_error (error, "tensor '%s': ", clipped);
  return FALSE;
}

static gboolean
parse_json (UmedptSafetensorsHeader *self, const char *text, gsize length,
    GError **error)
{
  gboolean first = TRUE, has_metadata = FALSE;
  UmedptJson json;

  if (!umedpt_json_init (&json, text, length, error) ||
      !umedpt_json_begin (&json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    char *key;

    if (!umedpt_json_next_key (&json, &first, &key, error))
      return FALSE;
    if (!key)
      break;
    if (!parse_member (self, &json, key, &has_metadata, error))
      return FALSE;
  }
  return umedpt_json_finish (&json, error);
}

static gint
compare_ranges (gconstpointer a, gconstpointer b)
{
  const UmedptSafetensorsEntry *x = *(UmedptSafetensorsEntry *const *) a;
  const UmedptSafetensorsEntry *y = *(UmedptSafetensorsEntry *const *) b;

  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

/* @entry should begin at @at, and end before @size. */
static gboolean
fail_range (const UmedptSafetensorsEntry *entry, guint64 at, guint64 size,
    GError **error)
{
  if (entry->end > size)
    return umedpt_json_fail (error,
        "tensor '%.100s' has the bytes %" G_GUINT64_FORMAT
        " to %" G_GUINT64_FORMAT ", but there are only %" G_GUINT64_FORMAT
        " bytes of data; the file is cut off or damaged",
        entry->name, entry->begin, entry->end, size);
  return umedpt_json_fail (error,
      "tensor '%.100s' has the bytes %" G_GUINT64_FORMAT
      " to %" G_GUINT64_FORMAT "; expected them to begin at %" G_GUINT64_FORMAT
      ", because now they %s",
      entry->name, entry->begin, entry->end, at,
      entry->begin < at ? "overlap those of another tensor"
                        : "leave a hole after other tensors");
}

/* Whether the ranges, sorted, cover @size bytes without overlap and hole. */
static gboolean
check_ranges (const UmedptSafetensorsHeader *self, guint64 size, GError **error)
{
  guint n = self->entries->len;
  g_autofree UmedptSafetensorsEntry **sorted =
      g_new (UmedptSafetensorsEntry *, n + 1);
  guint64 at = 0;

  for (guint i = 0; i < n; i++)
    sorted[i] = g_ptr_array_index (self->entries, i);
  qsort (sorted, n, sizeof *sorted, compare_ranges);
  for (guint i = 0; i < n; i++) {
    if (sorted[i]->begin != at || sorted[i]->end > size)
      return fail_range (sorted[i], at, size, error);
    at = sorted[i]->end;
  }
  if (at == size)
    return TRUE;
  return umedpt_json_fail (error,
      "the tensors end at byte %" G_GUINT64_FORMAT
      " of the data, but there are %" G_GUINT64_FORMAT " bytes",
      at, size);
}

/* Where the header ends and the data begins. */
static gboolean
find_data (const guint8 *data, gsize size, gsize *data_offset, GError **error)
{
  guint64 length;

  if (size < sizeof length) {
    return umedpt_json_fail (error,
        "it has %" G_GSIZE_FORMAT " bytes; expected at least the 8 of the "
        "header's length",
        size);
  }
  memcpy (&length, data, sizeof length);
  if (length > UMEDPT_SAFETENSORS_MAX_HEADER || length > size - 8) {
    return umedpt_json_fail (error,
        "its header would have %" G_GUINT64_FORMAT
        " bytes; expected at most 100000000, and no more than the %" G_GSIZE_FORMAT
        " that follow. It is cut off, or of another format",
        length, size - 8);
  }
  *data_offset = 8 + (gsize) length;
  return TRUE;
}

/* Parses and checks the @size bytes of a whole file. The messages complete
 * the sentence "FILE is not a valid safetensors file: …". */
UmedptSafetensorsHeader *
umedpt_safetensors_header_parse (const guint8 *data, gsize size, GError **error)
{
  g_autoptr (UmedptSafetensorsHeader) self =
      g_new0 (UmedptSafetensorsHeader, 1);

  self->entries = g_ptr_array_new_with_free_func (entry_free);
  self->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  self->metadata =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  if (!find_data (data, size, &self->data_offset, error) ||
      !parse_json (self, (const char *) data + 8, self->data_offset - 8,
          error) ||
      !check_ranges (self, size - self->data_offset, error))
    return NULL;
  return g_steal_pointer (&self);
}
