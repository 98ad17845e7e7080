/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The encoder against torchvision's, and the squeezer against PyTorch's
 * formulas, by the vectors of tests/reference/generate.py, on the backend
 * that UMEDPT_BACKEND names. With windows of 8 the sizes exercise, per level
 * F1 | F2 | F3 | F4 (map; p: padded, s: shifted in odd blocks):
 *
 *   64x64    16 s     | 8         | 4 p       | 2 p
 *   72x104   18x26 ps | 9x13 ps   | 5x7 p     | 3x4 p, odd maps when merging
 *   56x56    14 ps    | 7 p       | 4 p       | 2 p
 *   64x96    16x24 s  | 8x12 p, s only along x | 4x6 p | 2x3 p
 *   45x83    11x20 ps, and pixels that fill no patch
 *   224, 256, 192x320: sizes in use
 */
#include <math.h>
#include <stdlib.h>

#include "autograd/ops.h"
#include "base/error.h"
#include "formula.h"
#include "net/squeezer.h"
#include "net/swin.h"

#define PREFIX "encoder.model.wrapped_model."

static UmedptBackend *backend;
static UmedptSafetensors *vectors;

static const struct
{
  gint height, width;
} sizes[] = { { 64, 64 }, { 72, 104 }, { 56, 56 }, { 64, 96 }, { 45, 83 },
  { 224, 224 }, { 256, 256 }, { 192, 320 } };

static UmedptDescription *
micro (void)
{
  g_autoptr (GError) error = NULL;
  UmedptDescription *description =
      umedpt_description_new ("swinv2-nano", &error);

  g_assert_no_error (error);
  description->depths[2] = 2;
  return description;
}

static UmedptTensor *
vector (const char *format, ...)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = NULL;
  UmedptTensor *tensor;
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  tensor = umedpt_safetensors_get_tensor (vectors, name, &error);
  g_assert_no_error (error);
  return tensor;
}

/* An encoder with the formula's parameters. */
typedef struct
{
  UmedptDescription *description;
  UmedptParameters *parameters;
  UmedptSwin *swin;
} Encoder;

static void
encoder_init_window (Encoder *self, UmedptNormPolicy norm, gint window)
{
  g_autoptr (GError) error = NULL;

  self->description = micro ();
  self->description->encoder_norm = norm;
  self->description->window = window;
  self->parameters = umedpt_parameters_new ();
  self->swin =
      umedpt_swin_new (self->description, self->parameters, PREFIX, &error);
  g_assert_no_error (error);
  umedpt_parameters_initialise (self->parameters, 1, &error);
  g_assert_no_error (error);
  formula_fill (self->parameters);
}

static void
encoder_init (Encoder *self, UmedptNormPolicy norm)
{
  encoder_init_window (self, norm, 8);
}

static void
encoder_clear (Encoder *self)
{
  umedpt_swin_free (self->swin);
  umedpt_parameters_free (self->parameters);
  umedpt_description_free (self->description);
}

/* (transfer full) in and out: @tensor where the backend computes, or on the
 * host. */
static UmedptTensor *
placed (UmedptTensor *tensor, UmedptMemory *memory)
{
  g_autoptr (UmedptTensor) here = tensor;
  g_autoptr (GError) error = NULL;
  UmedptTensor *there = umedpt_tensor_to (here, memory, &error);

  g_assert_no_error (error);
  return there;
}

static void
place_parameters (UmedptParameters *parameters, UmedptMemory *memory)
{
  g_autoptr (GError) error = NULL;

  umedpt_parameters_move (parameters, memory, &error);
  g_assert_no_error (error);
}

/* Parameters are on the host before and after, so that tests can change them;
 * so is the result. */
static void
encode (Encoder *self, UmedptDtype compute, UmedptTensor *images,
    UmedptTensor *pyramid[4])
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptContext) context = umedpt_context_new (backend, compute);
  g_autoptr (UmedptTensor) input =
      placed (umedpt_tensor_ref (images), backend->memory);

  place_parameters (self->parameters, backend->memory);
  umedpt_swin_forward (self->swin, context, input, NULL, pyramid, &error);
  g_assert_no_error (error);
  place_parameters (self->parameters, NULL);
  for (gint i = 0; i < 4; i++)
    pyramid[i] = placed (pyramid[i], NULL);
}

static void
pyramid_clear (UmedptTensor *pyramid[4])
{
  for (gint i = 0; i < 4; i++)
    umedpt_tensor_unref (g_steal_pointer (&pyramid[i]));
}

