/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whether cuDNN has a plan for each convolution that the decoders of the tiny
 * and the base model hand to it, at 256 pixels: exact enough, deterministic,
 * and compiled already. Plans are made for a described device (h200.json, the
 * first argument), so this needs cuDNN and no GPU.
 */
#include "conv-plan.h"

static char *device;

typedef struct
{
  gint64 size, c, o, stride; /* 3 x 3 with a padding of 1 */
} Layer;

/* Whether this cuDNN makes plans without a device, or the test is skipped. */
static gboolean
can_plan (void)
{
  cudnnBackendDescriptor_t descriptor = NULL;

  if (cudnnBackendCreateDescriptor (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR,
          &descriptor) == CUDNN_STATUS_SUCCESS) {
    cudnnBackendDestroyDescriptor (descriptor);
    return TRUE;
  }
  g_test_skip ("this cuDNN makes no plans for a described device");
  return FALSE;
}

static void
check_plan (const Layer *layer, gint64 n, UmedptCudaConvKind kind,
    UmedptDtype dtype, gboolean bias)
{
  const gint64 result = (layer->size - 1) / layer->stride + 1;
  const UmedptCudaConvShape shape = { .kind = kind,
    .dtype = dtype,
    .bias = bias,
    .n = n,
    .h = layer->size,
    .w = layer->size,
    .c = layer->c,
    .oh = result,
    .ow = result,
    .o = layer->o,
    .kh = 3,
    .kw = 3,
    .stride = layer->stride,
    .padding = 1 };
  g_autoptr (GError) error = NULL;
  UmedptCudaConvPlan *plan =
      umedpt_cuda_conv_plan_new (NULL, device, &shape, &error);

  g_test_message ("kind %d, %s, bias %d, n %d, size %d, %d -> %d, stride %d: "
                  "workspace %zu",
      (int) kind, dtype == UMEDPT_DTYPE_BF16 ? "bf16" : "f32", bias, (int) n,
      (int) layer->size, (int) layer->c, (int) layer->o, (int) layer->stride,
      plan ? umedpt_cuda_conv_plan_workspace (plan) : 0);
  if (!plan) {
    g_test_message ("%s", error->message);
    g_test_fail ();
  }
  umedpt_cuda_conv_plan_free (plan);
}

static void
check_layer (const Layer *layer, UmedptDtype dtype)
{
  for (gint64 n = 1; n <= 8; n += 7) {
    check_plan (layer, n, UMEDPT_CUDA_CONV_FORWARD, dtype, FALSE);
    check_plan (layer, n, UMEDPT_CUDA_CONV_DATA, dtype, FALSE);
    check_plan (layer, n, UMEDPT_CUDA_CONV_WEIGHT, dtype, FALSE);
    if (dtype == UMEDPT_DTYPE_F32)
      check_plan (layer, n, UMEDPT_CUDA_CONV_FORWARD, dtype, TRUE);
  }
}

/* The pixel decoder of an encoder of @c channels at a quarter of the size. */
static void
check_pixel_decoder (gint64 c, UmedptDtype dtype)
{
  const Layer layers[] = {
    { 16, 8 * c + 4 * c, 96, 1 },
    { 16, 512 + 4 * c, 96, 1 },
    { 16, 96, 96, 1 },
    { 32, 96 + 2 * c, 64, 1 },
    { 32, 64, 64, 1 },
    { 64, 64 + c, 32, 1 },
    { 64, 32, 32, 1 },
    { 128, 32, 16, 1 },
    { 128, 16, 16, 1 },
    { 128, 16, 8, 1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (layers); i++)
    check_layer (&layers[i], dtype);
}

static void
test_pixel_decoder (gconstpointer data)
{
  if (!can_plan ())
    return;
  check_pixel_decoder (96, GPOINTER_TO_INT (data));
  check_pixel_decoder (128, GPOINTER_TO_INT (data));
}

static void
test_detection_decoder (gconstpointer data)
{
  const Layer layers[] = {
    { 32, 128, 128, 1 },
    { 16, 128, 128, 1 },
    { 8, 128, 128, 1 },
    { 4, 128, 128, 1 },
    { 2, 128, 128, 1 },
    { 8, 128, 128, 2 },
    { 4, 128, 128, 2 },
  };

  if (!can_plan ())
    return;
  for (guint i = 0; i < G_N_ELEMENTS (layers); i++)
    check_layer (&layers[i], GPOINTER_TO_INT (data));
}

int
main (int argc, char **argv)
{
  const gpointer f32 = GINT_TO_POINTER (UMEDPT_DTYPE_F32);
  const gpointer bf16 = GINT_TO_POINTER (UMEDPT_DTYPE_BF16);
  g_autoptr (GError) error = NULL;
  int result;

  g_test_init (&argc, &argv, NULL);
  if (argc != 2 || !g_file_get_contents (argv[1], &device, NULL, &error))
    g_error ("conv-plans DEVICE.json: %s", error ? error->message : "usage");
  g_test_add_data_func ("/conv-plans/pixel-f32", f32, test_pixel_decoder);
  g_test_add_data_func ("/conv-plans/pixel-bf16", bf16, test_pixel_decoder);
  g_test_add_data_func ("/conv-plans/detection-f32", f32,
      test_detection_decoder);
  g_test_add_data_func ("/conv-plans/detection-bf16", bf16,
      test_detection_decoder);
  result = g_test_run ();
  g_free (device);
  return result;
}
