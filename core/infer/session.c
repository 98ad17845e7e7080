/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A session: model, backend and precision, ready to compute. Opening one runs
 * a blank image, so that weights are packed and buffers exist before the first
 * real image, and a model that yields no numbers is refused at once. Images go
 * through the network one by one: on a CPU a batch only costs cache (the
 * activations of one image fit into it), and between two images a caller can
 * be stopped. The lock around each image is the compute queue: callers take
 * turns, and each uses all cores. A device with memory of its own works
 * otherwise: device-pass.c.
 */
#include "infer/session.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "autograd/ops.h"
#include "base/cpu.h"
#include "base/debug.h"
#include "base/error.h"
#include "infer/cache.h"
#include "infer/device-images.h"
#include "infer/device-pass.h"
#include "infer/preprocess.h"
#include "infer/session-private.h"
#include "net/model-private.h"

struct _UmedptSession
{
  GObject parent_instance;

  UmedptModel *model;
  UmedptContext *context;
  UmedptPrecision precision; /* f32 or bf16 */
  gint width, height; /* of the model's input */
  guint size; /* of an embedding */
  GMutex queue; /* held while an image is computed */
  UmedptDevicePass *device_pass; /* NULL: the backend works on host memory */
  gsize n_encoded; /* atomic */
};

G_DEFINE_FINAL_TYPE (UmedptSession, umedpt_session, G_TYPE_OBJECT)

/* One at a time opens: who asks for what another is loading waits for it. */
static GMutex open_lock;

static void
umedpt_session_finalize (GObject *object)
{
  UmedptSession *self = UMEDPT_SESSION (object);

  g_clear_pointer (&self->device_pass, umedpt_device_pass_free);
  g_clear_object (&self->model);
  g_clear_pointer (&self->context, umedpt_context_free);
  g_mutex_clear (&self->queue);
  G_OBJECT_CLASS (umedpt_session_parent_class)->finalize (object);
}

static void
umedpt_session_class_init (UmedptSessionClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = umedpt_session_finalize;
}

static void
umedpt_session_init (UmedptSession *self)
{
  g_mutex_init (&self->queue);
}

/* Which file, which state of it, and what makes the same file a different
 * session. */
static char *
make_key (const char *path, const UmedptBackend *backend,
    UmedptPrecision precision, GError **error)
{
  struct stat info;
  g_autofree char *shown = g_filename_display_name (path);

  if (stat (path, &info) != 0) {
    const int code = errno;
    g_set_error (error, UMEDPT_ERROR,
        code == ENOENT ? UMEDPT_ERROR_NOT_FOUND : UMEDPT_ERROR_IO,
        "Cannot open the model file '%s': %s.", shown, g_strerror (code));
    return NULL;
  }
  if (!S_ISREG (info.st_mode)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
        "The model file '%s' is not a regular file.", shown);
    return NULL;
  }
  /* Device and inode are what realpath() would resolve to; backends live as
   * long as the process, and each device is one. */
  return g_strdup_printf ("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT
                          ":%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT
                          ".%09ld:%p:%d",
      (guint64) info.st_dev, (guint64) info.st_ino, (gint64) info.st_size,
      (gint64) info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
      (gconstpointer) backend, precision);
}

/* bf16 pays only where the processor multiplies it; `ref` computes for
 * comparison and stays exact. */
static UmedptPrecision
resolve_precision (UmedptPrecision precision, const UmedptBackend *backend)
{
  if (precision != UMEDPT_PRECISION_AUTO)
    return precision;
  if (!backend->host_memory)
    return UMEDPT_PRECISION_BF16;
  return backend != umedpt_backend_ref () &&
          umedpt_cpu_isa () >= UMEDPT_ISA_AVX512_BF16
      ? UMEDPT_PRECISION_BF16
      : UMEDPT_PRECISION_F32;
}

/* image: u8 or f32 [1, H, W, 3] -> f32 [D] at @embedding. */
static gboolean
run (UmedptSession *self, UmedptTensor *image, gfloat *embedding,
    GError **error)
{
  UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS] = { NULL };
  g_autoptr (UmedptTensor) vector = NULL; /* f32 [1, D] */

  if (!umedpt_model_encode (self->model, self->context, image, pyramid, error))
    return FALSE;
  vector = umedpt_model_squeeze (self->model, self->context,
      pyramid[UMEDPT_SWIN_LEVELS - 1], NULL, error);
  for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
    umedpt_tensor_unref (pyramid[i]);
  if (!vector)
    return FALSE;
  memcpy (embedding, umedpt_tensor_get_data (vector),
      self->size * sizeof *embedding);
  return TRUE;
}

