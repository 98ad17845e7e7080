/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * libcuda.so.1 of the emulated device: as much of the driver as the library
 * looks for before it loads the CUDA module (that it is there), and as
 * GStreamer's CUDA library uses. Here the device and contexts. There is one
 * context with the run-time library's memory, the primary one; any other is
 * foreign, and neither may touch the memory of the other kind.
 */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_DEPTH 16

struct CUctx_st
{
  int unused;
};

static struct CUctx_st primary;
static _Thread_local CUcontext stack[MAX_DEPTH];
static _Thread_local int depth;

EmulateContext
emulate_current_context (void)
{
  return depth == 0 || !stack[depth - 1] ? EMULATE_CONTEXT_NONE
      : stack[depth - 1] == &primary     ? EMULATE_CONTEXT_PRIMARY
                                         : EMULATE_CONTEXT_FOREIGN;
}

/* ---- The device ---- */

EMULATE_DRIVER (cuInit, unsigned int flags)
{
  return CUDA_SUCCESS;
}

EMULATE_DRIVER (cuDriverGetVersion, int *version)
{
  *version = CUDA_VERSION;
  return CUDA_SUCCESS;
}

EMULATE_DRIVER (cuDeviceGetCount, int *count)
{
  *count = 1;
  return CUDA_SUCCESS;
}

EMULATE_DRIVER (cuDeviceGet, CUdevice *device, int ordinal)
{
  *device = ordinal;
  return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

EMULATE_DRIVER (cuDeviceGetName, char *name, int size, CUdevice device)
{
  snprintf (name, (size_t) size, "emulated H100");
  return CUDA_SUCCESS;
}

/* Whatever is not here the device cannot do. */
EMULATE_DRIVER (cuDeviceGetAttribute, int *value, CUdevice_attribute attribute,
    CUdevice device)
{
  *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 9
      : attribute == CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT           ? 512
                                                                     : 0;
  return CUDA_SUCCESS;
}

EMULATE_DRIVER (cuDeviceCanAccessPeer, int *can, CUdevice device, CUdevice peer)
{
  *can = 0;
  return CUDA_SUCCESS;
}

static const char *
describe (CUresult status)
{
  switch (status) {
    case CUDA_SUCCESS:
      return "no error";
    case CUDA_ERROR_INVALID_VALUE:
      return "invalid argument";
    case CUDA_ERROR_OUT_OF_MEMORY:
      return "out of memory";
    case CUDA_ERROR_INVALID_CONTEXT:
      return "invalid device context";
    case CUDA_ERROR_ILLEGAL_ADDRESS:
      return "an illegal memory access was encountered";
    case CUDA_ERROR_NOT_SUPPORTED:
      return "operation not supported";
    default:
      return "error";
  }
}

EMULATE_DRIVER (cuGetErrorName, CUresult status, const char **text)
{
  *text = describe (status);
  return CUDA_SUCCESS;
}

EMULATE_DRIVER (cuGetErrorString, CUresult status, const char **text)
{
  *text = describe (status);
  return CUDA_SUCCESS;
}

/* ---- Contexts ---- */

EMULATE_DRIVER (cuCtxPushCurrent_v2, CUcontext context)
{
  if (!context || depth == MAX_DEPTH)
    return CUDA_ERROR_INVALID_CONTEXT;
  stack[depth++] = context;
  return CUDA_SUCCESS;
}

EMULATE_DRIVER (cuCtxPopCurrent_v2, CUcontext *context)
{
  if (depth == 0)
    return CUDA_ERROR_INVALID_CONTEXT;
  depth--;
  if (context)
    *context = stack[depth];
  return CUDA_SUCCESS;
}

EMULATE_DRIVER (cuCtxCreate_v2, CUcontext *context, unsigned int flags,
    CUdevice device)
{
  if (device != 0)
    return CUDA_ERROR_INVALID_DEVICE;
  *context = calloc (1, sizeof **context); /* without GLib; allow: malloc */
  return *context ? cuCtxPushCurrent_v2 (*context) : CUDA_ERROR_OUT_OF_MEMORY;
}

EMULATE_DRIVER (cuCtxDestroy_v2, CUcontext context)
{
  if (context == &primary)
    return CUDA_ERROR_INVALID_CONTEXT;
  if (depth > 0 && stack[depth - 1] == context)
    depth--;
  free (context);
  return CUDA_SUCCESS;
}

EMULATE_DRIVER (cuDevicePrimaryCtxRetain, CUcontext *context, CUdevice device)
{
  *context = &primary;
  return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

EMULATE_DRIVER (cuDevicePrimaryCtxRelease_v2, CUdevice device)
{
  return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

/* ---- What programs look for, and nobody calls here ---- */

// clang-format off
EMULATE_MISSING (cuCtxDisablePeerAccess)
EMULATE_MISSING (cuCtxEnablePeerAccess)
EMULATE_MISSING (cuCtxGetLimit)
EMULATE_MISSING (cuCtxSetLimit)
EMULATE_MISSING (cuGLGetDevices_v2)
EMULATE_MISSING (cuGraphicsGLRegisterBuffer)
EMULATE_MISSING (cuGraphicsGLRegisterImage)
EMULATE_MISSING (cuGraphicsMapResources)
EMULATE_MISSING (cuGraphicsResourceGetMappedPointer_v2)
EMULATE_MISSING (cuGraphicsResourceSetMapFlags_v2)
EMULATE_MISSING (cuGraphicsSubResourceGetMappedArray)
EMULATE_MISSING (cuGraphicsUnmapResources)
EMULATE_MISSING (cuGraphicsUnregisterResource)
EMULATE_MISSING (cuIpcCloseMemHandle)
EMULATE_MISSING (cuIpcGetEventHandle)
EMULATE_MISSING (cuIpcGetMemHandle)
EMULATE_MISSING (cuIpcOpenEventHandle)
EMULATE_MISSING (cuIpcOpenMemHandle)
EMULATE_MISSING (cuLaunchKernel)
EMULATE_MISSING (cuModuleGetFunction)
EMULATE_MISSING (cuModuleLoadData)
EMULATE_MISSING (cuModuleUnload)
EMULATE_MISSING (cuTexObjectCreate)
EMULATE_MISSING (cuTexObjectDestroy)
// clang-format on
