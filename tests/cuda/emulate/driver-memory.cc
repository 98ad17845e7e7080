/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Memory, copies, streams and events of the emulated driver, on those of the
 * run-time library (memory.cc, queue.cc): a stream of the one is one of the
 * other, as with CUDA itself. What a context may not touch is refused, where a
 * GPU would fail later or read something else.
 */
#include "driver.h"
#include "emulate-private.h"

#include <memory>
#include <vector>

/* Copies from the device to the host so far: tests ask that there be none. */
extern "C" {
unsigned emulate_n_downloads;
}

namespace {

typedef std::lock_guard<std::recursive_mutex> Guard;

/* Their numbers are the same. */
CUresult
result (cudaError_t status)
{
  return (CUresult) status;
}

bool
is_foreign (void)
{
  return emulate_current_context () == EMULATE_CONTEXT_FOREIGN;
}

/* Whether the current context has that memory. */
bool
is_ours (const void *data, size_t size)
{
  return is_foreign () ? emulate_is_foreign (data, size)
                       : emulate_is_device (data, size);
}

CUresult
allocate (CUdeviceptr *data, size_t size)
{
  Guard guard (emulate_lock);
  void *memory = NULL;
  cudaError_t status;

  if (emulate_current_context () == EMULATE_CONTEXT_NONE)
    return CUDA_ERROR_INVALID_CONTEXT;
  status = emulate_allocate (&memory, size, is_foreign ());
  *data = (CUdeviceptr) memory;
  return result (status);
}

/* One end of a copy. */
struct End
{
  char *data;
  size_t pitch;
  bool device;
};

size_t
extent (const End &end, size_t width, size_t height)
{
  return (height - 1) * end.pitch + width;
}

/* Pageable host memory is read at once and waited for, pinned memory when its
 * turn comes. */
CUresult
copy (End dst, End src, size_t width, size_t height, CUstream stream)
{
  Guard guard (emulate_lock);
  const bool foreign = is_foreign ();
  std::shared_ptr<std::vector<char>> kept;

  if (emulate_current_context () == EMULATE_CONTEXT_NONE)
    return CUDA_ERROR_INVALID_CONTEXT;
  if (width == 0 || height == 0)
    return CUDA_SUCCESS;
  for (const End &end : { dst, src })
    if (end.pitch < width && height > 1)
      return CUDA_ERROR_INVALID_VALUE;
    else if (end.device && !is_ours (end.data, extent (end, width, height)))
      return CUDA_ERROR_ILLEGAL_ADDRESS;
  if (!src.device && !emulate_is_pinned (src.data)) {
    kept = std::make_shared<std::vector<char>> (src.data,
        src.data + extent (src, width, height));
    src.data = kept->data ();
  }
  if (src.device && !dst.device)
    emulate_n_downloads++;
  emulate_submit (stream, [=] {
    (void) kept;
    emulate_open_foreign (foreign);
    for (size_t y = 0; y < height; y++)
      memmove (dst.data + y * dst.pitch, src.data + y * src.pitch, width);
    emulate_open_foreign (false);
  });
  return dst.device || emulate_is_pinned (dst.data)
      ? CUDA_SUCCESS
      : result (cudaStreamSynchronize (stream));
}

CUresult
copy_rectangle (const CUDA_MEMCPY2D *p, CUstream stream)
{
  const bool to = p->dstMemoryType == CU_MEMORYTYPE_DEVICE;
  const bool from = p->srcMemoryType == CU_MEMORYTYPE_DEVICE;
  char *dst = to ? (char *) p->dstDevice : (char *) p->dstHost;
  char *src = from ? (char *) p->srcDevice : (char *) p->srcHost;

  if ((!to && p->dstMemoryType != CU_MEMORYTYPE_HOST) ||
      (!from && p->srcMemoryType != CU_MEMORYTYPE_HOST))
    return CUDA_ERROR_NOT_SUPPORTED;
  return copy ({ dst + p->dstY * p->dstPitch + p->dstXInBytes, p->dstPitch,
                   to },
      { src + p->srcY * p->srcPitch + p->srcXInBytes, p->srcPitch, from },
      p->WidthInBytes, p->Height, stream);
}

/* A rectangle of elements of @size bytes. */
CUresult
fill (CUdeviceptr dst, size_t pitch, unsigned value, size_t size, size_t width,
    size_t height, CUstream stream)
{
  Guard guard (emulate_lock);
  const bool foreign = is_foreign ();
  char *data = (char *) dst;

  if (emulate_current_context () == EMULATE_CONTEXT_NONE)
    return CUDA_ERROR_INVALID_CONTEXT;
  if (width == 0 || height == 0)
    return CUDA_SUCCESS;
  if (!is_ours (data, (height - 1) * pitch + width * size))
    return CUDA_ERROR_ILLEGAL_ADDRESS;
  return result (emulate_submit (stream, [=] {
    emulate_open_foreign (foreign);
    for (size_t y = 0; y < height; y++)
      for (size_t x = 0; x < width; x++)
        memcpy (data + y * pitch + x * size, &value, size);
    emulate_open_foreign (false);
  }));
}

/* What comes without a stream is done when it returns. */
CUresult
finish (CUresult status)
{
  return status == CUDA_SUCCESS ? result (cudaStreamSynchronize (NULL))
                                : status;
}

End
device_end (CUdeviceptr data)
{
  return { (char *) data, 0, true };
}

End
host_end (const void *data)
{
  return { (char *) data, 0, false };
}

} // namespace

