/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Inside of the checked ops: the context, the checks of arguments, and what
 * surrounds the dispatch of every op (timing, shapes, NaN).
 */
#pragma once

#include "autograd/tape.h"

G_BEGIN_DECLS

/* UMEDPT_OP_linear, …: one number per op, for the timing table. */
#define UMEDPT_OP_ID(slot, Type) UMEDPT_OP_##slot,
typedef enum
{
  UMEDPT_FOREACH_OP (UMEDPT_OP_ID) UMEDPT_N_OPS
} UmedptOpId;
#undef UMEDPT_OP_ID

struct _UmedptContext
{
  UmedptBackend *backend;
  UmedptDtype compute;
  UmedptTape *tape; /* (nullable) not owned; see autograd/tape.h */
  gboolean *probe; /* (nullable) set where something would be recorded */
  gint64 microseconds[UMEDPT_N_OPS]; /* under UMEDPT_DEBUG=timing */
  guint64 calls[UMEDPT_N_OPS];
};

/* Sets of element types. */
#define UMEDPT_IS_I32 (1u << UMEDPT_DTYPE_I32)
#define UMEDPT_IS_F32 (1u << UMEDPT_DTYPE_F32)
#define UMEDPT_IS_BF16 (1u << UMEDPT_DTYPE_BF16)
#define UMEDPT_IS_U8 (1u << UMEDPT_DTYPE_U8)
#define UMEDPT_IS_FLOAT (UMEDPT_IS_F32 | UMEDPT_IS_BF16)

/* A shape as two arguments: the number of dimensions, and them. */
/* clang-format off */
#define UMEDPT_SHAPE(...) \
  G_N_ELEMENTS (((const gint64[]){ __VA_ARGS__ })), \
  (const gint64[]){ __VA_ARGS__ }
/* clang-format on */

/* (nullable) tensors as two arguments: their number, and them. */
/* clang-format off */
#define UMEDPT_TENSORS(...) \
  G_N_ELEMENTS (((UmedptTensor *const[]){ __VA_ARGS__ })), \
  (UmedptTensor *const[]){ __VA_ARGS__ }
/* clang-format on */

gint64 umedpt_columns (const UmedptTensor *tensor);
UmedptTensor *umedpt_new_like (const UmedptTensor *src, UmedptDtype dtype,
    GError **error);
UmedptTensor *umedpt_new_rows (const UmedptTensor *src, UmedptDtype dtype,
    gint64 columns, GError **error);

gboolean umedpt_check_input (const char *op, const char *name,
    const UmedptTensor *tensor, guint dtypes, guint n_dims, GError **error);
gboolean umedpt_check_shape (const char *op, const char *name,
    const UmedptTensor *tensor, guint n_dims, const gint64 *shape,
    GError **error);
gboolean umedpt_check_param (const char *op, const char *name,
    const UmedptTensor *tensor, guint n_dims, const gint64 *shape,
    GError **error);
gboolean umedpt_check_affine (const char *op, const UmedptTensor *gamma,
    const UmedptTensor *beta, gint64 n, GError **error);
gboolean umedpt_check_range (const char *op, const char *name, gint64 value,
    gint64 min, gint64 max, GError **error);

gboolean umedpt_check_same (const char *op, const char *name,
    const UmedptTensor *tensor, const UmedptTensor *like, GError **error);
gboolean umedpt_check_float (const char *op, UmedptDtype dtype, GError **error);
gboolean umedpt_check_branch_scale (const char *op, const UmedptTensor *scale,
    const UmedptTensor *src, GError **error);

gboolean umedpt_check_memory (const UmedptContext *context, UmedptOpId op,
    const UmedptTensor *src, GError **error);
gint64 umedpt_op_begin (UmedptContext *context, UmedptOpId op,
    const UmedptTensor *src, guint n, UmedptTensor *const *outputs);
gboolean umedpt_op_end (UmedptContext *context, UmedptOpId op, gint64 start,
    gboolean ok, guint n, UmedptTensor *const *outputs, GError **error);

/* Runs an op on the context's backend, as UMEDPT_DEBUG wants it. After @src
 * come the (nullable) outputs. TRUE, or FALSE with @error set. */
#define UMEDPT_RUN(context, slot, args, error, src, ...) \
  ({ \
    gint64 run_start = umedpt_op_begin (context, UMEDPT_OP_##slot, src, \
        UMEDPT_TENSORS (__VA_ARGS__)); \
    gboolean run_ok = \
        umedpt_check_memory (context, UMEDPT_OP_##slot, src, error) && \
        umedpt_dispatch_##slot ((context)->backend, args, error); \
    umedpt_op_end (context, UMEDPT_OP_##slot, run_start, run_ok, \
        UMEDPT_TENSORS (__VA_ARGS__), error); \
  })

/* record-….c: puts an op that has run on the context's tape. */
#define UMEDPT_RECORD(slot, Type) \
  void umedpt_record_##slot (UmedptContext *context, \
      const Umedpt##Type##Args *args);
UMEDPT_RECORD (convert, Convert)
UMEDPT_RECORD (activate, Activate)
UMEDPT_RECORD (add, Add)
UMEDPT_RECORD (multiply, Multiply)
UMEDPT_RECORD (layer_norm, LayerNorm)
UMEDPT_RECORD (group_norm, GroupNorm)
UMEDPT_RECORD (global_pool, GlobalPool)
UMEDPT_RECORD (linear, Linear)
UMEDPT_RECORD (linear_norm, LinearNorm)
UMEDPT_RECORD (mlp_norm, MlpNorm)
UMEDPT_RECORD (patch_embed, PatchEmbed)
UMEDPT_RECORD (patch_merge, PatchMerge)
UMEDPT_RECORD (conv2d, Conv2d)
UMEDPT_RECORD (position_bias, PositionBias)
UMEDPT_RECORD (window_attention, WindowAttention)
UMEDPT_RECORD (logit_scale, LogitScale)
UMEDPT_RECORD (mask_key_bias, MaskKeyBias)
UMEDPT_RECORD (upsample_concat, UpsampleConcat)
UMEDPT_RECORD (upsample_add, UpsampleAdd)
UMEDPT_RECORD (group_reduce, GroupReduce)
#undef UMEDPT_RECORD
void umedpt_record_reshape (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *dst);

G_END_DECLS
