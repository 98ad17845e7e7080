/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tensors: shape arithmetic and its overflows, views, life times, attachments,
 * recycled memory, and the rounding of bf16.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "tensor/storage.h"

static void
test_shapes (void)
{
  g_autoptr (GError) error = NULL;
  const gint64 shape[] = { 2, 3, 4 }, flat[] = { 24 }, wrong[] = { 25 };
  g_autoptr (UmedptTensor) tensor =
      umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 3, shape, &error);
  g_autoptr (UmedptTensor) view = NULL;
  g_autofree char *text = NULL;

  g_assert_no_error (error);
  g_assert_cmpuint (umedpt_tensor_get_n_elements (tensor), ==, 24);
  g_assert_cmpuint (umedpt_tensor_get_size (tensor), ==, 96);
  g_assert_cmpint (umedpt_tensor_get_dim (tensor, 0), ==, 2);
  g_assert_cmpint (umedpt_tensor_get_dim (tensor, -1), ==, 4);
  text = umedpt_tensor_describe (tensor);
  g_assert_cmpstr (text, ==, "f32 [2, 3, 4]");

  view = umedpt_tensor_reshape (tensor, 1, flat, &error);
  g_assert_no_error (error);
  g_assert_true (view->data == tensor->data);
  g_assert_false (umedpt_tensor_same_shape (view, tensor));
  g_clear_pointer (&tensor, umedpt_tensor_unref);
  g_assert_cmpfloat (UMEDPT_F32 (view)[23], ==, 0); /* the memory lives on */
  g_assert_null (umedpt_tensor_reshape (view, 1, wrong, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE);
}

static void
test_bad_shapes (void)
{
  static const struct
  {
    UmedptDtype dtype;
    gint64 shape[2];
  } bad[] = {
    { UMEDPT_DTYPE_U8, { -1, 1 } },
    { UMEDPT_DTYPE_U8, { 1, G_MININT64 } },
    { UMEDPT_DTYPE_U8,
        { G_GINT64_CONSTANT (1) << 32, G_GINT64_CONSTANT (1) << 32 } },
    { UMEDPT_DTYPE_F32, { G_GINT64_CONSTANT (1) << 62, 1 } },
    { UMEDPT_DTYPE_I64,
        { G_GINT64_CONSTANT (1) << 31, G_GINT64_CONSTANT (1) << 31 } },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (umedpt_tensor_new (bad[i].dtype, 2, bad[i].shape, &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE);
  }
}

/* Memory that no machine has. */
static void
test_no_memory (void)
{
  const gint64 shape[] = { G_MAXINT64 };
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_tensor_new (UMEDPT_DTYPE_U8, 1, shape, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY);
}

static void
count_call (gpointer data)
{
  (*(guint *) data)++;
}

static void
test_wrapped (void)
{
  float data[6] = { 0 };
  const gint64 shape[] = { 2, 3 };
  g_autoptr (GError) error = NULL;
  guint destroyed = 0;
  UmedptTensor *tensor;

  g_assert_null (umedpt_tensor_new_wrapped (UMEDPT_DTYPE_F32, 2, shape, data,
      sizeof data - 1, count_call, &destroyed, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE);
  g_assert_cmpuint (destroyed, ==, 0);
  g_clear_error (&error);
  tensor = umedpt_tensor_new_wrapped (UMEDPT_DTYPE_F32, 2, shape, data,
      sizeof data, count_call, &destroyed, &error);
  g_assert_no_error (error);
  g_assert_true (umedpt_tensor_get_data (tensor) == data);
  umedpt_tensor_release_pages (tensor); /* not a mapping: nothing happens */
  umedpt_tensor_unref (tensor);
  g_assert_cmpuint (destroyed, ==, 1);
}

static gpointer
make_form (UmedptTensor *tensor, gpointer user_data, GError **error)
{
  guint *made = user_data;

  if (!made) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND, "cannot");
    return NULL;
  }
  (*made)++;
  return made;
}

