/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A model and its file. The file is a safetensors file:
 *
 *   tensors      <block>.<name in the released checkpoint>, f32, as
 *                "encoder.model.wrapped_model.features.0.0.weight" or
 *                "squeezer.conv.weight"
 *   "umedpt"     in the metadata: the description, JSON (net/description.h)
 *   "umedpt-hash"    SHA-256 over description and parameters, written once
 *                when the file is saved: reading it does not read the tensors
 *   "umedpt-version" the library that wrote the file
 *   "format"     "pt", by which other tools know the layout of the tensors
 *
 * A loaded model refers to the mapped file, so what is not used is not read.
 */
#include "net/model-parts.h"

#include <string.h>

#include "base/error.h"
#include "base/version.h"
#include "net/description-private.h"

#define KEY_DESCRIPTION "umedpt"
#define KEY_HASH "umedpt-hash"

G_DEFINE_FINAL_TYPE (UmedptModel, umedpt_model, G_TYPE_OBJECT)

static void
umedpt_model_finalize (GObject *object)
{
  UmedptModel *self = UMEDPT_MODEL (object);

  g_clear_pointer (&self->heads, g_ptr_array_unref);
  g_clear_pointer (&self->grouper, umedpt_grouper_block_free);
  g_clear_pointer (&self->detection_decoder, umedpt_detection_decoder_free);
  g_clear_pointer (&self->pixel_decoder, umedpt_pixel_decoder_free);
  g_clear_pointer (&self->squeezer, umedpt_squeezer_free);
  g_clear_pointer (&self->swin, umedpt_swin_free);
  g_clear_pointer (&self->parameters, umedpt_parameters_free);
  g_clear_pointer (&self->description, umedpt_description_free);
  g_mutex_clear (&self->lock);
  g_free (self->hash);
  G_OBJECT_CLASS (umedpt_model_parent_class)->finalize (object);
}

static void
umedpt_model_class_init (UmedptModelClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = umedpt_model_finalize;
}

static void
umedpt_model_init (UmedptModel *self)
{
  g_mutex_init (&self->lock);
}

static void
head_destroy (gpointer head)
{
  umedpt_head_free (head);
}

/* What is there beside encoder and squeezer. */
static gboolean
build_tasks (UmedptModel *self, GError **error)
{
  const UmedptDescription *description = self->description;

  if (!umedpt_description_check_tasks (description, UMEDPT_ERROR_SETTINGS,
          error)) {
    g_prefix_error (error, "The description of the model is not valid: ");
    return FALSE;
  }
  if (description->pixel_decoder)
    self->pixel_decoder = umedpt_pixel_decoder_new (description,
        self->parameters, UMEDPT_PIXEL_DECODER_PREFIX);
  if (description->detection_decoder)
    self->detection_decoder = umedpt_detection_decoder_new (description,
        self->parameters, UMEDPT_DETECTION_DECODER_PREFIX);
  if (description->grouper != UMEDPT_GROUPER_NONE)
    self->grouper = umedpt_grouper_block_new (description, self->parameters,
        UMEDPT_GROUPER_PREFIX);
  for (guint i = 0; i < description->tasks->len; i++) {
    UmedptHead *head = umedpt_head_new (description,
        g_ptr_array_index (description->tasks, i), self->parameters, error);

    if (!head)
      return FALSE;
    g_ptr_array_add (self->heads, head);
  }
  return TRUE;
}

