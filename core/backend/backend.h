/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The interface that a backend fills: one function per op, over tensors that
 * the caller has checked and allocated. `ref` is complete and is the
 * specification; `cpu` and `cuda` fill what they do better. A slot that is
 * NULL, or that returns FALSE with %UMEDPT_ERROR_UNSUPPORTED, makes the
 * dispatcher fall back to `ref` and say why under UMEDPT_DEBUG=dispatch.
 *
 * Conventions for all ops:
 * - activations are channels-last [N, H, W, C]; "rows" are all dimensions but
 *   the last, flattened to M. src and dst never overlap unless stated.
 * - `compute` is the type in which matrix products are formed: f32, or bf16
 *   with f32 accumulation. Sums, norms and softmax are f32 in either case.
 * - parameters are f32 masters in the shapes of the released checkpoints; a
 *   backend hangs packed or device copies on them (umedpt_tensor_attach()).
 * - a field marked (nullable) may be NULL.
 * - all tensors lie in the backend's memory (`memory`; NULL: the host's).
 *
 * Backward passes (slots that end in _backward; training only):
 * - the args hold the forward args as they ran (`forward`; its dst may be NULL
 *   where no comment says that it is needed) and diff_dst = dL / d dst, in
 *   dst's type and shape.
 * - diff_ outputs have the type and shape of what they are gradients of, and
 *   are all (nullable): NULL = not wanted.
 * - gradients of activations (diff_src, diff_a, diff_b, diff_skip) are written,
 *   or added to what is there when the `accumulate` beside them is set.
 * - gradients of parameters and of what is derived from parameters (weights,
 *   biases, gamma, beta, scale, position_bias) are always f32 and added to:
 *   they sum over images and tasks.
 * - `saved_` tensors of fused forward ops are (nullable) outputs, wanted only
 *   when the op is recorded; the backward pass needs them.
 * - linear and conv2d are recorded without an activation.
 * - results do not depend on the number of workers or on who computes.
 */
#pragma once

#include "tensor/tensor-private.h"

G_BEGIN_DECLS

#define UMEDPT_BACKEND_API_VERSION 6
/* Bytes of what a group of devices is joined by. */
#define UMEDPT_RANKS_ID_SIZE 128

typedef struct _UmedptBackend UmedptBackend;

typedef enum
{
  UMEDPT_ACTIVATION_NONE,
  UMEDPT_ACTIVATION_RELU,
  UMEDPT_ACTIVATION_GELU, /* exact: x/2 (1 + erf (x / sqrt 2)) */
  UMEDPT_ACTIVATION_SIGMOID,
  UMEDPT_ACTIVATION_TANH,
} UmedptActivation;

typedef enum
{
  UMEDPT_POOLING_AVERAGE,
  UMEDPT_POOLING_MAX,
  UMEDPT_POOLING_COMBINED, /* average + maximum */
} UmedptPooling;

/* dst = src, between f32 and bf16, or u8 -> f32 divided by 255. */
typedef struct
{
  UmedptTensor *src; /* any shape */
  UmedptTensor *dst; /* the same shape */
} UmedptConvertArgs;

/* dst = activation (src), element by element. May work in place. */
typedef struct
{
  UmedptTensor *src; /* f32 or bf16 */
  UmedptTensor *dst; /* same type and shape */
  UmedptActivation activation;
} UmedptActivateArgs;

/* Over the last dimension: dst = (src - mean) / sqrt (var + eps) * gamma + beta
 * with the biased variance. */
typedef struct
{
  UmedptTensor *src; /* f32 [M, C] */
  UmedptTensor *gamma; /* (nullable) f32 [C] */
  UmedptTensor *beta; /* (nullable) f32 [C] */
  UmedptTensor *dst; /* f32 [M, C]; may be src */
  float epsilon;
} UmedptLayerNormArgs;

/* Mean and biased variance over H, W and the C/groups channels of a group, for
 * each sample; groups = C is instance norm. */
typedef struct
{
  UmedptTensor *src; /* f32 [N, H, W, C] */
  UmedptTensor *gamma; /* (nullable) f32 [C] */
  UmedptTensor *beta; /* (nullable) f32 [C] */
  UmedptTensor *dst; /* f32 [N, H, W, C]; may be src */
  gint64 groups; /* divides C */
  float epsilon;
} UmedptGroupNormArgs;

