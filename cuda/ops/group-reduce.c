/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Slots of instances to groups. The groups' numbers lie on the device and are
 * not looked at here: the kernels pass over those that are none.
 */
#include "cuda.h"
#include "kernels/group-reduce.h"

static UmedptCudaGroupReduce
groups_of (const UmedptGroupReduceArgs *args, gint64 groups)
{
  return (UmedptCudaGroupReduce){ .instances = args->src->shape[0],
    .dimensions = args->src->shape[1],
    .heads = args->weight->shape[1],
    .groups = groups,
    .softmax = args->grouping == UMEDPT_GROUPING_SOFTMAX,
    .src = UMEDPT_F32 (args->src),
    .weight = UMEDPT_F32 (args->weight),
    .index = args->groups->data };
}

gboolean
umedpt_cuda_group_reduce (UmedptBackend *backend,
    const UmedptGroupReduceArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaGroupReduce groups = groups_of (args, args->dst->shape[0]);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  float *dst = umedpt_cuda_output (cuda, args->dst);
  gpointer memory;

  if (args->dst->n_elements == 0)
    return TRUE;
  if (groups.instances == 0)
    return umedpt_cuda_check (cudaMemsetAsync (dst, 0,
                                  args->dst->n_elements * sizeof (float),
                                  cuda->stream),
        "group_reduce", error);
  memory = umedpt_cuda_scratch (cuda,
      umedpt_cuda_group_reduce_scratch (&groups), &scratch, error);
  return memory &&
      umedpt_cuda_check (umedpt_cuda_launch_group_reduce (&groups, dst, memory,
                             cuda->stream),
          "group_reduce", error);
}

gboolean
umedpt_cuda_group_reduce_backward (UmedptBackend *backend,
    const UmedptGroupReduceBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaGroupReduce groups =
      groups_of (&args->forward, args->diff_dst->shape[0]);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  gpointer memory;

  if (args->diff_dst->n_elements == 0 || groups.instances == 0)
    return TRUE;
  memory = umedpt_cuda_scratch (cuda,
      umedpt_cuda_group_reduce_scratch (&groups), &scratch, error);
  return memory &&
      umedpt_cuda_check (umedpt_cuda_launch_group_reduce_backward (&groups,
                             UMEDPT_F32 (args->diff_dst),
                             umedpt_cuda_output (cuda, args->diff_src),
                             umedpt_cuda_output (cuda, args->diff_weight),
                             memory, cuda->stream),
          "group_reduce_backward", error);
}
