/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The CUDA backend: a module that core/backend/module.c loads at run time, so
 * that programs start without NVIDIA's libraries, driver or device. Its one
 * visible function looks for a device and says in one sentence what is
 * missing.
 *
 * Tensors cannot live in device memory yet, so this build refuses also where
 * a device is present, after a self test of its kernels, rather than copy
 * every operand there and back and call that a GPU backend.
 *
 * The module uses nothing of libumedpt but inline functions of its headers:
 * it is loaded into programs that show it no symbols.
 */
#include <cuda_runtime_api.h>

#include "backend/backend.h"
#include "base/error.h"
#include "convert.h"

UMEDPT_API
UmedptBackend *umedpt_backend_module_open (guint api_version, GError **error);

/* Tells which step failed with which CUDA error. FALSE if one did. */
static gboolean
check (cudaError_t status, const char *step, GError **error)
{
  if (status == cudaSuccess)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "CUDA cannot be used: %s failed: %s (%d).", step,
      cudaGetErrorString (status), (int) status);
  return FALSE;
}

/* Whether a driver and a device are there. */
static gboolean
find_device (GError **error)
{
  int count = 0, driver = 0, runtime = 0;
  cudaError_t status;

  cudaDriverGetVersion (&driver);
  cudaRuntimeGetVersion (&runtime);
  if (driver == 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "There is no NVIDIA driver (libcuda.so.1) on this machine.");
    return FALSE;
  }
  status = cudaGetDeviceCount (&count);
  if (status == cudaErrorInsufficientDriver) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "The NVIDIA driver is for CUDA %d.%d, this module was built with %d.%d; "
        "update the driver.",
        driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    return FALSE;
  }
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "There is no CUDA device: the driver is there, but shows none.");
    return FALSE;
  }
  return check (status, "looking for devices", error);
}

/* Values for the self test: ties to even, both sides of them, the largest
 * float (rounds to infinity), a denormal, a NaN whose payload would be lost. */
static const guint32 samples[] = { 0x00000000, 0x80000000, 0x3f800000,
  0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff, 0x00000001,
  0x7f800001, 0xff800000, 0xc2f6e979 };

#define N_SAMPLES G_N_ELEMENTS (samples)

/* f32 -> bf16 -> f32 and u8 -> f32 in @device, which holds 16 bytes per
 * sample; the results go to @bf16 and @f32 [2 N]. */
static gboolean
run_samples (guint8 *device, guint16 *bf16, float *f32, GError **error)
{
  float *a = (float *) device, *b = a + N_SAMPLES, *c = b + N_SAMPLES;
  guint16 *half = (guint16 *) (c + N_SAMPLES);
  gsize size = N_SAMPLES * sizeof (float);

  return check (cudaMemcpy (a, samples, size, cudaMemcpyHostToDevice),
             "copying to the device", error) &&
      check (umedpt_cuda_f32_to_bf16 (a, half, N_SAMPLES, NULL),
          "starting a kernel", error) &&
      check (umedpt_cuda_bf16_to_f32 (half, b, N_SAMPLES, NULL),
          "starting a kernel", error) &&
      check (umedpt_cuda_u8_to_f32 ((guint8 *) a, c, N_SAMPLES, NULL),
          "starting a kernel", error) &&
      check (cudaMemcpy (bf16, half, size / 2, cudaMemcpyDeviceToHost),
          "running kernels", error) &&
      check (cudaMemcpy (f32, b, 2 * size, cudaMemcpyDeviceToHost),
          "copying from the device", error);
}

static gboolean
same_bits (float a, float b)
{
  union
  {
    float f;
    guint32 u;
  } x = { a }, y = { b };

  return x.u == y.u;
}

/* Whether the kernels compute what the host computes. */
static gboolean
self_test (GError **error)
{
  guint16 bf16[N_SAMPLES] = { 0 };
  float f32[2 * N_SAMPLES] = { 0 };
  const float *values = (const float *) (gconstpointer) samples;
  const guint8 *bytes = (const guint8 *) samples;
  gpointer device = NULL;
  gboolean ok;

  if (!check (cudaMalloc (&device, 16 * N_SAMPLES), "allocating memory", error))
    return FALSE;
  ok = run_samples (device, bf16, f32, error);
  cudaFree (device);
  if (!ok)
    return FALSE;
  for (guint i = 0; i < N_SAMPLES; i++) {
    guint16 expected = umedpt_f32_to_bf16 (values[i]);

    ok = ok && bf16[i] == expected &&
        same_bits (f32[i], umedpt_bf16_to_f32 (expected)) &&
        same_bits (f32[N_SAMPLES + i], bytes[i] / 255.0f);
  }
  if (!ok)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "The CUDA kernels compute wrong results on this device. Please report "
        "its model and the driver's version.");
  return ok;
}

UmedptBackend *
umedpt_backend_module_open (guint api_version, GError **error)
{
  struct cudaDeviceProp properties;

  if (api_version != UMEDPT_BACKEND_API_VERSION) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "The CUDA module was built for version %u of the backend interface, "
        "the library has version %u. Install both from one release.",
        UMEDPT_BACKEND_API_VERSION, api_version);
    return NULL;
  }
  if (!find_device (error) ||
      !check (cudaGetDeviceProperties (&properties, 0), "asking the device",
          error) ||
      !self_test (error))
    return NULL;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "CUDA device '%s' works, but there is no device memory support in this "
      "build. Use the CPU.",
      properties.name);
  return NULL;
}
