/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One convolution as cuDNN runs it. This is all that the module sees of cuDNN;
 * tests/cuda/emulate has the same functions as plain loops.
 *
 * All maps are dense and channels-last, filters are [O, kh, kw, C] (cuDNN's
 * KRSC); pointers are device memory, aligned to 16 bytes.
 */
#pragma once

#include "cuda.h"

G_BEGIN_DECLS

typedef enum
{
  UMEDPT_CUDA_CONV_FORWARD, /* y = x * w (+ bias) */
  UMEDPT_CUDA_CONV_DATA, /* x = the gradient of x for y, that of y */
  UMEDPT_CUDA_CONV_WEIGHT, /* w = the gradient of w for y, that of y */
} UmedptCudaConvKind;

/* Compared byte by byte as the key of a cache: to be set up from zeros. */
typedef struct
{
  UmedptCudaConvKind kind;
  UmedptDtype dtype; /* of x, w and y: f32 or bf16 */
  gint bias; /* FORWARD: f32 [O] is added */
  gint tf32; /* f32 operands may be rounded to tf32 */
  gint64 n, h, w, c; /* x */
  gint64 oh, ow, o; /* y: [n, oh, ow, o] */
  gint64 kh, kw; /* filter */
  gint64 stride, padding; /* of both axes */
} UmedptCudaConvShape;

typedef struct _UmedptCudaConvPlan UmedptCudaConvPlan;

/* Builds a plan for @cuda's device; host work only, also while the stream is
 * captured. With @cuda NULL for the device that @device_json describes
 * (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR): it cannot run, which is for tests.
 * NULL sets @error; %UMEDPT_ERROR_UNSUPPORTED: cuDNN has no deterministic
 * engine of that precision for this shape. */
UmedptCudaConvPlan *umedpt_cuda_conv_plan_new (UmedptCuda *cuda,
    const char *device_json, const UmedptCudaConvShape *shape, GError **error);
void umedpt_cuda_conv_plan_free (UmedptCudaConvPlan *plan);

/* Bytes of device memory that a run needs. */
gsize umedpt_cuda_conv_plan_workspace (const UmedptCudaConvPlan *plan);

/* Queues the convolution: of x, w and y two are read and one, by the plan's
 * kind, is written. @bias: NULL if the shape has none. */
gboolean umedpt_cuda_conv_plan_run (UmedptCuda *cuda,
    const UmedptCudaConvPlan *plan, void *x, void *w, void *y,
    const float *bias, void *workspace, GError **error);

G_END_DECLS
