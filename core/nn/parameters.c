/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Declared parameters and their sources. Tensors that come from a file share
 * its mapping: loading a model touches only the header, and a parameter's
 * pages are read when a backend packs it.
 */
#include "nn/parameters-private.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define MAX_LISTED 4 /* problems of one kind that a message names */

static void
entry_free (gpointer data)
{
  UmedptParameter *entry = data;

  g_clear_pointer (&entry->tensor, umedpt_tensor_unref);
  g_free (entry->name);
  g_free (entry);
}

UmedptParameters *
umedpt_parameters_new (void)
{
  UmedptParameters *self = g_new0 (UmedptParameters, 1);

  self->entries = g_ptr_array_new_with_free_func (entry_free);
  self->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  return self;
}

void
umedpt_parameters_free (UmedptParameters *self)
{
  if (!self)
    return;
  g_hash_table_unref (self->by_name);
  g_ptr_array_unref (self->entries);
  g_free (self);
}

/* NULL, with a warning, if the name was declared before. */
static UmedptParameter *
add_entry (UmedptParameters *self, const char *prefix, const char *name)
{
  g_autofree char *full = g_strconcat (prefix, name, NULL);
  UmedptParameter *entry;

  g_return_val_if_fail (!g_hash_table_contains (self->by_name, full), NULL);
  entry = g_new0 (UmedptParameter, 1);
  entry->name = g_steal_pointer (&full);
  g_ptr_array_add (self->entries, entry);
  g_hash_table_insert (self->by_name, entry->name, entry);
  self->sorted = FALSE;
  return entry;
}

/* Declares the parameter @prefix@name. *@slot will show its tensor, owned by
 * the store, once it is initialised or loaded. */
void
umedpt_parameters_add (UmedptParameters *self, UmedptTensor **slot,
    const UmedptParameterSpec *spec, const char *prefix, const char *name)
{
  UmedptParameter *entry = add_entry (self, prefix, name);

  if (!entry)
    return;
  entry->spec = *spec;
  entry->slot = slot;
}

/* Declares a constant that checkpoints carry along. It is not needed in a
 * file; if it is there it must be @expected, else the file was made for a
 * network that computes something else. */
void
umedpt_parameters_add_buffer (UmedptParameters *self, UmedptTensor *expected,
    const char *prefix, const char *name)
{
  UmedptParameter *entry = add_entry (self, prefix, name);

  if (entry)
    entry->tensor = umedpt_tensor_ref (expected);
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(UmedptParameter *const *) a)->name,
      (*(UmedptParameter *const *) b)->name);
}

UmedptParameter *
umedpt_parameters_nth (UmedptParameters *self, guint index)
{
  if (!self->sorted)
    g_ptr_array_sort (self->entries, compare_names);
  self->sorted = TRUE;
  return g_ptr_array_index (self->entries, index);
}

/* Takes @tensor, in the shape of files, as the entry's value. */
gboolean
umedpt_parameter_set (UmedptParameter *entry, UmedptTensor *tensor,
    GError **error)
{
  if (entry->spec.flags & UMEDPT_PARAMETER_MATRIX && tensor->n_dims > 2) {
    const gint64 rows = tensor->shape[0];
    const gint64 shape[] = { rows,
      rows ? (gint64) tensor->n_elements / rows : 0 };
    UmedptTensor *matrix = umedpt_tensor_reshape (tensor, 2, shape, error);
    umedpt_tensor_unref (tensor);
    tensor = matrix;
  }
  if (!tensor)
    return FALSE;
  g_clear_pointer (&entry->tensor, umedpt_tensor_unref);
  entry->tensor = tensor;
  *entry->slot = tensor;
  return TRUE;
}

/* What is wrong with a file, one list per kind. */
typedef struct
{
  guint n;
  GString *text;
} Problems;

static void problems_add (Problems *self, const char *format, ...)
    G_GNUC_PRINTF (2, 3);

static void
problems_add (Problems *self, const char *format, ...)
{
  va_list args;

  if (!self->text)
    self->text = g_string_new (NULL);
  if (self->n++ < MAX_LISTED) {
    g_string_append (self->text, self->n > 1 ? ", " : "");
    va_start (args, format);
    g_string_append_vprintf (self->text, format, args);
    va_end (args);
  }
}

static void
problems_tell (Problems *self, const char *kind, GString *message)
{
  if (self->n)
    g_string_append_printf (message, " %u %s: %s%s.", self->n, kind,
        self->text->str, self->n > MAX_LISTED ? ", ..." : "");
  if (self->text)
    g_string_free (g_steal_pointer (&self->text), TRUE);
}

static char *
describe_spec (const UmedptParameterSpec *spec)
{
  GString *text = g_string_new ("f32 [");

  for (guint i = 0; i < spec->n_dims; i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i ? ", " : "",
        spec->shape[i]);
  return g_string_free (g_string_append_c (text, ']'), FALSE);
}

static gboolean
fits (const UmedptParameterSpec *spec, const UmedptTensor *tensor)
{
  return tensor->dtype == UMEDPT_DTYPE_F32 && tensor->n_dims == spec->n_dims &&
      memcmp (tensor->shape, spec->shape,
          spec->n_dims * sizeof spec->shape[0]) == 0;
}

/* Buffers were computed by somebody else's log2: f32 within 1e-5, integers
 * exactly. */
