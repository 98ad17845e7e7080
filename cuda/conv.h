/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Convolutions of tensors, by cuDNN or by kernels/conv.cu. Nothing here drops
 * what hangs on an output: the slots do.
 */
#pragma once

#include "cuda.h"

G_BEGIN_DECLS

gboolean umedpt_cuda_conv_run (UmedptCuda *cuda, const UmedptConv2dArgs *args,
    GError **error);
/* The gradient of the source, which must be wanted. */
gboolean umedpt_cuda_conv_run_source_gradient (UmedptCuda *cuda,
    const UmedptConv2dBackwardArgs *args, GError **error);
/* Those of filter and bias, as far as they are wanted. */
gboolean umedpt_cuda_conv_run_parameter_gradients (UmedptCuda *cuda,
    const UmedptConv2dBackwardArgs *args, GError **error);

G_END_DECLS
