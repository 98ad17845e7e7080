/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Questions to encodings, and the right answers; see answers.h.
 */
#include "answers.h"

#include <glib/gstdio.h>
#include <string.h>

#include "formula.h"
#include "infer/cache.h"
#include "watched.h"

#define MASK 16 /* what is made of SMALL */
#define D 256 /* of an embedding */

static const guint tasks[] = { CLASS, PIXELS, BOXES, CASE };

static char *folder, *model_file;

void
answers_set_up (void)
{
  folder = g_dir_make_tmp ("umedpt-answers-XXXXXX", NULL);
  model_file = g_build_filename (folder, "model.safetensors", NULL);
  fixture_write_model (model_file, SIDE);
}

void
answers_tear_down (void)
{
  g_unlink (model_file);
  g_rmdir (folder);
  g_clear_pointer (&model_file, g_free);
  g_clear_pointer (&folder, g_free);
}

UmedptSession *
answers_open_session (UmedptPrecision precision)
{
  g_autoptr (GError) error = NULL;
  UmedptSession *session =
      umedpt_session_open (model_file, "cuda", precision, &error);

  g_assert_no_error (error);
  return session;
}

void
answers_close_session (UmedptSession *session)
{
  g_object_unref (session);
  umedpt_cache_trim ();
}

UmedptEncoding *
answers_encode (UmedptSession *session, guint first, guint n, gint side,
    GError **error)
{
  g_autofree UmedptImage *images = g_new0 (UmedptImage, n);
  g_autofree UmedptTensor **pixels = g_new (UmedptTensor *, n);
  UmedptEncoding *encoding;

  for (guint i = 0; i < n; i++) {
    pixels[i] = formula_image ((gint) (first + i), SMALL, SMALL);
    images[i] = (UmedptImage){ .data = UMEDPT_U8 (pixels[i]),
      .width = SMALL,
      .height = SMALL,
      .stride = SMALL * 3,
      .pixels = UMEDPT_PIXELS_RGB };
  }
  encoding = umedpt_session_encode (session, images, n, side, side, FALSE, NULL,
      error);
  for (guint i = 0; i < n; i++)
    umedpt_tensor_unref (pixels[i]);
  return encoding;
}

UmedptEncoding *
answers_encode_one (UmedptSession *session, guint image)
{
  g_autoptr (GError) error = NULL;
  UmedptEncoding *encoding = answers_encode (session, image, 1, SMALL, &error);

  g_assert_no_error (error);
  return encoding;
}

/* The answer to @ask about image @index, as bytes. */
static GByteArray *
answer (UmedptEncoding *encoding, guint index, guint ask, GError **error)
{
  const UmedptDetectionSettings settings = { 0.3, 0.5, 1000, 20 };
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  gfloat values[D], probabilities[4 * MASK * MASK * 2];
  gint width, height;

  umedpt_encoding_get_mask_size (encoding, &width, &height);
  switch (ask) {
    case VECTOR:
      if (!umedpt_encoding_get_embedding (encoding, index, values, error))
        return NULL;
      g_byte_array_append (bytes, (guint8 *) values, D * sizeof *values);
      break;
    case PIXELS:
      if (!umedpt_encoding_get_probabilities (encoding, index, ask,
              probabilities, error))
        return NULL;
      g_byte_array_append (bytes, (guint8 *) probabilities,
          (guint) (width * height * 2) * sizeof *values);
      break;
    case BOXES:
      if (!umedpt_encoding_get_boxes (encoding, index, ask, &settings, boxes,
              error))
        return NULL;
      g_assert_cmpuint (boxes->len, >, 0);
      g_byte_array_append (bytes, (guint8 *) boxes->data,
          boxes->len * sizeof (UmedptBox));
      break;
    default:
      if (!umedpt_encoding_get_values (encoding, index, ask, values, error))
        return NULL;
      g_byte_array_append (bytes, (guint8 *) values, 2 * sizeof *values);
  }
  return g_steal_pointer (&bytes);
}

/* Adds those about @n images that go through together, as from @at on. */
static void
add_answers (Answers *self, guint at, UmedptSession *session, guint first,
    guint n, gint side)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptEncoding) encoding = NULL;

  watched.no_graphs = TRUE;
  encoding = answers_encode (session, first, n, side, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < n; i++)
    for (guint ask = 0; ask < N_ASKS; ask++) {
      self->of[at + i][ask] = answer (encoding, i, ask, &error);
      g_assert_no_error (error);
    }
  watched.no_graphs = FALSE;
}

void
answers_expect (Answers *self, UmedptPrecision precision, guint first, guint n,
    gint side)
{
  UmedptSession *session = answers_open_session (precision);

  memset (self, 0, sizeof *self);
  add_answers (self, 0, session, first, n, side);
  answers_close_session (session);
}

void
answers_expect_each (Answers *self, UmedptPrecision precision, guint n,
    gint side)
{
  UmedptSession *session = answers_open_session (precision);

  memset (self, 0, sizeof *self);
  for (guint i = 0; i < n; i++)
    add_answers (self, i, session, i, 1, side);
  answers_close_session (session);
}

void
answers_clear (Answers *self)
{
  for (guint i = 0; i < MAX_IMAGES; i++)
    for (guint ask = 0; ask < N_ASKS; ask++)
      g_clear_pointer (&self->of[i][ask], g_byte_array_unref);
}

static void
assert_same (const GByteArray *a, const GByteArray *b)
{
  g_assert_cmpmem (a->data, a->len, b->data, b->len);
}

void
answers_check (UmedptEncoding *encoding, guint index, guint ask,
    const GByteArray *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) found = answer (encoding, index, ask, &error);

  g_assert_no_error (error);
  assert_same (found, expected);
}

void
answers_check_all (UmedptEncoding *encoding, const Answers *expected,
    guint image)
{
  for (guint ask = 0; ask < N_ASKS; ask++)
    answers_check (encoding, 0, ask, expected->of[image][ask]);
}

void
answers_settle (UmedptEncoding *encoding)
{
  g_autoptr (GError) error = NULL;

  umedpt_encoding_settle (encoding, tasks, G_N_ELEMENTS (tasks), TRUE, &error);
  g_assert_no_error (error);
}

void
answers_run_frame (UmedptSession *session, const Answers *expected, guint image)
{
  g_autoptr (UmedptEncoding) encoding = answers_encode_one (session, image);

  answers_settle (encoding);
  answers_check_all (encoding, expected, image);
}