/* dst[n, c] = mean, maximum, or their sum, of src[n, :, :, c]. */
typedef struct
{
  UmedptTensor *src; /* f32 [N, H, W, C] */
  UmedptTensor *dst; /* f32 [N, C] */
  UmedptPooling pooling;
} UmedptGlobalPoolArgs;

/* dst = activation (src weight^T + bias). */
typedef struct
{
  UmedptTensor *src; /* f32 or bf16 [M, K] */
  UmedptTensor *weight; /* f32 [N, K] */
  UmedptTensor *bias; /* (nullable) f32 [N] */
  UmedptTensor *dst; /* f32 or bf16 [M, N] */
  UmedptActivation activation;
  UmedptDtype compute;
} UmedptLinearArgs;

/* dst = residual + layer_norm (src weight^T + bias): the end of Swin V2's
 * attention branch (residual post-norm, Liu et al. 2022, section 3.2). */
typedef struct
{
  UmedptTensor *src; /* f32 or bf16 [M, K] */
  UmedptTensor *weight; /* f32 [N, K] */
  UmedptTensor *bias; /* (nullable) f32 [N] */
  UmedptTensor *gamma; /* (nullable) f32 [N] */
  UmedptTensor *beta; /* (nullable) f32 [N] */
  UmedptTensor *residual; /* (nullable) f32 [M, N] */
  UmedptTensor *dst; /* f32 [M, N]; may be residual */
  /* (nullable) f32 [samples]: the normed branch is multiplied by the number of
   * its sample; sample = row / (M / samples). Stochastic depth. Where it is 0
   * nothing need be computed: rows of saved_ tensors are 0. */
  UmedptTensor *branch_scale;
  UmedptTensor *saved_product; /* (nullable) f32 [M, N]: src weight^T + bias */
  float epsilon;
  UmedptDtype compute;
} UmedptLinearNormArgs;

/* dst = src + layer_norm (fc2 (gelu (fc1 (src)))): Swin V2's MLP branch. */
typedef struct
{
  UmedptTensor *src; /* f32 [M, C] */
  UmedptTensor *fc1_weight; /* f32 [hidden, C] */
  UmedptTensor *fc1_bias; /* f32 [hidden] */
  UmedptTensor *fc2_weight; /* f32 [C, hidden] */
  UmedptTensor *fc2_bias; /* f32 [C] */
  UmedptTensor *gamma; /* (nullable) f32 [C] */
  UmedptTensor *beta; /* (nullable) f32 [C] */
  UmedptTensor *dst; /* f32 [M, C]; may be src */
  UmedptTensor *branch_scale; /* (nullable) f32 [samples]: as in linear_norm */
  /* (nullable) `compute` type [M, hidden]: fc1 (src), before the GELU */
  UmedptTensor *saved_hidden;
  UmedptTensor *saved_product; /* (nullable) f32 [M, C]: fc2's output */
  float epsilon;
  UmedptDtype compute;
} UmedptMlpNormArgs;

/* The stem: non-overlapping patches, a linear map, LayerNorm over C. Rows and
 * columns that do not fill a patch are dropped. */
typedef struct
{
  UmedptTensor *src; /* f32 in [0, 1], or u8 (divided by 255): [N, H, W, 3] */
  UmedptTensor *weight; /* f32 [C, 3, patch, patch] */
  UmedptTensor *bias; /* f32 [C] */
  UmedptTensor *gamma; /* (nullable) f32 [C] */
  UmedptTensor *beta; /* (nullable) f32 [C] */
  UmedptTensor *dst; /* f32 [N, H / patch, W / patch, C] */
  UmedptTensor *saved_product; /* (nullable) like dst: before the norm */
  float epsilon;
  UmedptDtype compute;
} UmedptPatchEmbedArgs;

/* Patch merging V2: zero-padded right and bottom to even sizes, the pixels
 * (even row, even col), (odd, even), (even, odd), (odd, odd) concatenated,
 * linear 4C -> N without bias, then LayerNorm. */
typedef struct
{
  UmedptTensor *src; /* f32 [N, H, W, C] */
  UmedptTensor *weight; /* f32 [2C, 4C] */
  UmedptTensor *gamma; /* (nullable) f32 [2C] */
  UmedptTensor *beta; /* (nullable) f32 [2C] */
  UmedptTensor *dst; /* f32 [N, ceil (H/2), ceil (W/2), 2C] */
  UmedptTensor *saved_product; /* (nullable) like dst: before the norm */
  float epsilon;
  UmedptDtype compute;
} UmedptPatchMergeArgs;

