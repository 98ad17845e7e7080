/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * UmedptTensor: element type, up to five dimensions, and a reference on the
 * memory behind them. Tensors are dense and row-major (the last dimension
 * varies fastest); activations are channels-last, [N, H, W, C].
 */
#pragma once

#include <glib-object.h>

#include "base/macros.h"

G_BEGIN_DECLS

#define UMEDPT_MAX_DIMS 5

/**
 * UmedptDtype:
 * @UMEDPT_DTYPE_F32: IEEE 754 binary32
 * @UMEDPT_DTYPE_BF16: the upper half of a binary32
 * @UMEDPT_DTYPE_F16: IEEE 754 binary16
 * @UMEDPT_DTYPE_I32: signed, 32 bits
 * @UMEDPT_DTYPE_I64: signed, 64 bits
 * @UMEDPT_DTYPE_U8: unsigned, 8 bits
 *
 * Element types, little-endian in memory.
 */
typedef enum
{
  UMEDPT_DTYPE_F32,
  UMEDPT_DTYPE_BF16,
  UMEDPT_DTYPE_F16,
  UMEDPT_DTYPE_I32,
  UMEDPT_DTYPE_I64,
  UMEDPT_DTYPE_U8,
} UmedptDtype;

#define UMEDPT_N_DTYPES 6

typedef struct _UmedptTensor UmedptTensor;

#define UMEDPT_TYPE_TENSOR (umedpt_tensor_get_type ())

UMEDPT_API
GType umedpt_tensor_get_type (void);

UMEDPT_API
gsize umedpt_dtype_size (UmedptDtype dtype);
UMEDPT_API
const char *umedpt_dtype_name (UmedptDtype dtype);

UMEDPT_API
UmedptTensor *umedpt_tensor_new (UmedptDtype dtype, guint n_dims,
    const gint64 *shape, GError **error) G_GNUC_WARN_UNUSED_RESULT;
UMEDPT_API
UmedptTensor *umedpt_tensor_new_zeros (UmedptDtype dtype, guint n_dims,
    const gint64 *shape, GError **error) G_GNUC_WARN_UNUSED_RESULT;
UMEDPT_API
UmedptTensor *umedpt_tensor_new_wrapped (UmedptDtype dtype, guint n_dims,
    const gint64 *shape, gpointer data, gsize size, GDestroyNotify destroy,
    gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
UMEDPT_API
UmedptTensor *umedpt_tensor_reshape (UmedptTensor *tensor, guint n_dims,
    const gint64 *shape, GError **error) G_GNUC_WARN_UNUSED_RESULT;
UMEDPT_API
UmedptTensor *umedpt_tensor_ref (UmedptTensor *tensor);
UMEDPT_API
void umedpt_tensor_unref (UmedptTensor *tensor);

UMEDPT_API
UmedptDtype umedpt_tensor_get_dtype (const UmedptTensor *tensor);
UMEDPT_API
guint umedpt_tensor_get_n_dims (const UmedptTensor *tensor);
UMEDPT_API
const gint64 *umedpt_tensor_get_shape (const UmedptTensor *tensor);
UMEDPT_API
gint64 umedpt_tensor_get_dim (const UmedptTensor *tensor, gint axis);
UMEDPT_API
gsize umedpt_tensor_get_n_elements (const UmedptTensor *tensor);
UMEDPT_API
gsize umedpt_tensor_get_size (const UmedptTensor *tensor);
UMEDPT_API
gconstpointer umedpt_tensor_get_data (const UmedptTensor *tensor);
UMEDPT_API
gpointer umedpt_tensor_get_data_writable (UmedptTensor *tensor);
UMEDPT_API
char *umedpt_tensor_describe (const UmedptTensor *tensor);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptTensor, umedpt_tensor_unref)

G_END_DECLS
