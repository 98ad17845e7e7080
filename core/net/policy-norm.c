/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The four norm policies as one group norm: one group of all channels with or
 * without affine parameters, a group per channel, or nothing.
 */
#include "net/policy-norm.h"

void
umedpt_policy_norm_declare (UmedptPolicyNorm *self, UmedptNormPolicy policy,
    UmedptParameters *parameters, const char *prefix, gint64 channels)
{
  self->policy = policy;
  self->channels = channels;
  if (policy == UMEDPT_NORM_AFFINE)
    umedpt_norm_declare (&self->norm, parameters, prefix, channels,
        UMEDPT_PARAMETER_PLAIN);
}

/* x and result: f32 [N, H, W, C]. (transfer full) */
UmedptTensor *
umedpt_policy_norm_forward (const UmedptPolicyNorm *self,
    UmedptContext *context, UmedptTensor *x, GError **error)
{
  const gint64 groups =
      self->policy == UMEDPT_NORM_INSTANCE ? self->channels : 1;

  if (self->policy == UMEDPT_NORM_NONE)
    return umedpt_tensor_ref (x);
  return umedpt_op_group_norm (context, x, self->norm.gamma, self->norm.beta,
      groups, UMEDPT_NORM_EPSILON, error);
}