/* Continuous relative position bias of Swin V2 (section 3.3): for all offsets
 * of a window, 16 sigmoid (w2 relu (w1 t + b1)) with log-spaced coordinates
 * t = sign (d) log2 (|d| + 1) / 3, d = 8 offset / (window - 1) as (dy, dx). */
typedef struct
{
  UmedptTensor *w1; /* f32 [hidden, 2] */
  UmedptTensor *b1; /* f32 [hidden] */
  UmedptTensor *w2; /* f32 [heads, hidden] */
  UmedptTensor *dst; /* f32 [heads, L, L], L = window^2; row = query */
  gint64 window;
} UmedptPositionBiasArgs;

/* Shifted-window multi-head cosine attention on qkv, all windows and heads.
 *
 * The map is padded right and bottom to multiples of `window`; a padded pixel
 * has q = v = its part of `qkv_bias` and k = 0, is not masked, and its own
 * output is dropped. `shift` is the layer's (window / 2 in odd blocks, else
 * 0); on an axis where window >= the padded size it counts as 0. With any
 * shift the padded map is rolled by minus the shift before it is cut into
 * windows, and -100 is added between pixels of different regions; a region is
 * a pair of the slices [0,-window), [-window,-shift), [-shift,end) of the
 * rolled, padded axis (an axis with shift 0 has one slice).
 * logits = cos (q, k) scale[head] + position_bias[head]; q and k are
 * normalised with eps 1e-12 on the norm. Output = softmax (logits) v. */
typedef struct
{
  UmedptTensor *qkv; /* f32 or bf16 [N, H, W, 3C]: q, k, v; in each
                                  head-major */
  UmedptTensor *qkv_bias; /* f32 [3C], with the k part already 0 */
  UmedptTensor *scale; /* f32 [heads]: exp (min (logit_scale, ln 100)) */
  UmedptTensor *position_bias; /* f32 [heads, L, L] */
  UmedptTensor *dst; /* qkv's type, [N, H, W, C] */
  gint64 heads; /* C / heads is the head dimension */
  gint64 window;
  gint64 shift;
} UmedptWindowAttentionArgs;

/* 2-D convolution, dilation 1, with symmetric zero padding. */
typedef struct
{
  UmedptTensor *src; /* f32 or bf16 [N, H, W, C] */
  UmedptTensor *weight; /* f32 [O, C, kh, kw] */
  UmedptTensor *bias; /* (nullable) f32 [O] */
  UmedptTensor *dst; /* f32 or bf16 [N, OH, OW, O] */
  gint64 stride, padding;
  UmedptActivation activation;
  UmedptDtype compute;
} UmedptConv2dArgs;

/* dst = a + b, or dst = a b, element by element; b may also have one element,
 * which then stands for all (the scale of an FCOS level). */
typedef struct
{
  UmedptTensor *a; /* f32 */
  UmedptTensor *b; /* f32, a's shape or one element */
  UmedptTensor *dst; /* f32, a's shape; may be a */
} UmedptAddArgs;
typedef UmedptAddArgs UmedptMultiplyArgs;

/* dst = src resized to dst's height and width by the nearest pixel (source
 * row = floor (row h / H)), then concatenated with skip, or with lateral
 * added. */
typedef struct
{
  UmedptTensor *src; /* f32 [N, h, w, C] */
  UmedptTensor *skip; /* (nullable) f32 [N, H, W, S] */
  UmedptTensor *dst; /* f32 [N, H, W, C + S]; src's channels first */
} UmedptUpsampleConcatArgs;

typedef struct
{
  UmedptTensor *src; /* f32 [N, h, w, C] */
  UmedptTensor *lateral; /* f32 [N, H, W, C] */
  UmedptTensor *dst; /* f32 [N, H, W, C] */
} UmedptUpsampleAddArgs;

/* dst = exp (min (src, ln 100)): the logit scale as attention uses it. */
typedef struct
{
  UmedptTensor *src; /* f32 [heads, 1, 1] */
  UmedptTensor *dst; /* f32 [heads] */
} UmedptLogitScaleArgs;

/* dst = src with the middle third, the key's bias, set to 0. */
typedef struct
{
  UmedptTensor *src; /* f32 [3C] */
  UmedptTensor *dst; /* f32 [3C] */
} UmedptMaskKeyBiasArgs;