static gboolean
embed_one (UmedptSession *self, const UmedptImage *image, gfloat *embedding,
    GError **error)
{
  g_autoptr (UmedptTensor) tensor =
      umedpt_preprocess_image (image, self->width, self->height, error);
  gboolean ok;

  if (!tensor)
    return FALSE;
  g_mutex_lock (&self->queue);
  ok = run (self, tensor, embedding, error);
  g_mutex_unlock (&self->queue);
  return ok;
}

static gboolean
embed_one_by_one (UmedptSession *self, const UmedptImage *images,
    guint n_images, gfloat *embeddings, GCancellable *cancellable,
    GError **error)
{
  for (guint i = 0; i < n_images; i++) {
    if (g_cancellable_is_cancelled (cancellable)) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED,
          "Stopped on request after %u of %u images.", i, n_images);
      return FALSE;
    }
    if (!embed_one (self, &images[i], embeddings + (gsize) i * self->size,
            error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
embed (UmedptSession *self, const UmedptImage *images, guint n_images,
    gfloat *embeddings, GCancellable *cancellable, GError **error)
{
  return self->device_pass
      ? umedpt_device_pass_embed (self->device_pass, images, n_images,
            embeddings, cancellable, error)
      : embed_one_by_one (self, images, n_images, embeddings, cancellable,
            error);
}

/* Computes a grey image for the sake of what is prepared on the way. */
static gboolean
warm_up (UmedptSession *self, GError **error)
{
  const gsize row = (gsize) self->width * 3;
  g_autofree guint8 *pixels = g_malloc (row * (gsize) self->height);
  const UmedptImage image = { pixels, self->width, self->height, row,
    UMEDPT_PIXELS_RGB };
  g_autofree gfloat *embedding = g_new (gfloat, self->size);

  memset (pixels, 128, row * (gsize) self->height);
  if (!embed (self, &image, 1, embedding, NULL, error))
    return FALSE;
  for (guint i = 0; i < self->size; i++)
    if (!isfinite (embedding[i])) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "The model makes %g of a grey image (feature %u): its parameters "
          "are damaged or were never trained to an end.",
          embedding[i], i);
      return FALSE;
    }
  return TRUE;
}

/* The CPU's own kernels have no bf16 without hardware for it, and the plain C
 * that would stand in is hundreds of times slower: refused, not endured. */
static gboolean
check_precision (UmedptPrecision precision, const UmedptBackend *backend,
    GError **error)
{
  if (precision != UMEDPT_PRECISION_BF16 || backend != umedpt_backend_cpu () ||
      umedpt_cpu_isa () >= UMEDPT_ISA_AVX512_BF16)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
      "Precision bf16 needs a processor with AVX512_BF16; this one (or "
      "UMEDPT_CPU) offers %s. Ask for f32 or auto.",
      umedpt_isa_name (umedpt_cpu_isa ()));
  return FALSE;
}

static gboolean
check_input_size (UmedptSession *self, GError **error)
{
  if (self->width >= UMEDPT_SWIN_MIN_SIZE &&
      self->width <= UMEDPT_SESSION_MAX_SIDE &&
      self->height >= UMEDPT_SWIN_MIN_SIZE &&
      self->height <= UMEDPT_SESSION_MAX_SIDE)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "The model states an input of %dx%d pixels; sides must be %d to %d.",
      self->width, self->height, UMEDPT_SWIN_MIN_SIZE, UMEDPT_SESSION_MAX_SIDE);
  return FALSE;
}

/* Times are told when a context is freed; a program that ends within the
 * cache's seconds would never hear them. */
static void
tell_times_at_exit (void)
{
  static gsize done;

  if (!umedpt_debug_enabled (UMEDPT_DEBUG_TIMING))
    return;
  if (g_once_init_enter (&done)) {
    atexit (umedpt_cache_trim);
    g_once_init_leave (&done, 1);
  }
}

/* The parameters go where the backend computes. */
static gboolean
to_device (UmedptSession *self, GError **error)
{
  UmedptBackend *backend = umedpt_context_get_backend (self->context);

  if (!backend->memory)
    return TRUE;
  self->device_pass = umedpt_device_pass_new (self->model, self->context,
      self->width, self->height, self->size);
  return umedpt_model_move (self->model, backend->memory, error);
}

