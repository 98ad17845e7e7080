/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The model file: what is written is what is read, and every way in which a
 * file can fail to be a model is told apart. Parameter counts are those of
 * torchvision's modules of the same sizes, without norm and classifier.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "autograd/ops.h"
#include "base/error.h"
#include "formula.h"
#include "net/model-private.h"
#include "tensor/storage.h"

static char *folder;

static char *
in_folder (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static UmedptModel *
make (const char *arch, guint64 seed)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptDescription) description =
      umedpt_description_new (arch, &error);
  UmedptModel *model;

  g_assert_no_error (error);
  model = umedpt_model_new_initialised (description, seed, &error);
  g_assert_no_error (error);
  return model;
}

/* Counting declares the parameters, but makes none. */
static void
assert_count (const char *arch, guint64 used, guint64 unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptDescription) description =
      umedpt_description_new (arch, &error);
  g_autoptr (UmedptParameters) parameters = umedpt_parameters_new ();
  g_autoptr (UmedptSwin) swin = NULL;

  g_assert_no_error (error);
  swin =
      umedpt_swin_new (description, parameters, UMEDPT_ENCODER_PREFIX, &error);
  g_assert_no_error (error);
  g_test_message ("%s: %" G_GUINT64_FORMAT, arch,
      umedpt_parameters_count (parameters, NULL));
  g_assert_cmpuint (umedpt_parameters_count (parameters, NULL), ==, used);
  g_assert_cmpint (description->embed_dim * 8 * 2, ==, unused);
}

static void
test_counts (void)
{
  assert_count ("swinv2-nano", 3111118, 512);
  assert_count ("swinv2-tiny", 27581034, 1536);
  assert_count ("swinv2-small", 48966906, 1536);
  assert_count ("swinv2-base", 86903800, 2048);
  assert_count ("swinv2-large", 195217908, 3072);
}

static double
deviation (const UmedptTensor *tensor)
{
  double sum = 0;

  for (gsize i = 0; i < tensor->n_elements; i++)
    sum += (double) UMEDPT_F32 (tensor)[i] * UMEDPT_F32 (tensor)[i];
  return sqrt (sum / tensor->n_elements);
}

static UmedptTensor *
parameter (UmedptModel *model, const char *name)
{
  UmedptParameters *parameters = umedpt_model_get_parameters (model);

  for (guint i = 0; i < umedpt_parameters_get_n (parameters); i++)
    if (strcmp (umedpt_parameters_get_name (parameters, i), name) == 0)
      return umedpt_parameters_get_tensor (parameters, i);
  return NULL;
}

static void
test_initial_values (void)
{
  g_autoptr (UmedptModel) model = make ("swinv2-nano", 1);
  const UmedptTensor *qkv =
      parameter (model, UMEDPT_ENCODER_PREFIX "features.5.3.attn.qkv.weight");
  const UmedptTensor *bias =
      parameter (model, UMEDPT_ENCODER_PREFIX "features.5.3.attn.qkv.bias");
  const UmedptTensor *stem =
      parameter (model, UMEDPT_ENCODER_PREFIX "features.0.0.weight");
  const UmedptTensor *scale =
      parameter (model, UMEDPT_ENCODER_PREFIX "features.7.1.attn.logit_scale");

  g_assert_cmpfloat (ABS (deviation (qkv) - 0.02), <, 0.0005);
  g_assert_cmpfloat (deviation (bias), ==, 0);
  /* Uniform on +-1 / sqrt (48) has the deviation 1 / 12. */
  g_assert_cmpfloat (ABS (deviation (stem) - 1.0 / 12), <, 0.005);
  g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (scale)[7], 2.302585f, 1e-6);
  g_assert_cmpfloat (UMEDPT_F32 (parameter (model,
                         "squeezer.norm.weight"))[255],
      ==, 1);
}

