/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The rows of the op table. The odd ones come first in each group (one pixel,
 * one channel, maps smaller than the window, sizes that are padded or shifted
 * on one axis only, channels that fill no vector), then the worst ones (large
 * logits, constant rows, huge values), then shapes of real models at 256 and
 * 224 pixels, which are also what a benchmark should look at.
 *
 * Tolerances are relative L2 errors. In f32, 5e-6 is what sums of some
 * thousand products in another order give. In bf16 both sides round the same
 * operands, so what is left are roundings of intermediate results that fall on
 * the other side: about 1e-3. A backend may round differently inside of
 * attention (normalised q and k, unnormalised probabilities) and approximate
 * GELU to bf16's resolution; those rows have more room. A row whose mean is
 * far from 0 loses the digits of its mean in f32, whatever one does.
 */
#include "op-table.h"

#define F32 VARIANT_F32
#define PRODUCTS (VARIANT_F32 | VARIANT_BF16)
#define ALL (PRODUCTS | VARIANT_HALF | VARIANT_MIXED)
#define MAPS (VARIANT_F32 | VARIANT_HALF)

#define AVERAGE UMEDPT_POOLING_AVERAGE
#define MAXIMUM UMEDPT_POOLING_MAX
#define NONE UMEDPT_ACTIVATION_NONE
#define RELU UMEDPT_ACTIVATION_RELU
#define GELU UMEDPT_ACTIVATION_GELU
#define SIGMOID UMEDPT_ACTIVATION_SIGMOID
#define TO_F32 UMEDPT_DTYPE_F32
#define TO_BF16 UMEDPT_DTYPE_BF16
#define FROM_U8 UMEDPT_DTYPE_U8

