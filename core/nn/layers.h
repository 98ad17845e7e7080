/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The small layers that networks are made of: a struct of parameters, and a
 * function that declares them under the names of the released checkpoints.
 * There is no forward function per layer: networks call the fused ops of
 * autograd/ops.h with the parameters.
 */
#pragma once

#include "autograd/ops.h"
#include "nn/parameters.h"

G_BEGIN_DECLS

#define UMEDPT_NORM_EPSILON 1e-5f /* of every norm in this network */

typedef struct
{
  UmedptTensor *weight; /* f32 [outputs, inputs] */
  UmedptTensor *bias; /* (nullable) f32 [outputs] */
} UmedptLinear;

/* LayerNorm or GroupNorm; both NULL without affine parameters. */
typedef struct
{
  UmedptTensor *gamma; /* (nullable) f32 [channels], "weight" in files */
  UmedptTensor *beta; /* (nullable) f32 [channels], "bias" in files */
} UmedptNorm;

typedef struct
{
  UmedptTensor *weight; /* f32 [outputs, inputs, size, size] */
  UmedptTensor *bias; /* (nullable) f32 [outputs] */
} UmedptConv;

/* How a convolution starts. */
typedef enum
{
  UMEDPT_CONV_DEFAULT, /* weight and bias as PyTorch does it by default */
  UMEDPT_CONV_NO_BIAS, /* the same without bias */
  UMEDPT_CONV_KAIMING, /* by fan-out, bias 0: layers of detectors */
  UMEDPT_CONV_FCOS, /* deviation 0.01, bias 0: a detector's outputs */
  UMEDPT_CONV_FCOS_CLASSES, /* the same, bias so that all is background */
  UMEDPT_CONV_FCOS_BOXES, /* the same, bias so that boxes have a size */
} UmedptConvKind;

void umedpt_linear_declare (UmedptLinear *self, UmedptParameters *parameters,
    const char *prefix, gint64 inputs, gint64 outputs, gboolean bias);
void umedpt_norm_declare (UmedptNorm *self, UmedptParameters *parameters,
    const char *prefix, gint64 channels, UmedptParameterFlags flags);
void umedpt_conv_declare (UmedptConv *self, UmedptParameters *parameters,
    const char *prefix, gint64 inputs, gint64 outputs, gint64 size,
    UmedptConvKind kind);
/* Computed as a linear layer. */
void umedpt_conv1x1_declare (UmedptLinear *self, UmedptParameters *parameters,
    const char *prefix, gint64 inputs, gint64 outputs, UmedptConvKind kind);

G_END_DECLS