static void
test_attachments (void)
{
  const gint64 shape[] = { 1 };
  UmedptTensor *tensor =
      umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 1, shape, NULL);
  g_autoptr (GError) error = NULL;
  guint counter = 0;

  g_assert_null (umedpt_tensor_attach (tensor, "k", make_form, NULL, NULL,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND);
  g_clear_error (&error);
  for (guint i = 0; i < 2; i++) /* made once */
    g_assert_true (umedpt_tensor_attach (tensor, "k", make_form, &counter,
                       count_call, &error) == &counter);
  g_assert_cmpuint (counter, ==, 1);
  umedpt_tensor_get_data_writable (tensor); /* drops it: counted as well */
  g_assert_cmpuint (counter, ==, 2);
  umedpt_tensor_attach (tensor, "k", make_form, &counter, count_call, &error);
  g_assert_cmpuint (counter, ==, 3);
  umedpt_tensor_unref (tensor);
  g_assert_cmpuint (counter, ==, 4);
}

/* New values through one view make the forms of all others stale, and the end
 * of a view does not. */
static void
test_attachments_of_views (void)
{
  const gint64 shape[] = { 4 }, other[] = { 2, 2 };
  g_autoptr (UmedptTensor) tensor =
      umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 1, shape, NULL);
  UmedptTensor *view = umedpt_tensor_reshape (tensor, 2, other, NULL);
  guint made = 0;

  umedpt_tensor_attach (tensor, "k", make_form, &made, NULL, NULL);
  umedpt_tensor_attach (view, "k", make_form, &made, NULL, NULL);
  g_assert_cmpuint (made, ==, 2);
  umedpt_tensor_drop_attachments (tensor);
  umedpt_tensor_attach (view, "k", make_form, &made, NULL, NULL);
  g_assert_cmpuint (made, ==, 3);
  umedpt_tensor_attach (tensor, "k", make_form, &made, NULL, NULL);
  g_assert_cmpuint (made, ==, 4);
  umedpt_tensor_unref (view);
  umedpt_tensor_attach (tensor, "k", make_form, &made, NULL, NULL);
  g_assert_cmpuint (made, ==, 4);
}

/* What a thread sets apart stays out of the peak, then and when it goes. */
static void
test_not_counted (void)
{
  gsize base = umedpt_storage_get_peak (TRUE);
  UmedptStorage *storage;
  guint8 *first, *second;

  base = umedpt_storage_get_peak (TRUE);
  g_assert_true (umedpt_storage_set_counted (FALSE));
  storage = umedpt_storage_new (1 << 20, NULL);
  g_assert_false (umedpt_storage_set_counted (TRUE));
  g_assert_cmpuint (umedpt_storage_get_peak (FALSE), ==, base);
  umedpt_storage_unref (storage);
  storage = umedpt_storage_new (1 << 20, NULL);
  g_assert_cmpuint (umedpt_storage_get_peak (FALSE), ==, base + (1 << 20));
  umedpt_storage_unref (storage);
  umedpt_storage_get_peak (TRUE);
  g_assert_cmpuint (umedpt_storage_get_peak (TRUE), ==, base);

  first = umedpt_scratch_new (100000);
  g_assert_cmpuint ((gsize) first % 64, ==, 0);
  memset (first, 0xaa, 100000);
  umedpt_scratch_free (first);
  second = umedpt_scratch_new (100000);
  g_assert_true (second == first);
  umedpt_scratch_free (second);
  umedpt_scratch_free (NULL);
  g_assert_null (umedpt_scratch_new (G_MAXSIZE - 8));
  g_assert_cmpuint (umedpt_storage_get_peak (FALSE), ==, base);
}

