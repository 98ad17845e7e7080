/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A norm that was a BatchNorm until the block's norm policy replaced it, so
 * that tasks of different kinds can share the block: statistics of one sample
 * alone (Wu and He 2018, with one group; Ulyanov et al. 2016).
 */
#pragma once

#include "net/description.h"
#include "nn/layers.h"

G_BEGIN_DECLS

typedef struct
{
  UmedptNormPolicy policy;
  gint64 channels;
  UmedptNorm norm;
} UmedptPolicyNorm;

void umedpt_policy_norm_declare (UmedptPolicyNorm *self,
    UmedptNormPolicy policy, UmedptParameters *parameters, const char *prefix,
    gint64 channels);
UmedptTensor *umedpt_policy_norm_forward (const UmedptPolicyNorm *self,
    UmedptContext *context, UmedptTensor *x, GError **error);

G_END_DECLS
