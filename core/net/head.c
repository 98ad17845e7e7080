/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The heads (UMedPT, Schäfer et al. 2024, figure 2), named as in the paper's
 * library:
 *
 *   classification, multilabel, regression
 *                  Dropout 0.2 → ReLU → Linear of the vector
 *   segmentation   conv 3x3 of the pixel embedding
 *   detection      FCOS (Tian et al. 2019): conv 3x3 for classes on the
 *                  features for classes; for the box and centerness on those
 *                  for boxes. Box = relu (scale of the level * conv), in units
 *                  of the level's stride.
 *
 * The ReLU takes the small negative part off the GELU's output. A regression
 * in a range other than 0 … 1 computes min + (max - min) * linear, so that the
 * layer works with numbers of the same size whatever the unit is.
 */
#include "net/head.h"

#define DROPOUT 0.2

struct _UmedptHead
{
  UmedptTaskKind kind;
  char *drop_name; /* of the random numbers for dropout */
  UmedptLinear linear;
  UmedptTensor *range, *minimum; /* (nullable) f32 [1]; constants */
  UmedptConv conv;
  UmedptConv classes, boxes, centerness;
  UmedptTensor *scales[UMEDPT_DETECTION_LEVELS]; /* f32 [], parameters */
};

static UmedptTensor *
make_constant (double value, GError **error)
{
  const gint64 one = 1;
  UmedptTensor *tensor = umedpt_tensor_new (UMEDPT_DTYPE_F32, 1, &one, error);

  if (tensor)
    UMEDPT_F32 (tensor)[0] = (float) value;
  return tensor;
}

static gboolean
declare_vector_head (UmedptHead *self, const UmedptDescription *description,
    const UmedptTaskDescription *task, UmedptParameters *parameters,
    const char *prefix, GError **error)
{
  const gboolean regression = task->kind == UMEDPT_TASK_REGRESSION;
  g_autofree char *path = g_strconcat (prefix,
      regression ? "regression_head.2." : "classification_head.2.", NULL);

  umedpt_linear_declare (&self->linear, parameters, path,
      umedpt_description_get_embedding_size (description),
      umedpt_task_description_get_n_outputs (task), TRUE);
  self->drop_name = g_strconcat ("dropout.", task->name, NULL);
  if (!regression || (task->range_min == 0 && task->range_max == 1))
    return TRUE;
  self->range = make_constant (task->range_max - task->range_min, error);
  if (!self->range)
    return FALSE;
  self->minimum = make_constant (task->range_min, error);
  return self->minimum != NULL;
}

static void
declare_detection (UmedptHead *self, UmedptParameters *parameters,
    const char *prefix, gint64 channels, gint64 outputs)
{
  const UmedptParameterSpec scale = { .init = UMEDPT_INIT_ONE };
  g_autofree char *classes = g_strconcat (prefix, "head.conv_cls.", NULL);
  g_autofree char *boxes = g_strconcat (prefix, "head.conv_reg.", NULL);
  g_autofree char *centerness =
      g_strconcat (prefix, "head.conv_centerness.", NULL);

  umedpt_conv_declare (&self->classes, parameters, classes, channels, outputs,
      3, UMEDPT_CONV_FCOS_CLASSES);
  /* From 0, where a box has no area, -ln IoU has a pole behind a ReLU: some
   * points get no gradient and others a thousandfold one, which drowns that of
   * all other tasks. Of some size, the loss begins near 1 like the others. */
  umedpt_conv_declare (&self->boxes, parameters, boxes, channels, 4, 3,
      UMEDPT_CONV_FCOS_BOXES);
  umedpt_conv_declare (&self->centerness, parameters, centerness, channels, 1,
      3, UMEDPT_CONV_FCOS);
  for (gint i = 0; i < UMEDPT_DETECTION_LEVELS; i++) {
    g_autofree char *name = g_strdup_printf ("head.scales.%d.scale", i);
    umedpt_parameters_add (parameters, &self->scales[i], &scale, prefix, name);
  }
}

/* Declares the parameters of @task in @parameters. */
UmedptHead *
umedpt_head_new (const UmedptDescription *description,
    const UmedptTaskDescription *task, UmedptParameters *parameters,
    GError **error)
{
  g_autoptr (UmedptHead) self = g_new0 (UmedptHead, 1);
  const gint64 outputs = umedpt_task_description_get_n_outputs (task);
  g_autofree char *prefix =
      g_strconcat (UMEDPT_TASKS_PREFIX, task->name, ".task_modules.", NULL);
  g_autofree char *conv = g_strconcat (prefix, "segmentation_head.", NULL);

  self->kind = task->kind;
  switch (task->kind) {
    case UMEDPT_TASK_CLASSIFICATION:
    case UMEDPT_TASK_MULTILABEL:
    case UMEDPT_TASK_REGRESSION:
      if (!declare_vector_head (self, description, task, parameters, prefix,
              error))
        return NULL;
      break;
    case UMEDPT_TASK_SEGMENTATION:
    case UMEDPT_TASK_MULTILABEL_SEGMENTATION:
      umedpt_conv_declare (&self->conv, parameters, conv,
          description->pixel_channels, outputs, 3, UMEDPT_CONV_DEFAULT);
      break;
    case UMEDPT_TASK_DETECTION:
      declare_detection (self, parameters, prefix,
          description->detection_channels, outputs);
      break;
  }
  return g_steal_pointer (&self);
}

