/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sessions: sharing, errors, image sizes, determinism, cancelling, use from
 * several threads, on the backend that UMEDPT_BACKEND names.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "autograd/ops.h"
#include "base/cpu.h"
#include "base/error.h"
#include "formula.h"
#include "infer/cache.h"
#include "infer/session.h"
#include "net/model-private.h"

#define SIDE 64 /* of the test model's input: small, to be quick on ref */

static char *folder, *model_file, *other_file;
static const char *device;

static void
write_model_of (const char *path, guint64 seed, gint side,
    UmedptPoolOrder order)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptDescription) description =
      umedpt_description_new ("swinv2-nano", &error);
  g_autoptr (UmedptModel) model = NULL;

  description->input_width = side;
  description->input_height = side;
  description->pool_order = order;
  model = umedpt_model_new_initialised (description, seed, &error);
  g_assert_no_error (error);
  formula_fill (umedpt_model_get_parameters (model));
  umedpt_model_save (model, path, &error);
  g_assert_no_error (error);
}

static void
write_model (const char *path, guint64 seed)
{
  write_model_of (path, seed, SIDE, UMEDPT_POOL_BEFORE);
}

static UmedptSession *
open_session (const char *path, UmedptPrecision precision)
{
  g_autoptr (GError) error = NULL;
  UmedptSession *session = umedpt_session_open (path, NULL, precision, &error);

  g_assert_no_error (error);
  return session;
}

static UmedptImage
image_of (UmedptTensor *tensor)
{
  const gint height = (gint) tensor->shape[1], width = (gint) tensor->shape[2];

  return (UmedptImage){ UMEDPT_U8 (tensor), width, height, (gsize) width * 3,
    UMEDPT_PIXELS_RGB };
}

/* bf16, or f32 where the processor refuses that. */
static UmedptPrecision
half_if_offered (void)
{
  return strcmp (device, "cpu") == 0 &&
          umedpt_cpu_isa () < UMEDPT_ISA_AVX512_BF16
      ? UMEDPT_PRECISION_F32
      : UMEDPT_PRECISION_BF16;
}

static void
test_bf16_refused (void)
{
  g_autoptr (GError) error = NULL;
  UmedptSession *session;

  session =
      umedpt_session_open (model_file, device, UMEDPT_PRECISION_BF16, &error);
  g_assert_null (session);
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED);
}

static void
test_shared (void)
{
  g_autofree char *link = g_build_filename (folder, "link", NULL);
  g_autoptr (UmedptSession) one = open_session (model_file, 0);
  g_autoptr (UmedptSession) again = open_session (model_file, 0);
  g_autoptr (UmedptSession) f32 =
      open_session (model_file, UMEDPT_PRECISION_F32);
  g_autoptr (UmedptSession) bf16 =
      open_session (model_file, half_if_offered ());
  g_autoptr (UmedptSession) linked = NULL;

  g_assert_cmpint (symlink (model_file, link), ==, 0);
  linked = open_session (link, 0);
  g_assert_true (one == again);
  g_assert_true (one == linked);
  g_assert_true ((f32 != bf16) ==
      (half_if_offered () == UMEDPT_PRECISION_BF16));
  /* "auto" is one of the two. */
  g_assert_true (one == f32 || one == bf16);
  g_assert_cmpint (umedpt_session_get_precision (bf16), ==, half_if_offered ());
  g_assert_cmpstr (umedpt_session_get_device (one), ==, device);
  g_assert_cmpuint (umedpt_session_get_embedding_size (one), ==, 256);
  g_assert_nonnull (umedpt_session_get_model (one));
  g_unlink (link);
}

