/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The CUDA backend: a module that core/backend/module.c loads at run time, so
 * that programs start without NVIDIA's libraries, driver or device. Its one
 * visible function looks for a device, says in one sentence what is missing,
 * and otherwise gives the filled op table.
 */
#include <string.h>

#include "collective.h"
#include "cuda.h"
#include "graph.h"
#include "kernels/elements.h"
#include "ops/image.h"
#include "ops/optimizer.h"
#include "pool.h"
#include "transfer.h"

UMEDPT_API
UmedptBackend *umedpt_backend_module_open (guint api_version,
    const UmedptBackendHost *host, GError **error);

/* What the kernels ask for: bf16 on tensor cores, asynchronous copies. */
#define MIN_CAPABILITY 80

gboolean
umedpt_cuda_check (cudaError_t status, const char *step, GError **error)
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
  return umedpt_cuda_check (status, "looking for devices", error);
}

/* What this process may see, one word per device. */
static char **
list_devices (void)
{
  const char *visible = g_getenv ("CUDA_VISIBLE_DEVICES");
  g_autoptr (GDir) dir = NULL;
  g_autoptr (GString) all = g_string_new (NULL);

  if (visible)
    return g_strsplit (visible, ",", -1);
  dir = g_dir_open ("/proc/driver/nvidia/gpus", 0, NULL);
  for (guint n = 0; dir && g_dir_read_name (dir); n++)
    g_string_append_printf (all, "%s%u", n ? "," : "", n);
  return g_strsplit (all->str, ",", -1);
}

/* Several processes on one machine, as a launcher numbers them there, take one
 * device each. By the variable, since CUDA's own choice is per thread; so
 * before the first call that looks for devices. */
static void
choose_device (void)
{
  static const char *const variables[] = { "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID", "SLURM_LOCALID" };
  g_auto (GStrv) devices = list_devices ();
  guint n = g_strv_length (devices);

  for (guint i = 0; i < G_N_ELEMENTS (variables) && n > 1; i++) {
    const char *text = g_getenv (variables[i]);

    if (!text)
      continue;
    g_setenv ("CUDA_VISIBLE_DEVICES",
        devices[g_ascii_strtoull (text, NULL, 10) % n], TRUE);
    return;
  }
}

static gboolean
check_capability (const struct cudaDeviceProp *properties, GError **error)
{
  const int capability = 10 * properties->major + properties->minor;

  if (capability >= MIN_CAPABILITY)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "The GPU '%s' has compute capability %d.%d; %d.%d (Ampere) or later is "
      "needed.",
      properties->name, properties->major, properties->minor,
      MIN_CAPABILITY / 10, MIN_CAPABILITY % 10);
  return FALSE;
}

/* Values for the self test: ties to even, both sides of them, the largest
 * float (rounds to infinity), a denormal, a NaN whose payload would be lost. */
static const guint32 samples[] = { 0x00000000, 0x80000000, 0x3f800000,
  0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff, 0x00000001,
  0x7f800001, 0xff800000, 0xc2f6e979 };

#define N_SAMPLES G_N_ELEMENTS (samples)

/* Whether a kernel runs here at all and computes what the host computes: a
 * module without code for this device fails now and not in mid-stream. */
static gboolean
self_test (UmedptCuda *cuda, GError **error)
{
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  guint16 found[N_SAMPLES] = { 0 };
  float *src = umedpt_cuda_scratch (cuda, 6 * N_SAMPLES, &scratch, error);
  guint16 *dst = (guint16 *) (src + N_SAMPLES);
  UmedptMemory *memory = &cuda->memory;

  if (!src || !memory->upload (memory, src, samples, sizeof samples, error) ||
      !umedpt_cuda_check (umedpt_cuda_f32_to_bf16 (src, dst, N_SAMPLES,
                              cuda->stream),
          "starting a kernel", error) ||
      !memory->download (memory, found, dst, sizeof found, error))
    return FALSE;
  for (guint i = 0; i < N_SAMPLES; i++) {
    const float *value = (const float *) (gconstpointer) &samples[i];

    if (found[i] == umedpt_f32_to_bf16 (*value))
      continue;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "The CUDA kernels compute wrong results on this device. Please report "
        "its model and the driver's version.");
    return FALSE;
  }
  return TRUE;
}