typedef enum
{
  UMEDPT_GROUPING_WEIGHTED, /* sum of weight x / number of instances */
  UMEDPT_GROUPING_SOFTMAX, /* a = max (softmax over the group's instances of
                              weight, 1e-5); sum of a x, per head */
} UmedptGrouping;

/* Instances to groups (the grouper, multiple-instance learning): instance i
 * belongs to group groups[i]; every group has at least one. */
typedef struct
{
  UmedptTensor *src; /* f32 [N, D] */
  UmedptTensor *weight; /* f32 [N, heads]; heads = 1 for WEIGHTED */
  UmedptTensor *groups; /* i32 [N], 0 … G-1 */
  UmedptTensor *dst; /* f32 [G, heads D] */
  UmedptGrouping grouping;
} UmedptGroupReduceArgs;

/* ---- Backward passes ---- */

typedef struct
{
  UmedptActivateArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src;
  gboolean accumulate;
} UmedptActivateBackwardArgs;

typedef struct
{
  UmedptLayerNormArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src, *diff_gamma, *diff_beta;
  gboolean accumulate;
} UmedptLayerNormBackwardArgs;

typedef struct
{
  UmedptGroupNormArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src, *diff_gamma, *diff_beta;
  gboolean accumulate;
} UmedptGroupNormBackwardArgs;

/* The gradient of a maximum goes to the first of equal values. */
typedef struct
{
  UmedptGlobalPoolArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src;
  gboolean accumulate;
} UmedptGlobalPoolBackwardArgs;

typedef struct
{
  UmedptLinearArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src, *diff_weight, *diff_bias;
  gboolean accumulate;
} UmedptLinearBackwardArgs;

/* The gradient of residual is diff_dst itself and is not computed here. */
typedef struct
{
  UmedptLinearNormArgs forward; /* needs saved_product */
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src, *diff_weight, *diff_bias, *diff_gamma, *diff_beta;
  gboolean accumulate;
} UmedptLinearNormBackwardArgs;

/* diff_src includes the residual path; it is written and may be diff_dst. */
typedef struct
{
  UmedptMlpNormArgs forward; /* needs saved_hidden and saved_product */
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src;
  UmedptTensor *diff_fc1_weight, *diff_fc1_bias;
  UmedptTensor *diff_fc2_weight, *diff_fc2_bias;
  UmedptTensor *diff_gamma, *diff_beta;
} UmedptMlpNormBackwardArgs;

/* Images have no gradient. */
typedef struct
{
  UmedptPatchEmbedArgs forward; /* needs saved_product */
  UmedptTensor *diff_dst;
  UmedptTensor *diff_weight, *diff_bias, *diff_gamma, *diff_beta;
} UmedptPatchEmbedBackwardArgs;

typedef struct
{
  UmedptPatchMergeArgs forward; /* needs saved_product */
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src, *diff_weight, *diff_gamma, *diff_beta;
  gboolean accumulate;
} UmedptPatchMergeBackwardArgs;

typedef struct
{
  UmedptPositionBiasArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_w1, *diff_b1, *diff_w2; /* added to */
} UmedptPositionBiasBackwardArgs;

/* Probabilities are computed again. diff_qkv is written; diff_qkv_bias gets
 * what padded pixels contribute to their q and v. */
typedef struct
{
  UmedptWindowAttentionArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_qkv; /* written */
  UmedptTensor *diff_qkv_bias, *diff_scale, *diff_position_bias; /* added to */
} UmedptWindowAttentionBackwardArgs;

typedef struct
{
  UmedptConv2dArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src, *diff_weight, *diff_bias;
  gboolean accumulate;
} UmedptConv2dBackwardArgs;

/* A one-element b is a parameter: diff_b is added to. The gradients of an
 * addition are diff_dst and need no slot. */
typedef struct
{
  UmedptMultiplyArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_a, *diff_b;
  gboolean accumulate_a, accumulate_b;
} UmedptMultiplyBackwardArgs;

typedef struct
{
  UmedptUpsampleConcatArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src, *diff_skip;
  gboolean accumulate, accumulate_skip;
} UmedptUpsampleConcatBackwardArgs;

/* The gradient of lateral is diff_dst itself. */
typedef struct
{
  UmedptUpsampleAddArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src;
  gboolean accumulate;
} UmedptUpsampleAddBackwardArgs;

