/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The rest of CUDA's run-time library, as far as the module uses it: the
 * device, launches, copies, names of errors. The device calls itself a
 * H100, whose limits a launch has to keep.
 */
#include "emulate-private.h"

#include <map>
#include <vector>

namespace {

const size_t default_shared = 48 << 10, max_shared = 227 << 10;
std::map<const void *, size_t> allowed_shared; /* per kernel */

bool
is_grid (dim3 grid)
{
  return grid.x > 0 && grid.x <= 0x7fffffffu && grid.y > 0 && grid.y <= 65535 &&
      grid.z > 0 && grid.z <= 65535;
}

bool
is_block (dim3 block)
{
  return block.x > 0 && block.x <= 1024 && block.y > 0 && block.y <= 1024 &&
      block.z > 0 && block.z <= 64 && block.x * block.y * block.z <= 1024;
}

} // namespace

cudaError_t
emulate_launch (const char *name, const void *kernel, dim3 grid, dim3 block,
    size_t shared, cudaStream_t stream, std::function<void ()> body)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);
  auto allowed = allowed_shared.find (kernel);
  EmulateLaunch launch = { name, grid, block, shared, std::move (body) };

  if (!is_grid (grid) || !is_block (block))
    return emulate_status (cudaErrorInvalidConfiguration);
  if (shared >
      (allowed == allowed_shared.end () ? default_shared : allowed->second))
    return emulate_status (cudaErrorInvalidValue);
  return emulate_submit (stream, [launch] { emulate_run (launch); });
}

extern "C" cudaError_t
cudaFuncSetAttribute (const void *kernel, cudaFuncAttribute attribute,
    int value)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);

  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
    return cudaSuccess;
  if (value < 0 || (size_t) value > max_shared)
    return emulate_status (cudaErrorInvalidValue);
  allowed_shared[kernel] = value;
  return cudaSuccess;
}

/* ---- Copies ---- */

/* Whether the pointers are where @kind says they are. */
static bool
is_kind (const void *dst, const void *src, size_t size, cudaMemcpyKind kind)
{
  bool to = emulate_is_device (dst, size), from = emulate_is_device (src, size);

  if (emulate_is_device (dst, 1) != to || emulate_is_device (src, 1) != from)
    return false;
  switch (kind) {
    case cudaMemcpyHostToDevice:
      return to && !from;
    case cudaMemcpyDeviceToHost:
      return !to && from;
    case cudaMemcpyDeviceToDevice:
      return to && from;
    case cudaMemcpyHostToHost:
      return !to && !from;
    default:
      return true;
  }
}

/* Pageable host memory: read at once, or waited for. Pinned: when its turn
 * comes. */
extern "C" cudaError_t
cudaMemcpyAsync (void *dst, const void *src, size_t size, cudaMemcpyKind kind,
    cudaStream_t stream)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);
  bool read = !emulate_is_device (src, 1) && !emulate_is_pinned (src);
  bool written = !emulate_is_device (dst, 1) && !emulate_is_pinned (dst);
  cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;

  if (size == 0)
    return cudaSuccess;
  if (!is_kind (dst, src, size, kind))
    return emulate_status (cudaErrorInvalidValue);
  cudaStreamIsCapturing (stream, &capturing);
  if (read && capturing == cudaStreamCaptureStatusNone) {
    std::vector<char> copy ((const char *) src, (const char *) src + size);

    return emulate_submit (stream,
        [dst, copy] { memcpy (dst, copy.data (), copy.size ()); });
  }
  emulate_submit (stream, [=] { memmove (dst, src, size); });
  return written && capturing == cudaStreamCaptureStatusNone
      ? cudaStreamSynchronize (stream)
      : cudaSuccess;
}

extern "C" cudaError_t
cudaMemcpy (void *dst, const void *src, size_t size, cudaMemcpyKind kind)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);
  cudaError_t status;

  if (emulate_forbidden (false))
    return emulate_status (cudaErrorStreamCaptureImplicit);
  emulate_drain ();
  status = cudaMemcpyAsync (dst, src, size, kind, NULL);
  emulate_drain ();
  return status;
}

extern "C" cudaError_t
cudaMemsetAsync (void *dst, int value, size_t size, cudaStream_t stream)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);

  if (size == 0)
    return cudaSuccess;
  if (!emulate_is_device (dst, size))
    return emulate_status (cudaErrorInvalidValue);
  return emulate_submit (stream, [=] { memset (dst, value, size); });
}

extern "C" cudaError_t
cudaMemset (void *dst, int value, size_t size)
{
  cudaError_t status = cudaMemsetAsync (dst, value, size, NULL);

  return status == cudaSuccess ? cudaDeviceSynchronize () : status;
}

/* ---- The device ---- */

extern "C" cudaError_t
cudaGetDeviceCount (int *count)
{
  *count = 1;
  return cudaSuccess;
}

extern "C" cudaError_t
cudaSetDevice (int device)
{
  return emulate_status (device ? cudaErrorInvalidDevice : cudaSuccess);
}

extern "C" cudaError_t
cudaGetDevice (int *device)
{
  *device = 0;
  return cudaSuccess;
}

extern "C" cudaError_t
cudaDriverGetVersion (int *version)
{
  *version = CUDART_VERSION;
  return cudaSuccess;
}

extern "C" cudaError_t
cudaRuntimeGetVersion (int *version)
{
  *version = CUDART_VERSION;
  return cudaSuccess;
}

extern "C" cudaError_t
cudaGetDeviceProperties (cudaDeviceProp *properties, int device)
{
  size_t free_bytes;

  if (device)
    return emulate_status (cudaErrorInvalidDevice);
  *properties = {};
  snprintf (properties->name, sizeof properties->name, "emulated H100");
  cudaMemGetInfo (&free_bytes, &properties->totalGlobalMem);
  properties->major = 9;
  properties->multiProcessorCount = 132;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->sharedMemPerBlock = default_shared;
  properties->sharedMemPerBlockOptin = max_shared;
  properties->sharedMemPerMultiprocessor = 228 << 10;
  properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
  properties->l2CacheSize = 50 << 20;
  properties->maxGridSize[0] = 0x7fffffff;
  properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
  return cudaSuccess;
}

extern "C" cudaError_t
cudaDeviceGetAttribute (int *value, cudaDeviceAttr attribute, int)
{
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = 132;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = 9;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = max_shared;
      return cudaSuccess;
    default:
      return emulate_status (cudaErrorInvalidValue);
  }
}

/* ---- Errors ---- */

extern "C" const char *
cudaGetErrorName (cudaError_t status)
{
  static char text[64];

  snprintf (text, sizeof text, "cudaError %d", (int) status);
  return text;
}

extern "C" const char *
cudaGetErrorString (cudaError_t status)
{
  switch (status) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
    default:
      return cudaGetErrorName (status);
  }
}