/* Kept after its last user, dropped when asked, anew when the file changed. */
static void
test_kept (void)
{
  g_autofree char *path = g_build_filename (folder, "kept", NULL);
  UmedptSession *session;
  gpointer first = NULL;

  umedpt_cache_trim ();
  g_assert_cmpuint (umedpt_cache_get_size (), ==, 0);
  write_model (path, 1);
  session = open_session (path, 0);
  first = session;
  g_object_add_weak_pointer (G_OBJECT (session), &first);
  g_object_unref (session);
  g_assert_nonnull (first);
  session = open_session (path, 0);
  g_assert_true (session == first);

  umedpt_cache_trim (); /* in use: stays */
  g_assert_nonnull (first);
  write_model (path, 2);
  {
    g_autoptr (UmedptSession) changed = open_session (path, 0);
    g_assert_true (changed != session);
    g_assert_cmpuint (umedpt_cache_get_size (), ==, 2);
  }
  g_object_unref (session);
  umedpt_cache_trim ();
  g_assert_null (first);
  g_assert_cmpuint (umedpt_cache_get_size (), ==, 0);
  g_unlink (path);
}

static void
test_dropped_in_time (void)
{
  UmedptSession *session = open_session (model_file, 0);
  gpointer watched = session;
  gint64 end = g_get_monotonic_time () +
      (UMEDPT_CACHE_KEEP_SECONDS + 10) * G_USEC_PER_SEC;

  g_object_add_weak_pointer (G_OBJECT (session), &watched);
  g_object_unref (session);
  while (umedpt_cache_get_size () > 0 && g_get_monotonic_time () < end)
    g_usleep (50000);
  g_assert_cmpuint (umedpt_cache_get_size (), ==, 0);
  /* Removed from the cache first, freed right after. */
  while (g_atomic_pointer_get (&watched) && g_get_monotonic_time () < end)
    g_usleep (1000);
  g_assert_null (watched);
}

static void
assert_refused (const char *path, const char *on, UmedptError code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_session_open (path, on, UMEDPT_PRECISION_AUTO, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, UMEDPT_ERROR, (gint) code);
}

static void
test_errors (void)
{
  g_autofree char *missing = g_build_filename (folder, "missing", NULL);
  g_autofree char *cut = g_build_filename (folder, "cut", NULL);
  g_autofree char *bytes = NULL;
  gsize size;

  assert_refused (missing, NULL, UMEDPT_ERROR_NOT_FOUND);
  assert_refused (folder, NULL, UMEDPT_ERROR_IO);
  assert_refused (model_file, "abacus", UMEDPT_ERROR_SETTINGS);
  g_assert_true (g_file_get_contents (model_file, &bytes, &size, NULL));
  g_assert_true (g_file_set_contents (cut, bytes, (gssize) size / 2, NULL));
  assert_refused (cut, NULL, UMEDPT_ERROR_FORMAT);
  g_assert_true (g_file_set_contents (cut, "", 0, NULL));
  assert_refused (cut, NULL, UMEDPT_ERROR_FORMAT);
  g_unlink (cut);
}

/* A model whose parameters hold a NaN is refused when it is opened, and not
 * after a night of slides. */
static void
test_damaged_parameters (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptModel) model = umedpt_model_new_from_file (model_file, NULL);
  g_autoptr (UmedptModel) copy =
      umedpt_model_new_initialised (umedpt_model_get_description (model), 1,
          NULL);
  g_autofree char *path = g_build_filename (folder, "nan", NULL);
  UmedptParameters *parameters = umedpt_model_get_parameters (copy);

  for (guint i = 0; i < umedpt_parameters_get_n (parameters); i++)
    if (g_str_has_suffix (umedpt_parameters_get_name (parameters, i),
            "7.1.mlp.3.bias"))
      UMEDPT_F32 (umedpt_parameters_get_tensor (parameters, i))[0] = NAN;
  g_assert_true (umedpt_model_save (copy, path, &error));
  assert_refused (path, NULL, UMEDPT_ERROR_DATA);
  g_unlink (path);
}

