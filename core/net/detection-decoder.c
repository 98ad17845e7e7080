/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The multi-scale decoder (UMedPT, Schäfer et al. 2024, figure 2): a feature
 * pyramid network (Lin et al. 2017) with the levels of FCOS (Tian et al. 2019,
 * section 3.2), then two towers of convolutions that are shared by all levels
 * and all tasks. Names are those of MMDetection's modules:
 *
 *   laterals 1x1 of F2, F3, dense; from coarse to fine, nearest upsampling
 *   is added; conv 3x3 makes P3, P4, P5; conv 3x3 with stride 2 makes P6 of
 *   P5 and P7 of relu (P6)
 *   towers: [conv 3x3 → GroupNorm(32) → GELU] four times
 *
 * Where an image's size is no multiple of 32 the lateral's size is what maps
 * are resized to; each level has half the size of the one before, rounded up.
 */
#include "net/detection-decoder.h"

#define N_LATERALS 3 /* F2, F3, and the dense map for F4 */
#define N_LAYERS 4 /* of a tower */
#define N_GROUPS 32

typedef struct
{
  UmedptConv conv;
  UmedptNorm norm;
} Layer;

struct _UmedptDetectionDecoder
{
  UmedptLinear laterals[N_LATERALS];
  UmedptConv outputs[UMEDPT_DETECTION_LEVELS];
  Layer class_tower[N_LAYERS];
  Layer box_tower[N_LAYERS];
};

static void
declare_tower (Layer *tower, UmedptParameters *parameters, const char *prefix,
    const char *name, gint64 channels)
{
  for (gint i = 0; i < N_LAYERS; i++) {
    g_autofree char *conv =
        g_strdup_printf ("%s%s_convs.%d.conv.", prefix, name, i);
    g_autofree char *norm =
        g_strdup_printf ("%s%s_convs.%d.gn.", prefix, name, i);

    umedpt_conv_declare (&tower[i].conv, parameters, conv, channels, channels,
        3, UMEDPT_CONV_KAIMING);
    umedpt_norm_declare (&tower[i].norm, parameters, norm, channels,
        UMEDPT_PARAMETER_PLAIN);
  }
}

/* Declares all parameters in @parameters under names that begin with @prefix
 * ("fcosfpn."). */
UmedptDetectionDecoder *
umedpt_detection_decoder_new (const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix)
{
  UmedptDetectionDecoder *self = g_new0 (UmedptDetectionDecoder, 1);
  const gint64 c0 = description->embed_dim;
  const gint64 channels = description->detection_channels;
  const gint64 inputs[N_LATERALS] = { 2 * c0, 4 * c0,
    description->squeeze_dense
        ? umedpt_description_get_embedding_size (description)
        : 8 * c0 };

  for (gint i = 0; i < N_LATERALS; i++) {
    g_autofree char *path =
        g_strdup_printf ("%sfpn.lateral_convs.%d.conv.", prefix, i);
    umedpt_conv1x1_declare (&self->laterals[i], parameters, path, inputs[i],
        channels, UMEDPT_CONV_KAIMING);
  }
  for (gint i = 0; i < UMEDPT_DETECTION_LEVELS; i++) {
    g_autofree char *path =
        g_strdup_printf ("%sfpn.fpn_convs.%d.conv.", prefix, i);
    umedpt_conv_declare (&self->outputs[i], parameters, path, channels,
        channels, 3, UMEDPT_CONV_KAIMING);
  }
  declare_tower (self->class_tower, parameters, prefix, "clf", channels);
  declare_tower (self->box_tower, parameters, prefix, "reg", channels);
  return self;
}

void
umedpt_detection_decoder_free (UmedptDetectionDecoder *self)
{
  g_free (self);
}

static UmedptTensor *
convolve (const UmedptConv *conv, UmedptContext *context, UmedptTensor *x,
    gint64 stride, GError **error)
{
  return umedpt_op_conv2d (context, x, conv->weight, conv->bias, stride, 1,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32, error);
}

