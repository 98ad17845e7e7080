/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The features of a batch of images, in parts. Where images are computed one
 * by one (host memory) a part is an image; on a device it is as many as go
 * through together, and what a head makes of one image it makes of all of its
 * part. Logits are kept in host memory per part and task, so a second question
 * about them (another threshold, the next image) costs nothing but decoding.
 *
 * On a device encoding only queues work: the next part, or the next frame, is
 * prepared meanwhile, and who asks for results waits for them.
 */
#include "infer/encoding.h"

#include <string.h>

#include "base/error.h"
#include "infer/device-images.h"
#include "infer/device-pass.h"
#include "infer/encoding-private.h"
#include "infer/preprocess.h"

G_DEFINE_BOXED_TYPE (UmedptEncoding, umedpt_encoding, umedpt_encoding_ref,
    umedpt_encoding_unref)

static guint
n_tasks (const UmedptEncoding *self)
{
  return umedpt_model_get_description (self->model)->tasks->len;
}

static void
drop_parts (UmedptEncoding *self)
{
  for (guint i = 0; i < self->n_parts; i++) {
    UmedptEncodingPart *part = &self->parts[i];

    for (guint task = 0; part->outputs && task < n_tasks (self); task++)
      umedpt_task_output_clear (&part->outputs[task]);
    g_free (part->outputs);
    umedpt_encoding_drop_features (self, part);
    g_clear_pointer (&part->vectors, umedpt_tensor_unref);
  }
  g_clear_pointer (&self->parts, g_free);
  self->n_parts = 0;
}

/**
 * umedpt_encoding_ref:
 * @self: an encoding
 *
 * Returns: (transfer full): @self
 *
 * Since: 0.1
 */
UmedptEncoding *
umedpt_encoding_ref (UmedptEncoding *self)
{
  g_return_val_if_fail (self != NULL, NULL);
  g_atomic_ref_count_inc (&self->references);
  return self;
}

/**
 * umedpt_encoding_unref:
 * @self: (nullable) (transfer full): an encoding
 *
 * Gives up a reference; with the last one, features and results go.
 *
 * Since: 0.1
 */
void
umedpt_encoding_unref (UmedptEncoding *self)
{
  if (!self || !g_atomic_ref_count_dec (&self->references))
    return;
  drop_parts (self);
  g_free (self->vectors);
  g_mutex_clear (&self->lock);
  g_object_unref (self->session);
  g_free (self);
}

static UmedptEncoding *
encoding_new (UmedptSession *session, guint n_images, gint width, gint height)
{
  UmedptEncoding *self = g_new0 (UmedptEncoding, 1);

  g_atomic_ref_count_init (&self->references);
  self->session = g_object_ref (session);
  self->model = umedpt_session_get_model (session);
  self->n_images = n_images;
  self->width = width;
  self->height = height;
  g_mutex_init (&self->lock);
  return self;
}

/* --- the encoder -------------------------------------------------------- */

UmedptBackend *
umedpt_encoding_get_backend (UmedptEncoding *self)
{
  return umedpt_context_get_backend (
      umedpt_session_get_context (self->session));
}

/* To where the backend computes. */
static gboolean
send_images (UmedptEncoding *self, UmedptEncodingPart *part,
    const UmedptImage *images, GError **error)
{
  UmedptDevicePass *device = umedpt_session_get_device_pass (self->session);

  if (device)
    return umedpt_device_feed_send (umedpt_device_pass_get_feed (device),
        images, part->n, self->width, self->height, &part->fed, error);
  part->fed.images =
      umedpt_preprocess_image (images, self->width, self->height, error);
  return part->fed.images != NULL;
}

static gboolean
encode_part (UmedptEncoding *self, UmedptEncodingPart *part,
    const UmedptImage *images, GError **error)
{
  UmedptDevicePass *device = umedpt_session_get_device_pass (self->session);

  if (!send_images (self, part, images, error))
    return FALSE;
  if (device)
    part->slot = umedpt_slots_take (umedpt_device_pass_get_slots (device),
        part->n, self->width, self->height);
  if (!umedpt_encoding_run (self, part, UMEDPT_STEP_ENCODER, error))
    return FALSE;
  if (!device)
    umedpt_fed_clear (&part->fed); /* it is computed, not only queued */
  return TRUE;
}

