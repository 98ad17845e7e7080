/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The rows of the op table that training adds; order and tolerances as in
 * op-table.c. Gradients of weights are sums over thousands of rows, with more
 * rounding than a forward pass; and a backward pass through a norm is a
 * difference, so its relative errors are larger.
 */
#include "op-table.h"

#define F32 VARIANT_F32
#define PRODUCTS (VARIANT_F32 | VARIANT_BF16)
#define ALL (PRODUCTS | VARIANT_HALF | VARIANT_MIXED)
#define MAPS (VARIANT_F32 | VARIANT_HALF)

#define AVERAGE UMEDPT_POOLING_AVERAGE
#define MAXIMUM UMEDPT_POOLING_MAX
#define COMBINED UMEDPT_POOLING_COMBINED
#define NONE UMEDPT_ACTIVATION_NONE
#define RELU UMEDPT_ACTIVATION_RELU
#define GELU UMEDPT_ACTIVATION_GELU
#define SIGMOID UMEDPT_ACTIVATION_SIGMOID
#define TANH UMEDPT_ACTIVATION_TANH
#define WEIGHTED UMEDPT_GROUPING_WEIGHTED
#define SOFTMAX UMEDPT_GROUPING_SOFTMAX

#define ADD .flags = OP_ADD
#define NO_SRC .flags = OP_NO_SRC
#define NO_PARAMETERS .flags = OP_NO_PARAMETERS
#define BRANCH .flags = OP_BRANCH_SCALE
#define HALF_DST .flags = OP_HALF_DST
#define BRANCH_ADD .flags = OP_BRANCH_SCALE | OP_ADD
#define FLOOR(x) .floor = x

