/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Images that lie on the device give, bit for bit, what the same images give
 * from host memory: the bytes that the network sees, embeddings, encodings.
 * And nobody reads them any more when the call returns: the test writes over
 * them at once. On a device, if there is one, and on the emulated one.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "backend/backend.h"
#include "base/error.h"
#include "base/random.h"
#include "infer/device-images.h"
#include "infer/encoding.h"
#include "infer/preprocess.h"
#include "task-fixture.h"

#define SIDE 64 /* of the model's input */
#define D 256 /* of an embedding */
#define MANY 35 /* images: more than go through together */

static UmedptBackend *cuda;
static char *folder, *model_file;

/* An image in both memories. */
typedef struct
{
  UmedptImage here, there;
  guint8 *host;
  UmedptTensor *device; /* u8 */
} Twin;

static void
twin_init (Twin *self, guint64 seed, UmedptPixels pixels, gint width,
    gint height, gsize padding)
{
  g_autoptr (GError) error = NULL;
  UmedptRandom random;
  gint bytes, offsets[3];
  gsize stride;
  gint64 size;

  umedpt_preprocess_describe (pixels, &bytes, offsets);
  stride = (gsize) width * (gsize) bytes + padding;
  size = (gint64) stride * (height - 1) + (gint64) width * bytes;
  self->host = g_malloc ((gsize) size);
  umedpt_random_init (&random, seed);
  for (gint64 i = 0; i < size; i++)
    self->host[i] = (guint8) umedpt_random_next (&random);
  self->device =
      umedpt_tensor_new_in (cuda->memory, UMEDPT_DTYPE_U8, 1, &size, &error);
  g_assert_no_error (error);
  cuda->memory->upload (cuda->memory, self->device->data, self->host,
      (gsize) size, &error);
  g_assert_no_error (error);
  self->here = (UmedptImage){ self->host, width, height, stride, pixels };
  self->there = self->here;
  self->there.data = self->device->data;
  self->there.memory = UMEDPT_IMAGE_MEMORY_DEVICE;
}

static void
twin_clear (Twin *self)
{
  g_free (self->host);
  umedpt_tensor_unref (self->device);
}

/* Waits for what is queued: uploads are. */
static void
settle (const Twin *twin)
{
  guint8 byte;

  g_assert_true (cuda->memory->download (cuda->memory, &byte,
      twin->device->data, 1, NULL));
}

/* --- the bytes ---------------------------------------------------------- */

static void
check_bytes (UmedptPixels pixels, gint width, gint height, gint out_width,
    gint out_height, gsize padding)
{
  const gint64 shape[] = { 1, out_height, out_width, 3 };
  g_autoptr (UmedptTensor) expected =
      umedpt_tensor_new (UMEDPT_DTYPE_U8, 4, shape, NULL);
  g_autoptr (UmedptTensor) dst =
      umedpt_tensor_new_in (cuda->memory, UMEDPT_DTYPE_U8, 4, shape, NULL);
  g_autoptr (UmedptTensor) found = NULL;
  g_autoptr (GError) error = NULL;
  Twin twin;

  twin_init (&twin, (guint64) (width * 1000 + height), pixels, width, height,
      padding);
  settle (&twin);
  umedpt_preprocess_into (&twin.here, out_width, out_height,
      UMEDPT_U8 (expected), &error);
  g_assert_no_error (error);
  umedpt_device_images_send (cuda, &twin.there, dst, &error);
  g_assert_no_error (error);
  found = umedpt_tensor_to (dst, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (found->data, umedpt_tensor_get_size (found), expected->data,
      umedpt_tensor_get_size (expected));
  twin_clear (&twin);
}

/* Shrunk, grown, by one axis, by both, to odd sizes, not at all. */
static void
test_bytes (void)
{
  static const gint sizes[][4] = { { 48, 40, 48, 40 }, { 96, 80, 48, 40 },
    { 131, 97, 48, 40 }, { 20, 13, 48, 40 }, { 100, 17, 48, 40 },
    { 48, 41, 48, 40 }, { 47, 40, 48, 40 }, { 1, 1, 48, 40 },
    { 1, 300, 48, 40 }, { 2, 2, 33, 7 }, { 300, 1, 129, 3 },
    { 9, 301, 257, 33 }, { 333, 55, 130, 55 }, { 40, 333, 40, 37 } };

  for (UmedptPixels p = UMEDPT_PIXELS_RGB; p <= UMEDPT_PIXELS_GRAY8; p++)
    for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
      const gint *s = sizes[i];

      check_bytes (p, s[0], s[1], s[2], s[3], 0);
      check_bytes (p, s[0], s[1], s[2], s[3], 13);
    }
}

/* More rows per row than weights are kept for. */
static void
test_extreme (void)
{
  check_bytes (UMEDPT_PIXELS_GRAY8, 3, 9000, 5, 4, 1);
  check_bytes (UMEDPT_PIXELS_BGRX, 9000, 3, 4, 5, 1);
}