/* Blocks are aligned, come back for the same size, and are counted. */
static void
test_recycling (void)
{
  const gint64 shape[] = { 1 << 20 };
  UmedptTensor *tensor;
  gconstpointer first;
  gsize base, peak;

  umedpt_storage_trim ();
  base = umedpt_storage_get_peak (TRUE);
  base = umedpt_storage_get_peak (TRUE);
  tensor = umedpt_tensor_new (UMEDPT_DTYPE_F32, 1, shape, NULL);
  first = umedpt_tensor_get_data (tensor);
  g_assert_cmpuint ((gsize) first % 64, ==, 0);
  umedpt_tensor_unref (tensor);
  tensor = umedpt_tensor_new (UMEDPT_DTYPE_F32, 1, shape, NULL);
  g_assert_true (umedpt_tensor_get_data (tensor) == first);
  peak = umedpt_storage_get_peak (FALSE) - base;
  g_assert_cmpuint (peak, >=, 4 << 20);
  g_assert_cmpuint (peak, <=, 5 << 20); /* a fifth wasted at most */
  umedpt_tensor_unref (tensor);
  umedpt_storage_trim ();
  base = umedpt_storage_get_peak (TRUE);
  base = umedpt_storage_get_peak (TRUE);
  g_assert_null (umedpt_storage_new (G_MAXSIZE / 4, NULL));
  g_assert_cmpuint (umedpt_storage_get_peak (FALSE), ==, base);

  for (gsize size = 0; size < 70000; size = size * 5 / 4 + 1) {
    UmedptStorage *storage = umedpt_storage_new (size, NULL);
    g_assert_cmpuint ((gsize) storage->data % 64, ==, 0);
    memset (storage->data, 0xaa, size); /* for ASan and valgrind */
    umedpt_storage_unref (storage);
  }
}

static float
from_bits (guint32 bits)
{
  float value;

  memcpy (&value, &bits, sizeof value);
  return value;
}

static void
test_bf16 (void)
{
  /* ties go to even; large values round to infinity; NaN stays NaN */
  g_assert_cmphex (umedpt_f32_to_bf16 (1.0f), ==, 0x3f80);
  g_assert_cmphex (umedpt_f32_to_bf16 (from_bits (0x3f808000)), ==, 0x3f80);
  g_assert_cmphex (umedpt_f32_to_bf16 (from_bits (0x3f818000)), ==, 0x3f82);
  g_assert_cmphex (umedpt_f32_to_bf16 (from_bits (0x3f808001)), ==, 0x3f81);
  g_assert_cmphex (umedpt_f32_to_bf16 (from_bits (0x7f7fffff)), ==, 0x7f80);
  g_assert_true (
      isnan (umedpt_bf16_to_f32 (umedpt_f32_to_bf16 (from_bits (0x7f800001)))));
  for (guint bits = 0; bits < 65536; bits++) {
    float value = umedpt_bf16_to_f32 ((guint16) bits);
    if (!isnan (value))
      g_assert_cmphex (umedpt_f32_to_bf16 (value), ==, bits);
  }
}

/* A backend's memory that nobody can use by mistake: its addresses are those
 * of malloc() with a bit set that no address has. */
static gint memory_blocks;
static gboolean memory_full;

#define TURN(p) ((gpointer) ((gsize) (p) ^ ((gsize) 1 << 62)))

static gpointer
memory_allocate (UmedptMemory *memory, gsize size, GError **error)
{
  if (memory_full) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY, "It is full.");
    return NULL;
  }
  memory_blocks++;
  return TURN (g_malloc (size));
}

static void
memory_release (UmedptMemory *memory, gpointer data, gsize size)
{
  memory_blocks--;
  g_free (TURN (data));
}

static gboolean
memory_upload (UmedptMemory *memory, gpointer dst, gconstpointer host,
    gsize size, GError **error)
{
  memcpy (TURN (dst), host, size);
  return TRUE;
}

static gboolean
memory_download (UmedptMemory *memory, gpointer host, gconstpointer src,
    gsize size, GError **error)
{
  memcpy (host, TURN (src), size);
  return TRUE;
}

static gboolean
memory_copy (UmedptMemory *memory, gpointer dst, gconstpointer src, gsize size,
    GError **error)
{
  memmove (TURN (dst), TURN (src), size);
  return TRUE;
}

static gboolean
memory_zero (UmedptMemory *memory, gpointer dst, gsize size, GError **error)
{
  memset (TURN (dst), 0, size);
  return TRUE;
}

static UmedptMemory far_memory = { "far", memory_allocate, memory_release,
  memory_upload, memory_download, memory_copy, memory_zero };
static UmedptMemory other_memory = { "other", memory_allocate, memory_release,
  memory_upload, memory_download, memory_copy, memory_zero };

