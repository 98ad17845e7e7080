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
  gint64 microseconds[UMEDPT_N_OPS]; /* under UMEDPT_DEBUG=timing */
  guint64 calls[UMEDPT_N_OPS];
};

/* Sets of element types. */
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

gint64 umedpt_op_begin (UmedptContext *context, UmedptOpId op,
    const UmedptTensor *src, const UmedptTensor *dst);
UmedptTensor *umedpt_op_end (UmedptContext *context, UmedptOpId op,
    gint64 start, gboolean ok, UmedptTensor **dst, GError **error);

G_END_DECLS
