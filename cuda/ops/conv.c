/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The slots of convolutions. Where the result has no element there is nothing
 * to compute; gradients of sources are written even then.
 */
#include "conv.h"

gboolean
umedpt_cuda_conv2d (UmedptBackend *backend, const UmedptConv2dArgs *args,
    GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);

  cuda->half = args->compute == UMEDPT_DTYPE_BF16;
  umedpt_cuda_output (cuda, args->dst);
  if (args->dst->n_elements == 0)
    return TRUE;
  return umedpt_cuda_conv_run (cuda, args, error);
}

gboolean
umedpt_cuda_conv2d_backward (UmedptBackend *backend,
    const UmedptConv2dBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const gboolean empty = args->diff_dst->n_elements == 0;

  cuda->half = args->forward.compute == UMEDPT_DTYPE_BF16;
  umedpt_cuda_output (cuda, args->diff_src);
  umedpt_cuda_output (cuda, args->diff_weight);
  umedpt_cuda_output (cuda, args->diff_bias);
  if (args->diff_src && args->diff_src->n_elements > 0 &&
      !umedpt_cuda_conv_run_source_gradient (cuda, args, error))
    return FALSE;
  return empty || umedpt_cuda_conv_run_parameter_gradients (cuda, args, error);
}