typedef struct
{
  UmedptLogitScaleArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src; /* added to */
} UmedptLogitScaleBackwardArgs;

typedef struct
{
  UmedptMaskKeyBiasArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src; /* added to */
} UmedptMaskKeyBiasBackwardArgs;

typedef struct
{
  UmedptGroupReduceArgs forward;
  UmedptTensor *diff_dst;
  UmedptTensor *diff_src, *diff_weight; /* both activations: written */
} UmedptGroupReduceBackwardArgs;

/* ---- Losses: value and gradient in one pass ----
 *
 * `loss` receives values (written); diff_ outputs are (nullable) and written.
 * Every sum is divided by a number that the caller knows before the pass, so
 * that a batch may be computed in parts. */

/* scale / normalizer * sum over rows of (1 - p)^gamma CE, CE = -ln p, p = the
 * softmax probability of the target (Lin et al. 2017; gamma = 0: plain cross
 * entropy). Rows with target -1 count nothing. */
typedef struct
{
  UmedptTensor *logits; /* f32 [M, K] */
  UmedptTensor *targets; /* i32 [M]: 0 … K-1, or -1 */
  UmedptTensor *loss; /* f32 [1] */
  UmedptTensor *diff_logits; /* f32 [M, K] */
  float gamma, scale, normalizer;
} UmedptCrossEntropyArgs;

/* scale / normalizer * sum of weight * BCE (sigmoid (logit), target). */
typedef struct
{
  UmedptTensor *logits; /* f32 [M, K] */
  UmedptTensor *targets; /* f32 [M, K] in [0, 1] */
  UmedptTensor *weights; /* (nullable) f32 [M, K] >= 0 */
  UmedptTensor *loss; /* f32 [1] */
  UmedptTensor *diff_logits; /* f32 [M, K] */
  float scale, normalizer;
} UmedptBinaryCrossEntropyArgs;

/* scale / normalizer * sum of (src - target)^2. */
typedef struct
{
  UmedptTensor *src; /* f32 [M] */
  UmedptTensor *targets; /* f32 [M] */
  UmedptTensor *loss; /* f32 [1] */
  UmedptTensor *diff_src; /* f32 [M] */
  float scale, normalizer;
} UmedptSquaredErrorArgs;

/* Dice over the whole batch plus focal with gamma 2, docs/losses.md.
 * loss = { dice, focal_scale * focal }; the total is their sum. */
typedef struct
{
  UmedptTensor *logits; /* f32 [N, H, W, K] */
  UmedptTensor *labels; /* u8: [N, H, W], 0 … K-1 or 255 = ignored; multilabel:
                           [N, H, W, K], 0, 1 or 255 */
  UmedptTensor *loss; /* f32 [2] */
  UmedptTensor *diff_logits; /* f32 [N, H, W, K] */
  gboolean multilabel; /* sigmoid instead of softmax */
  float focal_scale;
} UmedptSegmentationLossArgs;

/* One level of FCOS (Tian et al. 2019): sigmoid focal (gamma 2, alpha 0.25),
 * -ln max (IoU, 1e-6) weighted by the centerness target, and centerness BCE.
 * loss = { class_scale / positives * focal, iou / centerness_sum,
 * 0.2 / positives * centerness }. */
typedef struct
{
  UmedptTensor *classes; /* f32 [N, H, W, K] logits */
  UmedptTensor *boxes; /* f32 [N, H, W, 4]: l, t, r, b >= 0, units of stride */
  UmedptTensor *centerness; /* f32 [N, H, W, 1] logits */
  UmedptTensor *target_classes; /* i32 [N, H, W]: 0 … K-1; -1 = background;
                                   -2 = ignored */
  UmedptTensor *target_boxes; /* f32 [N, H, W, 4], units of stride */
  UmedptTensor *loss; /* f32 [3] */
  UmedptTensor *diff_classes, *diff_boxes, *diff_centerness;
  float class_scale; /* 1 / ln K; 1 / ln 2 for K = 1 */
  float positives; /* of the batch, all levels; at least 1 */
  float centerness_sum; /* of targets, all levels; at least 1e-6 */
} UmedptDetectionLossArgs;

/* ---- Optimiser ---- */

/* Decoupled weight decay (Loshchilov and Hutter 2019), PyTorch's order:
 * p -= lr wd p; m, v; p -= lr / c1 * m / (sqrt (v) / sqrt (c2) + eps) with
 * c1 = 1 - beta1^step, c2 = 1 - beta2^step. */
