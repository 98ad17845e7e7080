/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Inside of the CUDA module, C side. Three layers:
 *
 *   kernels/NAME.cu, .h   kernels and the C functions that launch them: raw
 *                         device pointers, sizes, a stream -> cudaError_t;
 *                         no GLib
 *   gemm.c, conv.c        matrix products by cuBLASLt, convolutions by cuDNN
 *   ops/NAME.c            the slots of the op table, umedpt_cuda_OP (): take
 *                         tensors apart and call the two layers above
 *
 * All work is queued on one stream; nothing waits but umedpt_cuda_download()
 * and what returns numbers to the host. All tensors of an op lie in device
 * memory (the caller's duty, backend/backend.h). Dispatch holds the backend's
 * lock while a slot runs, so nothing here locks.
 *
 * The module uses nothing of libumedpt but inline functions and the functions
 * in `host`: it is loaded into programs that show it no symbols.
 */
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "backend/backend.h"
#include "base/error.h"

G_BEGIN_DECLS

typedef struct _UmedptCuda UmedptCuda;
typedef struct _UmedptCudaPool UmedptCudaPool;

struct _UmedptCuda
{
  UmedptBackend base; /* first: a UmedptBackend * is a UmedptCuda * */
  UmedptMemory memory; /* its memory, transfer.c */
  const UmedptBackendHost *host;
  cudaStream_t stream;
  cublasLtHandle_t lt;
  cudnnHandle_t dnn; /* made at the first convolution, conv.c */
  UmedptCudaPool *pool; /* pool.c */
  gpointer gemm_plans; /* gemm.c */
  gpointer conv_plans; /* conv.c */
  struct cudaDeviceProp properties;
  gboolean tf32; /* UMEDPT_TF32=1: f32 products on tensor cores */
  /* the last matrix product was formed in bf16, so the next one will be, too:
   * what makes its operand had better write the bf16 form along */
  gboolean half;
};

static inline UmedptCuda *
umedpt_cuda (UmedptBackend *backend)
{
  return (UmedptCuda *) backend;
}

/* Tells which step failed with which CUDA error. FALSE if one did. */
gboolean umedpt_cuda_check (cudaError_t status, const char *step,
    GError **error);

/* ---- pool.c ---- */

/* Device memory for the time of an op, recycled in the order of the stream:
 *   g_auto (UmedptCudaScratch) s = UMEDPT_CUDA_NO_SCRATCH;
 *   float *p = umedpt_cuda_scratch (cuda, bytes, &s, error); NULL: error */
typedef struct
{
  UmedptCuda *cuda;
  gpointer data;
  gsize size;
} UmedptCudaScratch;

/* clang-format off */
#define UMEDPT_CUDA_NO_SCRATCH { NULL, NULL, 0 }
/* clang-format on */

gpointer umedpt_cuda_scratch (UmedptCuda *cuda, gsize size,
    UmedptCudaScratch *scratch, GError **error);
void umedpt_cuda_scratch_clear (UmedptCudaScratch *scratch);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (UmedptCudaScratch, umedpt_cuda_scratch_clear)

/* ---- shadow.c: bf16 forms of f32 tensors ---- */

/* @tensor's values in bf16, for matrix products: its own data if it is bf16,
 * else a copy that hangs on it until its values change. NULL sets @error. */
const void *umedpt_cuda_bf16 (UmedptCuda *cuda, UmedptTensor *tensor,
    GError **error);
/* To be called by a slot that writes the f32 tensor @dst and can write the bf16
 * form along: device memory of as many elements, which hangs on @dst from now
 * on. The slot must fill it. NULL sets @error. */
void *umedpt_cuda_bf16_output (UmedptCuda *cuda, UmedptTensor *dst,
    GError **error);
/* To be called by every slot that writes @tensor in any other way (nullable):
 * drops what hangs on it. Returns its data, or NULL. */
gpointer umedpt_cuda_output (UmedptCuda *cuda, UmedptTensor *tensor);

/* The data of a (nullable) tensor. */
static inline gpointer
umedpt_cuda_data (const UmedptTensor *tensor)
{
  return tensor ? tensor->data : NULL;
}

/* Rows: all dimensions but the last, flattened. */
static inline gint64
umedpt_cuda_columns (const UmedptTensor *tensor)
{
  return tensor->n_dims ? tensor->shape[tensor->n_dims - 1] : 1;
}

static inline gint64
umedpt_cuda_rows (const UmedptTensor *tensor)
{
  gint64 columns = umedpt_cuda_columns (tensor);

  return columns ? (gint64) tensor->n_elements / columns : 0;
}

static inline gboolean
umedpt_cuda_is_bf16 (const UmedptTensor *tensor)
{
  return tensor->dtype == UMEDPT_DTYPE_BF16;
}

/* ---- ops/: the slots ---- */

#define UMEDPT_CUDA_SLOT(slot, Type) \
  gboolean umedpt_cuda_##slot (UmedptBackend *backend, \
      const Umedpt##Type##Args *args, GError **error);
UMEDPT_FOREACH_OP (UMEDPT_CUDA_SLOT)
#undef UMEDPT_CUDA_SLOT

G_END_DECLS