/* The network of @description (transfer full), its parameters not yet there. */
static UmedptModel *
build (UmedptDescription *description, GError **error)
{
  g_autoptr (UmedptModel) self = g_object_new (UMEDPT_TYPE_MODEL, NULL);

  self->description = description;
  self->parameters = umedpt_parameters_new ();
  self->heads = g_ptr_array_new_with_free_func (head_destroy);
  self->swin = umedpt_swin_new (description, self->parameters,
      UMEDPT_ENCODER_PREFIX, error);
  if (!self->swin)
    return NULL;
  self->squeezer = umedpt_squeezer_new (description, self->parameters,
      UMEDPT_SQUEEZER_PREFIX, error);
  if (!self->squeezer || !build_tasks (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

/* The description in @file, a UMedPT model file by that alone. */
static UmedptDescription *
read_description (UmedptSafetensors *file, const char *path, GError **error)
{
  const char *json = umedpt_safetensors_get_metadata (file, KEY_DESCRIPTION);
  UmedptDescription *description;

  if (!json) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "'%s' is a safetensors file without a description of a UMedPT model "
        "(the key '" KEY_DESCRIPTION "' of its metadata). Make one with "
        "'umedpt-train init'.",
        path);
    return NULL;
  }
  description = umedpt_description_new_from_json (json, -1, error);
  if (!description)
    g_prefix_error (error, "In the model file '%s': ", path);
  return description;
}

static gboolean
is_sha256 (const char *text)
{
  if (!text || strlen (text) != 64)
    return FALSE;
  return strspn (text, "0123456789abcdef") == 64;
}

/**
 * umedpt_model_new_from_file:
 * @path: a model file
 * @error: return location for a #GError
 *
 * Opens a model file. Header and description are read and checked, and that
 * all parameters are there with the right shapes; their values are read from
 * the mapped file when they are used. The file must not be changed meanwhile
 * (replacing it by renaming another over it is fine).
 *
 * Returns: (transfer full): the model, or %NULL with @error set
 *   (%UMEDPT_ERROR_NOT_FOUND, %UMEDPT_ERROR_IO, %UMEDPT_ERROR_FORMAT,
 *   %UMEDPT_ERROR_UNSUPPORTED, %UMEDPT_ERROR_SETTINGS)
 *
 * Since: 0.1
 */
UmedptModel *
umedpt_model_new_from_file (const char *path, GError **error)
{
  g_autoptr (UmedptSafetensors) file = NULL;
  g_autoptr (UmedptModel) self = NULL;
  UmedptDescription *description;

  g_return_val_if_fail (path != NULL, NULL);

  file = umedpt_safetensors_open (path, error);
  if (!file)
    return NULL;
  description = read_description (file, path, error);
  if (!description)
    return NULL;
  self = build (description, error);
  if (!self) {
    g_prefix_error (error, "In the model file '%s': ", path);
    return NULL;
  }
  if (!umedpt_parameters_load (self->parameters, file, path, error))
    return NULL;
  if (is_sha256 (umedpt_safetensors_get_metadata (file, KEY_HASH)))
    self->hash = g_strdup (umedpt_safetensors_get_metadata (file, KEY_HASH));
  return g_steal_pointer (&self);
}

/**
 * umedpt_model_new_initialised:
 * @description: what to build
 * @seed: of the random numbers
 * @error: return location for a #GError
 *
 * Makes a model with initial values as the paper's library has them: linear
 * layers normal with deviation 0.02 and bias 0, convolutions uniform by
 * fan-in (those of the detector normal, its classes with the focal prior),
 * norms the identity, logit scales ln 10. The same description and
 * seed give the same bits on every machine.
 *
 * Returns: (transfer full): the model, or %NULL with @error set
 *   (%UMEDPT_ERROR_SETTINGS, %UMEDPT_ERROR_NO_MEMORY)
 *
 * Since: 0.1
 */
UmedptModel *
umedpt_model_new_initialised (const UmedptDescription *description,
    guint64 seed, GError **error)
{
  g_autoptr (UmedptModel) self = NULL;

  g_return_val_if_fail (description != NULL, NULL);

  self = build (umedpt_description_copy (description), error);
  if (!self || !umedpt_parameters_initialise (self->parameters, seed, error))
    return NULL;
  return g_steal_pointer (&self);
}

/* SHA-256 over the description's JSON and, in the order of their names, each
 * parameter's name, type and shape, and bytes; a 0 byte ends each text. Only
 * reading from a device can fail. */
static char *
compute_hash (UmedptModel *self, GError **error)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *json = umedpt_description_to_json (self->description);

  g_checksum_update (sum, (const guchar *) json, (gssize) strlen (json) + 1);
  for (guint i = 0; i < umedpt_parameters_get_n (self->parameters); i++) {
    const char *name = umedpt_parameters_get_name (self->parameters, i);
    UmedptTensor *tensor = umedpt_parameters_get_tensor (self->parameters, i);
    g_autoptr (UmedptTensor) values = NULL;
    g_autofree char *type = NULL;

    if (!tensor)
      continue;
    values = umedpt_tensor_to (tensor, NULL, error);
    if (!values)
      return NULL;
    type = umedpt_tensor_describe (tensor);
    g_checksum_update (sum, (const guchar *) name, (gssize) strlen (name) + 1);
    g_checksum_update (sum, (const guchar *) type, (gssize) strlen (type) + 1);
    g_checksum_update (sum, values->data,
        (gssize) umedpt_tensor_get_size (tensor));
  }
  return g_strdup (g_checksum_get_string (sum));
}