/* Tolerances: of single precision, and of bf16 products. */
static void
check (const char *what, UmedptDtype compute, const UmedptTensor *found,
    gsize stride, const UmedptTensor *expected)
{
  const Difference d = formula_compare (UMEDPT_F32 (found), stride,
      UMEDPT_F32 (expected), expected->n_elements);

  g_test_message ("%s: max %.2g, norm %.2g, 1 - cosine %.2g", what, d.max,
      d.norm, 1 - d.cosine);
  if (compute == UMEDPT_DTYPE_F32) {
    g_assert_cmpfloat (d.max, <, 1e-4);
    g_assert_cmpfloat (d.norm, <, 1e-4);
  } else {
    g_assert_cmpfloat (d.norm, <, 2e-2);
    g_assert_cmpfloat (d.cosine, >, 0.999);
  }
}

static void
check_pyramid (const char *key, UmedptDtype compute, UmedptTensor *pyramid[4])
{
  for (gint i = 0; i < 4; i++) {
    g_autoptr (UmedptTensor) expected = vector ("%s/F%d", key, i + 1);
    g_autofree char *what = g_strdup_printf ("%s/F%d", key, i + 1);
    const gsize n = pyramid[i]->n_elements;
    const gsize stride = i < 3 ? MAX (1, n / 2048) | 1 : 1;

    g_assert_cmpuint (expected->n_elements, ==, (n + stride - 1) / stride);
    if (i == 3)
      for (gint k = 0; k < 3; k++)
        g_assert_cmpint (pyramid[i]->shape[k + 1], ==, expected->shape[k]);
    check (what, compute, pyramid[i], stride, expected);
  }
}

static void
test_pyramid (gconstpointer data)
{
  const UmedptDtype compute = (UmedptDtype) GPOINTER_TO_INT (data);
  Encoder encoder;

  encoder_init (&encoder, UMEDPT_NORM_AFFINE);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    UmedptTensor *pyramid[4];
    g_autoptr (UmedptTensor) image =
        formula_image (i, sizes[i].height, sizes[i].width);
    g_autofree char *key =
        g_strdup_printf ("affine/%dx%d", sizes[i].height, sizes[i].width);

    encode (&encoder, compute, image, pyramid);
    check_pyramid (key, compute, pyramid);
    pyramid_clear (pyramid);
  }
  encoder_clear (&encoder);
}

static void
test_plain_norms (void)
{
  Encoder encoder;
  UmedptTensor *pyramid[4];
  g_autoptr (UmedptTensor) image = formula_image (3, 64, 96);

  encoder_init (&encoder, UMEDPT_NORM_PLAIN);
  encode (&encoder, UMEDPT_DTYPE_F32, image, pyramid);
  check_pyramid ("plain/64x96", UMEDPT_DTYPE_F32, pyramid);
  pyramid_clear (pyramid);
  encoder_clear (&encoder);
}

/* The large model's windows; F1 is 34x50, padded to 48x64 and shifted. */
static void
test_window_16 (gconstpointer data)
{
  const UmedptDtype compute = (UmedptDtype) GPOINTER_TO_INT (data);
  Encoder encoder;
  UmedptTensor *pyramid[4];
  g_autoptr (UmedptTensor) image = formula_image (2, 136, 200);

  encoder_init_window (&encoder, UMEDPT_NORM_AFFINE, 16);
  encode (&encoder, compute, image, pyramid);
  check_pyramid ("window16/136x200", compute, pyramid);
  pyramid_clear (pyramid);
  encoder_clear (&encoder);
}

/* Logit scales on both sides of the cap. */
static void
test_capped (void)
{
  Encoder encoder;
  UmedptTensor *pyramid[4];
  g_autoptr (UmedptTensor) image = formula_image (1, 72, 104);

  encoder_init (&encoder, UMEDPT_NORM_AFFINE);
  for (guint i = 0; i < umedpt_parameters_get_n (encoder.parameters); i++) {
    UmedptTensor *tensor = umedpt_parameters_get_tensor (encoder.parameters, i);
    const char *name = umedpt_parameters_get_name (encoder.parameters, i);
    if (!g_str_has_suffix (name, "logit_scale"))
      continue;
    for (gsize k = 0; k < tensor->n_elements; k++)
      UMEDPT_F32 (tensor)[k] += 2.5f;
  }
  umedpt_parameters_changed (encoder.parameters);
  encode (&encoder, UMEDPT_DTYPE_F32, image, pyramid);
  check_pyramid ("capped/72x104", UMEDPT_DTYPE_F32, pyramid);
  pyramid_clear (pyramid);
  encoder_clear (&encoder);
}

static void
assert_same (UmedptTensor *a[4], UmedptTensor *b[4])
{
  for (gint i = 0; i < 4; i++)
    g_assert_cmpmem (a[i]->data, umedpt_tensor_get_size (a[i]), b[i]->data,
        umedpt_tensor_get_size (b[i]));
}

/* Two images at once are what they are one by one; f32 pixels are bytes over
 * 255; the same input twice gives the same bits. */