/* clang-format off */
const OpRow op_rows[] = {
  /* elements, from, to: exact, but for the division's last bit */
  { &kind_convert, "f32-bf16-one", { 1, TO_F32, TO_BF16 }, F32, 0, 0, 1, 0 },
  { &kind_convert, "f32-bf16", { 100003, TO_F32, TO_BF16 }, F32, 0, 0, 1e3, 0 },
  { &kind_convert, "f32-bf16-tiny", { 77, TO_F32, TO_BF16 }, F32, 0, 0, 1e-40, 0 },
  { &kind_convert, "f32-bf16-huge", { 77, TO_F32, TO_BF16 }, F32, 0, 0, 3e38, 0 },
  { &kind_convert, "bf16-f32", { 100003, TO_BF16, TO_F32 }, F32, 0, 0, 1, 0 },
  { &kind_convert, "u8-f32", { 100003, FROM_U8, TO_F32 }, F32, 1e-7, 0, 1, 0 },

  /* elements, activation */
  { &kind_activate, "relu-one", { 1, RELU }, MAPS, 0, 0, 1, 0 },
  { &kind_activate, "relu", { 10007, RELU }, MAPS, 0, 0, 3, 0 },
  { &kind_activate, "gelu", { 10007, GELU }, MAPS, 5e-6, 2e-3, 4, 0 },
  { &kind_activate, "gelu-left", { 1003, GELU }, MAPS, 5e-6, 3e-3, 3, -3 },
  { &kind_activate, "gelu-huge", { 1003, GELU }, MAPS, 5e-6, 2e-3, 1e30, 0 },
  { &kind_activate, "sigmoid", { 10007, SIGMOID }, MAPS, 5e-6, 2e-3, 8, 0 },
  { &kind_activate, "sigmoid-huge", { 1003, SIGMOID }, MAPS, 5e-6, 2e-3, 1e4, 0 },
  { &kind_activate, "none", { 1003, NONE }, MAPS, 0, 0, 1, 0 },

  /* M, C, affine */
  { &kind_layer_norm, "one", { 1, 1, 1 }, F32, 1e-6, 0, 1, 0 },
  { &kind_layer_norm, "odd", { 3, 37, 1 }, F32, 5e-6, 0, 1, 0 },
  { &kind_layer_norm, "bare", { 5, 100, 0 }, F32, 5e-6, 0, 1, 0 },
  { &kind_layer_norm, "constant", { 4, 96, 1 }, F32, 1e-5, 0, 0, 3 },
  { &kind_layer_norm, "far-off", { 4, 96, 1 }, F32, 1e-4, 0, 1, 1000 },
  { &kind_layer_norm, "huge", { 4, 96, 1 }, F32, 5e-6, 0, 1e15, 0 },
  { &kind_layer_norm, "small", { 4, 96, 1 }, F32, 5e-6, 0, 1e-6, 0 },
  { &kind_layer_norm, "swin-1", { 4096, 96, 1 }, F32, 5e-6, 0, 1, 0 },
  { &kind_layer_norm, "swin-4", { 64, 768, 1 }, F32, 5e-6, 0, 1, 0 },

  /* N, H, W, C, affine, groups */
  { &kind_group_norm, "one", { 1, 1, 1, 1, 1, 1 }, F32, 1e-6, 0, 1, 0 },
  { &kind_group_norm, "odd", { 2, 3, 5, 21, 1, 7 }, F32, 5e-6, 0, 1, 0 },
  { &kind_group_norm, "instance", { 2, 5, 3, 19, 0, 19 }, F32, 5e-6, 0, 1, 0 },
  { &kind_group_norm, "constant", { 1, 4, 4, 32, 1, 4 }, F32, 1e-5, 0, 0, 3 },
  { &kind_group_norm, "far-off", { 1, 7, 7, 32, 1, 1 }, F32, 1e-4, 0, 1, 1000 },
  { &kind_group_norm, "squeezer", { 2, 8, 8, 768, 1, 1 }, F32, 5e-6, 0, 1, 0 },
  { &kind_group_norm, "pooled", { 2, 1, 1, 768, 1, 1 }, F32, 5e-6, 0, 1, 0 },
  { &kind_group_norm, "decoder", { 1, 112, 112, 16, 1, 1 }, F32, 5e-6, 0, 1, 0 },

  /* N, H, W, C, pooling */
  { &kind_global_pool, "one", { 1, 1, 1, 1, AVERAGE }, F32, 1e-6, 0, 1, 0 },
  { &kind_global_pool, "odd", { 3, 5, 2, 17, AVERAGE }, F32, 5e-6, 0, 1, 1 },
  { &kind_global_pool, "odd-max", { 3, 5, 2, 17, MAXIMUM }, F32, 0, 0, 1, 0 },
  { &kind_global_pool, "negative-max", { 1, 3, 3, 33, MAXIMUM }, F32, 0, 0, 1, -5 },
  { &kind_global_pool, "huge", { 1, 8, 8, 48, AVERAGE }, F32, 5e-6, 0, 1e30, 0 },
  { &kind_global_pool, "swin-4", { 8, 8, 8, 768, AVERAGE }, F32, 5e-6, 0, 1, 1 },

  /* M, K, N, bias, activation */
  { &kind_linear, "one", { 1, 1, 1, 1, NONE }, ALL, 1e-6, 5e-3, 1, 0 },
  { &kind_linear, "odd", { 3, 7, 5, 1, NONE }, ALL, 5e-6, 5e-3, 1, 0 },
  { &kind_linear, "row", { 1, 768, 1000, 1, NONE }, ALL, 5e-6, 2e-3, 1, 0 },
  { &kind_linear, "column", { 333, 50, 1, 0, RELU }, ALL, 5e-6, 2e-3, 1, 0 },
  { &kind_linear, "gelu", { 65, 100, 37, 1, GELU }, ALL, 5e-6, 5e-3, 2, 0 },
  { &kind_linear, "sigmoid", { 130, 33, 20, 1, SIGMOID }, ALL, 5e-6, 2e-3, 2, 0 },
  { &kind_linear, "no-bias", { 129, 64, 96, 0, NONE }, ALL, 5e-6, 2e-3, 1, 0 },
  { &kind_linear, "huge", { 40, 32, 48, 0, NONE }, ALL, 5e-6, 2e-3, 1e18, 0 },
  { &kind_linear, "swin-1-qkv", { 4096, 96, 288, 1, NONE }, ALL, 5e-6, 2e-3, 1, 0 },
  { &kind_linear, "swin-3-qkv", { 256, 384, 1152, 1, NONE }, ALL, 5e-6, 2e-3, 1, 0 },

  /* M, K, N, affine, residual */
  { &kind_linear_norm, "one", { 1, 1, 1, 1, 1 }, ALL, 1e-5, 5e-3, 1, 0 },
  { &kind_linear_norm, "odd", { 3, 7, 5, 1, 1 }, ALL, 1e-5, 5e-3, 1, 0 },
  { &kind_linear_norm, "bare", { 67, 24, 50, 0, 0 }, ALL, 1e-5, 2e-3, 1, 0 },
  { &kind_linear_norm, "bare-residual", { 131, 50, 24, 0, 1 }, ALL, 1e-5, 2e-3, 1, 0 },
  { &kind_linear_norm, "huge", { 40, 32, 48, 1, 0 }, ALL, 1e-5, 2e-3, 1e10, 0 },
  { &kind_linear_norm, "swin-1", { 4096, 96, 96, 1, 1 }, ALL, 1e-5, 2e-3, 1, 0 },
  { &kind_linear_norm, "swin-4", { 49, 768, 768, 1, 1 }, ALL, 1e-5, 2e-3, 1, 0 },

  /* M, C, hidden, affine */
  { &kind_mlp_norm, "one", { 1, 1, 4, 1 }, PRODUCTS, 1e-5, 5e-3, 1, 0 },
  { &kind_mlp_norm, "odd", { 3, 7, 13, 1 }, PRODUCTS, 1e-5, 5e-3, 1, 0 },
  { &kind_mlp_norm, "bare", { 131, 24, 96, 0 }, PRODUCTS, 1e-5, 5e-3, 1, 0 },
  { &kind_mlp_norm, "large", { 33, 40, 100, 1 }, PRODUCTS, 1e-5, 5e-3, 1e4, 0 },
  { &kind_mlp_norm, "swin-1", { 1000, 96, 384, 1 }, PRODUCTS, 1e-5, 5e-3, 1, 0 },
  { &kind_mlp_norm, "swin-4", { 49, 768, 3072, 1 }, PRODUCTS, 1e-5, 5e-3, 1, 0 },

  /* N, H, W, C, affine, patch, u8 */
  { &kind_patch_embed, "one", { 1, 4, 4, 8, 1, 4, 0 }, PRODUCTS, 1e-5, 5e-3, 0.5, 0.5 },
  { &kind_patch_embed, "odd", { 2, 11, 9, 13, 1, 4, 0 }, PRODUCTS, 1e-5, 3e-3, 0.5, 0.5 },
  { &kind_patch_embed, "odd-u8", { 2, 7, 18, 20, 0, 4, 1 }, PRODUCTS, 1e-5, 3e-3, 1, 0 },
  { &kind_patch_embed, "patch-2", { 1, 9, 6, 16, 1, 2, 1 }, PRODUCTS, 1e-5, 3e-3, 1, 0 },
  { &kind_patch_embed, "tiny-224", { 1, 224, 224, 96, 1, 4, 1 }, PRODUCTS, 1e-5, 3e-3, 1, 0 },
  { &kind_patch_embed, "base-wide", { 1, 64, 160, 128, 1, 4, 0 }, PRODUCTS, 1e-5, 3e-3, 0.5, 0.5 },

  /* N, H, W, C, affine */
  { &kind_patch_merge, "one", { 1, 1, 1, 8, 1 }, PRODUCTS, 1e-5, 5e-3, 1, 0 },
  { &kind_patch_merge, "odd", { 2, 3, 5, 7, 1 }, PRODUCTS, 1e-5, 5e-3, 1, 0 },
  { &kind_patch_merge, "odd-rows", { 1, 7, 6, 24, 0 }, PRODUCTS, 1e-5, 3e-3, 1, 0 },
  { &kind_patch_merge, "odd-columns", { 1, 6, 7, 24, 1 }, PRODUCTS, 1e-5, 3e-3, 1, 0 },
  { &kind_patch_merge, "tiny-1", { 1, 56, 56, 96, 1 }, PRODUCTS, 1e-5, 3e-3, 1, 0 },
  { &kind_patch_merge, "tiny-3", { 1, 14, 14, 384, 1 }, PRODUCTS, 1e-5, 3e-3, 1, 0 },

  /* window, heads, hidden */
  { &kind_position_bias, "one", { 1, 1, 1 }, F32, 5e-6, 0, 1, 0 },
  { &kind_position_bias, "odd", { 7, 3, 33 }, F32, 5e-6, 0, 1, 0 },
  { &kind_position_bias, "swin-4", { 8, 24, 512 }, F32, 5e-6, 0, 1, 0 },

  /* N, H, W, heads, head dimension, window, shift, scale */
  { &kind_window_attention, "pixel", { 1, 1, 1, 1, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "small-map", { 1, 3, 5, 2, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "one-window", { 2, 8, 8, 1, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "pad-rows", { 1, 13, 16, 1, 32, 8, 0, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "pad-columns", { 1, 16, 13, 1, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "shift-rows", { 1, 24, 7, 3, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "shift-columns", { 1, 8, 17, 3, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "batch", { 3, 14, 10, 2, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "dim-8", { 1, 12, 12, 2, 8, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0, TRUE },
  { &kind_window_attention, "dim-16", { 1, 12, 12, 3, 16, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0, TRUE },
  { &kind_window_attention, "dim-64", { 1, 12, 12, 2, 64, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0, TRUE },
  { &kind_window_attention, "dim-20", { 1, 9, 9, 1, 20, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0, TRUE },
  { &kind_window_attention, "window-16", { 1, 20, 37, 2, 32, 16, 8, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "window-7", { 1, 14, 15, 2, 32, 7, 3, 10 }, MAPS, 3e-6, 6e-3, 1, 0, TRUE },
  { &kind_window_attention, "window-1", { 1, 3, 3, 1, 32, 1, 0, 10 }, MAPS, 3e-6, 6e-3, 1, 0, TRUE },
  { &kind_window_attention, "whole-16", { 1, 32, 32, 1, 32, 16, 8, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "window-9", { 2, 20, 19, 1, 32, 9, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0, TRUE },
  { &kind_window_attention, "many-windows", { 1, 38, 40, 24, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "large-logits", { 1, 16, 16, 2, 32, 8, 4, 100 }, MAPS, 1e-5, 6e-3, 1, 0 },
  { &kind_window_attention, "alike", { 1, 16, 16, 2, 32, 8, 4, 100 }, MAPS, 1e-5, 6e-3, 1e-2, 1 },
  { &kind_window_attention, "zero", { 1, 13, 13, 1, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 0, 0 },
  { &kind_window_attention, "huge", { 1, 13, 13, 1, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1e15, 0 },
  { &kind_window_attention, "tiny-values", { 1, 16, 16, 1, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1e-10, 0 },
  { &kind_window_attention, "tiny-1-224", { 1, 56, 56, 3, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "tiny-2-224", { 1, 28, 28, 6, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },
  { &kind_window_attention, "tiny-4-224", { 1, 7, 7, 24, 32, 8, 4, 10 }, MAPS, 3e-6, 6e-3, 1, 0 },

  /* N, H, W, C, O, kernel, stride, padding, activation */
  { &kind_conv2d, "one", { 1, 1, 1, 1, 1, 1, 1, 0, NONE }, ALL, 1e-6, 5e-3, 1, 0 },
  { &kind_conv2d, "all-padding", { 1, 1, 1, 3, 4, 3, 1, 1, RELU }, ALL, 5e-6, 5e-3, 1, 0 },
  { &kind_conv2d, "odd", { 2, 7, 5, 13, 9, 3, 1, 1, RELU }, ALL, 5e-6, 3e-3, 1, 0 },
  { &kind_conv2d, "stride", { 1, 9, 6, 16, 20, 3, 2, 1, NONE }, ALL, 5e-6, 3e-3, 1, 0 },
  { &kind_conv2d, "wide-pad", { 1, 4, 4, 5, 6, 3, 1, 3, GELU }, ALL, 5e-6, 5e-3, 1, 0 },
  { &kind_conv2d, "kernel-5", { 1, 8, 9, 4, 8, 5, 3, 2, SIGMOID }, ALL, 5e-6, 3e-3, 1, 0 },
  { &kind_conv2d, "point", { 2, 8, 8, 96, 64, 1, 1, 0, GELU }, ALL, 5e-6, 5e-3, 1, 0 },
  { &kind_conv2d, "decoder", { 1, 28, 28, 64, 64, 3, 1, 1, RELU }, ALL, 5e-6, 3e-3, 1, 0 },
  { &kind_conv2d, "few-pixels", { 8, 2, 2, 128, 128, 3, 1, 1, NONE }, ALL, 5e-6, 3e-3, 1, 0 },
  { &kind_conv2d, "stride-deep", { 3, 5, 7, 72, 42, 3, 2, 1, GELU }, ALL, 5e-6, 5e-3, 1, 0 },
  { &kind_conv2d, "many-pixels", { 2, 128, 127, 8, 8, 3, 1, 1, RELU }, ALL, 5e-6, 5e-3, 1, 0 },
};
/* clang-format on */

const guint n_op_rows = G_N_ELEMENTS (op_rows);
