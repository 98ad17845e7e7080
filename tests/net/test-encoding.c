/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Encodings: heads on one pass of the encoder give what the model gives
 * directly, image by image, however many go through together, and also when
 * the features have gone. On the backend that UMEDPT_BACKEND names.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "formula.h"
#include "infer/encoding.h"
#include "net/decode.h"
#include "task-fixture.h"

#define SIDE 64 /* of the model's input */
#define SMALL 32 /* of what is encoded in numbers */
#define MANY 35 /* images: more than a device computes together */
#define D 256 /* of an embedding */

static char *folder, *model_file;

static UmedptSession *
open_session (void)
{
  g_autoptr (GError) error = NULL;
  UmedptSession *session =
      umedpt_session_open (model_file, NULL, UMEDPT_PRECISION_F32, &error);

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

static UmedptEncoding *
encode (UmedptSession *session, const UmedptImage *images, guint n, gint side)
{
  g_autoptr (GError) error = NULL;
  UmedptEncoding *encoding = umedpt_session_encode (session, images, n, side,
      side, FALSE, NULL, &error);

  g_assert_no_error (error);
  return encoding;
}

static void
assert_close (const gfloat *a, const gfloat *b, gsize n, double limit)
{
  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat (fabs (a[i] - b[i]), <=, limit);
}

/* --- against the model itself ------------------------------------------- */

/* All of image @index by each way there is. */
typedef struct
{
  gfloat embedding[D], class[2], group[2];
  guint8 mask[32 * 32];
  gfloat probabilities[32 * 32 * 2];
  GArray *boxes;
} All;

static void
get_all (UmedptEncoding *encoding, guint index, All *all)
{
  const UmedptDetectionSettings settings = { 0.3, 0.5, 1000, 20 };
  g_autoptr (GError) error = NULL;

  all->boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  umedpt_encoding_get_embedding (encoding, index, all->embedding, &error);
  g_assert_no_error (error);
  umedpt_encoding_get_values (encoding, index, CLASS, all->class, &error);
  g_assert_no_error (error);
  umedpt_encoding_get_values (encoding, index, CASE, all->group, &error);
  g_assert_no_error (error);
  umedpt_encoding_get_mask (encoding, index, PIXELS, 0, all->mask, &error);
  g_assert_no_error (error);
  umedpt_encoding_get_probabilities (encoding, index, PIXELS,
      all->probabilities, &error);
  g_assert_no_error (error);
  umedpt_encoding_get_boxes (encoding, index, BOXES, &settings, all->boxes,
      &error);
  g_assert_no_error (error);
}

static void
all_clear (All *all)
{
  g_array_unref (all->boxes);
}

static void
assert_all_close (const All *a, const All *b, gsize n_mask)
{
  gsize other = 0;

  assert_close (a->embedding, b->embedding, D, 1e-3);
  assert_close (a->class, b->class, 2, 1e-4);
  assert_close (a->group, b->group, 2, 1e-4);
  assert_close (a->probabilities, b->probabilities, n_mask * 2, 1e-4);
  for (gsize i = 0; i < n_mask; i++)
    other += a->mask[i] != b->mask[i];
  g_assert_cmpuint (other, <=, n_mask / 100);
  g_assert_cmpuint (a->boxes->len, ==, b->boxes->len);
  for (guint i = 0; i < a->boxes->len; i++) {
    const UmedptBox *x = &g_array_index (a->boxes, UmedptBox, i);
    const UmedptBox *y = &g_array_index (b->boxes, UmedptBox, i);

    g_assert_cmpint (x->label, ==, y->label);
    assert_close (&x->x1, &y->x1, 4, 1e-2);
    g_assert_cmpfloat (fabs (x->score - y->score), <=, 1e-4);
  }
}

/* What plain C makes of one image. */
static void
get_expected (UmedptTensor *image, All *all)
{
  const UmedptDetectionSettings settings = { 0.3, 0.5, 1000, 20 };
  g_autoptr (UmedptModel) model = umedpt_model_new_from_file (model_file, NULL);
  const UmedptDescription *description = umedpt_model_get_description (model);
  UmedptContext *context =
      umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_F32);
  UmedptFeatures features = { { 0 } };
  const gint64 one = 1;
  g_autoptr (UmedptTensor) groups =
      umedpt_tensor_new_zeros (UMEDPT_DTYPE_I32, 1, &one, NULL);
  UmedptTaskOutput out[4] = { { 0 } };
  g_autoptr (GError) error = NULL;

  all->boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  umedpt_model_encode_features (model, context, image, NULL, &features, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 4; i++) {
    umedpt_model_run_task (model, context, &features, i,
        i == CASE ? groups : NULL, i == CASE, &out[i], &error);
    g_assert_no_error (error);
  }
  memcpy (all->embedding, features.vector->data, sizeof all->embedding);
  umedpt_decode_values (&out[CLASS],
      g_ptr_array_index (description->tasks, CLASS), 0, all->class);
  umedpt_decode_values (&out[CASE],
      g_ptr_array_index (description->tasks, CASE), 0, all->group);
  umedpt_decode_mask (&out[PIXELS],
      g_ptr_array_index (description->tasks, PIXELS), 0, 0, 32, 32, all->mask);
  umedpt_decode_probabilities (&out[PIXELS],
      g_ptr_array_index (description->tasks, PIXELS), 0, all->probabilities);
  umedpt_decode_boxes (&out[BOXES], 0, SIDE, SIDE, &settings, all->boxes);
  for (guint i = 0; i < 4; i++)
    umedpt_task_output_clear (&out[i]);
  umedpt_features_clear (&features);
  umedpt_context_free (context);
}