void
umedpt_head_free (UmedptHead *self)
{
  if (!self)
    return;
  g_clear_pointer (&self->range, umedpt_tensor_unref);
  g_clear_pointer (&self->minimum, umedpt_tensor_unref);
  g_free (self->drop_name);
  g_free (self);
}

/* Moves what are no parameters. */
gboolean
umedpt_head_move (UmedptHead *self, UmedptMemory *memory, GError **error)
{
  return (!self->range || umedpt_tensor_move (self->range, memory, error)) &&
      (!self->minimum || umedpt_tensor_move (self->minimum, memory, error));
}

/* Whether dropout is on: in training, unless the head is frozen. */
static gboolean
drops (const UmedptHead *self, const UmedptPass *pass)
{
  return pass->training &&
      (self->linear.weight->requires_grad || self->linear.bias->requires_grad);
}

static UmedptTensor *
drop (const UmedptHead *self, UmedptContext *context, const UmedptPass *pass,
    UmedptTensor *x, GError **error)
{
  g_autoptr (UmedptTensor) mask = NULL;

  if (!drops (self, pass))
    return umedpt_tensor_ref (x);
  mask = umedpt_pass_draw (pass, context, self->drop_name, DROPOUT, x->n_dims,
      x->shape, error);
  return mask ? umedpt_op_multiply (context, x, mask, error) : NULL;
}

/* min + (max - min) x, (transfer full) in and out. */
static UmedptTensor *
scale_to_range (const UmedptHead *self, UmedptContext *context, UmedptTensor *x,
    GError **error)
{
  g_autoptr (UmedptTensor) src = x;
  g_autoptr (UmedptTensor) scaled = NULL;

  if (!src || !self->range)
    return g_steal_pointer (&src);
  scaled = umedpt_op_multiply (context, src, self->range, error);
  return scaled ? umedpt_op_add (context, scaled, self->minimum, error) : NULL;
}

/* vector: f32 [N, D] -> f32 [N, K]. */
gboolean
umedpt_head_run_vector (UmedptHead *self, UmedptContext *context,
    const UmedptPass *pass, UmedptTensor *vector, UmedptTaskOutput *output,
    GError **error)
{
  g_autoptr (UmedptTensor) dropped = NULL;
  g_autoptr (UmedptTensor) positive = NULL;

  dropped = drop (self, context, pass, vector, error);
  if (!dropped)
    return FALSE;
  positive =
      umedpt_op_activate (context, dropped, UMEDPT_ACTIVATION_RELU, error);
  if (!positive)
    return FALSE;
  output->kind = self->kind;
  output->n_outputs = 1;
  output->outputs[0] = scale_to_range (self, context,
      umedpt_op_linear (context, positive, self->linear.weight,
          self->linear.bias, UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32, error),
      error);
  return output->outputs[0] != NULL;
}

static UmedptTensor *
convolve (const UmedptConv *conv, UmedptContext *context, UmedptTensor *x,
    GError **error)
{
  return umedpt_op_conv2d (context, x, conv->weight, conv->bias, 1, 1,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32, error);
}

/* pixels: f32 [N, h, w, C] -> f32 [N, h, w, K]. */
gboolean
umedpt_head_run_pixels (UmedptHead *self, UmedptContext *context,
    UmedptTensor *pixels, UmedptTaskOutput *output, GError **error)
{
  output->kind = self->kind;
  output->n_outputs = 1;
  output->outputs[0] = convolve (&self->conv, context, pixels, error);
  return output->outputs[0] != NULL;
}

/* relu (scale * conv (x)): distances are not negative. */
static UmedptTensor *
run_boxes (const UmedptHead *self, UmedptContext *context, UmedptTensor *x,
    guint level, GError **error)
{
  g_autoptr (UmedptTensor) raw = convolve (&self->boxes, context, x, error);
  g_autoptr (UmedptTensor) scaled = NULL;

  if (!raw)
    return NULL;
  scaled = umedpt_op_multiply (context, raw, self->scales[level], error);
  if (!scaled)
    return NULL;
  return umedpt_op_activate (context, scaled, UMEDPT_ACTIVATION_RELU, error);
}

/* Per level f32 [N, h, w, channels] each -> classes, boxes, centerness. */
gboolean
umedpt_head_run_detection (UmedptHead *self, UmedptContext *context,
    UmedptTensor *const classes[UMEDPT_DETECTION_LEVELS],
    UmedptTensor *const boxes[UMEDPT_DETECTION_LEVELS],
    UmedptTaskOutput *output, GError **error)
{
  output->kind = self->kind;
  output->n_outputs = 3 * UMEDPT_DETECTION_LEVELS;
  for (guint i = 0; i < UMEDPT_DETECTION_LEVELS; i++) {
    UmedptTensor **at = &output->outputs[3 * i];

    at[0] = convolve (&self->classes, context, classes[i], error);
    if (!at[0])
      return FALSE;
    at[1] = run_boxes (self, context, boxes[i], i, error);
    if (!at[1])
      return FALSE;
    at[2] = convolve (&self->centerness, context, boxes[i], error);
    if (!at[2])
      return FALSE;
  }
  return TRUE;
}
