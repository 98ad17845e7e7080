/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A test program, for compare-torch.py. Both files are safetensors files.
 *
 *   run-gradients block IN OUT HEADS WINDOW SHIFT f32|bf16
 *       one Swin V2 block with the parameter names of torchvision, forward on
 *       "x" and backward from "diff": writes "y" and the gradients
 *   run-gradients losses IN OUT
 *       the losses, on tensors that are named after them
 *   run-gradients steps IN OUT
 *       AdamW and SGD on "p", a step per row of "gradients"
 *
 * The backend is the one that UMEDPT_BACKEND names.
 */
#include <math.h>
#include <string.h>

#include "autograd/tape.h"
#include "tensor/safetensors.h"

static UmedptContext *context;
static UmedptSafetensors *in;
static UmedptSafetensorsWriter *out;

/* Test programs may stop. */
static void
check (GError *error)
{
  if (error)
    g_error ("%s", error->message);
}

#define DO(call, ...) \
  ({ \
    GError *do_error = NULL; \
    __auto_type do_result = call (__VA_ARGS__, &do_error); \
    check (do_error); \
    do_result; \
  })
#define OP(call, ...) DO (umedpt_op_##call, context, __VA_ARGS__)

static UmedptTensor *
get (const char *name)
{
  return DO (umedpt_safetensors_get_tensor, in, name);
}

static UmedptTensor *
copy_of (UmedptTensor *src)
{
  UmedptTensor *copy =
      DO (umedpt_tensor_new, src->dtype, src->n_dims, src->shape);

  memcpy (copy->data, src->data, umedpt_tensor_get_size (src));
  return copy;
}

/* Writes @tensor, which it takes. */
static void
put (const char *name, UmedptTensor *tensor)
{
  umedpt_safetensors_writer_add (out, name, tensor);
  umedpt_tensor_unref (tensor);
}

static const char *const block_names[] = { "attn.logit_scale",
  "attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias",
  "attn.cpb_mlp.0.weight", "attn.cpb_mlp.0.bias", "attn.cpb_mlp.2.weight",
  "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "mlp.0.weight",
  "mlp.0.bias", "mlp.3.weight", "mlp.3.bias", "x" };

enum
{
  LOGIT_SCALE,
  QKV_WEIGHT,
  QKV_BIAS,
  PROJ_WEIGHT,
  PROJ_BIAS,
  CPB_W1,
  CPB_B1,
  CPB_W2,
  NORM1_WEIGHT,
  NORM1_BIAS,
  NORM2_WEIGHT,
  NORM2_BIAS,
  FC1_WEIGHT,
  FC1_BIAS,
  FC2_WEIGHT,
  FC2_BIAS,
  X,
  N_TENSORS
};

static UmedptTensor *
forward (UmedptTensor **t, gint64 heads, gint64 window, gint64 shift)
{
  UmedptDtype compute = umedpt_context_get_compute (context);
  g_autoptr (UmedptTensor) scale = OP (logit_scale, t[LOGIT_SCALE]);
  g_autoptr (UmedptTensor) bias = OP (mask_key_bias, t[QKV_BIAS]);
  g_autoptr (UmedptTensor) position =
      OP (position_bias, t[CPB_W1], t[CPB_B1], t[CPB_W2], window);
  g_autoptr (UmedptTensor) qkv =
      OP (linear, t[X], t[QKV_WEIGHT], bias, UMEDPT_ACTIVATION_NONE, compute);
  g_autoptr (UmedptTensor) attended =
      OP (window_attention, qkv, bias, scale, position, heads, window, shift);
  g_autoptr (UmedptTensor) middle = OP (linear_norm, attended, t[PROJ_WEIGHT],
      t[PROJ_BIAS], t[NORM1_WEIGHT], t[NORM1_BIAS], t[X], NULL, 1e-5f);

  return OP (mlp_norm, middle, t[FC1_WEIGHT], t[FC1_BIAS], t[FC2_WEIGHT],
      t[FC2_BIAS], t[NORM2_WEIGHT], t[NORM2_BIAS], NULL, 1e-5f);
}