static void
test_results (void)
{
  g_autoptr (UmedptSession) session = open_session ();
  const guint64 before = umedpt_session_get_n_encoded (session);
  g_autoptr (UmedptTensor) a = formula_image (5, SIDE, SIDE);
  g_autoptr (UmedptTensor) b = formula_image (6, SIDE, SIDE);
  const UmedptImage images[] = { image_of (a), image_of (b) };
  g_autoptr (UmedptEncoding) encoding = encode (session, images, 2, 0);
  All got, expected;
  gint width, height;

  umedpt_encoding_get_size (encoding, &width, &height);
  g_assert_cmpint (width, ==, SIDE);
  umedpt_encoding_get_mask_size (encoding, &width, &height);
  g_assert_cmpint (width, ==, 32);
  g_assert_cmpint (height, ==, 32);
  get_all (encoding, 1, &got);
  get_expected (b, &expected);
  g_assert_cmpuint (expected.boxes->len, >, 0);
  assert_all_close (&got, &expected, 32 * 32);
  g_assert_cmpuint (umedpt_session_get_n_encoded (session) - before, ==, 2);
  all_clear (&got);
  all_clear (&expected);
}

/* --- many images -------------------------------------------------------- */

static UmedptTensor *
make_many (UmedptImage *images)
{
  const gint64 shape[] = { MANY, SMALL, SMALL, 3 };
  UmedptTensor *all = umedpt_tensor_new (UMEDPT_DTYPE_U8, 4, shape, NULL);

  for (guint i = 0; i < MANY; i++) {
    g_autoptr (UmedptTensor) image = formula_image (i, SMALL, SMALL);
    guint8 *data = UMEDPT_U8 (all) + i * image->n_elements;

    memcpy (data, image->data, image->n_elements);
    images[i] =
        (UmedptImage){ data, SMALL, SMALL, SMALL * 3, UMEDPT_PIXELS_RGB };
  }
  return all;
}

/* One of many is what it is alone. */
static void
test_many (void)
{
  static const guint some[] = { 0, 31, 32, MANY - 1 };
  g_autoptr (UmedptSession) session = open_session ();
  UmedptImage images[MANY];
  g_autoptr (UmedptTensor) pixels = make_many (images);
  g_autoptr (UmedptEncoding) many = encode (session, images, MANY, SMALL);

  g_assert_cmpint (pixels->shape[0], ==, umedpt_encoding_get_n_images (many));
  for (guint i = 0; i < G_N_ELEMENTS (some); i++) {
    g_autoptr (UmedptEncoding) one =
        encode (session, &images[some[i]], 1, SMALL);
    All a, b;

    get_all (many, some[i], &a);
    get_all (one, 0, &b);
    assert_all_close (&a, &b, 16 * 16);
    all_clear (&a);
    all_clear (&b);
  }
}