typedef struct
{
  UmedptTensor *parameter, *gradient, *moment1, *moment2; /* f32, one shape */
  double lr, beta1, beta2, epsilon, weight_decay;
  double gradient_scale; /* clipping: multiplies the gradient first */
  guint64 step; /* from 1 */
} UmedptAdamwArgs;

/* SGD with Nesterov momentum as PyTorch has it. */
typedef struct
{
  UmedptTensor *parameter, *gradient, *moment; /* f32, one shape */
  double lr, momentum, weight_decay, gradient_scale;
  gboolean nesterov;
  guint64 step; /* from 1: the first sets the moment */
} UmedptSgdArgs;

/* The sum of squares, in double; the same bits whatever the workers. */
typedef struct
{
  UmedptTensor *src; /* f32 */
  double *result; /* in host memory */
} UmedptSquareSumArgs;

/* All ops. X (slot name, type prefix) */
#define UMEDPT_FOREACH_OP(X) \
  X (convert, Convert) \
  X (activate, Activate) \
  X (layer_norm, LayerNorm) \
  X (group_norm, GroupNorm) \
  X (global_pool, GlobalPool) \
  X (linear, Linear) \
  X (linear_norm, LinearNorm) \
  X (mlp_norm, MlpNorm) \
  X (patch_embed, PatchEmbed) \
  X (patch_merge, PatchMerge) \
  X (position_bias, PositionBias) \
  X (window_attention, WindowAttention) \
  X (conv2d, Conv2d) \
  X (add, Add) \
  X (multiply, Multiply) \
  X (upsample_concat, UpsampleConcat) \
  X (upsample_add, UpsampleAdd) \
  X (logit_scale, LogitScale) \
  X (mask_key_bias, MaskKeyBias) \
  X (group_reduce, GroupReduce) \
  X (activate_backward, ActivateBackward) \
  X (layer_norm_backward, LayerNormBackward) \
  X (group_norm_backward, GroupNormBackward) \
  X (global_pool_backward, GlobalPoolBackward) \
  X (linear_backward, LinearBackward) \
  X (linear_norm_backward, LinearNormBackward) \
  X (mlp_norm_backward, MlpNormBackward) \
  X (patch_embed_backward, PatchEmbedBackward) \
  X (patch_merge_backward, PatchMergeBackward) \
  X (position_bias_backward, PositionBiasBackward) \
  X (window_attention_backward, WindowAttentionBackward) \
  X (conv2d_backward, Conv2dBackward) \
  X (multiply_backward, MultiplyBackward) \
  X (upsample_concat_backward, UpsampleConcatBackward) \
  X (upsample_add_backward, UpsampleAddBackward) \
  X (logit_scale_backward, LogitScaleBackward) \
  X (mask_key_bias_backward, MaskKeyBiasBackward) \
  X (group_reduce_backward, GroupReduceBackward) \
  X (cross_entropy, CrossEntropy) \
  X (binary_cross_entropy, BinaryCrossEntropy) \
  X (squared_error, SquaredError) \
  X (segmentation_loss, SegmentationLoss) \
  X (detection_loss, DetectionLoss) \
  X (adamw, Adamw) \
  X (sgd, Sgd) \
  X (square_sum, SquareSum)

struct _UmedptBackend
{
  guint api_version; /* UMEDPT_BACKEND_API_VERSION it was built for */
  const char *name; /* "ref", "cpu", "cuda" */
  const char *description; /* for people: kernels and library versions */
  gboolean host_memory; /* works on tensors in host memory */
  UmedptMemory *memory; /* else where its tensors lie */
  /* (nullable) the queue of the device: held while an op runs, and by who
   * must have several in a row */
  GRecMutex *queue;

  /* (nullable, all or none) Recording what is queued, to queue it again at
   * once: a graph. Between begin and end ops run as ever, but nothing is
   * computed, and nothing may be read back. Whatever memory was taken in
   * between belongs to the graph. The caller holds the queue from begin to
   * end. */
  gboolean (*graph_begin) (UmedptBackend *backend, GError **error);
  gpointer (*graph_end) (UmedptBackend *backend, GError **error);
  gboolean (*graph_run) (UmedptBackend *backend, gpointer graph,
      GError **error);
  void (*graph_free) (UmedptBackend *backend, gpointer graph);

