/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Names, shapes and initial values of the small layers. Prefixes end with a
 * dot ("features.1.0.mlp.0."). Linear layers start as Swin does it (normal,
 * deviation 0.02, bias 0), convolutions as PyTorch does it by default or as
 * detectors do (He et al. 2015; Lin et al. 2017), norms as the identity.
 */
#include "nn/layers.h"

static void
declare_vector (UmedptParameters *parameters, UmedptTensor **slot,
    UmedptInit init, UmedptParameterFlags flags, gint64 fan_in, gint64 size,
    const char *prefix, const char *name)
{
  const UmedptParameterSpec spec = {
    .init = init,
    .flags = flags,
    .fan_in = fan_in,
    .n_dims = 1,
    .shape = { size },
  };

  umedpt_parameters_add (parameters, slot, &spec, prefix, name);
}

void
umedpt_linear_declare (UmedptLinear *self, UmedptParameters *parameters,
    const char *prefix, gint64 inputs, gint64 outputs, gboolean bias)
{
  const UmedptParameterSpec spec = {
    .init = UMEDPT_INIT_LINEAR,
    .n_dims = 2,
    .shape = { outputs, inputs },
  };

  umedpt_parameters_add (parameters, &self->weight, &spec, prefix, "weight");
  if (bias)
    declare_vector (parameters, &self->bias, UMEDPT_INIT_ZERO,
        UMEDPT_PARAMETER_PLAIN, 0, outputs, prefix, "bias");
}

void
umedpt_norm_declare (UmedptNorm *self, UmedptParameters *parameters,
    const char *prefix, gint64 channels, UmedptParameterFlags flags)
{
  declare_vector (parameters, &self->gamma, UMEDPT_INIT_ONE, flags, 0, channels,
      prefix, "weight");
  declare_vector (parameters, &self->beta, UMEDPT_INIT_ZERO, flags, 0, channels,
      prefix, "bias");
}

static UmedptInit
weight_init (UmedptConvKind kind)
{
  switch (kind) {
    case UMEDPT_CONV_KAIMING:
      return UMEDPT_INIT_KAIMING;
    case UMEDPT_CONV_FCOS:
    case UMEDPT_CONV_FCOS_CLASSES:
    case UMEDPT_CONV_FCOS_BOXES:
      return UMEDPT_INIT_NORMAL;
    default:
      return UMEDPT_INIT_CONV;
  }
}

static UmedptInit
bias_init (UmedptConvKind kind)
{
  switch (kind) {
    case UMEDPT_CONV_KAIMING:
    case UMEDPT_CONV_FCOS:
      return UMEDPT_INIT_ZERO;
    case UMEDPT_CONV_FCOS_CLASSES:
      return UMEDPT_INIT_FOCAL_PRIOR;
    case UMEDPT_CONV_FCOS_BOXES:
      return UMEDPT_INIT_BOX_PRIOR;
    default:
      return UMEDPT_INIT_CONV;
  }
}

static void
declare_conv (UmedptTensor **weight, UmedptTensor **bias,
    UmedptParameters *parameters, const char *prefix, gint64 inputs,
    gint64 outputs, gint64 size, UmedptConvKind kind,
    UmedptParameterFlags flags)
{
  const gint64 fan_in = inputs * size * size;
  const UmedptParameterSpec spec = {
    .init = weight_init (kind),
    .flags = flags,
    .fan_in = kind == UMEDPT_CONV_KAIMING ? outputs * size * size : fan_in,
    .n_dims = 4,
    .shape = { outputs, inputs, size, size },
  };

  umedpt_parameters_add (parameters, weight, &spec, prefix, "weight");
  if (kind != UMEDPT_CONV_NO_BIAS)
    declare_vector (parameters, bias, bias_init (kind), UMEDPT_PARAMETER_PLAIN,
        fan_in, outputs, prefix, "bias");
}

/* A square convolution. */
void
umedpt_conv_declare (UmedptConv *self, UmedptParameters *parameters,
    const char *prefix, gint64 inputs, gint64 outputs, gint64 size,
    UmedptConvKind kind)
{
  declare_conv (&self->weight, &self->bias, parameters, prefix, inputs, outputs,
      size, kind, UMEDPT_PARAMETER_PLAIN);
}

/* A 1x1 convolution is a matrix product over the channels: in files it has
 * the shape of a convolution, here that of a linear layer. */
void
umedpt_conv1x1_declare (UmedptLinear *self, UmedptParameters *parameters,
    const char *prefix, gint64 inputs, gint64 outputs, UmedptConvKind kind)
{
  declare_conv (&self->weight, &self->bias, parameters, prefix, inputs, outputs,
      1, kind, UMEDPT_PARAMETER_MATRIX);
}
