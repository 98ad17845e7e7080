/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kinds of the op table: losses and optimisers. The comment before a kind
 * gives the meaning of a row's numbers. OP_NO_SRC: the value alone is wanted.
 */
#include <math.h>

#include "op-table.h"

/* dL / d of an input, if it is wanted. */
static UmedptTensor *
diff_of (OpOutputs *out, guint at, const OpRow *row, const UmedptTensor *of)
{
  return row->flags & OP_NO_SRC
      ? NULL
      : op_output (out, at, UMEDPT_DTYPE_F32, of->n_dims, of->shape);
}

/* In 0 … n - 1, the same on every machine. */
static gint32
next_index (Lcg *lcg, gint64 n)
{
  return (gint32) MIN ((lcg_next (lcg) + 1) / 2 * n, n - 1);
}

/* cross_entropy: M, K, 100 gamma, every how many rows are without a target (0:
 * none) */
static void
make_cross_entropy (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  const gint64 *p = row->p;

  in->t[0] =
      fill_random (lcg, dtype, row->amplitude, row->offset, SHAPE (p[0], p[1]));
  in->t[1] = fill_new (UMEDPT_DTYPE_I32, SHAPE (p[0]));
  for (gint64 i = 0; i < p[0]; i++)
    ((gint32 *) in->t[1]->data)[i] =
        p[3] && i % p[3] == 0 ? -1 : next_index (lcg, p[1]);
}

static gboolean
run_cross_entropy (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptCrossEntropyArgs args = { .logits = in->t[0],
    .targets = in->t[1],
    .loss = op_output (out, 0, UMEDPT_DTYPE_F32, SHAPE (1)),
    .diff_logits = diff_of (out, 1, row, in->t[0]),
    .gamma = (float) row->p[2] / 100,
    .scale = 1.5f,
    .normalizer = (float) row->p[0] };

  return umedpt_op_cross_entropy (context, &args, error);
}

/* binary_cross_entropy: M, K, 1 with weights, some of which are 0 */
static void
make_binary_cross_entropy (const OpRow *row, UmedptDtype dtype, Lcg *lcg,
    OpInputs *in)
{
  const gint64 *p = row->p;

  in->t[0] =
      fill_random (lcg, dtype, row->amplitude, row->offset, SHAPE (p[0], p[1]));
  in->t[1] = fill_random (lcg, dtype, 0.5f, 0.5f, SHAPE (p[0], p[1]));
  if (!p[2])
    return;
  in->t[2] = fill_random (lcg, dtype, 1, 1, SHAPE (p[0], p[1]));
  for (gsize i = 0; i < in->t[2]->n_elements; i += 3)
    UMEDPT_F32 (in->t[2])[i] = 0;
}

static gboolean
run_binary_cross_entropy (UmedptContext *context, const OpRow *row,
    const OpInputs *in, OpOutputs *out, GError **error)
{
  UmedptBinaryCrossEntropyArgs args = { .logits = in->t[0],
    .targets = in->t[1],
    .weights = in->t[2],
    .loss = op_output (out, 0, UMEDPT_DTYPE_F32, SHAPE (1)),
    .diff_logits = diff_of (out, 1, row, in->t[0]),
    .scale = 1.4427f,
    .normalizer = 7 };

  return umedpt_op_binary_cross_entropy (context, &args, error);
}

/* squared_error: M */
static void
make_squared_error (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  for (guint i = 0; i < 2; i++)
    in->t[i] = fill_random (lcg, dtype, row->amplitude, row->offset,
        SHAPE (row->p[0]));
}

static gboolean
run_squared_error (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptSquaredErrorArgs args = { .src = in->t[0],
    .targets = in->t[1],
    .loss = op_output (out, 0, UMEDPT_DTYPE_F32, SHAPE (1)),
    .diff_src = diff_of (out, 1, row, in->t[0]),
    .scale = 0.5f,
    .normalizer = 3 };

  return umedpt_op_squared_error (context, &args, error);
}

/* segmentation_loss: N, H, W, K, 1 multilabel, classes that occur, every how
 * many labels are ignored (1: all, 0: none) */
static void
make_segmentation_loss (const OpRow *row, UmedptDtype dtype, Lcg *lcg,
    OpInputs *in)
{
  const gint64 *p = row->p;

  in->t[0] = fill_random (lcg, dtype, row->amplitude, row->offset,
      SHAPE (p[0], p[1], p[2], p[3]));
  in->t[1] = p[4] ? fill_new (UMEDPT_DTYPE_U8, SHAPE (p[0], p[1], p[2], p[3]))
                  : fill_new (UMEDPT_DTYPE_U8, SHAPE (p[0], p[1], p[2]));
  for (gsize i = 0; i < in->t[1]->n_elements; i++)
    UMEDPT_U8 (in->t[1])
  [i] = p[6] && i % p[6] == 0 ? 255
      : p[4]                  ? i % p[3] < p[5] && next_index (lcg, 3) == 0
                              : next_index (lcg, p[5]);
}

static gboolean
run_segmentation_loss (UmedptContext *context, const OpRow *row,
    const OpInputs *in, OpOutputs *out, GError **error)
{
  UmedptSegmentationLossArgs args = { .logits = in->t[0],
    .labels = in->t[1],
    .loss = op_output (out, 0, UMEDPT_DTYPE_F32, SHAPE (2)),
    .diff_logits = diff_of (out, 1, row, in->t[0]),
    .multilabel = row->p[4] != 0,
    .focal_scale = 0.7f };

  return umedpt_op_segmentation_loss (context, &args, error);
}