/* --- without features --------------------------------------------------- */

static void
test_settle (void)
{
  static const guint tasks[] = { CLASS, PIXELS, BOXES, CASE };
  g_autoptr (UmedptSession) session = open_session ();
  UmedptImage images[MANY];
  g_autoptr (UmedptTensor) pixels = make_many (images);
  g_autoptr (UmedptEncoding) encoding = encode (session, images, 3, SMALL);
  g_autoptr (UmedptEncoding) settled = encode (session, images, 3, SMALL);
  g_autoptr (GError) error = NULL;
  All a, b;

  g_assert_cmpint (pixels->shape[0], >, 3);
  umedpt_encoding_settle (settled, tasks, 4, TRUE, &error);
  g_assert_no_error (error);
  get_all (encoding, 2, &a);
  get_all (settled, 2, &b);
  assert_all_close (&a, &b, 16 * 16);
  all_clear (&a);
  all_clear (&b);
}

static void
test_settled_for_other (void)
{
  static const guint task = CLASS;
  g_autoptr (UmedptSession) session = open_session ();
  g_autoptr (UmedptTensor) a = formula_image (5, SIDE, SIDE);
  const UmedptImage image = image_of (a);
  g_autoptr (UmedptEncoding) encoding = encode (session, &image, 1, 0);
  g_autoptr (GError) error = NULL;
  gfloat values[D];
  guint8 mask[32 * 32];

  umedpt_encoding_settle (encoding, &task, 1, FALSE, &error);
  g_assert_no_error (error);
  g_assert_true (umedpt_encoding_get_values (encoding, 0, CLASS, values,
      &error));
  g_assert_false (umedpt_encoding_get_mask (encoding, 0, PIXELS, 0, mask,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_clear_error (&error);
}

static void
test_vectors_only (void)
{
  g_autoptr (UmedptSession) session = open_session ();
  g_autoptr (UmedptTensor) a = formula_image (5, 50, 91);
  const UmedptImage image = image_of (a);
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptEncoding) encoding =
      umedpt_session_encode (session, &image, 1, 0, 0, TRUE, NULL, &error);
  gfloat one[D], two[D];

  g_assert_no_error (error);
  g_assert_false (umedpt_encoding_has_features (encoding));
  umedpt_encoding_get_embedding (encoding, 0, one, &error);
  g_assert_no_error (error);
  umedpt_session_embed (session, &image, 1, two, NULL, &error);
  g_assert_no_error (error);
  assert_close (one, two, D, 0);
  g_assert_false (umedpt_encoding_get_values (encoding, 0, CLASS, one, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
}

/* --- refusals ----------------------------------------------------------- */

static void
test_refused (void)
{
  g_autoptr (UmedptSession) session = open_session ();
  g_autoptr (UmedptTensor) a = formula_image (5, SIDE, SIDE);
  UmedptImage image = image_of (a);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_session_encode (session, &image, 1, 8, 64, FALSE, NULL,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_clear_error (&error);
  image.width = 0;
  g_assert_null (umedpt_session_encode (session, &image, 1, 0, 0, FALSE, NULL,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE);
  g_clear_error (&error);
  g_cancellable_cancel (cancellable);
  image.width = SIDE;
  g_assert_null (umedpt_session_encode (session, &image, 1, 0, 0, FALSE,
      cancellable, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int result;

  g_test_init (&argc, &argv, NULL);
  if (!umedpt_backend_find (NULL, &error)) {
    g_print ("1..0 # SKIP %s\n", error->message);
    return 77;
  }
  folder = g_dir_make_tmp ("umedpt-encoding-XXXXXX", NULL);
  model_file = g_build_filename (folder, "model.safetensors", NULL);
  fixture_write_model (model_file, SIDE);
  g_test_add_func ("/encoding/results", test_results);
  g_test_add_func ("/encoding/many", test_many);
  g_test_add_func ("/encoding/settle", test_settle);
  g_test_add_func ("/encoding/settled-for-other", test_settled_for_other);
  g_test_add_func ("/encoding/vectors-only", test_vectors_only);
  g_test_add_func ("/encoding/refused", test_refused);
  result = g_test_run ();
  g_unlink (model_file);
  g_rmdir (folder);
  g_free (model_file);
  g_free (folder);
  return result;
}
