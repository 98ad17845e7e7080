/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What backends see of a tensor: inline access to its fields, memory that is
 * recycled, and attachments, by which a backend hangs a prepared form of a
 * parameter (packed weights, a copy on the device) on the parameter itself.
 */
#pragma once

#include "tensor/memory.h"
#include "tensor/tensor.h"

G_BEGIN_DECLS

typedef struct _UmedptStorage UmedptStorage;

/* One prepared form; the list is short, so it is searched. */
typedef struct _UmedptAttachment UmedptAttachment;

struct _UmedptTensor
{
  gatomicrefcount ref_count;
  UmedptDtype dtype;
  guint n_dims;
  gint64 shape[UMEDPT_MAX_DIMS];
  gsize n_elements;
  UmedptStorage *storage;
  gpointer data; /* into the storage */
  UmedptMemory *memory; /* where that is; NULL: the host's */
  GMutex lock; /* of the attachments */
  UmedptAttachment *attachments;
  /* Training (autograd/tape.h): whether dL / d this tensor is wanted, and the
   * gradient as far as it is there: own shape; own type, f32 for parameters. */
  gboolean requires_grad;
  UmedptTensor *grad; /* (nullable) */
};

/* Typed views of the data, for backends. */
#define UMEDPT_F32(t) ((float *) (t)->data)
#define UMEDPT_BF16(t) ((guint16 *) (t)->data)
#define UMEDPT_U8(t) ((guint8 *) (t)->data)

/* Makes the prepared form of @tensor for @key; NULL sets @error. */
typedef gpointer (*UmedptAttachFunc) (UmedptTensor *tensor, gpointer user_data,
    GError **error);

gpointer umedpt_tensor_attach (UmedptTensor *tensor, gconstpointer key,
    UmedptAttachFunc make, gpointer user_data, GDestroyNotify destroy,
    GError **error);
void umedpt_tensor_drop_attachments (UmedptTensor *tensor);

/* Tensors in a backend's memory (tensor-memory.c). @memory: NULL is the
 * host's. All set @error where they return NULL or FALSE. */
UmedptTensor *umedpt_tensor_new_in (UmedptMemory *memory, UmedptDtype dtype,
    guint n_dims, const gint64 *shape, GError **error);
UmedptTensor *umedpt_tensor_new_zeros_in (UmedptMemory *memory,
    UmedptDtype dtype, guint n_dims, const gint64 *shape, GError **error);
/* Some elements of @tensor, from @first on, in its memory. */
UmedptTensor *umedpt_tensor_new_view (UmedptTensor *tensor, gsize first,
    guint n_dims, const gint64 *shape, GError **error);
/* A copy in @memory, or @tensor with one more reference if it is there. */
UmedptTensor *umedpt_tensor_to (UmedptTensor *tensor, UmedptMemory *memory,
    GError **error);
/* Moves the values of @tensor itself; other views of it stay where they are.
 * Nobody else may use it meanwhile. */
gboolean umedpt_tensor_move (UmedptTensor *tensor, UmedptMemory *memory,
    GError **error);
/* dst = src, of the same type and number of elements, in any memories. */
gboolean umedpt_tensor_copy (UmedptTensor *dst, const UmedptTensor *src,
    GError **error);
gboolean umedpt_tensor_zero (UmedptTensor *tensor, GError **error);
void umedpt_tensor_release_pages (UmedptTensor *tensor);

/* Whether two tensors (either may be NULL: FALSE) have the same shape. */
gboolean umedpt_tensor_same_shape (const UmedptTensor *a,
    const UmedptTensor *b);

/* bf16 <-> f32, round to nearest even; NaN stays NaN. */
static inline float
umedpt_bf16_to_f32 (guint16 value)
{
  union
  {
    guint32 u;
    float f;
  } x = { .u = (guint32) value << 16 };
  return x.f;
}

static inline guint16
umedpt_f32_to_bf16 (float value)
{
  union
  {
    float f;
    guint32 u;
  } x = { .f = value };
  if ((x.u & 0x7fffffff) > 0x7f800000)
    return (guint16) ((x.u >> 16) | 0x40);
  return (guint16) ((x.u + 0x7fff + ((x.u >> 16) & 1)) >> 16);
}

G_END_DECLS
