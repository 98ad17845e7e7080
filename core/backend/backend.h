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
 */
#pragma once

#include "tensor/tensor-private.h"

G_BEGIN_DECLS

#define UMEDPT_BACKEND_API_VERSION 1

typedef struct _UmedptBackend UmedptBackend;

typedef enum
{
  UMEDPT_ACTIVATION_NONE,
  UMEDPT_ACTIVATION_RELU,
  UMEDPT_ACTIVATION_GELU, /* exact: x/2 (1 + erf (x / sqrt 2)) */
  UMEDPT_ACTIVATION_SIGMOID,
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
  X (conv2d, Conv2d)

struct _UmedptBackend
{
  guint api_version; /* UMEDPT_BACKEND_API_VERSION it was built for */
  const char *name; /* "ref", "cpu", "cuda" */
  const char *description; /* for people: kernels and library versions */
  gboolean host_memory; /* works on tensors in host memory */

#define UMEDPT_OP_SLOT(slot, Type) \
  gboolean (*slot) (UmedptBackend * backend, const Umedpt##Type##Args *args, \
      GError **error);
  UMEDPT_FOREACH_OP (UMEDPT_OP_SLOT)
#undef UMEDPT_OP_SLOT
};

/* The backends that are linked in. Never fail; they live for ever. */
UmedptBackend *umedpt_backend_ref (void);
UmedptBackend *umedpt_backend_cpu (void);

/* A module (cuda) exports this one function under the name below. NULL with
 * @error set says why there is no device. */
typedef UmedptBackend *(*UmedptBackendOpenFunc) (guint api_version,
    GError **error);
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