static void
test_inputs (void)
{
  const gint64 shape[] = { 2, 64, 96, 3 };
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) both =
      umedpt_tensor_new (UMEDPT_DTYPE_F32, 4, shape, &error);
  Encoder encoder;
  UmedptTensor *one[4], *again[4], *two[4];

  encoder_init (&encoder, UMEDPT_NORM_AFFINE);
  for (guint n = 0; n < 2; n++) {
    g_autoptr (UmedptTensor) image = formula_image (3 + n, 64, 96);
    for (gsize i = 0; i < image->n_elements; i++)
      UMEDPT_F32 (both)
    [n * image->n_elements + i] = UMEDPT_U8 (image)[i] / 255.0f;
  }
  encode (&encoder, UMEDPT_DTYPE_F32, both, two);
  for (guint n = 0; n < 2; n++) {
    g_autoptr (UmedptTensor) image = formula_image (3 + n, 64, 96);
    encode (&encoder, UMEDPT_DTYPE_F32, image, one);
    encode (&encoder, UMEDPT_DTYPE_F32, image, again);
    assert_same (one, again);
    for (gint i = 0; i < 4; i++) {
      Difference d =
          formula_compare (UMEDPT_F32 (two[i]) + n * one[i]->n_elements, 1,
              UMEDPT_F32 (one[i]), one[i]->n_elements);
      g_assert_cmpfloat (d.max, <, 2e-5);
    }
    pyramid_clear (one);
    pyramid_clear (again);
  }
  pyramid_clear (two);
  encoder_clear (&encoder);
}

static float *
writable (Encoder *encoder, const char *name)
{
  for (guint i = 0; i < umedpt_parameters_get_n (encoder->parameters); i++)
    if (g_strcmp0 (umedpt_parameters_get_name (encoder->parameters, i), name) ==
        0)
      return umedpt_tensor_get_data_writable (
          umedpt_parameters_get_tensor (encoder->parameters, i));
  g_assert_not_reached ();
}

/* The key's bias and the last norm have no effect, a logit scale has none
 * beyond ln 100, and a change of what does is noticed. */
static void
test_parameters_in_effect (void)
{
  g_autoptr (UmedptTensor) image = formula_image (0, 64, 64);
  UmedptTensor *before[4], *after[4];
  Encoder encoder;
  float *values;

  encoder_init (&encoder, UMEDPT_NORM_AFFINE);
  writable (&encoder, PREFIX "features.1.1.attn.logit_scale")[0] = 4.7f;
  umedpt_parameters_changed (encoder.parameters);
  encode (&encoder, UMEDPT_DTYPE_F32, image, before);

  values = writable (&encoder, PREFIX "features.1.0.attn.qkv.bias");
  for (gint i = 32; i < 64; i++)
    values[i] += 3;
  writable (&encoder, PREFIX "features.1.1.attn.logit_scale")[0] = 9;
  writable (&encoder, PREFIX "norm.weight")[0] = 7;
  umedpt_parameters_changed (encoder.parameters);
  encode (&encoder, UMEDPT_DTYPE_F32, image, after);
  assert_same (before, after);
  pyramid_clear (after);

  writable (&encoder, PREFIX "features.1.0.attn.cpb_mlp.2.weight")[0] += 1;
  umedpt_parameters_changed (encoder.parameters);
  encode (&encoder, UMEDPT_DTYPE_F32, image, after);
  g_assert_cmpfloat (formula_compare (UMEDPT_F32 (after[3]), 1,
                         UMEDPT_F32 (before[3]), before[3]->n_elements)
                         .max,
      >, 1e-4);
  pyramid_clear (after);
  pyramid_clear (before);
  encoder_clear (&encoder);
}

static const struct
{
  const char *name;
  UmedptNormPolicy policy;
} policies[] = {
  { "affinelayernorm", UMEDPT_NORM_AFFINE },
  { "layernorm", UMEDPT_NORM_PLAIN },
  { "instancenorm", UMEDPT_NORM_INSTANCE },
  { "nonorm", UMEDPT_NORM_NONE },
};

/* One squeezer on the vectors' F4 of 72x104, against z and, with a
 * convolution and average pooling, Z. */