/* ---- Memory ---- */

EMULATE_DRIVER (cuMemAlloc_v2, CUdeviceptr *data, size_t size)
{
  return allocate (data, size);
}

EMULATE_DRIVER (cuMemAllocPitch_v2, CUdeviceptr *data, size_t *pitch,
    size_t width, size_t height, unsigned int)
{
  *pitch = (width + 511) / 512 * 512;
  return allocate (data, *pitch * height);
}

EMULATE_DRIVER (cuMemFree_v2, CUdeviceptr data)
{
  return result (cudaFree ((void *) data));
}

EMULATE_DRIVER (cuMemAllocHost_v2, void **data, size_t size)
{
  return result (cudaMallocHost (data, size));
}

EMULATE_DRIVER (cuMemFreeHost, void *data)
{
  return result (cudaFreeHost (data));
}

#define FILL(name, asynchronous, Type) \
  EMULATE_DRIVER (asynchronous, CUdeviceptr dst, size_t pitch, Type value, \
      size_t width, size_t height, CUstream stream) \
  { \
    return fill (dst, pitch, value, sizeof (Type), width, height, stream); \
  } \
  EMULATE_DRIVER (name, CUdeviceptr dst, size_t pitch, Type value, \
      size_t width, size_t height) \
  { \
    return finish (fill (dst, pitch, value, sizeof (Type), width, height, \
        NULL)); \
  }

FILL (cuMemsetD2D8_v2, cuMemsetD2D8Async, unsigned char)
FILL (cuMemsetD2D16_v2, cuMemsetD2D16Async, unsigned short)
FILL (cuMemsetD2D32_v2, cuMemsetD2D32Async, unsigned int)

/* ---- Copies ---- */

EMULATE_DRIVER (cuMemcpy2DAsync_v2, const CUDA_MEMCPY2D *copy, CUstream stream)
{
  return copy_rectangle (copy, stream);
}

EMULATE_DRIVER (cuMemcpy2D_v2, const CUDA_MEMCPY2D *copy)
{
  return finish (copy_rectangle (copy, NULL));
}

EMULATE_DRIVER (cuMemcpyDtoDAsync_v2, CUdeviceptr dst, CUdeviceptr src,
    size_t size, CUstream stream)
{
  return copy (device_end (dst), device_end (src), size, 1, stream);
}

EMULATE_DRIVER (cuMemcpyDtoD_v2, CUdeviceptr dst, CUdeviceptr src, size_t size)
{
  return finish (copy (device_end (dst), device_end (src), size, 1, NULL));
}

EMULATE_DRIVER (cuMemcpyDtoHAsync_v2, void *dst, CUdeviceptr src, size_t size,
    CUstream stream)
{
  return copy (host_end (dst), device_end (src), size, 1, stream);
}

EMULATE_DRIVER (cuMemcpyDtoH_v2, void *dst, CUdeviceptr src, size_t size)
{
  return finish (copy (host_end (dst), device_end (src), size, 1, NULL));
}

EMULATE_DRIVER (cuMemcpyHtoDAsync_v2, CUdeviceptr dst, const void *src,
    size_t size, CUstream stream)
{
  return copy (device_end (dst), host_end (src), size, 1, stream);
}

EMULATE_DRIVER (cuMemcpyHtoD_v2, CUdeviceptr dst, const void *src, size_t size)
{
  return finish (copy (device_end (dst), host_end (src), size, 1, NULL));
}

/* ---- Streams and events ---- */

EMULATE_DRIVER (cuCtxSynchronize, void)
{
  return result (cudaDeviceSynchronize ());
}

EMULATE_DRIVER (cuStreamCreate, CUstream *stream, unsigned int flags)
{
  return result (cudaStreamCreateWithFlags (stream, flags));
}

EMULATE_DRIVER (cuStreamDestroy_v2, CUstream stream)
{
  return result (cudaStreamDestroy (stream));
}

EMULATE_DRIVER (cuStreamSynchronize, CUstream stream)
{
  return result (cudaStreamSynchronize (stream));
}

EMULATE_DRIVER (cuEventCreate, CUevent *event, unsigned int flags)
{
  return result (cudaEventCreateWithFlags (event, flags));
}

EMULATE_DRIVER (cuEventDestroy_v2, CUevent event)
{
  return result (cudaEventDestroy (event));
}

EMULATE_DRIVER (cuEventRecord, CUevent event, CUstream stream)
{
  return result (cudaEventRecord (event, stream));
}

EMULATE_DRIVER (cuEventSynchronize, CUevent event)
{
  return result (cudaEventSynchronize (event));
}