/* A number of the command line. */
static gint64
number (const char *text)
{
  return g_ascii_strtoll (text, NULL, 10);
}

static void
run_block (char **numbers)
{
  g_autoptr (UmedptTape) tape = umedpt_tape_new ();
  g_autoptr (UmedptTensor) file_diff = get ("diff");
  g_autoptr (UmedptTensor) diff = copy_of (file_diff);
  UmedptTensor *t[N_TENSORS], *y;

  for (guint i = 0; i < N_TENSORS; i++) {
    t[i] = get (block_names[i]);
    t[i]->requires_grad = TRUE;
  }
  umedpt_context_set_tape (context, tape);
  y = forward (t, number (numbers[0]), number (numbers[1]),
      number (numbers[2]));
  DO (umedpt_tape_seed, y, diff);
  DO (umedpt_tape_backward, tape, context);
  put ("y", y);
  for (guint i = 0; i < N_TENSORS; i++) {
    put (block_names[i], g_steal_pointer (&t[i]->grad));
    umedpt_tensor_unref (t[i]);
  }
}

static UmedptTensor *
new_like (UmedptTensor *src)
{
  return DO (umedpt_tensor_new, src->dtype, src->n_dims, src->shape);
}

static UmedptTensor *
new_loss (gint64 n)
{
  return DO (umedpt_tensor_new, UMEDPT_DTYPE_F32, 1, &n);
}

static void
run_cross_entropy (void)
{
  UmedptTensor *logits = get ("ce.logits"), *targets = get ("ce.targets");

  for (guint gamma = 0; gamma <= 2; gamma += 2) {
    UmedptCrossEntropyArgs args = { .logits = logits,
      .targets = targets,
      .loss = new_loss (1),
      .diff_logits = new_like (logits),
      .gamma = gamma,
      .scale = (float) (1 / log (logits->shape[1])),
      .normalizer = logits->shape[0] };

    DO (umedpt_op_cross_entropy, context, &args);
    put (gamma ? "focal.loss" : "ce.loss", args.loss);
    put (gamma ? "focal.diff" : "ce.diff", args.diff_logits);
  }
  umedpt_tensor_unref (logits);
  umedpt_tensor_unref (targets);
}

static void
run_others (void)
{
  UmedptBinaryCrossEntropyArgs bce = { .logits = get ("bce.logits"),
    .targets = get ("bce.targets"),
    .weights = get ("bce.weights"),
    .loss = new_loss (1),
    .diff_logits = new_like (bce.logits),
    .scale = 1.5f,
    .normalizer = 7 };
  UmedptSquaredErrorArgs mse = { .src = get ("mse.src"),
    .targets = get ("mse.targets"),
    .loss = new_loss (1),
    .diff_src = new_like (mse.src),
    .scale = 2,
    .normalizer = 3 };

  DO (umedpt_op_binary_cross_entropy, context, &bce);
  DO (umedpt_op_squared_error, context, &mse);
  put ("bce.loss", bce.loss);
  put ("bce.diff", bce.diff_logits);
  put ("mse.loss", mse.loss);
  put ("mse.diff", mse.diff_src);
  umedpt_tensor_unref (bce.logits);
  umedpt_tensor_unref (bce.targets);
  umedpt_tensor_unref (bce.weights);
  umedpt_tensor_unref (mse.src);
  umedpt_tensor_unref (mse.targets);
}

static void
run_segmentation (const char *name, gboolean multilabel)
{
  g_autofree char *logits = g_strconcat (name, ".logits", NULL);
  g_autofree char *labels = g_strconcat (name, ".labels", NULL);
  g_autofree char *loss = g_strconcat (name, ".loss", NULL);
  g_autofree char *diff = g_strconcat (name, ".diff", NULL);
  UmedptSegmentationLossArgs args = { .logits = get (logits),
    .labels = get (labels),
    .loss = new_loss (2),
    .diff_logits = new_like (args.logits),
    .multilabel = multilabel,
    .focal_scale = 0.75f };

  DO (umedpt_op_segmentation_loss, context, &args);
  put (loss, args.loss);
  put (diff, args.diff_logits);
  umedpt_tensor_unref (args.logits);
  umedpt_tensor_unref (args.labels);
}