static gboolean
check_lt (cublasStatus_t status, GError **error)
{
  if (status == CUBLAS_STATUS_SUCCESS)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "CUDA cannot be used: cuBLASLt does not start (%d).", (int) status);
  return FALSE;
}

static void
fill_table (UmedptCuda *self)
{
  static GRecMutex queue;
  UmedptBackend *base = &self->base;

  base->api_version = UMEDPT_BACKEND_API_VERSION;
  base->name = "cuda";
  base->memory = &self->memory;
  base->queue = &queue;
  base->graph_begin = umedpt_cuda_graph_begin;
  base->graph_end = umedpt_cuda_graph_end;
  base->graph_run = umedpt_cuda_graph_run;
  base->graph_free = umedpt_cuda_graph_free;
  base->adamw_many = umedpt_cuda_adamw_many;
  base->sgd_many = umedpt_cuda_sgd_many;
  base->square_sum_many = umedpt_cuda_square_sum_many;
  base->ranks_id = umedpt_cuda_ranks_id;
  base->ranks_join = umedpt_cuda_ranks_join;
  base->ranks_sum = umedpt_cuda_ranks_sum;
  base->ranks_leave = umedpt_cuda_ranks_leave;
  base->feed_begin = umedpt_cuda_feed_begin;
  base->feed_end = umedpt_cuda_feed_end;
  base->feed_images = umedpt_cuda_feed_images;
  base->sum_image = umedpt_cuda_sum_image;
#define UMEDPT_CUDA_FILL(slot, Type) base->slot = umedpt_cuda_##slot;
  UMEDPT_FOREACH_OP (UMEDPT_CUDA_FILL)
#undef UMEDPT_CUDA_FILL
}

static gboolean
is_on (const char *value)
{
  return value && *value && !g_str_equal (value, "0");
}

/* Makes what lives as long as the process. */
static gboolean
start (UmedptCuda *self, GError **error)
{
  const struct cudaDeviceProp *p = &self->properties;
  int driver = 0;

  cudaDriverGetVersion (&driver);
  self->pool = umedpt_cuda_pool_new ();
  self->tf32 = is_on (g_getenv ("UMEDPT_TF32"));
  self->base.description = g_strdup_printf (
      "%s, compute capability %d.%d, %.0f GB; driver for CUDA %d.%d, cuBLASLt "
      "%zu, cuDNN %zu",
      p->name, p->major, p->minor, p->totalGlobalMem / 1e9, driver / 1000,
      driver % 1000 / 10, cublasLtGetVersion (), cudnnGetVersion ());
  return umedpt_cuda_check (cudaStreamCreateWithFlags (&self->stream,
                                cudaStreamNonBlocking),
             "making a stream", error) &&
      check_lt (cublasLtCreate (&self->lt), error) &&
      umedpt_cuda_transfer_init (self, error) && self_test (self, error);
}

UmedptBackend *
umedpt_backend_module_open (guint api_version, const UmedptBackendHost *host,
    GError **error)
{
  static UmedptCuda self;

  if (api_version != UMEDPT_BACKEND_API_VERSION) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "The CUDA module was built for version %u of the backend interface, "
        "the library has version %u. Install both from one release.",
        UMEDPT_BACKEND_API_VERSION, api_version);
    return NULL;
  }
  self.host = host;
  fill_table (&self);
  choose_device ();
  if (!find_device (error) ||
      !umedpt_cuda_check (cudaGetDeviceProperties (&self.properties, 0),
          "asking the device", error) ||
      !check_capability (&self.properties, error) || !start (&self, error))
    return NULL;
  return &self.base;
}