/* In parts of the present size. */
static gboolean
try_parts (UmedptEncoding *self, const UmedptImage *images,
    GCancellable *cancellable, GError **error)
{
  self->n_parts = (self->n_images + self->part_size - 1) / self->part_size;
  self->parts = g_new0 (UmedptEncodingPart, self->n_parts);
  for (guint i = 0; i < self->n_parts; i++) {
    const guint first = i * self->part_size;
    UmedptEncodingPart *part = &self->parts[i];

    if (g_cancellable_is_cancelled (cancellable)) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED,
          "Stopped on request after %u of %u images.", first, self->n_images);
      return FALSE;
    }
    part->n = MIN (self->part_size, self->n_images - first);
    part->outputs = g_new0 (UmedptTaskOutput, n_tasks (self));
    if (!encode_part (self, part, images + first, error))
      return FALSE;
  }
  return TRUE;
}

/* Where a device has not enough memory: all again, in smaller parts. */
static gboolean
encode_parts (UmedptEncoding *self, const UmedptImage *images,
    GCancellable *cancellable, GError **error)
{
  UmedptDevicePass *device = umedpt_session_get_device_pass (self->session);
  GError *local = NULL;

  for (;;) {
    self->part_size = device ? umedpt_device_pass_get_max_batch (device) : 1;
    if (try_parts (self, images, cancellable, &local)) {
      umedpt_session_count (self->session, self->n_images);
      return TRUE;
    }
    drop_parts (self);
    if (!device || !umedpt_device_pass_shrink (device, local))
      break;
    g_clear_error (&local);
  }
  g_propagate_error (error, local);
  return FALSE;
}

/* The way that a session prepares most for, as it is the shortest. */
static gboolean
encode_vectors (UmedptEncoding *self, const UmedptImage *images,
    GCancellable *cancellable, GError **error)
{
  self->vectors = g_new (gfloat,
      (gsize) self->n_images *
          umedpt_session_get_embedding_size (self->session));
  return umedpt_session_embed (self->session, images, self->n_images,
      self->vectors, cancellable, error);
}

static gboolean
check_size (gint width, gint height, GError **error)
{
  if (width >= UMEDPT_SWIN_MIN_SIZE && height >= UMEDPT_SWIN_MIN_SIZE &&
      width <= UMEDPT_SESSION_MAX_SIDE && height <= UMEDPT_SESSION_MAX_SIDE)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "Images cannot be encoded at %dx%d pixels; sides must be %d to %d.",
      width, height, UMEDPT_SWIN_MIN_SIZE, UMEDPT_SESSION_MAX_SIDE);
  return FALSE;
}

/**
 * umedpt_session_encode:
 * @session: a session
 * @images: (array length=n_images): images of any size
 * @n_images: how many, at least 1
 * @width: to which images are resized, pixels; 0: the model's input
 * @height: as well
 * @vectors_only: only umedpt_encoding_get_embedding() will be called, and the
 *   size is the model's input
 * @cancellable: (nullable): looked at now and then
 * @error: return location for a #GError
 *
 * Runs the encoder, once per image. Images of another size are resized as by
 * umedpt_session_embed(). May be called from several threads.
 *
 * Returns: (transfer full): the images' features, or %NULL with @error set
 *   (%UMEDPT_ERROR_SHAPE for an image that cannot be, %UMEDPT_ERROR_SETTINGS
 *   for a size that cannot or memory that the session cannot read,
 *   %UMEDPT_ERROR_CANCELLED, %UMEDPT_ERROR_NO_MEMORY)
 *
 * Since: 0.1
 */