  /* (nullable, both or none) Input that travels while the device computes:
   * host memory of @size bytes to fill, then a copy of it to @dst that runs
   * beside what is queued and that what is queued next waits for. Nothing that
   * is queued may use @dst. Who has begun keeps all others out until the end;
   * with a @dst of NULL nothing is copied. */
  gpointer (*feed_begin) (UmedptBackend *backend, gsize size, GError **error);
  gboolean (*feed_end) (UmedptBackend *backend, gpointer dst, gsize size,
      GError **error);
  /* (nullable, both or none) The same for pictures that are there already:
   * each is brought to u8 [height, width, 3], RGB, in @dst [n, height, width,
   * 3], with the bytes of infer/preprocess.c. When it returns, also with an
   * error, they have been read, and @dst may be used. */
  gboolean (*feed_images) (UmedptBackend *backend,
      const UmedptDeviceImage *images, guint n, gpointer dst, gint width,
      gint height, GError **error);
  /* A number of its pixels that another picture hardly has. */
  gboolean (*sum_image) (UmedptBackend *backend, const UmedptDeviceImage *image,
      guint64 *sum, GError **error);

  /* (nullable) The ops of the optimiser for many tensors at once, where
   * starting an op costs more than running it. beta1, beta2, epsilon, momentum,
   * nesterov and gradient_scale of all are those of the first. @bf16: products
   * will be in bf16, so forms in it may be made along. */
  gboolean (*adamw_many) (UmedptBackend *backend, const UmedptAdamwArgs *steps,
      guint n, gboolean bf16, GError **error);
  gboolean (*sgd_many) (UmedptBackend *backend, const UmedptSgdArgs *steps,
      guint n, gboolean bf16, GError **error);
  gboolean (*square_sum_many) (UmedptBackend *backend, UmedptTensor *const *src,
      guint n, double *results, GError **error);

  /* (nullable, all four or none) Sums over several processes, each with a
   * device of its own (train/ranks.h). One makes an id (NULL asks whether one
   * could), all join with it and queue sums, in place, of f32 tensors. If one
   * fails, all leave: what they have queued would wait for it. */
  gboolean (*ranks_id) (UmedptBackend *backend, guint8 id[UMEDPT_RANKS_ID_SIZE],
      GError **error);
  gboolean (*ranks_join) (UmedptBackend *backend, guint rank, guint size,
      const guint8 id[UMEDPT_RANKS_ID_SIZE], GError **error);
  gboolean (*ranks_sum) (UmedptBackend *backend, UmedptTensor *const *tensors,
      guint n, GError **error);
  void (*ranks_leave) (UmedptBackend *backend);

#define UMEDPT_OP_SLOT(slot, Type) \
  gboolean (*slot) (UmedptBackend * backend, const Umedpt##Type##Args *args, \
      GError **error);
  UMEDPT_FOREACH_OP (UMEDPT_OP_SLOT)
#undef UMEDPT_OP_SLOT
};

/* The backends that are linked in. Never fail; they live for ever. */
UmedptBackend *umedpt_backend_ref (void);
UmedptBackend *umedpt_backend_cpu (void);

/* What a module may call: libumedpt shows its inner functions to nobody. */
typedef struct
{
  gpointer (*attach) (UmedptTensor *tensor, gconstpointer key,
      UmedptAttachFunc make, gpointer user_data, GDestroyNotify destroy,
      GError **error); /* umedpt_tensor_attach () */
  void (*drop_attachments) (UmedptTensor *tensor);
} UmedptBackendHost;

/* A module (cuda) exports this one function under the name below. NULL with
 * @error set says why there is no device. */
typedef UmedptBackend *(*UmedptBackendOpenFunc) (guint api_version,
    const UmedptBackendHost *host, GError **error);
#define UMEDPT_BACKEND_OPEN_SYMBOL "umedpt_backend_module_open"

/* dispatch.c: finds a backend by name ("ref", "cpu", "cuda"; NULL or "auto":
 * what UMEDPT_BACKEND names, else the best that works), and runs an op on it
 * with the fallback to ref. */
UmedptBackend *umedpt_backend_find (const char *name, GError **error);

#define UMEDPT_OP_DISPATCH(slot, Type) \
  gboolean umedpt_dispatch_##slot (UmedptBackend *backend, \
      const Umedpt##Type##Args *args, GError **error);
UMEDPT_FOREACH_OP (UMEDPT_OP_DISPATCH)
#undef UMEDPT_OP_DISPATCH

G_END_DECLS
