/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checks of the arguments of ops, and shapes of their outputs. Backends trust
 * what has passed here: they index without looking. A message names op and
 * argument, what was found and what was expected.
 */
#include "autograd/ops-private.h"

#include <string.h>

#include "base/error.h"

gint64
umedpt_columns (const UmedptTensor *tensor)
{
  return tensor->shape[tensor->n_dims - 1];
}

/* Outputs lie where inputs do. */
UmedptTensor *
umedpt_new_like (const UmedptTensor *src, UmedptDtype dtype, GError **error)
{
  return umedpt_tensor_new_in (src->memory, dtype, src->n_dims, src->shape,
      error);
}

/* [..., C] of @src with the last dimension replaced. */
UmedptTensor *
umedpt_new_rows (const UmedptTensor *src, UmedptDtype dtype, gint64 columns,
    GError **error)
{
  gint64 shape[UMEDPT_MAX_DIMS];

  for (guint i = 0; i < src->n_dims; i++)
    shape[i] = src->shape[i];
  shape[src->n_dims - 1] = columns;
  return umedpt_tensor_new_in (src->memory, dtype, src->n_dims, shape, error);
}

static char *
describe_shape (guint n_dims, const gint64 *shape)
{
  GString *text = g_string_new ("[");

  for (guint i = 0; i < n_dims; i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i ? ", " : "",
        shape[i]);
  g_string_append_c (text, ']');
  return g_string_free (text, FALSE);
}

static char *
describe_dtypes (guint dtypes)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < UMEDPT_N_DTYPES; i++)
    if (dtypes & (1u << i))
      g_string_append_printf (text, "%s%s", text->len ? " or " : "",
          umedpt_dtype_name (i));
  return g_string_free (text, FALSE);
}

static gboolean
check_present (const char *op, const char *name, const UmedptTensor *tensor,
    GError **error)
{
  if (!tensor)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "%s: %s is missing.", op, name);
  return tensor != NULL;
}

static gboolean
check_dtype (const char *op, const char *name, const UmedptTensor *tensor,
    guint dtypes, GError **error)
{
  g_autofree char *found = NULL, *expected = NULL;

  if (dtypes & (1u << tensor->dtype))
    return TRUE;
  found = umedpt_tensor_describe (tensor);
  expected = describe_dtypes (dtypes);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DTYPE,
      "%s: %s is %s; elements of %s are expected.", op, name, found, expected);
  return FALSE;
}

/* A tensor of one of @dtypes and of @n_dims dimensions; 0: at least one. */
gboolean
umedpt_check_input (const char *op, const char *name,
    const UmedptTensor *tensor, guint dtypes, guint n_dims, GError **error)
{
  g_autofree char *found = NULL;

  if (!check_present (op, name, tensor, error) ||
      !check_dtype (op, name, tensor, dtypes, error))
    return FALSE;
  if (n_dims ? tensor->n_dims == n_dims : tensor->n_dims > 0)
    return TRUE;
  found = umedpt_tensor_describe (tensor);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "%s: %s is %s; %s%u dimension%s expected.", op, name, found,
      n_dims ? "" : "at least ", MAX (n_dims, 1), n_dims > 1 ? "s are" : " is");
  return FALSE;
}

/* Exactly this shape. */
gboolean
umedpt_check_shape (const char *op, const char *name,
    const UmedptTensor *tensor, guint n_dims, const gint64 *shape,
    GError **error)
{
  g_autofree char *found = NULL, *expected = NULL;

  if (tensor->n_dims == n_dims &&
      memcmp (tensor->shape, shape, n_dims * sizeof *shape) == 0)
    return TRUE;
  found = umedpt_tensor_describe (tensor);
  expected = describe_shape (n_dims, shape);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "%s: %s is %s; %s is expected.", op, name, found, expected);
  return FALSE;
}

/* An f32 tensor of exactly this shape. */
gboolean
umedpt_check_param (const char *op, const char *name,
    const UmedptTensor *tensor, guint n_dims, const gint64 *shape,
    GError **error)
{
  return check_present (op, name, tensor, error) &&
      check_dtype (op, name, tensor, UMEDPT_IS_F32, error) &&
      umedpt_check_shape (op, name, tensor, n_dims, shape, error);
}

/* The optional scale and shift of a norm over @n channels. */
gboolean
umedpt_check_affine (const char *op, const UmedptTensor *gamma,
    const UmedptTensor *beta, gint64 n, GError **error)
{
  return (!gamma ||
             umedpt_check_param (op, "gamma", gamma, UMEDPT_SHAPE (n),
                 error)) &&
      (!beta || umedpt_check_param (op, "beta", beta, UMEDPT_SHAPE (n), error));
}

gboolean
umedpt_check_range (const char *op, const char *name, gint64 value, gint64 min,
    gint64 max, GError **error)
{
  if (value >= min && value <= max)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "%s: %s is %" G_GINT64_FORMAT "; %" G_GINT64_FORMAT
      " to %" G_GINT64_FORMAT " is allowed.",
      op, name, value, min, max);
  return FALSE;
}

/* f32, and of the shape of another argument. */
gboolean
umedpt_check_same (const char *op, const char *name, const UmedptTensor *tensor,
    const UmedptTensor *like, GError **error)
{
  return umedpt_check_param (op, name, tensor, like->n_dims, like->shape,
      error);
}

/* The (nullable) factors of a branch: as many as there are samples, each of
 * which has the same number of rows of @src. */
gboolean
umedpt_check_branch_scale (const char *op, const UmedptTensor *scale,
    const UmedptTensor *src, GError **error)
{
  gint64 rows = (gint64) src->n_elements / MAX (umedpt_columns (src), 1);

  if (!scale)
    return TRUE;
  if (!umedpt_check_input (op, "branch_scale", scale, UMEDPT_IS_F32, 1, error))
    return FALSE;
  if (scale->shape[0] > 0 && rows % scale->shape[0] == 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "%s: branch_scale has %" G_GINT64_FORMAT
      " elements, and %" G_GINT64_FORMAT
      " rows cannot be parted into as many samples.",
      op, scale->shape[0], rows);
  return FALSE;
}

/* The type of an output that the caller may choose. */
gboolean
umedpt_check_float (const char *op, UmedptDtype dtype, GError **error)
{
  if (dtype == UMEDPT_DTYPE_F32 || dtype == UMEDPT_DTYPE_BF16)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DTYPE,
      "%s: an output of %s is asked for; it may be f32 or bf16.", op,
      umedpt_dtype_name (dtype));
  return FALSE;
}
