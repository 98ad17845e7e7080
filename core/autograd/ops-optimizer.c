/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checked ops of the optimiser. A step changes a parameter in its place, so
 * the forms that backends have prepared of it (packed weights, a copy on a
 * device) are dropped: the next pass makes them anew. Formulas:
 * backend/backend.h.
 */
#include "autograd/ops-private.h"

#include "base/error.h"

/* A parameter, and what goes with it: f32, of one shape. */
static gboolean
check_state (const char *op, const UmedptTensor *parameter,
    const UmedptTensor *tensor, const char *name, GError **error)
{
  return umedpt_check_same (op, name, tensor, parameter, error);
}

static gboolean
check_parameter (const char *op, const UmedptTensor *parameter, guint64 step,
    GError **error)
{
  if (!parameter || parameter->dtype != UMEDPT_DTYPE_F32)
    return umedpt_check_input (op, "parameter", parameter, UMEDPT_IS_F32, 0,
        error);
  if (step > 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "%s: step is 0; steps are counted from 1.", op);
  return FALSE;
}

gboolean
umedpt_op_adamw (UmedptContext *context, const UmedptAdamwArgs *args,
    GError **error)
{
  const char *op = "adamw";
  gboolean ok;

  if (!check_parameter (op, args->parameter, args->step, error) ||
      !check_state (op, args->parameter, args->gradient, "gradient", error) ||
      !check_state (op, args->parameter, args->moment1, "moment1", error) ||
      !check_state (op, args->parameter, args->moment2, "moment2", error))
    return FALSE;
  ok = UMEDPT_RUN (context, adamw, args, error, args->gradient, args->parameter,
      args->moment1, args->moment2);
  umedpt_tensor_drop_attachments (args->parameter);
  return ok;
}

gboolean
umedpt_op_sgd (UmedptContext *context, const UmedptSgdArgs *args,
    GError **error)
{
  const char *op = "sgd";
  gboolean ok;

  if (!check_parameter (op, args->parameter, args->step, error) ||
      !check_state (op, args->parameter, args->gradient, "gradient", error) ||
      !check_state (op, args->parameter, args->moment, "moment", error))
    return FALSE;
  ok = UMEDPT_RUN (context, sgd, args, error, args->gradient, args->parameter,
      args->moment);
  umedpt_tensor_drop_attachments (args->parameter);
  return ok;
}

gboolean
umedpt_op_square_sum (UmedptContext *context, UmedptTensor *src, double *result,
    GError **error)
{
  UmedptSquareSumArgs args = { .src = src, .result = result };

  *result = 0;
  if (!src || src->dtype != UMEDPT_DTYPE_F32)
    return umedpt_check_input ("square_sum", "src", src, UMEDPT_IS_F32, 0,
        error);
  return UMEDPT_RUN (context, square_sum, &args, error, src, NULL);
}