UmedptEncoding *
umedpt_session_encode (UmedptSession *session, const UmedptImage *images,
    guint n_images, gint width, gint height, gboolean vectors_only,
    GCancellable *cancellable, GError **error)
{
  const UmedptDescription *description = NULL;
  g_autoptr (UmedptEncoding) self = NULL;

  g_return_val_if_fail (UMEDPT_IS_SESSION (session), NULL);
  g_return_val_if_fail (images != NULL && n_images > 0, NULL);

  description =
      umedpt_model_get_description (umedpt_session_get_model (session));
  if (width == 0 || height == 0 || vectors_only) {
    width = description->input_width;
    height = description->input_height;
  }
  if (!check_size (width, height, error) ||
      !umedpt_device_images_check (
          umedpt_context_get_backend (umedpt_session_get_context (session)),
          images, n_images, error))
    return NULL;
  self = encoding_new (session, n_images, width, height);
  if (!(vectors_only ? encode_vectors (self, images, cancellable, error)
                     : encode_parts (self, images, cancellable, error)))
    return NULL;
  return g_steal_pointer (&self);
}

/* --- what it is --------------------------------------------------------- */

/**
 * umedpt_encoding_get_session:
 * @self: an encoding
 *
 * Returns: (transfer none): the session that made it
 *
 * Since: 0.1
 */
UmedptSession *
umedpt_encoding_get_session (const UmedptEncoding *self)
{
  g_return_val_if_fail (self != NULL, NULL);
  return self->session;
}

/**
 * umedpt_encoding_get_n_images:
 * @self: an encoding
 *
 * Returns: how many images it holds
 *
 * Since: 0.1
 */
guint
umedpt_encoding_get_n_images (const UmedptEncoding *self)
{
  g_return_val_if_fail (self != NULL, 0);
  return self->n_images;
}

/**
 * umedpt_encoding_get_size:
 * @self: an encoding
 * @width: (out): of the images as the encoder saw them, pixels
 * @height: (out): as well
 *
 * Since: 0.1
 */
void
umedpt_encoding_get_size (const UmedptEncoding *self, gint *width, gint *height)
{
  g_return_if_fail (self != NULL);
  *width = self->width;
  *height = self->height;
}

/**
 * umedpt_encoding_has_features:
 * @self: an encoding
 *
 * Returns: whether heads can run on it, which is not so with vectors only
 *
 * Since: 0.1
 */
gboolean
umedpt_encoding_has_features (const UmedptEncoding *self)
{
  g_return_val_if_fail (self != NULL, FALSE);
  return self->vectors == NULL;
}

gboolean
umedpt_encoding_check_features (const UmedptEncodingPart *part, GError **error)
{
  if (part->features.pyramid[0])
    return TRUE;
  g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "The features of the images are gone: they were encoded, or settled, "
      "for other results.");
  return FALSE;
}

/* --- vectors ------------------------------------------------------------ */

/**
 * umedpt_encoding_get_embedding:
 * @self: an encoding
 * @index: number of the image
 * @embedding: (out caller-allocates): f32 [D], D of
 *   umedpt_session_get_embedding_size()
 * @error: return location for a #GError
 *
 * Returns: %TRUE, or %FALSE with @error set
 *
 * Since: 0.1
 */
gboolean
umedpt_encoding_get_embedding (UmedptEncoding *self, guint index,
    gfloat *embedding, GError **error)
{
  gsize size;
  UmedptEncodingPart *part;
  gboolean ok;

  g_return_val_if_fail (self != NULL && embedding != NULL, FALSE);
  g_return_val_if_fail (index < self->n_images, FALSE);

  size = umedpt_session_get_embedding_size (self->session);
  if (self->vectors) {
    memcpy (embedding, self->vectors + index * size, size * sizeof *embedding);
    return TRUE;
  }
  part = &self->parts[index / self->part_size];
  g_mutex_lock (&self->lock);
  ok = umedpt_encoding_need_vectors (self, part, error);
  g_mutex_unlock (&self->lock);
  if (ok)
    memcpy (embedding,
        UMEDPT_F32 (part->vectors) + (index % self->part_size) * size,
        size * sizeof *embedding);
  return ok;
}