/* The session's numbers are the model's. */
static void
test_embed (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSession) session =
      open_session (model_file, UMEDPT_PRECISION_F32);
  g_autoptr (UmedptContext) context = NULL;
  g_autoptr (UmedptTensor) tensor = formula_image (5, SIDE, SIDE);
  g_autoptr (UmedptTensor) vector = NULL;
  UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS];
  g_autoptr (UmedptModel) model = NULL;
  const UmedptImage image = image_of (tensor);
  gfloat embedding[256];

  /* the session's may lie on a device */
  model = umedpt_model_new_from_file (model_file, &error);
  g_assert_no_error (error);
  umedpt_session_embed (session, &image, 1, embedding, NULL, &error);
  g_assert_no_error (error);
  context = umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_F32);
  umedpt_model_encode (model, context, tensor, pyramid, &error);
  g_assert_no_error (error);
  vector = umedpt_model_squeeze (model, context, pyramid[3], NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (formula_compare (embedding, 1, UMEDPT_F32 (vector), 256)
                         .norm,
      <, 1e-4);
  for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
    umedpt_tensor_unref (pyramid[i]);
}

/* Other sizes and formats of the same picture give nearly the same vector
 * (bytes and floats are rounded differently on the way),
 * another picture another one; the same input gives the same bits alone, in a
 * batch, and in another session. */
static void
test_images (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSession) session = open_session (model_file, 0);
  g_autoptr (UmedptTensor) a = formula_image (5, SIDE, SIDE);
  g_autoptr (UmedptTensor) b = formula_image (6, 50, 91);
  g_autofree guint8 *doubled = g_malloc (2 * SIDE * 2 * SIDE * 4 + 64);
  UmedptImage images[4] = { image_of (a), image_of (b), image_of (a) };
  gfloat four[4][256], one[256];

  /* Every pixel of a four times, as BGRx with a loose stride: a box filter
   * gives a back exactly. */
  images[3] = (UmedptImage){ doubled, 2 * SIDE, 2 * SIDE, 2 * SIDE * 4,
    UMEDPT_PIXELS_BGRX };
  for (gint y = 0; y < 2 * SIDE; y++)
    for (gint x = 0; x < 2 * SIDE; x++)
      for (gint c = 0; c < 3; c++)
        doubled[(y * 2 * SIDE + x) * 4 + 2 - c] =
            UMEDPT_U8 (a)[(y / 2 * SIDE + x / 2) * 3 + c];
  umedpt_session_embed (session, images, 4, four[0], NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (four[0], sizeof one, four[2], sizeof one);
  g_assert_cmpfloat (formula_compare (four[3], 1, four[0], 256).norm, <,
      umedpt_session_get_precision (session) == UMEDPT_PRECISION_F32 ? 1e-5
                                                                     : 1e-2);
  g_assert_cmpfloat (formula_compare (four[1], 1, four[0], 256).norm, >, 0.01);

  g_clear_object (&session);
  umedpt_cache_trim ();
  session = open_session (model_file, 0);
  umedpt_session_embed (session, &images[1], 1, one, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (one, sizeof one, four[1], sizeof one);
}

static void
test_bad_image (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSession) session = open_session (model_file, 0);
  g_autoptr (UmedptTensor) tensor = formula_image (5, SIDE, SIDE);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  UmedptImage image = image_of (tensor);
  gfloat embedding[256];

  g_assert_true (umedpt_session_embed (session, NULL, 0, NULL, NULL, &error));
  image.stride--;
  g_assert_false (umedpt_session_embed (session, &image, 1, embedding, NULL,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE);
  g_clear_error (&error);
  image.stride++;
  g_cancellable_cancel (cancellable);
  g_assert_false (umedpt_session_embed (session, &image, 1, embedding,
      cancellable, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED);
}

static gpointer
work (gpointer data)
{
  gfloat *embedding = data;
  g_autoptr (UmedptTensor) tensor = formula_image (5, SIDE, SIDE);
  const UmedptImage image = image_of (tensor);

  for (gint i = 0; i < 3; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptSession) session = open_session (model_file, 0);
    umedpt_session_embed (session, &image, 1, embedding, NULL, &error);
    g_assert_no_error (error);
  }
  return NULL;
}

static void
test_threads (void)
{
  GThread *threads[6];
  gfloat embeddings[6][256];

  umedpt_cache_trim ();
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("embed", work, embeddings[i]);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpuint (umedpt_cache_get_size (), ==, 1);
  for (guint i = 1; i < G_N_ELEMENTS (threads); i++)
    g_assert_cmpmem (embeddings[0], sizeof embeddings[0], embeddings[i],
        sizeof embeddings[i]);
}

/* Sessions that have nothing in common but the processor: two models whose
 * maps have different sizes, each in two precisions. */
enum
{
  SESSIONS = 4,
  CALLERS = 4,
  ROUNDS = 3
};

static UmedptSession *
open_nth (guint i)
{
  return open_session (i & 1 ? other_file : model_file,
      i & 2 ? half_if_offered () : UMEDPT_PRECISION_F32);
}

static void
embed_with (UmedptSession *session, guint i, gfloat embedding[256])
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) tensor = formula_image ((gint) i, 50, 91);
  const UmedptImage image = image_of (tensor);

  umedpt_session_embed (session, &image, 1, embedding, NULL, &error);
  g_assert_no_error (error);
}