static UmedptSession *
load (const char *path, UmedptBackend *backend, UmedptPrecision precision,
    GError **error)
{
  g_autoptr (UmedptSession) self = g_object_new (UMEDPT_TYPE_SESSION, NULL);
  const UmedptDescription *description;

  self->model = umedpt_model_new_from_file (path, error);
  if (!self->model)
    return NULL;
  description = umedpt_model_get_description (self->model);
  self->precision = precision;
  self->context = umedpt_context_new (backend,
      precision == UMEDPT_PRECISION_BF16 ? UMEDPT_DTYPE_BF16
                                         : UMEDPT_DTYPE_F32);
  self->width = description->input_width;
  self->height = description->input_height;
  self->size = (guint) umedpt_description_get_embedding_size (description);
  if (!check_input_size (self, error) || !to_device (self, error) ||
      !warm_up (self, error)) {
    g_prefix_error (error, "In the model file '%s': ", path);
    return NULL;
  }
  return g_steal_pointer (&self);
}

/**
 * umedpt_session_open:
 * @model_file: (type filename): a model file
 * @device: (nullable): "auto" or %NULL, "cpu", "cuda", "cuda:0", "ref"
 * @precision: of matrix products
 * @error: return location for a #GError
 *
 * Makes the model ready on the device: loads it, prepares its weights, and
 * runs a blank image. Whoever asks for the same file (unchanged since), device
 * and precision gets the same session; it is kept for a few seconds after its
 * last user. May be called from any thread.
 *
 * Returns: (transfer full): the session, or %NULL with @error set
 *   (%UMEDPT_ERROR_NOT_FOUND, %UMEDPT_ERROR_IO, %UMEDPT_ERROR_FORMAT for the
 *   file, %UMEDPT_ERROR_DATA if its parameters make no finite numbers,
 *   %UMEDPT_ERROR_SETTINGS or %UMEDPT_ERROR_BACKEND for the device,
 *   %UMEDPT_ERROR_UNSUPPORTED for bf16 where the processor lacks it,
 *   %UMEDPT_ERROR_NO_MEMORY)
 *
 * Since: 0.1
 */
UmedptSession *
umedpt_session_open (const char *model_file, const char *device,
    UmedptPrecision precision, GError **error)
{
  g_autofree char *key = NULL;
  UmedptBackend *backend;
  UmedptSession *self;

  g_return_val_if_fail (model_file != NULL, NULL);
  g_return_val_if_fail (precision <= UMEDPT_PRECISION_BF16, NULL);

  backend = umedpt_backend_find (device, error);
  if (!backend)
    return NULL;
  precision = resolve_precision (precision, backend);
  if (!check_precision (precision, backend, error))
    return NULL;
  g_mutex_lock (&open_lock);
  key = make_key (model_file, backend, precision, error);
  self = key ? umedpt_cache_get (key) : NULL;
  if (key && !self) {
    self = load (model_file, backend, precision, error);
    if (self) {
      umedpt_cache_put (key, self);
      tell_times_at_exit ();
    }
  }
  g_mutex_unlock (&open_lock);
  return self;
}

/**
 * umedpt_session_get_model:
 * @self: a session
 *
 * Returns: (transfer none): its model
 *
 * Since: 0.1
 */
UmedptModel *
umedpt_session_get_model (UmedptSession *self)
{
  g_return_val_if_fail (UMEDPT_IS_SESSION (self), NULL);
  return self->model;
}

/**
 * umedpt_session_get_device:
 * @self: a session
 *
 * Returns: (transfer none): the device that "auto" came to mean: "cpu", …
 *
 * Since: 0.1
 */
const char *
umedpt_session_get_device (UmedptSession *self)
{
  g_return_val_if_fail (UMEDPT_IS_SESSION (self), NULL);
  return umedpt_context_get_backend (self->context)->name;
}

/**
 * umedpt_session_get_precision:
 * @self: a session
 *
 * Returns: %UMEDPT_PRECISION_F32 or %UMEDPT_PRECISION_BF16
 *
 * Since: 0.1
 */
UmedptPrecision
umedpt_session_get_precision (UmedptSession *self)
{
  g_return_val_if_fail (UMEDPT_IS_SESSION (self), UMEDPT_PRECISION_F32);
  return self->precision;
}

/**
 * umedpt_session_get_embedding_size:
 * @self: a session
 *
 * Returns: D, the number of values in an embedding
 *
 * Since: 0.1
 */