static void
test_seeds (void)
{
  g_autoptr (UmedptModel) one = make ("swinv2-nano", 1);
  g_autoptr (UmedptModel) again = make ("swinv2-nano", 1);
  g_autoptr (UmedptModel) other = make ("swinv2-nano", 2);

  g_assert_cmpstr (umedpt_model_get_hash (one), ==,
      umedpt_model_get_hash (again));
  g_assert_cmpstr (umedpt_model_get_hash (one), !=,
      umedpt_model_get_hash (other));
  g_assert_cmpuint (strlen (umedpt_model_get_hash (one)), ==, 64);
}

/* All tensors come back to the bit, and so does the hash. */
static void
test_round_trip (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptDescription) description =
      umedpt_description_new ("swinv2-nano", &error);
  g_autoptr (UmedptModel) model = NULL, loaded = NULL;
  g_autofree char *path = in_folder ("model.safetensors");
  UmedptParameters *a, *b;

  description->squeezer_channels = 40;
  description->pool_order = UMEDPT_POOL_AFTER;
  model = umedpt_model_new_initialised (description, 7, &error);
  g_assert_no_error (error);
  umedpt_model_save (model, path, &error);
  g_assert_no_error (error);
  loaded = umedpt_model_new_from_file (path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (umedpt_model_get_hash (model), ==,
      umedpt_model_get_hash (loaded));
  g_assert_true (umedpt_model_verify (loaded, &error));
  g_assert_cmpint (umedpt_model_get_description (loaded)->squeezer_channels, ==,
      40);
  g_assert_cmpint (umedpt_model_get_description (loaded)->pool_order, ==,
      UMEDPT_POOL_AFTER);
  a = umedpt_model_get_parameters (model);
  b = umedpt_model_get_parameters (loaded);
  for (guint i = 0; i < umedpt_parameters_get_n (a); i++) {
    const UmedptTensor *x = umedpt_parameters_get_tensor (a, i);
    const UmedptTensor *y = umedpt_parameters_get_tensor (b, i);
    if (x)
      g_assert_cmpmem (x->data, umedpt_tensor_get_size (x), y->data,
          umedpt_tensor_get_size (y));
  }
  /* Saving what was loaded gives the same file. */
  {
    g_autofree char *copy = in_folder ("copy.safetensors");
    g_autofree char *first = NULL, *second = NULL;
    gsize n_first, n_second;
    umedpt_model_save (loaded, copy, &error);
    g_assert_no_error (error);
    g_assert_true (g_file_get_contents (path, &first, &n_first, NULL));
    g_assert_true (g_file_get_contents (copy, &second, &n_second, NULL));
    g_assert_cmpmem (first, n_first, second, n_second);
    g_unlink (copy);
  }
  g_unlink (path);
}

/* How an edited file differs from a good one. */
typedef struct
{
  const char *drop; /* (nullable) a tensor to leave out */
  const char *add; /* (nullable) a tensor to add, f32 [3] */
  const char *reshape; /* (nullable) a tensor to replace by f32 [3] */
  const char *retype; /* (nullable) a tensor to replace by bytes */
  gboolean no_description;
  gboolean bad_description;
  const char *hash; /* (nullable) another stated hash */
} Edit;