typedef struct
{
  guint first; /* the session to begin with, so that callers mix */
  gfloat (*expected)[256];
} Caller;

static gpointer
work_mixed (gpointer data)
{
  const Caller *caller = data;

  for (guint k = 0; k < ROUNDS * SESSIONS; k++) {
    const guint i = (caller->first + k) % SESSIONS;
    g_autoptr (UmedptSession) session = open_nth (i);
    gfloat embedding[256];

    embed_with (session, i, embedding);
    g_assert_cmpmem (embedding, sizeof embedding, caller->expected[i],
        sizeof embedding);
  }
  return NULL;
}

/* Many sessions at once give the bits that each gives alone. */
static void
test_threads_mixed (void)
{
  gfloat expected[SESSIONS][256];
  Caller callers[CALLERS];
  GThread *threads[CALLERS];

  for (guint i = 0; i < SESSIONS; i++) {
    g_autoptr (UmedptSession) session = open_nth (i);
    embed_with (session, i, expected[i]);
    for (guint k = 0; k < i; k++)
      g_assert_cmpint (memcmp (expected[k], expected[i], sizeof expected[i]),
          !=, 0);
  }
  umedpt_cache_trim ();
  for (guint i = 0; i < CALLERS; i++) {
    callers[i] = (Caller){ i, expected };
    threads[i] = g_thread_new ("embed", work_mixed, &callers[i]);
  }
  for (guint i = 0; i < CALLERS; i++)
    g_thread_join (threads[i]);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  UmedptBackend *backend;
  int result;

  g_test_init (&argc, &argv, NULL);
  backend = umedpt_backend_find (NULL, &error);
  if (!backend) {
    g_print ("1..0 # SKIP %s\n", error->message);
    return 77;
  }
  device = backend->name;
  folder = g_dir_make_tmp ("umedpt-session-XXXXXX", NULL);
  model_file = g_build_filename (folder, "model.safetensors", NULL);
  write_model (model_file, 1);
  other_file = g_build_filename (folder, "other.safetensors", NULL);
  write_model_of (other_file, 2, 80, UMEDPT_POOL_AFTER);
  if (half_if_offered () != UMEDPT_PRECISION_BF16)
    g_test_add_func ("/session/bf16-refused", test_bf16_refused);
  g_test_add_func ("/session/shared", test_shared);
  g_test_add_func ("/session/kept", test_kept);
  g_test_add_func ("/session/dropped-in-time", test_dropped_in_time);
  g_test_add_func ("/session/errors", test_errors);
  g_test_add_func ("/session/damaged-parameters", test_damaged_parameters);
  g_test_add_func ("/session/embed", test_embed);
  g_test_add_func ("/session/images", test_images);
  g_test_add_func ("/session/bad-image", test_bad_image);
  g_test_add_func ("/session/threads", test_threads);
  g_test_add_func ("/session/threads-mixed", test_threads_mixed);
  result = g_test_run ();
  g_unlink (model_file);
  g_unlink (other_file);
  g_rmdir (folder);
  g_free (model_file);
  g_free (other_file);
  g_free (folder);
  return result;
}
