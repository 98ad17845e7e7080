/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Slots of nearest-neighbour resizing with what follows it in decoders.
 */
#include "cuda.h"
#include "kernels/resize.h"

/* @src [N, h, w, C] resized to the size of @dst [N, H, W, C + S]. */
static UmedptCudaResize
sizes (const UmedptTensor *src, const UmedptTensor *dst)
{
  return (UmedptCudaResize){ .samples = dst->shape[0],
    .src_height = src->shape[1],
    .src_width = src->shape[2],
    .height = dst->shape[1],
    .width = dst->shape[2],
    .channels = src->shape[3],
    .skip = dst->shape[3] - src->shape[3] };
}

/* Drops what hangs on @dst, the source of a convolution as a rule. *@shadow:
 * where its bf16 form goes, or NULL. */
static gboolean
prepare_dst (UmedptCuda *cuda, UmedptTensor *dst, guint16 **shadow,
    GError **error)
{
  umedpt_cuda_output (cuda, dst);
  *shadow = NULL;
  return !cuda->half || dst->n_elements == 0 ||
      (*shadow = umedpt_cuda_bf16_output (cuda, dst, error));
}

gboolean
umedpt_cuda_upsample_concat (UmedptBackend *backend,
    const UmedptUpsampleConcatArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaResize resize = sizes (args->src, args->dst);
  guint16 *shadow;

  return prepare_dst (cuda, args->dst, &shadow, error) &&
      umedpt_cuda_check (umedpt_cuda_launch_upsample_concat (&resize,
                             UMEDPT_F32 (args->src),
                             umedpt_cuda_data (args->skip),
                             UMEDPT_F32 (args->dst), shadow, cuda->stream),
          "upsample_concat", error);
}

gboolean
umedpt_cuda_upsample_add (UmedptBackend *backend,
    const UmedptUpsampleAddArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaResize resize = sizes (args->src, args->dst);
  guint16 *shadow;

  return prepare_dst (cuda, args->dst, &shadow, error) &&
      umedpt_cuda_check (umedpt_cuda_launch_upsample_add (&resize,
                             UMEDPT_F32 (args->src), UMEDPT_F32 (args->lateral),
                             UMEDPT_F32 (args->dst), shadow, cuda->stream),
          "upsample_add", error);
}

gboolean
umedpt_cuda_upsample_concat_backward (UmedptBackend *backend,
    const UmedptUpsampleConcatBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaResize resize = sizes (args->forward.src, args->diff_dst);
  const float *diff_dst = UMEDPT_F32 (args->diff_dst);

  return (!args->diff_src ||
             umedpt_cuda_check (umedpt_cuda_launch_gather_copies (&resize,
                                    diff_dst,
                                    umedpt_cuda_output (cuda, args->diff_src),
                                    args->accumulate, cuda->stream),
                 "upsample_concat_backward", error)) &&
      (!args->diff_skip ||
          umedpt_cuda_check (umedpt_cuda_launch_take_skip (&resize, diff_dst,
                                 umedpt_cuda_output (cuda, args->diff_skip),
                                 args->accumulate_skip, cuda->stream),
              "upsample_concat_backward", error));
}

gboolean
umedpt_cuda_upsample_add_backward (UmedptBackend *backend,
    const UmedptUpsampleAddBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptCudaResize resize = sizes (args->forward.src, args->diff_dst);

  return !args->diff_src ||
      umedpt_cuda_check (umedpt_cuda_launch_gather_copies (&resize,
                             UMEDPT_F32 (args->diff_dst),
                             umedpt_cuda_output (cuda, args->diff_src),
                             args->accumulate, cuda->stream),
          "upsample_add_backward", error);
}
