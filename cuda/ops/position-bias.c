/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Slots of Swin V2's position bias.
 */
#include "cuda.h"
#include "kernels/position-bias.h"

static UmedptCudaPositionBias
bias_of (const UmedptPositionBiasArgs *args)
{
  return (UmedptCudaPositionBias){ .window = args->window,
    .hidden = args->w1->shape[0],
    .heads = args->w2->shape[0],
    .w1 = UMEDPT_F32 (args->w1),
    .b1 = UMEDPT_F32 (args->b1),
    .w2 = UMEDPT_F32 (args->w2) };
}

gboolean
umedpt_cuda_position_bias (UmedptBackend *backend,
    const UmedptPositionBiasArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaPositionBias bias = bias_of (args);

  if (args->dst->n_elements == 0)
    return TRUE;
  return umedpt_cuda_check (umedpt_cuda_launch_position_bias (&bias,
                                umedpt_cuda_output (cuda, args->dst),
                                cuda->stream),
      "position_bias", error);
}

gboolean
umedpt_cuda_position_bias_backward (UmedptBackend *backend,
    const UmedptPositionBiasBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaPositionBias bias = bias_of (&args->forward);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  gpointer memory;

  if (args->diff_dst->n_elements == 0 || bias.hidden == 0)
    return TRUE;
  memory = umedpt_cuda_scratch (cuda, umedpt_cuda_position_bias_scratch (&bias),
      &scratch, error);
  return memory &&
      umedpt_cuda_check (umedpt_cuda_launch_position_bias_backward (&bias,
                             UMEDPT_F32 (args->diff_dst),
                             umedpt_cuda_output (cuda, args->diff_w1),
                             umedpt_cuda_output (cuda, args->diff_b1),
                             umedpt_cuda_output (cuda, args->diff_w2), memory,
                             cuda->stream),
          "position_bias_backward", error);
}