static void
write_edited (UmedptModel *model, const Edit *edit, const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSafetensorsWriter) writer = umedpt_safetensors_writer_new ();
  g_autofree char *json =
      umedpt_description_to_json (umedpt_model_get_description (model));
  UmedptParameters *parameters = umedpt_model_get_parameters (model);
  const gint64 three = 3;

  if (!edit->no_description)
    umedpt_safetensors_writer_set_metadata (writer, "umedpt",
        edit->bad_description ? "{\"arch\": 3}" : json);
  umedpt_safetensors_writer_set_metadata (writer, "umedpt-hash",
      edit->hash ? edit->hash : umedpt_model_get_hash (model));
  for (guint i = 0; i < umedpt_parameters_get_n (parameters); i++) {
    const char *name = umedpt_parameters_get_name (parameters, i);
    UmedptTensor *tensor = umedpt_parameters_get_tensor (parameters, i);
    g_autoptr (UmedptTensor) other = NULL;

    if (!tensor || g_strcmp0 (name, edit->drop) == 0)
      continue;
    if (g_strcmp0 (name, edit->reshape) == 0)
      other = umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 1, &three, &error);
    else if (g_strcmp0 (name, edit->retype) == 0)
      other = umedpt_tensor_new_zeros (UMEDPT_DTYPE_U8, tensor->n_dims,
          tensor->shape, &error);
    umedpt_safetensors_writer_add (writer, name, other ? other : tensor);
  }
  if (edit->add) {
    g_autoptr (UmedptTensor) extra =
        umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 1, &three, &error);
    umedpt_safetensors_writer_add (writer, edit->add, extra);
  }
  umedpt_safetensors_writer_write (writer, path, &error);
  g_assert_no_error (error);
}

/* The error says @text. */
static void
assert_refused (Edit edit, UmedptError code, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptModel) model = make ("swinv2-nano", 1);
  g_autofree char *path = in_folder ("edited.safetensors");

  write_edited (model, &edit, path);
  g_assert_null (umedpt_model_new_from_file (path, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, UMEDPT_ERROR, (gint) code);
  g_assert_nonnull (strstr (error->message, text));
  g_assert_nonnull (strstr (error->message, "edited.safetensors"));
  g_unlink (path);
}

static void
test_wrong_contents (void)
{
  const char *qkv = UMEDPT_ENCODER_PREFIX "features.1.0.attn.qkv.weight";
  const char *index =
      UMEDPT_ENCODER_PREFIX "features.1.0.attn.relative_coords_table";

  assert_refused ((Edit){ .drop = qkv }, UMEDPT_ERROR_FORMAT,
      "1 missing: encoder.model.wrapped_model.features.1.0.attn.qkv.weight");
  assert_refused ((Edit){ .add = "decoder.extra" }, UMEDPT_ERROR_FORMAT,
      "1 unknown: decoder.extra");
  assert_refused ((Edit){ .reshape = qkv }, UMEDPT_ERROR_FORMAT,
      "is f32 [3] instead of f32 [96, 32]");
  assert_refused ((Edit){ .retype = qkv }, UMEDPT_ERROR_FORMAT,
      "is u8 [96, 32] instead of f32 [96, 32]");
  assert_refused ((Edit){ .add = index }, UMEDPT_ERROR_FORMAT,
      "is not the constant this network uses");
  assert_refused ((Edit){ .no_description = TRUE }, UMEDPT_ERROR_FORMAT,
      "without a description");
  assert_refused ((Edit){ .bad_description = TRUE }, UMEDPT_ERROR_FORMAT, "");
}

/* The norm that UMedPT does not apply may be missing, and a stated hash that
 * is none is not believed. */
static void
test_tolerated_contents (void)
{
  const Edit edit = { .drop = UMEDPT_ENCODER_PREFIX "norm.weight",
    .hash = "none" };
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptModel) model = make ("swinv2-nano", 1), loaded = NULL;
  g_autofree char *path = in_folder ("edited.safetensors");

  write_edited (model, &edit, path);
  loaded = umedpt_model_new_from_file (path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (umedpt_model_get_hash (loaded)), ==, 64);
  g_assert_cmpuint (umedpt_model_get_n_parameters (loaded), ==,
      umedpt_model_get_n_parameters (model));
  g_unlink (path);
}