/* detection_loss: N, H, W, K, every how many points are positive (0: none) */
static void
make_detection_loss (const OpRow *row, UmedptDtype dtype, Lcg *lcg,
    OpInputs *in)
{
  const gint64 *p = row->p;
  gint32 *targets;

  in->t[0] = fill_random (lcg, dtype, row->amplitude, row->offset,
      SHAPE (p[0], p[1], p[2], p[3]));
  in->t[1] = fill_random (lcg, dtype, 4, 4.5f, SHAPE (p[0], p[1], p[2], 4));
  in->t[2] =
      fill_random (lcg, dtype, row->amplitude, 0, SHAPE (p[0], p[1], p[2], 1));
  in->t[3] = fill_new (UMEDPT_DTYPE_I32, SHAPE (p[0], p[1], p[2]));
  in->t[4] = fill_random (lcg, dtype, 4, 4.2f, SHAPE (p[0], p[1], p[2], 4));
  targets = in->t[3]->data;
  for (gsize i = 0; i < in->t[3]->n_elements; i++)
    targets[i] = p[4] && i % p[4] == 0 ? next_index (lcg, p[3])
        : i % 7 == 3                   ? -2
                                       : -1;
  /* a box without an area, as ReLU makes them: no overlap at all */
  UMEDPT_F32 (in->t[1])[0] = UMEDPT_F32 (in->t[1])[2] = 0;
}

static gboolean
run_detection_loss (UmedptContext *context, const OpRow *row,
    const OpInputs *in, OpOutputs *out, GError **error)
{
  UmedptDetectionLossArgs args = { .classes = in->t[0],
    .boxes = in->t[1],
    .centerness = in->t[2],
    .target_classes = in->t[3],
    .target_boxes = in->t[4],
    .loss = op_output (out, 0, UMEDPT_DTYPE_F32, SHAPE (3)),
    .diff_classes = diff_of (out, 1, row, in->t[0]),
    .diff_boxes = diff_of (out, 2, row, in->t[1]),
    .diff_centerness = diff_of (out, 3, row, in->t[2]),
    .class_scale = 1.4427f,
    .positives = 5,
    .centerness_sum = 2.5f };

  return umedpt_op_detection_loss (context, &args, error);
}

/* adamw: elements, step; sgd: elements, step, 1 Nesterov, 100 momentum */
static void
make_step (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  for (guint i = 0; i < 4; i++)
    in->t[i] = fill_random (lcg, dtype, row->amplitude,
        i == 3 ? row->amplitude : row->offset, SHAPE (row->p[0]));
}

/* A copy that the step may change. */
static UmedptTensor *
copy (OpOutputs *out, guint at, const UmedptTensor *src)
{
  UmedptTensor *tensor =
      op_output (out, at, src->dtype, src->n_dims, src->shape);

  op_copy (tensor, src);
  return tensor;
}

static gboolean
run_adamw (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptAdamwArgs args = { .parameter = copy (out, 0, in->t[0]),
    .gradient = in->t[1],
    .moment1 = copy (out, 1, in->t[2]),
    .moment2 = copy (out, 2, in->t[3]),
    .lr = 1e-2,
    .beta1 = 0.9,
    .beta2 = 0.999,
    .epsilon = 1e-8,
    .weight_decay = 0.05,
    .gradient_scale = 0.8,
    .step = row->p[1] };

  return umedpt_op_adamw (context, &args, error);
}

static gboolean
run_sgd (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptSgdArgs args = { .parameter = copy (out, 0, in->t[0]),
    .gradient = in->t[1],
    .moment = copy (out, 1, in->t[2]),
    .lr = 1e-2,
    .momentum = row->p[3] / 100.0,
    .weight_decay = 0.05,
    .gradient_scale = 0.8,
    .nesterov = row->p[2] != 0,
    .step = row->p[1] };

  return umedpt_op_sgd (context, &args, error);
}

/* square_sum: elements */
static void
make_square_sum (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  in->t[0] =
      fill_random (lcg, dtype, row->amplitude, row->offset, SHAPE (row->p[0]));
}

/* The number as two, so that two runs are compared to the last bit; the small
 * one is told as a part of the large one. */
static gboolean
run_square_sum (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptTensor *sum;
  double value;

  if (!out->t[0]) /* in host memory, as the result is */
    out->t[0] = fill_new (UMEDPT_DTYPE_F32, SHAPE (2));
  sum = out->t[0];
  if (!umedpt_op_square_sum (context, in->t[0], &value, error))
    return FALSE;
  UMEDPT_F32 (sum)[0] = (float) value;
  UMEDPT_F32 (sum)[1] = (float) (value - UMEDPT_F32 (sum)[0]);
  return TRUE;
}

#define KIND(op, make_inputs, has_no_cpu_kernel) \
  const OpKind kind_##op = { .name = #op, \
    .make = make_inputs, \
    .run_all = run_##op, \
    .left_to_ref = has_no_cpu_kernel }

KIND (cross_entropy, make_cross_entropy, FALSE);
KIND (binary_cross_entropy, make_binary_cross_entropy, FALSE);
KIND (squared_error, make_squared_error, FALSE);
KIND (segmentation_loss, make_segmentation_loss, FALSE);
KIND (detection_loss, make_detection_loss, FALSE);
KIND (adamw, make_step, TRUE);
KIND (sgd, make_step, TRUE);
KIND (square_sum, make_square_sum, TRUE);