/**
 * umedpt_model_save:
 * @self: a model
 * @path: the file to write; replaced if it exists
 * @error: return location for a #GError
 *
 * Writes the model file: first under a temporary name beside @path, then
 * renamed, so that @path never shows half a file.
 *
 * Returns: %TRUE, or %FALSE with @error set
 *
 * Since: 0.1
 */
gboolean
umedpt_model_save (UmedptModel *self, const char *path, GError **error)
{
  g_autoptr (UmedptSafetensorsWriter) writer = NULL;
  g_autofree char *json = NULL;
  g_autofree char *hash = NULL;

  g_return_val_if_fail (UMEDPT_IS_MODEL (self), FALSE);
  g_return_val_if_fail (path != NULL, FALSE);

  writer = umedpt_safetensors_writer_new ();
  json = umedpt_description_to_json (self->description);
  hash = compute_hash (self, error);
  if (!hash)
    return FALSE;
  umedpt_safetensors_writer_set_metadata (writer, "format", "pt");
  umedpt_safetensors_writer_set_metadata (writer, "umedpt-version",
      umedpt_get_version ());
  umedpt_safetensors_writer_set_metadata (writer, KEY_DESCRIPTION, json);
  umedpt_safetensors_writer_set_metadata (writer, KEY_HASH, hash);
  if (!umedpt_parameters_store (self->parameters, writer, error) ||
      !umedpt_safetensors_writer_write (writer, path, error))
    return FALSE;
  g_mutex_lock (&self->lock);
  if (g_strcmp0 (self->hash, hash) != 0) {
    g_free (self->hash);
    self->hash = g_steal_pointer (&hash);
  }
  g_mutex_unlock (&self->lock);
  return TRUE;
}

/**
 * umedpt_model_verify:
 * @self: a model
 * @error: return location for a #GError
 *
 * Reads all parameters and compares their hash with the one that the model's
 * file states: finds a file that was damaged or edited. Takes about a second
 * per 200 MB.
 *
 * Returns: %TRUE, or %FALSE with @error set (%UMEDPT_ERROR_DATA)
 *
 * Since: 0.1
 */
gboolean
umedpt_model_verify (UmedptModel *self, GError **error)
{
  g_autofree char *found = NULL;
  const char *stated;

  g_return_val_if_fail (UMEDPT_IS_MODEL (self), FALSE);

  stated = umedpt_model_get_hash (self);
  found = compute_hash (self, error);
  if (!found)
    return FALSE;
  if (strcmp (stated, found) == 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "The model states the hash %s, but its contents have %s: the file was "
      "damaged, or edited without writing a new hash. Get it anew.",
      stated, found);
  return FALSE;
}

/**
 * umedpt_model_get_description:
 * @self: a model
 *
 * Returns: (transfer none): what it was built from
 *
 * Since: 0.1
 */
const UmedptDescription *
umedpt_model_get_description (UmedptModel *self)
{
  g_return_val_if_fail (UMEDPT_IS_MODEL (self), NULL);
  return self->description;
}

/**
 * umedpt_model_get_hash:
 * @self: a model
 *
 * The hash identifies the model that made a result. A file states it; of a
 * model that has none it is computed from all parameters on first use.
 *
 * Returns: (transfer none): SHA-256, 64 lower-case hexadecimal digits; valid
 *   until the parameters are changed and saved. Empty if the device on which
 *   the parameters lie has failed
 *
 * Since: 0.1
 */
const char *
umedpt_model_get_hash (UmedptModel *self)
{
  g_return_val_if_fail (UMEDPT_IS_MODEL (self), NULL);

  g_mutex_lock (&self->lock);
  if (!self->hash)
    self->hash = compute_hash (self, NULL);
  g_mutex_unlock (&self->lock);
  return self->hash ? self->hash : "";
}

/**
 * umedpt_model_get_n_parameters:
 * @self: a model
 *
 * Returns: the number of trainable values that have an effect; the encoder's
 *   last norm, which files carry but UMedPT does not apply, is not counted
 *
 * Since: 0.1
 */
guint64
umedpt_model_get_n_parameters (UmedptModel *self)
{
  g_return_val_if_fail (UMEDPT_IS_MODEL (self), 0);
  return umedpt_parameters_count (self->parameters, NULL);
}

UmedptParameters *
umedpt_model_get_parameters (UmedptModel *self)
{
  return self->parameters;
}