static void
test_verify (void)
{
  const Edit edit = { .hash = "0123456789abcdef0123456789abcdef0123456789abcdef"
                              "0123456789abcdef" };
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptModel) model = make ("swinv2-nano", 1), loaded = NULL;
  g_autofree char *path = in_folder ("edited.safetensors");

  write_edited (model, &edit, path);
  loaded = umedpt_model_new_from_file (path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (umedpt_model_get_hash (loaded), ==, edit.hash);
  g_assert_false (umedpt_model_verify (loaded, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA);
  g_unlink (path);
}

static void
test_wrong_files (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *missing = in_folder ("missing.safetensors");
  g_autofree char *text = in_folder ("text.safetensors");
  g_autofree char *cut = in_folder ("cut.safetensors");
  g_autofree char *bytes = NULL;
  g_autoptr (UmedptModel) model = make ("swinv2-nano", 1);
  gsize size;

  g_assert_null (umedpt_model_new_from_file (missing, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
  g_clear_error (&error);

  g_assert_true (g_file_set_contents (text, "not a model at all", -1, NULL));
  g_assert_null (umedpt_model_new_from_file (text, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_clear_error (&error);

  g_assert_true (umedpt_model_save (model, cut, NULL));
  g_assert_true (g_file_get_contents (cut, &bytes, &size, NULL));
  g_assert_true (g_file_set_contents (cut, bytes, (gssize) (size - 1), NULL));
  g_assert_null (umedpt_model_new_from_file (cut, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_clear_error (&error);

  g_assert_null (umedpt_model_new_from_file (folder, &error));
  g_assert_nonnull (error);
  g_unlink (text);
  g_unlink (cut);
}

static void
test_wrong_descriptions (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptDescription) description =
      umedpt_description_new ("swinv2-nano", &error);

  description->squeezer_norm = UMEDPT_NORM_INSTANCE;
  description->pool_order = UMEDPT_POOL_BEFORE;
  g_assert_null (umedpt_model_new_initialised (description, 1, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_clear_error (&error);
  description->squeezer_norm = UMEDPT_NORM_AFFINE;
  g_free (description->pooling);
  description->pooling = g_strdup ("attention");
  g_assert_null (umedpt_model_new_initialised (description, 1, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
}

/* A small file with a description of many blocks with large windows must not
 * cost gigabytes before it is refused. */
static void
test_large_description (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptDescription) description =
      umedpt_description_new ("swinv2-nano", &error);
  g_autoptr (UmedptSafetensorsWriter) writer = umedpt_safetensors_writer_new ();
  g_autofree char *path = in_folder ("large");
  g_autofree char *json = NULL;
  gsize before;

  g_free (description->arch);
  description->arch = g_strdup ("many-windows");
  description->embed_dim = 1;
  description->window = 32;
  for (gint i = 0; i < 4; i++) {
    description->depths[i] = 64;
    description->heads[i] = 1;
  }
  json = umedpt_description_to_json (description);
  umedpt_safetensors_writer_set_metadata (writer, "umedpt", json);
  umedpt_safetensors_writer_write (writer, path, &error);
  g_assert_no_error (error);
  umedpt_storage_get_peak (TRUE);
  before = umedpt_storage_get_peak (TRUE);
  g_assert_null (umedpt_model_new_from_file (path, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_assert_cmpuint (umedpt_storage_get_peak (FALSE) - before, <, 64 << 20);
  g_unlink (path);
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("umedpt-model-XXXXXX", NULL);
  g_assert_nonnull (folder);
  g_test_add_func ("/model/counts", test_counts);
  g_test_add_func ("/model/initial-values", test_initial_values);
  g_test_add_func ("/model/seeds", test_seeds);
  g_test_add_func ("/model/round-trip", test_round_trip);
  g_test_add_func ("/model/wrong-contents", test_wrong_contents);
  g_test_add_func ("/model/tolerated-contents", test_tolerated_contents);
  g_test_add_func ("/model/verify", test_verify);
  g_test_add_func ("/model/wrong-files", test_wrong_files);
  g_test_add_func ("/model/wrong-descriptions", test_wrong_descriptions);
  g_test_add_func ("/model/large-description", test_large_description);
  result = g_test_run ();
  g_rmdir (folder);
  g_free (folder);
  return result;
}
