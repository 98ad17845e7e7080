/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * safetensors: what is written is read back, alignment and life times hold,
 * and each kind of hostile header is refused with a message that names the
 * file and what is wrong. The other direction, other people's reader, is
 * test-safetensors.py.
 */
#include "tensor/safetensors.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "tensor/storage.h"

/* A file: header length (@lie added), header, @n_data bytes 0, 1, 2 … */
static GBytes *
make_file (const char *header, gint64 lie, gsize n_data)
{
  guint64 length = strlen (header) + lie;
  GByteArray *bytes = g_byte_array_new ();

  g_byte_array_append (bytes, (const guint8 *) &length, sizeof length);
  g_byte_array_append (bytes, (const guint8 *) header, strlen (header));
  for (gsize i = 0; i < n_data; i++) {
    guint8 value = (guint8) i;
    g_byte_array_append (bytes, &value, 1);
  }
  return g_byte_array_free_to_bytes (bytes);
}

static UmedptSafetensors *
open_header (const char *header, gsize n_data, GError **error)
{
  g_autoptr (GBytes) bytes = make_file (header, 0, n_data);

  return umedpt_safetensors_open_bytes (bytes, "x.safetensors", error);
}

static void
test_read (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GList) keys = NULL;
  /* unsorted ranges, blanks, escapes, an unknown key, a scalar, an empty
   * tensor, no order of keys */
  g_autoptr (UmedptSafetensors) file = open_header (
      " \n{\"b\\u00e9\\ud83d\\ude00\" : {\"shape\":[2,1,3],\"dtype\":\"U8\","
      "\"data_offsets\":[4,10],\"note\":[{\"a\":null}, 1e3, true]},"
      "\"__metadata__\":{\"z\":\"1\",\"a\":\"\\\"\\n\"},"
      "\"s\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
      "\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[4,4]}}   ",
      10, &error);
  g_autoptr (UmedptTensor) b = NULL;
  g_autoptr (UmedptTensor) s = NULL;
  g_autoptr (UmedptTensor) e = NULL;
  g_autofree char *text = NULL;

  g_assert_no_error (error);
  g_assert_cmpuint (umedpt_safetensors_get_n_tensors (file), ==, 3);
  g_assert_cmpstr (umedpt_safetensors_get_name (file, 0), ==, "bé😀");
  g_assert_cmpstr (umedpt_safetensors_get_name (file, 1), ==, "s");
  g_assert_cmpstr (umedpt_safetensors_get_metadata (file, "a"), ==, "\"\n");
  g_assert_null (umedpt_safetensors_get_metadata (file, "y"));
  keys = umedpt_safetensors_get_metadata_keys (file);
  g_assert_cmpuint (g_list_length (keys), ==, 2);
  g_assert_cmpstr (keys->data, ==, "a");

  b = umedpt_safetensors_get_tensor (file, "bé😀", &error);
  s = umedpt_safetensors_get_tensor (file, "s", &error);
  e = umedpt_safetensors_get_tensor (file, "e", &error);
  g_assert_no_error (error);
  text = umedpt_tensor_describe (b);
  g_assert_cmpstr (text, ==, "u8 [2, 1, 3]");
  g_clear_pointer (&file, umedpt_safetensors_free); /* tensors live on */
  g_assert_cmpuint (((guint8 *) umedpt_tensor_get_data (b))[5], ==, 9);
  g_assert_cmpuint (umedpt_tensor_get_n_dims (s), ==, 0);
  g_assert_cmpuint (*(guint32 *) umedpt_tensor_get_data (s), ==, 0x03020100);
  g_assert_cmpuint (umedpt_tensor_get_n_elements (e), ==, 0);
}

/* Every address is one its type may have, even if the file packs it oddly. */
static void
test_unaligned (void)
{
  for (guint pad = 0; pad < 8; pad++) {
    g_autofree char *header = g_strdup_printf (
        "{\"p\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
        "\"q\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[1,9]}}%*s",
        (int) pad, "");
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptSafetensors) file = open_header (header, 9, &error);
    g_autoptr (UmedptTensor) q = NULL;

    g_assert_no_error (error);
    q = umedpt_safetensors_get_tensor (file, "q", &error);
    g_assert_no_error (error);
    g_assert_cmpuint ((gsize) umedpt_tensor_get_data (q) % 8, ==, 0);
    g_assert_cmpuint (*(guint64 *) umedpt_tensor_get_data (q), ==,
        0x0807060504030201);
  }
}

