/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The table of training's vector kernels. Compiled once per instruction set
 * (UMEDPT_VARIANT names it); the kernels are in the headers included here.
 */
#include "backend/cpu/kernels-train.h"

#include "backend/cpu/attention-backward-kernel.h"

const UmedptTrainKernels CONCAT (umedpt_train_kernels_, UMEDPT_VARIANT) = {
  .attention_f32 = attention_backward_f32,
#if defined(__AVX512BF16__)
  .attention_bf16 = attention_backward_bf16,
#endif
};