/* The merged lateral of level @i, from that of level i + 1 (nullable). */
static UmedptTensor *
merge (const UmedptDetectionDecoder *self, UmedptContext *context, gint i,
    UmedptTensor *map, UmedptTensor *coarser, GError **error)
{
  g_autoptr (UmedptTensor) lateral = umedpt_op_linear (context, map,
      self->laterals[i].weight, self->laterals[i].bias, UMEDPT_ACTIVATION_NONE,
      UMEDPT_DTYPE_F32, error);

  if (!lateral || !coarser)
    return g_steal_pointer (&lateral);
  return umedpt_op_upsample_add (context, coarser, lateral, error);
}

/* P3, P4, P5. */
static gboolean
run_pyramid (const UmedptDetectionDecoder *self, UmedptContext *context,
    UmedptTensor *const maps[N_LATERALS], UmedptTensor **levels, GError **error)
{
  g_autoptr (UmedptTensor) merged = NULL;

  for (gint i = N_LATERALS - 1; i >= 0; i--) {
    UmedptTensor *finer = merge (self, context, i, maps[i], merged, error);

    if (!finer)
      return FALSE;
    g_clear_pointer (&merged, umedpt_tensor_unref);
    merged = finer;
    levels[i] = convolve (&self->outputs[i], context, merged, 1, error);
    if (!levels[i])
      return FALSE;
  }
  return TRUE;
}

/* P6 of P5, and P7 of relu (P6). */
static gboolean
run_extra (const UmedptDetectionDecoder *self, UmedptContext *context,
    UmedptTensor **levels, GError **error)
{
  g_autoptr (UmedptTensor) positive = NULL;

  levels[3] = convolve (&self->outputs[3], context, levels[2], 2, error);
  if (!levels[3])
    return FALSE;
  positive =
      umedpt_op_activate (context, levels[3], UMEDPT_ACTIVATION_RELU, error);
  if (!positive)
    return FALSE;
  levels[4] = convolve (&self->outputs[4], context, positive, 2, error);
  return levels[4] != NULL;
}

static UmedptTensor *
run_tower (const Layer *tower, UmedptContext *context, UmedptTensor *level,
    GError **error)
{
  g_autoptr (UmedptTensor) x = umedpt_tensor_ref (level);

  for (gint i = 0; i < N_LAYERS; i++) {
    g_autoptr (UmedptTensor) convolved =
        convolve (&tower[i].conv, context, x, 1, error);
    g_autoptr (UmedptTensor) normed = NULL;

    if (!convolved)
      return NULL;
    normed = umedpt_op_group_norm (context, convolved, tower[i].norm.gamma,
        tower[i].norm.beta, N_GROUPS, UMEDPT_NORM_EPSILON, error);
    if (!normed)
      return NULL;
    g_clear_pointer (&x, umedpt_tensor_unref);
    x = umedpt_op_activate (context, normed, UMEDPT_ACTIVATION_GELU, error);
    if (!x)
      return NULL;
  }
  return g_steal_pointer (&x);
}

/* dense: f32 [N, h, w, D], at the size of F4; @classes and @boxes receive
 * (transfer full) f32 [N, h, w, channels] per level. */
gboolean
umedpt_detection_decoder_forward (UmedptDetectionDecoder *self,
    UmedptContext *context, UmedptTensor *const pyramid[UMEDPT_SWIN_LEVELS],
    UmedptTensor *dense, UmedptTensor *classes[UMEDPT_DETECTION_LEVELS],
    UmedptTensor *boxes[UMEDPT_DETECTION_LEVELS], GError **error)
{
  UmedptTensor *const maps[N_LATERALS] = { pyramid[1], pyramid[2], dense };
  UmedptTensor *levels[UMEDPT_DETECTION_LEVELS] = { NULL };
  gboolean ok = run_pyramid (self, context, maps, levels, error) &&
      run_extra (self, context, levels, error);

  for (gint i = 0; ok && i < UMEDPT_DETECTION_LEVELS; i++) {
    classes[i] = run_tower (self->class_tower, context, levels[i], error);
    if (classes[i])
      boxes[i] = run_tower (self->box_tower, context, levels[i], error);
    ok = classes[i] && boxes[i];
  }
  for (gint i = 0; i < UMEDPT_DETECTION_LEVELS; i++) {
    g_clear_pointer (&levels[i], umedpt_tensor_unref);
    if (!ok) {
      g_clear_pointer (&classes[i], umedpt_tensor_unref);
      g_clear_pointer (&boxes[i], umedpt_tensor_unref);
    }
  }
  return ok;
}