static void
test_ask (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSafetensors) file = open_header (
      "{\"d\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8,
      &error);

  g_assert_no_error (error);
  g_assert_null (umedpt_safetensors_get_tensor (file, "d", &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "F64"));
  g_assert_nonnull (strstr (error->message, "x.safetensors"));
  g_clear_error (&error);
  g_assert_null (umedpt_safetensors_get_tensor (file, "none", &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "'none'"));
}

/* One hostile header each, and a part of the message it must give. */
typedef struct
{
  const char *name, *header;
  gsize n_data;
  gint64 lie; /* about the header's length */
  const char *message;
} Hostile;

#define T(name, dtype, shape, begin, end) \
  "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape \
  ",\"data_offsets\":[" begin "," end "]}"
#define ONE(dtype, shape, begin, end) "{" T ("a", dtype, shape, begin, end) "}"
#define DEEP8 "[[[[[[[["
#define DEEP64 DEEP8 DEEP8 DEEP8 DEEP8 DEEP8 DEEP8 DEEP8 DEEP8

// clang-format off
static const Hostile hostile[] = {
  /* lengths */
  { "empty-header", "", 0, 0, "an object, found the end" },
  { "longer-than-file", "{}", 0, 1, "3 bytes; expected" },
  { "huge-length", "{}", 0, G_MAXINT64 - 8, "bytes; expected at most 100000000" },
  { "negative-length", "{}", 0, -10, "bytes; expected at most 100000000" },
  { "shorter-than-header", ONE ("U8", "[1]", "0", "1"), 1, -1, "found the end" },
  /* JSON */
  { "not-an-object", "[]", 0, 0, "expected an object" },
  { "text-after", "{} x", 0, 0, "the end of the text" },
  { "not-utf8", "{\"\xff\":1}", 0, 0, "expected UTF-8 text, found byte 0xff" },
  { "overlong-utf8", "{\"\xc0\xaf\":1}", 0, 0, "expected UTF-8" },
  { "comment", "{/**/}", 0, 0, "expected a string" },
  { "trailing-comma", "{" T ("a", "U8", "[1]", "0", "1") ",}", 1, 0, "expected a string" },
  { "single-quotes", "{'a':1}", 0, 0, "expected a string" },
  { "cut-string", "{\"a", 0, 0, "found the end" },
  { "cut-escape", "{\"a\\", 0, 0, "an escaped character" },
  { "bad-escape", "{\"\\x\":1}", 0, 0, "an escaped character" },
  { "lone-surrogate", "{\"\\ud800\":1}", 0, 0, "an escaped character" },
  { "escaped-nul", "{\"a\\u0000b\":1}", 0, 0, "an escaped character" },
  { "control-character", "{\"a\nb\":1}", 0, 0, "control character" },
  { "deep", "{\"a\":{\"x\":" DEEP64 "[[]]", 0, 0, "less deeply nested" },
  { "entry-no-object", "{\"a\":1}", 0, 0, "tensor 'a': at byte 5: expected an object" },
  /* keys */
  { "twice-tensor", "{" T ("a", "U8", "[1]", "0", "1") "," T ("a", "U8", "[1]", "1", "2") "}", 2, 0, "'a' is given twice" },
  { "twice-escaped", "{" T ("a", "U8", "[1]", "0", "1") "," T ("\\u0061", "U8", "[1]", "1", "2") "}", 2, 0, "'a' is given twice" },
  { "twice-key", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"F32\"}}", 0, 0, "'dtype' is given twice" },
  { "no-dtype", "{\"a\":{\"shape\":[],\"data_offsets\":[0,0]}}", 0, 0, "'dtype' is missing" },
  { "no-shape", "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,0]}}", 0, 0, "'shape' is missing" },
  { "no-offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0, 0, "'data_offsets' is missing" },
  /* metadata */
  { "metadata-number", "{\"__metadata__\":{\"a\":1}}", 0, 0, "__metadata__, a map of strings: at byte 21: expected a string" },
  { "metadata-object", "{\"__metadata__\":{\"a\":{}}}", 0, 0, "expected a string" },
  { "metadata-array", "{\"__metadata__\":[]}", 0, 0, "expected an object" },
  { "metadata-twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, 0, "'__metadata__' is given twice" },
  { "metadata-key-twice", "{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0, 0, "'a' is given twice" },
  /* dtypes */
  { "unknown-dtype", ONE ("F33", "[1]", "0", "1"), 1, 0, "the dtype is 'F33'" },
  { "lower-case-dtype", ONE ("f32", "[1]", "0", "4"), 4, 0, "the dtype is 'f32'" },
  { "number-dtype", "{\"a\":{\"dtype\":1}}", 0, 0, "expected a string" },
  /* shapes */
  { "negative", ONE ("U8", "[-1]", "0", "1"), 1, 0, "an integer from 0" },
  { "fraction", ONE ("U8", "[1.5]", "0", "1"), 1, 0, "an integer from 0" },
  { "float", ONE ("U8", "[1.0]", "0", "1"), 1, 0, "an integer from 0" },
  { "exponent", ONE ("U8", "[1e0]", "0", "1"), 1, 0, "an integer from 0" },
  { "hexadecimal", ONE ("U8", "[0x1]", "0", "1"), 1, 0, "',' or ']'" },
  { "leading-zero", ONE ("U8", "[01]", "0", "1"), 1, 0, "an integer from 0" },
  { "text-shape", ONE ("U8", "[\"1\"]", "0", "1"), 1, 0, "an integer from 0" },
  { "number-shape", ONE ("U8", "1", "0", "1"), 1, 0, "an array" },
  { "above-int64", ONE ("U8", "[9223372036854775808]", "0", "1"), 1, 0, "an integer from 0" },
  { "wraps-to-one", ONE ("U8", "[18446744073709551617]", "0", "1"), 1, 0, "an integer from 0" },
  { "minus-wraps-to-one", ONE ("U8", "[-18446744073709551615]", "0", "1"), 1, 0, "an integer from 0" },
  { "product-overflows", ONE ("U8", "[4294967296,4294967296]", "0", "0"), 0, 0, "64 bits" },
  { "bytes-overflow", ONE ("F32", "[4611686018427387904]", "0", "0"), 0, 0, "64 bits" },
  { "six-dimensions", ONE ("U8", "[1,1,1,1,1,1]", "0", "1"), 1, 0, "more than 5 dimensions" },
  /* ranges */
  { "too-short", ONE ("F32", "[2]", "0", "4"), 4, 0, "expected a range of 8 bytes" },
  { "too-long", ONE ("F32", "[1]", "0", "8"), 8, 0, "expected a range of 4 bytes" },
  { "backwards", ONE ("U8", "[1]", "2", "1"), 2, 0, "expected a range of 1 bytes" },
  { "negative-range", ONE ("U8", "[1]", "-1", "0"), 1, 0, "an integer from 0" },
  { "beyond-end", ONE ("U8", "[2]", "0", "2"), 1, 0, "only 1 bytes of data" },
  { "far-beyond-end", ONE ("U8", "[1]", "9223372036854775806", "9223372036854775807"), 1, 0, "only 1 bytes of data" },
  { "one-offset", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, 0, "fewer than two" },
  { "three-offsets", ONE ("U8", "[1]", "0", "1,1"), 1, 0, "more than two" },
  { "overlap", "{" T ("a", "U8", "[2]", "0", "2") "," T ("b", "U8", "[2]", "1", "3") "}", 3, 0, "tensor 'b' has the bytes 1 to 3; expected them to begin at 2" },
  { "same-range", "{" T ("a", "U8", "[2]", "0", "2") "," T ("b", "U8", "[2]", "0", "2") "}", 2, 0, "overlap" },
  { "hole", "{" T ("a", "U8", "[1]", "0", "1") "," T ("b", "U8", "[1]", "2", "3") "}", 3, 0, "leave a hole" },
  { "hole-before", ONE ("U8", "[1]", "1", "2"), 2, 0, "leave a hole" },
  { "rest", ONE ("U8", "[1]", "0", "1"), 2, 0, "end at byte 1 of the data, but there are 2" },
  { "data-without-tensors", "{}", 1, 0, "end at byte 0 of the data, but there are 1" },
};
// clang-format on

static void
test_hostile (gconstpointer data)
{
  const Hostile *h = data;
  g_autoptr (GBytes) bytes = make_file (h->header, h->lie, h->n_data);
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_safetensors_open_bytes (bytes, "bad.st", &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_test_message ("%s", error->message);
  g_assert_true (g_str_has_prefix (error->message,
      "'bad.st' is not a valid safetensors"));
  g_assert_nonnull (strstr (error->message, h->message));
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

/* Files cut off before the header. */
static void
test_stubs (void)
{
  for (gsize size = 0; size < 10; size++) {
    g_autoptr (GBytes) bytes = g_bytes_new ("\2\0\0\0\0\0\0\0{}", size);
    g_autoptr (GError) error = NULL;

    g_assert_null (umedpt_safetensors_open_bytes (bytes, "stub", &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  }
}

/* A header of ten million brackets: refused at once, not by a stack fault. */
static void
test_huge_nesting (void)
{
  g_autofree char *brackets = g_strnfill (10 << 20, '[');
  g_autofree char *header = g_strconcat ("{\"a\":{\"x\":", brackets, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (open_header (header, 0, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_assert_cmpuint (strlen (error->message), <, 500);
}

/* Names of a megabyte and cut UTF-8 give short, valid messages. */
static void
test_long_name (void)
{
  g_autoptr (GString) name = g_string_new (NULL);
  g_autofree char *header = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 100000; i++)
    g_string_append (name, "é€");
  header =
      g_strdup_printf ("{\"%s\":{\"dtype\":\"%s\"}}", name->str, name->str);
  g_assert_null (open_header (header, 0, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_cmpuint (strlen (error->message), <, 1000);
}

typedef struct
{
  char *folder, *path;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->folder = g_dir_make_tmp ("umedpt-XXXXXX", NULL);
  f->path = g_build_filename (f->folder, "m.safetensors", NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_unlink (f->path);
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->folder);
  g_free (f->path);
}

static const char *const dtype_names[] = { "f32", "bf16", "f16", "i32", "i64",
  "u8" };

/* A tensor of each type, [3, i + 1], elements' bytes counting up. */
static UmedptTensor *
make_tensor (guint dtype)
{
  gint64 shape[] = { 3, dtype + 1 };
  UmedptTensor *tensor = umedpt_tensor_new (dtype, 2, shape, NULL);
  guint8 *bytes = umedpt_tensor_get_data_writable (tensor);

  for (gsize i = 0; i < umedpt_tensor_get_size (tensor); i++)
    bytes[i] = (guint8) (i * 7 + dtype);
  return tensor;
}

static void
write_model (const char *path, GError **error)
{
  g_autoptr (UmedptSafetensorsWriter) writer = umedpt_safetensors_writer_new ();

  for (guint i = 0; i < UMEDPT_N_DTYPES; i++) {
    /* the order of adding does not matter */
    guint dtype = (i * 5 + 2) % UMEDPT_N_DTYPES;
    g_autoptr (UmedptTensor) tensor = make_tensor (dtype);
    umedpt_safetensors_writer_add (writer, dtype_names[dtype], tensor);
  }
  umedpt_safetensors_writer_set_metadata (writer, "umedpt", "replaced");
  umedpt_safetensors_writer_set_metadata (writer, "umedpt", "{\"é\":\"\\\1\"}");
  umedpt_safetensors_writer_set_metadata (writer, "format", "pt");
  umedpt_safetensors_writer_write (writer, path, error);
}

static void
test_round_trip (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSafetensors) file = NULL;

  write_model (f->path, &error);
  g_assert_no_error (error);
  file = umedpt_safetensors_open (f->path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (umedpt_safetensors_get_metadata (file, "umedpt"), ==,
      "{\"é\":\"\\\1\"}");
  g_assert_cmpuint (umedpt_safetensors_get_n_tensors (file), ==, 6);
  g_assert_cmpstr (umedpt_safetensors_get_name (file, 0), ==, "i64");
  g_assert_cmpstr (umedpt_safetensors_get_name (file, 5), ==, "u8");
  for (guint i = 0; i < UMEDPT_N_DTYPES; i++) {
    g_autoptr (UmedptTensor) expected = make_tensor (i);
    g_autoptr (UmedptTensor) tensor =
        umedpt_safetensors_get_tensor (file, dtype_names[i], &error);
    g_assert_no_error (error);
    g_assert_true (umedpt_tensor_same_shape (tensor, expected));
    g_assert_cmpint (umedpt_tensor_get_dtype (tensor), ==, i);
    g_assert_cmpmem (umedpt_tensor_get_data (tensor),
        umedpt_tensor_get_size (tensor), umedpt_tensor_get_data (expected),
        umedpt_tensor_get_size (expected));
    g_assert_true (tensor->storage->mapped); /* no copy was needed */
  }
}

static void
test_same_bytes (Fixture *f, gconstpointer data)
{
  g_autofree char *first = NULL;
  g_autofree char *second = NULL;
  gsize n_first, n_second;

  write_model (f->path, NULL);
  g_assert_true (g_file_get_contents (f->path, &first, &n_first, NULL));
  write_model (f->path, NULL); /* replaces */
  g_assert_true (g_file_get_contents (f->path, &second, &n_second, NULL));
  g_assert_cmpmem (first, n_first, second, n_second);
  g_assert_cmpuint (((guint64 *) (gpointer) first)[0] % 8, ==, 0);
}

/* A model may be written over the file that its tensors are mapped from. */
static void
test_write_over_mapping (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSafetensorsWriter) writer = umedpt_safetensors_writer_new ();
  g_autoptr (UmedptSafetensors) file = NULL;
  g_autoptr (UmedptTensor) tensor = NULL;
  g_autoptr (UmedptTensor) expected = make_tensor (UMEDPT_DTYPE_I64);

  write_model (f->path, NULL);
  file = umedpt_safetensors_open (f->path, &error);
  tensor = umedpt_safetensors_get_tensor (file, "i64", &error);
  g_assert_no_error (error);
  g_clear_pointer (&file, umedpt_safetensors_free);
  umedpt_safetensors_writer_add (writer, "i64", tensor);
  g_assert_true (umedpt_safetensors_writer_write (writer, f->path, &error));
  umedpt_tensor_release_pages (tensor); /* pages come back from the old file */
  g_assert_cmpmem (umedpt_tensor_get_data (tensor),
      umedpt_tensor_get_size (tensor), umedpt_tensor_get_data (expected),
      umedpt_tensor_get_size (expected));
  file = umedpt_safetensors_open (f->path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (umedpt_safetensors_get_n_tensors (file), ==, 1);
}

static void
test_no_tensors (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSafetensorsWriter) writer = umedpt_safetensors_writer_new ();
  g_autoptr (UmedptSafetensors) file = NULL;

  g_assert_true (umedpt_safetensors_writer_write (writer, f->path, &error));
  file = umedpt_safetensors_open (f->path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (umedpt_safetensors_get_n_tensors (file), ==, 0);
}

static void
test_open_errors (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_safetensors_open (f->path, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, f->path));
  g_clear_error (&error);
  g_assert_null (umedpt_safetensors_open (f->folder, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO);
  g_clear_error (&error);
  g_assert_true (g_file_set_contents (f->path, "", 0, NULL));
  g_assert_null (umedpt_safetensors_open (f->path, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_clear_error (&error);
  g_unlink (f->path);
  g_assert_cmpint (mkfifo (f->path, 0600), ==, 0);
  g_assert_null (umedpt_safetensors_open (f->path, &error)); /* at once */
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO);
}

#define ADD(name, function) \
  g_test_add ("/safetensors/" name, Fixture, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (argc == 3 && strcmp (argv[1], "--write") == 0) {
    /* for test-safetensors.py */
    g_autoptr (GError) error = NULL;
    write_model (argv[2], &error);
    return error != NULL;
  }
  g_test_add_func ("/safetensors/read", test_read);
  g_test_add_func ("/safetensors/unaligned", test_unaligned);
  g_test_add_func ("/safetensors/ask", test_ask);
  g_test_add_func ("/safetensors/stubs", test_stubs);
  g_test_add_func ("/safetensors/huge-nesting", test_huge_nesting);
  g_test_add_func ("/safetensors/long-name", test_long_name);
  for (gsize i = 0; i < G_N_ELEMENTS (hostile); i++) {
    g_autofree char *path =
        g_strconcat ("/safetensors/hostile/", hostile[i].name, NULL);
    g_test_add_data_func (path, &hostile[i], test_hostile);
  }
  ADD ("round-trip", test_round_trip);
  ADD ("same-bytes", test_same_bytes);
  ADD ("write-over-mapping", test_write_over_mapping);
  ADD ("no-tensors", test_no_tensors);
  ADD ("open-errors", test_open_errors);
  return g_test_run ();
}