static void
check_squeezer (UmedptDescription *description, const char *policy,
    UmedptTensor *f4)
{
  const gboolean before = description->pool_order == UMEDPT_POOL_BEFORE;
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptContext) context =
      umedpt_context_new (backend, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptParameters) parameters = umedpt_parameters_new ();
  g_autoptr (UmedptSqueezer) squeezer = NULL;
  g_autoptr (UmedptTensor) z = NULL, map = NULL, expected = NULL;
  g_autofree char *key =
      g_strdup_printf ("squeezer/%s/%s/%d/%s", policy, description->pooling,
          description->squeezer_channels, before ? "before" : "after");

  squeezer = umedpt_squeezer_new (description, parameters, "squeezer.", &error);
  if (before && description->squeezer_norm == UMEDPT_NORM_INSTANCE) {
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
    return;
  }
  g_assert_no_error (error);
  umedpt_parameters_initialise (parameters, 1, &error);
  g_assert_no_error (error);
  formula_fill (parameters);
  place_parameters (parameters, backend->memory);
  z = umedpt_squeezer_vector (squeezer, context, f4, NULL, &error);
  g_assert_no_error (error);
  z = placed (z, NULL);
  expected = vector ("%s", key);
  g_assert_cmpint (z->shape[1], ==, expected->shape[0]);
  check (key, UMEDPT_DTYPE_F32, z, 1, expected);
  if (description->squeezer_channels) {
    g_autoptr (UmedptTensor) dense = vector ("squeezer/%s/Z", policy);
    map = umedpt_squeezer_map (squeezer, context, f4, &error);
    g_assert_no_error (error);
    map = placed (map, NULL);
    check ("Z", UMEDPT_DTYPE_F32, map, 1, dense);
  }
}

static void
test_squeezer (void)
{
  static const char *poolings[] = { "average", "max", "combined" };
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) stored = vector ("affine/72x104/F4");
  const gint64 shape[] = { 1, stored->shape[0], stored->shape[1],
    stored->shape[2] };
  g_autoptr (UmedptTensor) f4 =
      placed (umedpt_tensor_reshape (stored, 4, shape, &error),
          backend->memory);
  g_autoptr (UmedptDescription) description = micro ();

  for (guint i = 0; i < G_N_ELEMENTS (policies) * 3 * 2 * 2; i++) {
    g_free (description->pooling);
    description->pooling = g_strdup (poolings[i / 4 % 3]);
    description->squeezer_norm = policies[i / 12].policy;
    description->pool_order = i & 1 ? UMEDPT_POOL_AFTER : UMEDPT_POOL_BEFORE;
    description->squeezer_channels = i & 2 ? 48 : 0;
    check_squeezer (description, policies[i / 12].name, f4);
  }
}

static void
assert_shape_error (Encoder *encoder, gint height, gint width)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptContext) context =
      umedpt_context_new (backend, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) image = formula_image (0, height, width);
  UmedptTensor *pyramid[4] = { NULL };

  g_assert_false (umedpt_swin_forward (encoder->swin, context, image, NULL,
      pyramid, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE);
  g_assert_null (pyramid[0]);
}

static void
test_bad_input (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptParameters) parameters = umedpt_parameters_new ();
  g_autoptr (UmedptDescription) description = micro ();
  Encoder encoder;

  encoder_init (&encoder, UMEDPT_NORM_AFFINE);
  assert_shape_error (&encoder, 31, 64);
  assert_shape_error (&encoder, 64, 4);
  encoder_clear (&encoder);

  description->heads[1] = 3; /* does not divide 64 */
  g_assert_null (umedpt_swin_new (description, parameters, PREFIX, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  const char *folder = g_getenv ("UMEDPT_TEST_REFERENCE");
  g_autofree char *path =
      g_build_filename (folder ? folder : ".", "micro.safetensors", NULL);
  int result;

  g_test_init (&argc, &argv, NULL);
  backend = umedpt_backend_find (NULL, &error);
  if (!backend) {
    g_print ("1..0 # SKIP %s\n", error->message);
    return 77;
  }
  vectors = umedpt_safetensors_open (path, &error);
  g_assert_no_error (error);
  g_test_add_data_func ("/swin/torchvision/f32",
      GINT_TO_POINTER (UMEDPT_DTYPE_F32), test_pyramid);
  g_test_add_data_func ("/swin/torchvision/bf16",
      GINT_TO_POINTER (UMEDPT_DTYPE_BF16), test_pyramid);
  g_test_add_data_func ("/swin/window-16/f32",
      GINT_TO_POINTER (UMEDPT_DTYPE_F32), test_window_16);
  g_test_add_data_func ("/swin/window-16/bf16",
      GINT_TO_POINTER (UMEDPT_DTYPE_BF16), test_window_16);
  g_test_add_func ("/swin/plain-norms", test_plain_norms);
  g_test_add_func ("/swin/capped", test_capped);
  g_test_add_func ("/swin/inputs", test_inputs);
  g_test_add_func ("/swin/parameters-in-effect", test_parameters_in_effect);
  g_test_add_func ("/swin/bad-input", test_bad_input);
  g_test_add_func ("/squeezer/torch", test_squeezer);
  result = g_test_run ();
  umedpt_safetensors_free (vectors);
  return result;
}