/* --- sessions ----------------------------------------------------------- */

static UmedptSession *
open_session (const char *device)
{
  g_autoptr (GError) error = NULL;
  UmedptSession *session =
      umedpt_session_open (model_file, device, UMEDPT_PRECISION_AUTO, &error);

  g_assert_no_error (error);
  return session;
}

/* Images of several sizes and formats, as from several cameras. */
static void
twins_init (Twin *twins, UmedptImage *here, UmedptImage *there)
{
  for (guint i = 0; i < MANY; i++) {
    twin_init (&twins[i], i, (UmedptPixels) (i % 5), 50 + (gint) i,
        i % 3 ? SIDE : 90, i % 4);
    here[i] = twins[i].here;
    there[i] = twins[i].there;
  }
  settle (&twins[0]);
}

/* What a decoder does with the memory when it has it back; the session's own
 * work may still be queued. */
static void
write_over (Twin *twins)
{
  for (guint i = 0; i < MANY; i++)
    g_assert_true (umedpt_tensor_zero (twins[i].device, NULL));
  settle (&twins[0]);
}

static void
test_embed (void)
{
  g_autoptr (UmedptSession) session = open_session ("cuda");
  g_autofree gfloat *expected = g_new (gfloat, MANY * D);
  g_autofree gfloat *found = g_new (gfloat, MANY * D);
  g_autoptr (GError) error = NULL;
  UmedptImage here[MANY], there[MANY], others[MANY];
  Twin twins[MANY];

  twins_init (twins, here, there);
  for (guint i = 0; i < MANY; i++)
    others[i] = here[MANY - 1 - i];
  for (guint round = 0; round < 3; round++) { /* op by op, recorded, a graph */
    umedpt_session_embed (session, here, MANY, expected, NULL, &error);
    g_assert_no_error (error);
    /* memory for input comes back: not with these images in it */
    umedpt_session_embed (session, others, MANY, found, NULL, &error);
    g_assert_no_error (error);
    umedpt_session_embed (session, there, MANY, found, NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpmem (found, MANY * D * sizeof *found, expected,
        MANY * D * sizeof *found);
  }
  for (guint i = 0; i < MANY; i++)
    twin_clear (&twins[i]);
}

static UmedptEncoding *
encode (UmedptSession *session, const UmedptImage *images)
{
  g_autoptr (GError) error = NULL;
  UmedptEncoding *encoding = umedpt_session_encode (session, images, MANY, SIDE,
      SIDE, FALSE, NULL, &error);

  g_assert_no_error (error);
  return encoding;
}

static void
assert_same (UmedptEncoding *a, UmedptEncoding *b, guint index)
{
  g_autoptr (GError) error = NULL;
  gfloat x[D], y[D];
  guint8 mask_x[SIDE * SIDE], mask_y[SIDE * SIDE];

  umedpt_encoding_get_embedding (a, index, x, &error);
  g_assert_no_error (error);
  umedpt_encoding_get_embedding (b, index, y, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (x, sizeof x, y, sizeof y);
  memset (mask_x, 1, sizeof mask_x);
  memset (mask_y, 1, sizeof mask_y);
  umedpt_encoding_get_mask (a, index, PIXELS, 0, mask_x, &error);
  g_assert_no_error (error);
  umedpt_encoding_get_mask (b, index, PIXELS, 0, mask_y, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (mask_x, sizeof mask_x, mask_y, sizeof mask_y);
}

static void
test_encode (void)
{
  g_autoptr (UmedptSession) session = open_session ("cuda");
  g_autoptr (UmedptEncoding) expected = NULL;
  g_autoptr (UmedptEncoding) found = NULL;
  UmedptImage here[MANY], there[MANY];
  Twin twins[MANY];

  twins_init (twins, here, there);
  expected = encode (session, here);
  found = encode (session, there);
  write_over (twins);
  for (guint i = 0; i < MANY; i++)
    assert_same (found, expected, i);
  for (guint i = 0; i < MANY; i++)
    twin_clear (&twins[i]);
}

/* --- sums --------------------------------------------------------------- */

static guint64
sum (UmedptSession *session, const UmedptImage *image)
{
  g_autoptr (GError) error = NULL;
  guint64 result = 0;

  umedpt_session_sum_image (session, image, &result, &error);
  g_assert_no_error (error);
  return result;
}

/* The pixels count, each in its place, and not what pads the rows. */
static void
test_sums (void)
{
  static const gint sizes[][2] = { { 1, 1 }, { 3, 5 }, { 640, 480 } };
  g_autoptr (UmedptSession) session = open_session ("cuda");

  for (UmedptPixels p = UMEDPT_PIXELS_RGB; p <= UMEDPT_PIXELS_GRAY8; p++)
    for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
      const gint width = sizes[i][0], height = sizes[i][1];
      UmedptMemory *memory = cuda->memory;
      Twin twin;
      guint64 first;
      guint8 other;

      twin_init (&twin, i, p, width, height, 16);
      settle (&twin);
      first = sum (session, &twin.there);
      g_assert_cmpuint (sum (session, &twin.there), ==, first);
      if (height > 1) { /* the first byte behind the first row */
        const gsize row = twin.there.stride - 16;

        other = twin.host[row] ^ 1;
        g_assert_true (memory->upload (memory,
            (guint8 *) twin.device->data + row, &other, 1, NULL));
        settle (&twin);
        g_assert_cmpuint (sum (session, &twin.there), ==, first);
      }
      /* the last one of the picture */
      other = twin.host[twin.device->n_elements - 1] ^ 1;
      g_assert_true (memory->upload (memory,
          (guint8 *) twin.device->data + twin.device->n_elements - 1, &other, 1,
          NULL));
      settle (&twin);
      g_assert_cmpuint (sum (session, &twin.there), !=, first);
      twin_clear (&twin);
    }
}

/* Pixels that change places are another picture. */
static void
test_sum_of_places (void)
{
  g_autoptr (UmedptSession) session = open_session ("cuda");
  guint8 pixels[2][96] = { { 0 } };
  guint64 sums[2];

  memset (pixels[0], 7, 48);
  memset (pixels[1] + 48, 7, 48);
  for (guint i = 0; i < 2; i++) {
    Twin twin;

    twin_init (&twin, 1, UMEDPT_PIXELS_GRAY8, 96, 1, 0);
    g_assert_true (cuda->memory->upload (cuda->memory, twin.device->data,
        pixels[i], 96, NULL));
    settle (&twin);
    sums[i] = sum (session, &twin.there);
    twin_clear (&twin);
  }
  g_assert_cmpuint (sums[0], !=, sums[1]);
}

/* --- what is refused ---------------------------------------------------- */

static void
assert_refused (UmedptSession *session, const UmedptImage *images, guint n,
    UmedptError code, const char *text)
{
  g_autofree gfloat *embeddings = g_new (gfloat, n * D);
  g_autoptr (GError) error = NULL;

  g_assert_false (umedpt_session_embed (session, images, n, embeddings, NULL,
      &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, UMEDPT_ERROR, (gint) code);
  g_assert_nonnull (strstr (error->message, text));
  g_clear_error (&error);
  g_assert_null (umedpt_session_encode (session, images, n, SIDE, SIDE, FALSE,
      NULL, &error));
  g_assert_error (error, UMEDPT_ERROR, (gint) code);
}

static void
test_refused (void)
{
  g_autoptr (UmedptSession) session = open_session ("cuda");
  g_autoptr (UmedptSession) host = open_session ("cpu");
  g_autoptr (GError) error = NULL;
  UmedptImage images[2];
  guint64 sums = 0;
  Twin twin;

  twin_init (&twin, 1, UMEDPT_PIXELS_RGB, 20, 20, 0);
  images[0] = twin.there;
  images[1] = twin.here;
  assert_refused (session, images, 2, UMEDPT_ERROR_SETTINGS, "Image 1");
  assert_refused (host, images, 1, UMEDPT_ERROR_SETTINGS, "'cpu'");
  images[0].memory = (UmedptImageMemory) 7;
  assert_refused (session, images, 1, UMEDPT_ERROR_SETTINGS, "7");
  images[0] = twin.there;
  images[0].stride = 59;
  assert_refused (session, images, 1, UMEDPT_ERROR_SHAPE, "stride");
  images[0] = twin.there;
  images[0].width = 0;
  assert_refused (session, images, 1, UMEDPT_ERROR_SHAPE, "0x20");
  g_assert_false (umedpt_session_sum_image (session, &twin.here, &sums,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_clear_error (&error);
  g_assert_false (umedpt_session_sum_image (host, &twin.there, &sums, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  twin_clear (&twin);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  cuda = umedpt_backend_find ("cuda", &error);
  if (!cuda || !cuda->feed_images) {
    g_print ("1..0 # SKIP %s\n",
        cuda ? "this device takes no images" : error->message);
    return 0;
  }
  folder = g_dir_make_tmp ("umedpt-XXXXXX", NULL);
  model_file = g_build_filename (folder, "model", NULL);
  fixture_write_model (model_file, SIDE);
  g_test_add_func ("/device-images/bytes", test_bytes);
  g_test_add_func ("/device-images/extreme", test_extreme);
  g_test_add_func ("/device-images/embed", test_embed);
  g_test_add_func ("/device-images/encode", test_encode);
  g_test_add_func ("/device-images/sums", test_sums);
  g_test_add_func ("/device-images/places", test_sum_of_places);
  g_test_add_func ("/device-images/refused", test_refused);
  status = g_test_run ();
  g_unlink (model_file);
  g_rmdir (folder);
  g_free (model_file);
  g_free (folder);
  return status;
}
