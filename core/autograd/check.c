/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checks of the arguments of ops. Backends trust what has passed here: they
 * index without looking. A message names op and argument, what was found and
 * what was expected.
 */
#include "autograd/ops-private.h"

#include <string.h>

#include "base/error.h"

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