static void
run_detection (void)
{
  UmedptDetectionLossArgs args = { .classes = get ("det.classes"),
    .boxes = get ("det.boxes"),
    .centerness = get ("det.centerness"),
    .target_classes = get ("det.target_classes"),
    .target_boxes = get ("det.target_boxes"),
    .loss = new_loss (3),
    .diff_classes = new_like (args.classes),
    .diff_boxes = new_like (args.boxes),
    .diff_centerness = new_like (args.centerness),
    .class_scale = 0.9f,
    .positives = 11,
    .centerness_sum = 4 };

  DO (umedpt_op_detection_loss, context, &args);
  put ("det.loss", args.loss);
  put ("det.diff_classes", args.diff_classes);
  put ("det.diff_boxes", args.diff_boxes);
  put ("det.diff_centerness", args.diff_centerness);
  umedpt_tensor_unref (args.classes);
  umedpt_tensor_unref (args.boxes);
  umedpt_tensor_unref (args.centerness);
  umedpt_tensor_unref (args.target_classes);
  umedpt_tensor_unref (args.target_boxes);
}

static void
run_losses (void)
{
  run_cross_entropy ();
  run_others ();
  run_segmentation ("seg", FALSE);
  run_segmentation ("multi", TRUE);
  run_detection ();
}

/* A step per row of gradients; @nesterov < 0: AdamW. */
static void
run_steps (const char *name, gint nesterov)
{
  g_autoptr (UmedptTensor) p = get ("p");
  g_autoptr (UmedptTensor) rows = get ("gradients");
  g_autoptr (UmedptTensor) g = new_like (p);
  UmedptTensor *parameter = copy_of (p);
  g_autoptr (UmedptTensor) m =
      DO (umedpt_tensor_new_zeros, p->dtype, p->n_dims, p->shape);
  g_autoptr (UmedptTensor) v =
      DO (umedpt_tensor_new_zeros, p->dtype, p->n_dims, p->shape);

  for (gint64 i = 0; i < rows->shape[0]; i++) {
    UmedptAdamwArgs adamw = { parameter, g, m, v, 0.01, 0.9, 0.999, 1e-8, 0.1,
      1, i + 1 };
    UmedptSgdArgs sgd = { parameter, g, m, 0.01, 0.9, 0.1, 1, nesterov > 0,
      i + 1 };

    memcpy (g->data, UMEDPT_F32 (rows) + i * g->n_elements,
        umedpt_tensor_get_size (g));
    if (nesterov < 0)
      DO (umedpt_op_adamw, context, &adamw);
    else
      DO (umedpt_op_sgd, context, &sgd);
  }
  put (name, parameter);
}

int
main (int argc, char **argv)
{
  gboolean block = argc == 8 && strcmp (argv[1], "block") == 0;

  if (!block && argc != 4)
    g_error ("wrong arguments");
  context = umedpt_context_new (DO (umedpt_backend_find, NULL),
      block && strcmp (argv[7], "bf16") == 0 ? UMEDPT_DTYPE_BF16
                                             : UMEDPT_DTYPE_F32);
  in = DO (umedpt_safetensors_open, argv[2]);
  out = umedpt_safetensors_writer_new ();
  if (block) {
    run_block (argv + 4);
  } else if (strcmp (argv[1], "losses") == 0) {
    run_losses ();
  } else {
    run_steps ("adamw", -1);
    run_steps ("sgd", 0);
    run_steps ("nesterov", 1);
  }
  DO (umedpt_safetensors_writer_write, out, argv[3]);
  umedpt_safetensors_writer_free (out);
  umedpt_safetensors_free (in);
  umedpt_context_free (context);
  return 0;
}