guint
umedpt_session_get_embedding_size (UmedptSession *self)
{
  g_return_val_if_fail (UMEDPT_IS_SESSION (self), 0);
  return self->size;
}

/**
 * umedpt_session_get_n_encoded:
 * @self: a session
 *
 * Returns: how many images went through the encoder since the session was
 *   opened, for all its users
 *
 * Since: 0.1
 */
guint64
umedpt_session_get_n_encoded (UmedptSession *self)
{
  g_return_val_if_fail (UMEDPT_IS_SESSION (self), 0);
  return GPOINTER_TO_SIZE (g_atomic_pointer_get (&self->n_encoded));
}

UmedptContext *
umedpt_session_get_context (UmedptSession *self)
{
  return self->context;
}

void
umedpt_session_lock (UmedptSession *self)
{
  g_mutex_lock (&self->queue);
}

void
umedpt_session_unlock (UmedptSession *self)
{
  g_mutex_unlock (&self->queue);
}

/**
 * umedpt_session_has_device:
 * @self: a session
 *
 * Returns: whether images are computed together, on a device with memory of
 *   its own, while the processor is free
 *
 * Since: 0.1
 */
gboolean
umedpt_session_has_device (UmedptSession *self)
{
  g_return_val_if_fail (UMEDPT_IS_SESSION (self), FALSE);
  return self->device_pass != NULL;
}

UmedptDevicePass *
umedpt_session_get_device_pass (UmedptSession *self)
{
  return self->device_pass;
}

void
umedpt_session_count (UmedptSession *self, guint n_images)
{
  g_atomic_pointer_add (&self->n_encoded, n_images);
}

/**
 * umedpt_session_sum_image:
 * @self: a session on a device
 * @image: an image in that device's memory
 * @sum: (out): a number
 * @error: return location for a #GError
 *
 * Tells whether an image is still the same without bringing it to the host:
 * images of one size and format with other pixels have another number, but for
 * one chance in 2^64. What pads its rows does not count. Not against malice.
 *
 * Returns: %TRUE, or %FALSE with @error set (%UMEDPT_ERROR_SHAPE for an image
 *   that cannot be, %UMEDPT_ERROR_SETTINGS for host memory, or for memory that
 *   the session cannot read)
 *
 * Since: 0.1
 */
gboolean
umedpt_session_sum_image (UmedptSession *self, const UmedptImage *image,
    guint64 *sum, GError **error)
{
  g_return_val_if_fail (UMEDPT_IS_SESSION (self), FALSE);
  g_return_val_if_fail (image != NULL && sum != NULL, FALSE);

  if (image->memory == UMEDPT_IMAGE_MEMORY_HOST) {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "The image lies in host memory; sums are of images on a device.");
    return FALSE;
  }
  return umedpt_device_images_sum (umedpt_context_get_backend (self->context),
      image, sum, error);
}

/**
 * umedpt_session_embed:
 * @self: a session
 * @images: (array length=n_images): images of any size
 * @n_images: how many
 * @embeddings: (out caller-allocates): f32 [n_images, D], row by row
 * @cancellable: (nullable): looked at before each image
 * @error: return location for a #GError
 *
 * Computes an embedding per image. Images of another size than the model's
 * input are resized to it, box-filtered where they shrink and bilinear where
 * they grow, each axis on its own. On the CPU the same image gives the same
 * bits, whatever else is in @images; on a GPU, with the same number of images,
 * which are computed together. May be called from several threads.
 *
 * Returns: %TRUE, or %FALSE with @error set (%UMEDPT_ERROR_SHAPE for an image
 *   that cannot be, %UMEDPT_ERROR_SETTINGS for memory that the session cannot
 *   read, %UMEDPT_ERROR_CANCELLED); rows before the failing image
 *   are then written
 *
 * Since: 0.1
 */
gboolean
umedpt_session_embed (UmedptSession *self, const UmedptImage *images,
    guint n_images, gfloat *embeddings, GCancellable *cancellable,
    GError **error)
{
  g_return_val_if_fail (UMEDPT_IS_SESSION (self), FALSE);
  g_return_val_if_fail (n_images == 0 || (images && embeddings), FALSE);

  if (!umedpt_device_images_check (umedpt_context_get_backend (self->context),
          images, n_images, error) ||
      !embed (self, images, n_images, embeddings, cancellable, error))
    return FALSE;
  umedpt_session_count (self, n_images);
  return TRUE;
}