static UmedptTensor *
count_up (gint64 n)
{
  UmedptTensor *tensor = umedpt_tensor_new (UMEDPT_DTYPE_F32, 1, &n, NULL);

  for (gint64 i = 0; i < n; i++)
    UMEDPT_F32 (tensor)[i] = (float) i;
  return tensor;
}

static void
assert_count_up (UmedptTensor *tensor, float first)
{
  g_autoptr (UmedptTensor) host = umedpt_tensor_to (tensor, NULL, NULL);

  for (gsize i = 0; i < host->n_elements; i++)
    g_assert_cmpfloat (UMEDPT_F32 (host)[i], ==, first + (float) i);
}

static void
test_memory_copies (void)
{
  g_autoptr (UmedptTensor) host = count_up (10);
  g_autoptr (UmedptTensor) far = umedpt_tensor_to (host, &far_memory, NULL);
  g_autoptr (UmedptTensor) same = umedpt_tensor_to (far, &far_memory, NULL);
  g_autoptr (UmedptTensor) other = umedpt_tensor_to (far, &other_memory, NULL);
  g_autoptr (UmedptTensor) part = NULL;
  g_autoptr (GError) error = NULL;
  const gint64 four = 4, nine = 9;

  g_assert_true (same == far && far->memory == &far_memory);
  g_assert_true (other->memory == &other_memory);
  assert_count_up (far, 0);
  assert_count_up (other, 0);
  part = umedpt_tensor_new_view (far, 3, 1, &four, NULL);
  assert_count_up (part, 3);
  g_assert_true (umedpt_tensor_zero (part, NULL));
  g_assert_true (umedpt_tensor_copy (host, far, NULL));
  g_assert_cmpfloat (UMEDPT_F32 (host)[2], ==, 2);
  g_assert_cmpfloat (UMEDPT_F32 (host)[3], ==, 0);
  g_assert_cmpfloat (UMEDPT_F32 (host)[6], ==, 0);
  g_assert_cmpfloat (UMEDPT_F32 (host)[7], ==, 7);
  g_assert_null (umedpt_tensor_new_view (far, 2, 1, &nine, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE);
  g_clear_error (&error);
  g_assert_false (umedpt_tensor_copy (part, host, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE);
}

static void
test_memory_move (void)
{
  UmedptTensor *tensor = count_up (10);
  g_autoptr (UmedptTensor) view =
      umedpt_tensor_reshape (tensor, 1, tensor->shape, NULL);
  g_autoptr (GError) error = NULL;
  gsize before;

  umedpt_storage_get_peak (TRUE);
  before = umedpt_storage_get_peak (FALSE);
  memory_full = TRUE;
  g_assert_false (umedpt_tensor_move (tensor, &far_memory, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY);
  g_assert_null (tensor->memory); /* where it was, as it was */
  memory_full = FALSE;
  assert_count_up (tensor, 0);
  g_assert_true (umedpt_tensor_move (tensor, &far_memory, NULL));
  g_assert_cmpint (memory_blocks, ==, 1);
  g_assert_cmpuint (umedpt_storage_get_peak (FALSE), ==, before);
  assert_count_up (tensor, 0);
  assert_count_up (view, 0); /* stays where it was */
  g_assert_null (view->memory);
  g_assert_true (umedpt_tensor_move (tensor, NULL, NULL));
  g_assert_cmpint (memory_blocks, ==, 0);
  assert_count_up (tensor, 0);
  umedpt_tensor_unref (tensor);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tensor/shapes", test_shapes);
  g_test_add_func ("/tensor/bad-shapes", test_bad_shapes);
  g_test_add_func ("/tensor/no-memory", test_no_memory);
  g_test_add_func ("/tensor/wrapped", test_wrapped);
  g_test_add_func ("/tensor/attachments", test_attachments);
  g_test_add_func ("/tensor/attachments/views", test_attachments_of_views);
  g_test_add_func ("/tensor/recycling", test_recycling);
  g_test_add_func ("/tensor/not-counted", test_not_counted);
  g_test_add_func ("/tensor/memory/copies", test_memory_copies);
  g_test_add_func ("/tensor/memory/move", test_memory_move);
  g_test_add_func ("/tensor/bf16", test_bf16);
  return g_test_run ();
}