static gboolean
same_buffer (const UmedptTensor *found, const UmedptTensor *expected)
{
  if (found->dtype != expected->dtype ||
      !umedpt_tensor_same_shape (found, expected))
    return FALSE;
  if (found->dtype != UMEDPT_DTYPE_F32)
    return memcmp (found->data, expected->data,
               umedpt_tensor_get_size (expected)) == 0;
  for (gsize i = 0; i < expected->n_elements; i++)
    if (!(fabsf (UMEDPT_F32 (found)[i] - UMEDPT_F32 (expected)[i]) <= 1e-5f))
      return FALSE;
  return TRUE;
}

/* Loads one tensor of the file, or notes what is wrong with it. */
static void
load_entry (UmedptParameter *entry, UmedptSafetensors *file, Problems *missing,
    Problems *wrong)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (UmedptTensor) tensor =
      umedpt_safetensors_get_tensor (file, entry->name, &local);

  if (!tensor) {
    if (!g_error_matches (local, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND))
      problems_add (wrong, "%s (%s)", entry->name, local->message);
    else if (entry->slot && !(entry->spec.flags & UMEDPT_PARAMETER_UNUSED))
      problems_add (missing, "%s", entry->name);
  } else if (!entry->slot) {
    if (!same_buffer (tensor, entry->tensor))
      problems_add (wrong, "%s is not the constant this network uses",
          entry->name);
  } else if (!fits (&entry->spec, tensor)) {
    g_autofree char *found = umedpt_tensor_describe (tensor);
    g_autofree char *expected = describe_spec (&entry->spec);
    problems_add (wrong, "%s is %s instead of %s", entry->name, found,
        expected);
  } else if (!umedpt_parameter_set (entry, g_steal_pointer (&tensor), &local)) {
    problems_add (wrong, "%s (%s)", entry->name, local->message);
  }
}

/* Lets every declared parameter refer to @file's. Names that are missing or
 * unknown, wrong shapes and wrong types are all reported together. */
gboolean
umedpt_parameters_load (UmedptParameters *self, UmedptSafetensors *file,
    const char *file_name, GError **error)
{
  Problems missing = { 0 }, unknown = { 0 }, wrong = { 0 };
  g_autoptr (GString) message = g_string_new (NULL);

  for (guint i = 0; i < self->entries->len; i++)
    load_entry (umedpt_parameters_nth (self, i), file, &missing, &wrong);
  for (guint i = 0; i < umedpt_safetensors_get_n_tensors (file); i++) {
    const char *name = umedpt_safetensors_get_name (file, i);
    if (!g_hash_table_contains (self->by_name, name))
      problems_add (&unknown, "%s", name);
  }
  problems_tell (&missing, "missing", message);
  problems_tell (&wrong, "wrong", message);
  problems_tell (&unknown, "unknown", message);
  umedpt_parameters_changed (self);
  if (message->len == 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      "The parameters in '%s' are not those of the network it describes.%s "
      "Was the file written for another architecture or norm policy?",
      file_name, message->str);
  return FALSE;
}

/* Adds all parameters to @writer under their names, in their shapes in
 * files; those on a device as copies. Buffers are not written: they follow from the architecture. */
gboolean
umedpt_parameters_store (UmedptParameters *self,
    UmedptSafetensorsWriter *writer, GError **error)
{
  for (guint i = 0; i < self->entries->len; i++) {
    const UmedptParameter *entry = umedpt_parameters_nth (self, i);
    g_autoptr (UmedptTensor) values = NULL;
    g_autoptr (UmedptTensor) view = NULL;

    if (!entry->slot || !entry->tensor)
      continue;
    values = umedpt_tensor_to (entry->tensor, NULL, error);
    if (!values)
      return FALSE;
    view = umedpt_tensor_reshape (values, entry->spec.n_dims, entry->spec.shape,
        error);
    if (!view)
      return FALSE;
    umedpt_safetensors_writer_add (writer, entry->name, view);
  }
  return TRUE;
}

void
umedpt_parameters_changed (UmedptParameters *self)
{
  self->generation++;
}

guint64
umedpt_parameters_get_generation (UmedptParameters *self)
{
  return self->generation;
}

guint64
umedpt_parameters_count (UmedptParameters *self, const char *prefix)
{
  guint64 total = 0;

  for (guint i = 0; i < self->entries->len; i++) {
    const UmedptParameter *entry = umedpt_parameters_nth (self, i);
    guint64 n = 1;

    if (!entry->slot || entry->spec.flags & UMEDPT_PARAMETER_UNUSED ||
        (prefix && !g_str_has_prefix (entry->name, prefix)))
      continue;
    for (guint d = 0; d < entry->spec.n_dims; d++)
      n *= (guint64) entry->spec.shape[d];
    total += n;
  }
  return total;
}

guint
umedpt_parameters_get_n (UmedptParameters *self)
{
  return self->entries->len;
}

const char *
umedpt_parameters_get_name (UmedptParameters *self, guint index)
{
  return umedpt_parameters_nth (self, index)->name;
}

/* (nullable) (transfer none): NULL for a buffer as well. */
UmedptTensor *
umedpt_parameters_get_tensor (UmedptParameters *self, guint index)
{
  const UmedptParameter *entry = umedpt_parameters_nth (self, index);

  return entry->slot ? entry->tensor : NULL;
}