/* clang-format off */
const OpRow op_rows_train[] = {
  /* elements, activation */
  { &kind_activate, "tanh", { 10007, TANH }, MAPS, 5e-6, 2e-3, 4, 0 },
  { &kind_activate, "tanh-small", { 1003, TANH }, F32, 5e-6, 0, 1e-3, 0 },
  { &kind_activate, "tanh-huge", { 1003, TANH }, MAPS, 5e-6, 2e-3, 1e30, 0 },

  /* M, K, N, affine, residual */
  { &kind_linear_norm_train, "odd", { 3, 7, 5, 1, 1 }, ALL, 1e-5, 5e-3, 1, 0, BRANCH },
  { &kind_linear_norm_train, "bare", { 67, 24, 50, 0, 0 }, ALL, 1e-5, 2e-3, 1, 0 },
  { &kind_linear_norm_train, "samples", { 399, 50, 24, 1, 1 }, ALL, 1e-5, 2e-3, 1, 0, BRANCH },
  { &kind_linear_norm_train, "swin-1", { 1024, 96, 96, 1, 1 }, ALL, 1e-5, 2e-3, 1, 0 },

  /* M, C, hidden, affine */
  { &kind_mlp_norm_train, "odd", { 3, 7, 13, 1 }, PRODUCTS, 1e-5, 5e-3, 1, 0, BRANCH },
  { &kind_mlp_norm_train, "bare", { 131, 24, 96, 0 }, PRODUCTS, 1e-5, 5e-3, 1, 0 },
  { &kind_mlp_norm_train, "samples", { 399, 24, 96, 1 }, PRODUCTS, 1e-5, 5e-3, 1, 0, BRANCH },
  { &kind_mlp_norm_train, "swin-4", { 49, 768, 3072, 1 }, PRODUCTS, 1e-5, 5e-3, 1, 0 },

  /* N, H, W, C, affine, patch, u8 */
  { &kind_patch_embed_train, "odd", { 2, 11, 9, 13, 1, 4, 0 }, PRODUCTS, 1e-5, 3e-3, 0.5, 0.5 },
  { &kind_patch_embed_train, "tiny-64", { 1, 64, 64, 96, 1, 4, 1 }, PRODUCTS, 1e-5, 3e-3, 1, 0 },

  /* N, H, W, C, affine */
  { &kind_patch_merge_train, "odd", { 2, 3, 5, 7, 1 }, PRODUCTS, 1e-5, 5e-3, 1, 0 },
  { &kind_patch_merge_train, "tiny-3", { 1, 14, 14, 384, 1 }, PRODUCTS, 1e-5, 3e-3, 1, 0 },

  /* elements, 1 for one b */
  { &kind_add, "one", { 1, 0 }, F32, 1e-7, 0, 1, 0 },
  { &kind_add, "odd", { 10007, 0 }, F32, 1e-7, 0, 1, 0 },
  { &kind_add, "number", { 1003, 1 }, F32, 1e-7, 0, 1, 0 },
  { &kind_multiply, "one", { 1, 0 }, F32, 1e-7, 0, 1, 0 },
  { &kind_multiply, "odd", { 10007, 0 }, F32, 1e-7, 0, 1, 0 },
  { &kind_multiply, "number", { 1003, 1 }, F32, 1e-7, 0, 1, 0 },

  /* N, h, w, C, H, W, S */
  { &kind_upsample_concat, "one", { 1, 1, 1, 1, 1, 1, 1 }, F32, 0, 0, 1, 0 },
  { &kind_upsample_concat, "odd", { 2, 3, 4, 5, 7, 9, 3 }, F32, 0, 0, 1, 0 },
  { &kind_upsample_concat, "no-skip", { 2, 5, 3, 17, 10, 6, 0 }, F32, 0, 0, 1, 0 },
  { &kind_upsample_concat, "smaller", { 1, 7, 9, 4, 3, 4, 2 }, F32, 0, 0, 1, 0 },
  { &kind_upsample_concat, "decoder-1", { 1, 14, 14, 96, 28, 28, 192 }, F32, 0, 0, 1, 0 },
  { &kind_upsample_add, "one", { 1, 1, 1, 1, 1, 1 }, F32, 1e-7, 0, 1, 0 },
  { &kind_upsample_add, "odd", { 2, 3, 4, 5, 7, 9 }, F32, 1e-7, 0, 1, 0 },
  { &kind_upsample_add, "fpn", { 2, 7, 7, 128, 14, 14 }, F32, 1e-7, 0, 1, 0 },

  /* heads; C: 4.6 is ln 100 */
  { &kind_logit_scale, "swin", { 24 }, F32, 5e-6, 0, 1, 2.3 },
  { &kind_logit_scale, "bounded", { 7 }, F32, 5e-6, 0, 3, 4.6 },
  { &kind_mask_key_bias, "one", { 1 }, F32, 0, 0, 1, 0 },
  { &kind_mask_key_bias, "odd", { 37 }, F32, 0, 0, 1, 0 },

  /* instances, D, groups, heads, grouping */
  { &kind_group_reduce, "one", { 1, 1, 1, 1, WEIGHTED }, F32, 5e-6, 0, 1, 0 },
  { &kind_group_reduce, "odd", { 17, 13, 4, 1, WEIGHTED }, F32, 5e-6, 0, 1, 0 },
  { &kind_group_reduce, "softmax", { 17, 13, 4, 3, SOFTMAX }, F32, 5e-6, 0, 1, 0 },
  { &kind_group_reduce, "alone", { 3, 5, 3, 2, SOFTMAX }, F32, 5e-6, 0, 1, 0 },
  { &kind_group_reduce, "volume", { 64, 768, 2, 4, SOFTMAX }, F32, 5e-6, 0, 1, 0 },

  /* elements, activation */
  { &kind_activate_backward, "relu-one", { 1, RELU }, MAPS, 0, 0, 1, 0 },
  { &kind_activate_backward, "relu", { 10007, RELU }, MAPS, 0, 0, 3, 0 },
  { &kind_activate_backward, "gelu", { 10007, GELU }, MAPS, 5e-6, 3e-3, 4, 0 },
  { &kind_activate_backward, "gelu-left", { 1003, GELU }, MAPS, 2e-5, 5e-3, 3, -3 },
  { &kind_activate_backward, "gelu-huge", { 1003, GELU }, MAPS, 5e-6, 3e-3, 1e30, 0 },
  { &kind_activate_backward, "sigmoid", { 10007, SIGMOID }, MAPS, 5e-6, 3e-3, 4, 0 },
  { &kind_activate_backward, "tanh", { 10007, TANH }, MAPS, 5e-6, 3e-3, 2, 0 },
  { &kind_activate_backward, "none", { 1003, NONE }, MAPS, 0, 0, 1, 0 },
  { &kind_activate_backward, "gelu-add", { 10007, GELU }, MAPS, 5e-6, 3e-3, 4, 0, ADD },
  { &kind_activate_backward, "relu-add", { 10007, RELU }, MAPS, 1e-6, 3e-3, 3, 0, ADD },

  /* M, C, affine; a norm over one channel has no gradient */
  { &kind_layer_norm_backward, "one", { 1, 1, 1 }, F32, 1e-6, 0, 1, 0, FLOOR (1) },
  { &kind_layer_norm_backward, "odd", { 3, 37, 1 }, F32, 1e-5, 0, 1, 0 },
  { &kind_layer_norm_backward, "bare", { 5, 100, 0 }, F32, 1e-5, 0, 1, 0 },
  { &kind_layer_norm_backward, "constant", { 4, 96, 1 }, F32, 2e-5, 0, 0, 3, FLOOR (1) },
  { &kind_layer_norm_backward, "far-off", { 4, 96, 1 }, F32, 2e-4, 0, 1, 1000 },
  { &kind_layer_norm_backward, "small", { 4, 96, 1 }, F32, 1e-5, 0, 1e-6, 0, FLOOR (1) },
  { &kind_layer_norm_backward, "add", { 50, 33, 1 }, F32, 1e-5, 0, 1, 0, ADD },
  { &kind_layer_norm_backward, "no-src", { 50, 33, 1 }, F32, 1e-5, 0, 1, 0, NO_SRC },
  { &kind_layer_norm_backward, "no-parameters", { 50, 33, 1 }, F32, 1e-5, 0, 1, 0, NO_PARAMETERS },
  { &kind_layer_norm_backward, "swin-1", { 4096, 96, 1 }, F32, 1e-5, 0, 1, 0 },
  { &kind_layer_norm_backward, "swin-4", { 64, 768, 1 }, F32, 1e-5, 0, 1, 0 },

  /* N, H, W, C, affine, groups */
  { &kind_group_norm_backward, "one", { 1, 1, 1, 1, 1, 1 }, F32, 1e-6, 0, 1, 0, FLOOR (1) },
  { &kind_group_norm_backward, "odd", { 2, 3, 5, 21, 1, 7 }, F32, 1e-5, 0, 1, 0 },
  { &kind_group_norm_backward, "instance", { 2, 5, 3, 19, 0, 19 }, F32, 1e-5, 0, 1, 0 },
  { &kind_group_norm_backward, "constant", { 1, 4, 4, 32, 1, 4 }, F32, 2e-5, 0, 0, 3, FLOOR (1) },
  { &kind_group_norm_backward, "far-off", { 1, 7, 7, 32, 1, 1 }, F32, 2e-4, 0, 1, 1000 },
  { &kind_group_norm_backward, "add", { 2, 7, 5, 20, 1, 1 }, F32, 1e-5, 0, 1, 0, ADD },
  { &kind_group_norm_backward, "no-src", { 2, 7, 5, 20, 1, 4 }, F32, 1e-5, 0, 1, 0, NO_SRC },
  { &kind_group_norm_backward, "no-parameters", { 2, 7, 5, 20, 1, 4 }, F32, 1e-5, 0, 1, 0, NO_PARAMETERS },
  { &kind_group_norm_backward, "squeezer", { 2, 8, 8, 768, 1, 1 }, F32, 1e-5, 0, 1, 0 },
  { &kind_group_norm_backward, "pooled", { 2, 1, 1, 768, 1, 1 }, F32, 1e-5, 0, 1, 0 },
  { &kind_group_norm_backward, "tower", { 2, 28, 28, 128, 1, 32 }, F32, 1e-5, 0, 1, 0 },
  { &kind_group_norm_backward, "decoder", { 1, 112, 112, 16, 1, 1 }, F32, 1e-5, 0, 1, 0 },

  /* N, H, W, C, pooling */
  { &kind_global_pool_backward, "one", { 1, 1, 1, 1, AVERAGE }, F32, 1e-6, 0, 1, 0 },
  { &kind_global_pool_backward, "odd", { 3, 5, 2, 17, AVERAGE }, F32, 1e-6, 0, 1, 1 },
  { &kind_global_pool_backward, "max", { 3, 5, 2, 17, MAXIMUM }, F32, 0, 0, 1, 0 },
  { &kind_global_pool_backward, "max-ties", { 2, 3, 3, 33, MAXIMUM }, F32, 0, 0, 0, -5 },
  { &kind_global_pool_backward, "combined", { 2, 3, 3, 33, COMBINED }, F32, 1e-6, 0, 1, 0 },
  { &kind_global_pool_backward, "add", { 2, 3, 3, 33, COMBINED }, F32, 1e-6, 0, 1, 0, ADD },
  { &kind_global_pool_backward, "swin-4", { 8, 8, 8, 768, AVERAGE }, F32, 1e-6, 0, 1, 1 },

  /* M, K, N, bias */
  { &kind_linear_backward, "one", { 1, 1, 1, 1 }, ALL, 1e-6, 5e-3, 1, 0 },
  { &kind_linear_backward, "odd", { 3, 7, 5, 1 }, ALL, 5e-6, 5e-3, 1, 0 },
  { &kind_linear_backward, "row", { 1, 768, 1000, 1 }, ALL, 5e-6, 3e-3, 1, 0 },
  { &kind_linear_backward, "column", { 333, 50, 1, 0 }, ALL, 5e-6, 3e-3, 1, 0 },
  { &kind_linear_backward, "no-bias", { 129, 64, 96, 0 }, ALL, 5e-6, 3e-3, 1, 0 },
  { &kind_linear_backward, "half-dst", { 129, 64, 96, 1 }, PRODUCTS, 5e-6, 3e-3, 1, 0, HALF_DST },
  { &kind_linear_backward, "add", { 65, 100, 37, 1 }, ALL, 5e-6, 3e-3, 1, 0, ADD },
  { &kind_linear_backward, "no-src", { 65, 100, 37, 1 }, ALL, 5e-6, 3e-3, 1, 0, NO_SRC },
  { &kind_linear_backward, "no-parameters", { 65, 100, 37, 1 }, ALL, 5e-6, 3e-3, 1, 0, NO_PARAMETERS },
  { &kind_linear_backward, "huge", { 40, 32, 48, 0 }, ALL, 5e-6, 3e-3, 1e18, 0 },
  { &kind_linear_backward, "swin-1-qkv", { 4096, 96, 288, 1 }, ALL, 1e-5, 3e-3, 1, 0 },
  { &kind_linear_backward, "swin-1-qkv-half-dst", { 4096, 96, 288, 1 }, VARIANT_BF16, 1e-5, 3e-3, 1, 0, HALF_DST },
  { &kind_linear_backward, "swin-3-qkv", { 256, 384, 1152, 1 }, ALL, 5e-6, 3e-3, 1, 0 },

  /* M, K, N, affine, residual */
  { &kind_linear_norm_backward, "one", { 1, 1, 1, 1, 1 }, ALL, 1e-5, 5e-3, 1, 0, FLOOR (1) },
  { &kind_linear_norm_backward, "odd", { 3, 7, 5, 1, 1 }, ALL, 2e-5, 1e-2, 1, 0, BRANCH },
  { &kind_linear_norm_backward, "bare", { 67, 24, 50, 0, 0 }, ALL, 2e-5, 5e-3, 1, 0 },
  { &kind_linear_norm_backward, "samples", { 399, 50, 24, 1, 1 }, ALL, 2e-5, 5e-3, 1, 0, BRANCH },
  { &kind_linear_norm_backward, "add", { 399, 50, 24, 1, 1 }, ALL, 2e-5, 5e-3, 1, 0, BRANCH_ADD },
  { &kind_linear_norm_backward, "no-src", { 67, 24, 50, 1, 1 }, ALL, 2e-5, 5e-3, 1, 0, NO_SRC },
  { &kind_linear_norm_backward, "no-parameters", { 67, 24, 50, 1, 1 }, ALL, 2e-5, 5e-3, 1, 0, NO_PARAMETERS },
  { &kind_linear_norm_backward, "swin-1", { 4096, 96, 96, 1, 1 }, ALL, 2e-5, 5e-3, 1, 0 },
  { &kind_linear_norm_backward, "swin-4", { 49, 768, 768, 1, 1 }, ALL, 2e-5, 5e-3, 1, 0 },

  /* M, C, hidden, affine */
  { &kind_mlp_norm_backward, "one", { 1, 1, 4, 1 }, PRODUCTS, 1e-5, 5e-3, 1, 0, FLOOR (1) },
  { &kind_mlp_norm_backward, "odd", { 3, 7, 13, 1 }, PRODUCTS, 2e-5, 2e-2, 1, 0, BRANCH },
  { &kind_mlp_norm_backward, "bare", { 131, 24, 96, 0 }, PRODUCTS, 2e-5, 1e-2, 1, 0 },
  { &kind_mlp_norm_backward, "samples", { 399, 24, 96, 1 }, PRODUCTS, 2e-5, 1e-2, 1, 0, BRANCH },
  { &kind_mlp_norm_backward, "in-place", { 399, 40, 100, 1 }, PRODUCTS, 2e-5, 1e-2, 1, 0, BRANCH_ADD },
  { &kind_mlp_norm_backward, "no-src", { 131, 24, 96, 1 }, PRODUCTS, 2e-5, 1e-2, 1, 0, NO_SRC },
  { &kind_mlp_norm_backward, "no-parameters", { 131, 24, 96, 1 }, PRODUCTS, 2e-5, 1e-2, 1, 0, NO_PARAMETERS },
  { &kind_mlp_norm_backward, "swin-1", { 1000, 96, 384, 1 }, PRODUCTS, 2e-5, 1e-2, 1, 0 },
  { &kind_mlp_norm_backward, "swin-4", { 49, 768, 3072, 1 }, PRODUCTS, 2e-5, 1e-2, 1, 0 },

  /* N, H, W, C, affine, patch, u8 */
  { &kind_patch_embed_backward, "one", { 1, 4, 4, 8, 1, 4, 0 }, PRODUCTS, 2e-5, 1e-2, 0.5, 0.5 },
  { &kind_patch_embed_backward, "odd", { 2, 11, 9, 13, 1, 4, 0 }, PRODUCTS, 2e-5, 5e-3, 0.5, 0.5 },
  { &kind_patch_embed_backward, "odd-u8", { 2, 7, 18, 20, 0, 4, 1 }, PRODUCTS, 2e-5, 5e-3, 1, 0 },
  { &kind_patch_embed_backward, "add", { 1, 9, 6, 16, 1, 2, 1 }, PRODUCTS, 2e-5, 5e-3, 1, 0, ADD },
  { &kind_patch_embed_backward, "tiny-128", { 1, 128, 128, 96, 1, 4, 1 }, PRODUCTS, 2e-5, 5e-3, 1, 0 },

  /* N, H, W, C, affine */
  { &kind_patch_merge_backward, "one", { 1, 1, 1, 8, 1 }, PRODUCTS, 2e-5, 1e-2, 1, 0 },
  { &kind_patch_merge_backward, "odd", { 2, 3, 5, 7, 1 }, PRODUCTS, 2e-5, 1e-2, 1, 0 },
  { &kind_patch_merge_backward, "odd-rows", { 1, 7, 6, 24, 0 }, PRODUCTS, 2e-5, 5e-3, 1, 0 },
  { &kind_patch_merge_backward, "odd-columns", { 1, 6, 7, 24, 1 }, PRODUCTS, 2e-5, 5e-3, 1, 0 },
  { &kind_patch_merge_backward, "add", { 2, 5, 7, 24, 1 }, PRODUCTS, 2e-5, 5e-3, 1, 0, ADD },
  { &kind_patch_merge_backward, "no-src", { 1, 6, 7, 24, 1 }, PRODUCTS, 2e-5, 5e-3, 1, 0, NO_SRC },
  { &kind_patch_merge_backward, "no-parameters", { 1, 6, 7, 24, 1 }, PRODUCTS, 2e-5, 5e-3, 1, 0, NO_PARAMETERS },
  { &kind_patch_merge_backward, "tiny-1", { 1, 28, 28, 96, 1 }, PRODUCTS, 2e-5, 5e-3, 1, 0 },

  /* window, heads, hidden */
  { &kind_position_bias_backward, "one", { 1, 1, 1 }, F32, 1e-5, 0, 1, 0, FLOOR (1e-3) },
  { &kind_position_bias_backward, "odd", { 7, 3, 33 }, F32, 2e-5, 0, 1, 0 },
  { &kind_position_bias_backward, "add", { 4, 5, 17 }, F32, 2e-5, 0, 1, 0, ADD },
  { &kind_position_bias_backward, "swin-2", { 8, 6, 512 }, F32, 2e-5, 0, 1, 0 },

  /* N, H, W, heads, head dimension, window, shift, scale */
  { &kind_window_attention_backward, "pixel", { 1, 1, 1, 1, 32, 8, 4, 10 }, MAPS, 5e-5, 2e-2, 1, 0 },
  { &kind_window_attention_backward, "small-map", { 1, 3, 5, 2, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0 },
  { &kind_window_attention_backward, "one-window", { 2, 8, 8, 1, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (1) },
  { &kind_window_attention_backward, "pad-rows", { 1, 13, 16, 1, 32, 8, 0, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1) },
  { &kind_window_attention_backward, "pad-columns", { 1, 16, 13, 1, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1) },
  { &kind_window_attention_backward, "shift-rows", { 1, 24, 7, 3, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1) },
  { &kind_window_attention_backward, "shift-columns", { 1, 8, 17, 3, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1) },
  { &kind_window_attention_backward, "batch", { 3, 14, 10, 2, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1) },
  { &kind_window_attention_backward, "add", { 2, 14, 10, 2, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, ADD },
  { &kind_window_attention_backward, "no-src", { 1, 14, 10, 2, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, .flags = OP_NO_SRC, FLOOR (0.1) },
  { &kind_window_attention_backward, "no-parameters", { 1, 14, 10, 2, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, .flags = OP_NO_PARAMETERS, FLOOR (0.1) },
  { &kind_window_attention_backward, "dim-8", { 1, 12, 12, 2, 8, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1), .left_to_ref = TRUE },
  { &kind_window_attention_backward, "dim-64", { 1, 12, 12, 2, 64, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1), .left_to_ref = TRUE },
  { &kind_window_attention_backward, "dim-20", { 1, 9, 9, 1, 20, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1), .left_to_ref = TRUE },
  { &kind_window_attention_backward, "window-16", { 1, 20, 37, 2, 32, 16, 8, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1) },
  { &kind_window_attention_backward, "window-7", { 1, 14, 15, 2, 32, 7, 3, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1), .left_to_ref = TRUE },
  { &kind_window_attention_backward, "window-1", { 1, 3, 3, 1, 32, 1, 0, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (1), .left_to_ref = TRUE },
  { &kind_window_attention_backward, "window-9", { 2, 20, 19, 1, 32, 9, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1), .left_to_ref = TRUE },
  { &kind_window_attention_backward, "many-windows", { 1, 38, 40, 24, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1) },
  { &kind_window_attention_backward, "large-logits", { 1, 16, 16, 2, 32, 8, 4, 100 }, MAPS, 5e-5, 3e-2, 1, 0, FLOOR (0.1) },
  { &kind_window_attention_backward, "alike", { 1, 16, 16, 2, 32, 8, 4, 20 }, MAPS, 1e-4, 3e-2, 1e-1, 1, FLOOR (0.1) },
  { &kind_window_attention_backward, "tiny-1-224", { 1, 56, 56, 3, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1) },
  { &kind_window_attention_backward, "tiny-2-224", { 1, 28, 28, 6, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1) },
  { &kind_window_attention_backward, "tiny-4-224", { 1, 7, 7, 24, 32, 8, 4, 10 }, MAPS, 1e-5, 2e-2, 1, 0, FLOOR (0.1) },

  /* N, H, W, C, O, kernel, stride, padding, bias */
  { &kind_conv2d_backward, "one", { 1, 1, 1, 1, 1, 1, 1, 0, 0 }, ALL, 1e-6, 5e-3, 1, 0 },
  { &kind_conv2d_backward, "all-padding", { 1, 1, 1, 3, 4, 3, 1, 1, 1 }, ALL, 5e-6, 5e-3, 1, 0 },
  { &kind_conv2d_backward, "odd", { 2, 7, 5, 13, 9, 3, 1, 1, 1 }, ALL, 1e-5, 3e-3, 1, 0 },
  { &kind_conv2d_backward, "stride", { 1, 9, 6, 16, 20, 3, 2, 1, 0 }, ALL, 1e-5, 3e-3, 1, 0 },
  { &kind_conv2d_backward, "wide-pad", { 1, 4, 4, 5, 6, 3, 1, 3, 1 }, ALL, 1e-5, 5e-3, 1, 0 },
  { &kind_conv2d_backward, "kernel-5", { 1, 8, 9, 4, 8, 5, 3, 2, 1 }, ALL, 1e-5, 3e-3, 1, 0 },
  { &kind_conv2d_backward, "point", { 2, 8, 8, 96, 64, 1, 1, 0, 1 }, ALL, 1e-5, 3e-3, 1, 0 },
  { &kind_conv2d_backward, "add", { 2, 7, 5, 13, 9, 3, 1, 1, 1 }, ALL, 1e-5, 3e-3, 1, 0, ADD },
  { &kind_conv2d_backward, "half-dst", { 2, 7, 5, 13, 9, 3, 1, 1, 1 }, PRODUCTS, 1e-5, 3e-3, 1, 0, HALF_DST },
  { &kind_conv2d_backward, "no-src", { 2, 7, 5, 16, 8, 3, 1, 1, 1 }, ALL, 1e-5, 3e-3, 1, 0, NO_SRC },
  { &kind_conv2d_backward, "no-parameters", { 2, 7, 5, 16, 8, 3, 1, 1, 1 }, ALL, 1e-5, 3e-3, 1, 0, NO_PARAMETERS },
  { &kind_conv2d_backward, "decoder", { 1, 28, 28, 64, 64, 3, 1, 1, 0 }, ALL, 1e-5, 3e-3, 1, 0 },
  { &kind_conv2d_backward, "few-pixels", { 8, 2, 2, 128, 128, 3, 1, 1, 1 }, ALL, 1e-5, 3e-3, 1, 0 },
  { &kind_conv2d_backward, "one-pixel", { 1, 1, 1, 8, 16, 3, 1, 1, 1 }, ALL, 1e-5, 5e-3, 1, 0 },
  { &kind_conv2d_backward, "stride-deep", { 3, 5, 7, 72, 40, 3, 2, 1, 1 }, ALL, 1e-5, 3e-3, 1, 0, ADD },
  { &kind_conv2d_backward, "many-pixels", { 2, 128, 127, 8, 8, 3, 1, 1, 1 }, ALL, 1e-5, 3e-3, 1, 0 },

  /* elements, 1 for one b */
  { &kind_multiply_backward, "one", { 1, 0 }, F32, 1e-6, 0, 1, 0 },
  { &kind_multiply_backward, "odd", { 10007, 0 }, F32, 1e-6, 0, 1, 0 },
  { &kind_multiply_backward, "number", { 10007, 1 }, F32, 1e-5, 0, 1, 1 },
  { &kind_multiply_backward, "add", { 1003, 0 }, F32, 1e-6, 0, 1, 0, ADD },
  { &kind_multiply_backward, "number-add", { 1003, 1 }, F32, 1e-5, 0, 1, 1, ADD },

  /* N, h, w, C, H, W, S */
  { &kind_upsample_concat_backward, "one", { 1, 1, 1, 1, 1, 1, 1 }, F32, 0, 0, 1, 0 },
  { &kind_upsample_concat_backward, "odd", { 2, 3, 4, 5, 7, 9, 3 }, F32, 1e-6, 0, 1, 0 },
  { &kind_upsample_concat_backward, "no-skip", { 2, 5, 3, 17, 10, 6, 0 }, F32, 1e-6, 0, 1, 0 },
  { &kind_upsample_concat_backward, "smaller", { 1, 7, 9, 4, 3, 4, 2 }, F32, 1e-6, 0, 1, 0 },
  { &kind_upsample_concat_backward, "add", { 2, 3, 4, 5, 6, 8, 3 }, F32, 1e-6, 0, 1, 0, ADD },
  { &kind_upsample_concat_backward, "decoder-1", { 1, 14, 14, 96, 28, 28, 192 }, F32, 1e-6, 0, 1, 0 },
  { &kind_upsample_add_backward, "one", { 1, 1, 1, 1, 1, 1 }, F32, 0, 0, 1, 0 },
  { &kind_upsample_add_backward, "odd", { 2, 3, 4, 5, 7, 9 }, F32, 1e-6, 0, 1, 0 },
  { &kind_upsample_add_backward, "add", { 2, 3, 4, 5, 7, 9 }, F32, 1e-6, 0, 1, 0, ADD },
  { &kind_upsample_add_backward, "fpn", { 2, 7, 7, 128, 14, 14 }, F32, 1e-6, 0, 1, 0 },

  /* heads; C */
  { &kind_logit_scale_backward, "swin", { 24 }, F32, 5e-6, 0, 1, 2.3 },
  { &kind_logit_scale_backward, "bounded", { 7 }, F32, 5e-6, 0, 3, 4.6, ADD },
  { &kind_mask_key_bias_backward, "one", { 1 }, F32, 1e-6, 0, 1, 0 },
  { &kind_mask_key_bias_backward, "odd", { 37 }, F32, 1e-6, 0, 1, 0, ADD },

  /* instances, D, groups, heads, grouping; alone in a group, the gradient of
   * softmax is 0 */
  { &kind_group_reduce_backward, "one", { 1, 1, 1, 1, WEIGHTED }, F32, 5e-6, 0, 1, 0 },
  { &kind_group_reduce_backward, "odd", { 17, 13, 4, 1, WEIGHTED }, F32, 5e-6, 0, 1, 0 },
  { &kind_group_reduce_backward, "softmax", { 17, 13, 4, 3, SOFTMAX }, F32, 1e-5, 0, 1, 0 },
  { &kind_group_reduce_backward, "alone", { 3, 5, 3, 2, SOFTMAX }, F32, 1e-5, 0, 1, 0, FLOOR (1) },
  { &kind_group_reduce_backward, "no-src", { 17, 13, 4, 3, SOFTMAX }, F32, 1e-5, 0, 1, 0, NO_SRC },
  { &kind_group_reduce_backward, "volume", { 64, 768, 2, 4, SOFTMAX }, F32, 1e-5, 0, 1, 0 },

  /* M, K, 100 gamma, every how many rows are without a target */
  { &kind_cross_entropy, "one-class", { 4, 1, 0, 0 }, F32, 1e-6, 0, 1, 0, FLOOR (1) },
  { &kind_cross_entropy, "odd", { 7, 5, 0, 3 }, F32, 5e-6, 0, 3, 0 },
  { &kind_cross_entropy, "none", { 4, 3, 0, 1 }, F32, 0, 0, 3, 0 },
  { &kind_cross_entropy, "focal", { 33, 9, 200, 4 }, F32, 1e-5, 0, 4, 0 },
  { &kind_cross_entropy, "focal-half", { 33, 9, 50, 4 }, F32, 1e-5, 0, 4, 0 },
  { &kind_cross_entropy, "focal-one-class", { 4, 1, 200, 0 }, F32, 1e-6, 0, 1, 0, FLOOR (1) },
  { &kind_cross_entropy, "huge", { 8, 5, 200, 0 }, F32, 1e-5, 0, 1e4, 0 },
  { &kind_cross_entropy, "far-off", { 8, 5, 0, 0 }, F32, 1e-4, 0, 1, 1000 },
  { &kind_cross_entropy, "value", { 33, 9, 0, 4 }, F32, 5e-6, 0, 4, 0, NO_SRC },
  { &kind_cross_entropy, "thousand", { 64, 1000, 0, 0 }, F32, 5e-6, 0, 1, 0 },

  /* M, K, 1 with weights */
  { &kind_binary_cross_entropy, "one", { 1, 1, 0 }, F32, 5e-6, 0, 1, 0 },
  { &kind_binary_cross_entropy, "odd", { 7, 5, 0 }, F32, 5e-6, 0, 3, 0 },
  { &kind_binary_cross_entropy, "weights", { 33, 9, 1 }, F32, 5e-6, 0, 3, 0 },
  { &kind_binary_cross_entropy, "huge", { 7, 5, 1 }, F32, 5e-6, 0, 1e4, 0 },
  { &kind_binary_cross_entropy, "value", { 7, 5, 1 }, F32, 5e-6, 0, 3, 0, NO_SRC },

  /* M */
  { &kind_squared_error, "one", { 1 }, F32, 5e-6, 0, 1, 0 },
  { &kind_squared_error, "odd", { 1003 }, F32, 5e-6, 0, 1, 0 },
  { &kind_squared_error, "value", { 17 }, F32, 5e-6, 0, 1, 0, NO_SRC },

  /* N, H, W, K, multilabel, classes that occur, every how many are ignored */
  { &kind_segmentation_loss, "one-class", { 1, 3, 4, 1, 0, 1, 0 }, F32, 1e-5, 0, 2, 0 },
  { &kind_segmentation_loss, "odd", { 2, 5, 3, 4, 0, 4, 5 }, F32, 1e-5, 0, 2, 0 },
  { &kind_segmentation_loss, "absent-classes", { 1, 5, 7, 6, 0, 2, 3 }, F32, 1e-5, 0, 2, 0 },
  { &kind_segmentation_loss, "all-ignored", { 1, 5, 7, 6, 0, 2, 1 }, F32, 0, 0, 2, 0 },
  { &kind_segmentation_loss, "huge", { 1, 5, 7, 3, 0, 3, 0 }, F32, 1e-5, 0, 1e3, 0 },
  { &kind_segmentation_loss, "multilabel", { 2, 5, 3, 4, 1, 4, 5 }, F32, 1e-5, 0, 2, 0 },
  { &kind_segmentation_loss, "multilabel-one", { 2, 5, 3, 1, 1, 1, 0 }, F32, 1e-5, 0, 2, 0 },
  { &kind_segmentation_loss, "multilabel-absent", { 1, 5, 7, 6, 1, 2, 3 }, F32, 1e-5, 0, 2, 0 },
  { &kind_segmentation_loss, "multilabel-none", { 1, 3, 3, 2, 1, 2, 1 }, F32, 0, 0, 2, 0 },
  { &kind_segmentation_loss, "value", { 1, 5, 7, 6, 0, 2, 3 }, F32, 1e-5, 0, 2, 0, NO_SRC },
  { &kind_segmentation_loss, "decoder", { 2, 112, 112, 5, 0, 4, 9 }, F32, 2e-5, 0, 2, 0 },

  /* N, H, W, K, every how many points are positive */
  { &kind_detection_loss, "one-class", { 1, 3, 4, 1, 2 }, F32, 1e-5, 0, 2, 0 },
  { &kind_detection_loss, "odd", { 2, 5, 3, 4, 5 }, F32, 1e-5, 0, 2, -2 },
  { &kind_detection_loss, "no-positives", { 1, 5, 7, 3, 0 }, F32, 1e-5, 0, 2, -4 },
  { &kind_detection_loss, "huge", { 1, 5, 7, 3, 3 }, F32, 1e-5, 0, 1e3, 0 },
  { &kind_detection_loss, "value", { 1, 5, 7, 3, 3 }, F32, 1e-5, 0, 2, 0, NO_SRC },
  { &kind_detection_loss, "level-3", { 2, 28, 28, 8, 20 }, F32, 2e-5, 0, 2, -4 },

  /* elements, step */
  { &kind_adamw, "one", { 1, 1 }, F32, 5e-6, 0, 1, 0 },
  { &kind_adamw, "odd", { 10007, 1 }, F32, 5e-6, 0, 1, 0 },
  { &kind_adamw, "late", { 1003, 10000 }, F32, 5e-6, 0, 1, 0 },
  { &kind_adamw, "tiny", { 1003, 3 }, F32, 1e-5, 0, 1e-6, 0 },
  { &kind_adamw, "swin-fc1", { 589824, 7 }, F32, 5e-6, 0, 1, 0 },
  /* elements, step, Nesterov, 100 momentum */
  { &kind_sgd, "one", { 1, 1, 0, 90 }, F32, 5e-6, 0, 1, 0 },
  { &kind_sgd, "first", { 1003, 1, 1, 90 }, F32, 5e-6, 0, 1, 0 },
  { &kind_sgd, "odd", { 10007, 2, 0, 90 }, F32, 5e-6, 0, 1, 0 },
  { &kind_sgd, "nesterov", { 10007, 9, 1, 90 }, F32, 5e-6, 0, 1, 0 },
  { &kind_sgd, "plain", { 1003, 2, 0, 0 }, F32, 5e-6, 0, 1, 0 },
  /* elements */
  { &kind_square_sum, "one", { 1 }, F32, 1e-7, 0, 1, 0 },
  { &kind_square_sum, "none", { 0 }, F32, 0, 0, 1, 0 },
  { &kind_square_sum, "odd", { 100003 }, F32, 1e-7, 0, 1, 0 },
  { &kind_square_sum, "huge", { 1003 }, F32, 1e-7, 0, 1e15, 0 },
};
/* clang-format on */

const guint n_op_rows_train = G_N_ELEMENTS (op_rows_train);
