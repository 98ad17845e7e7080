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

static gboolean
check_adamw (const UmedptAdamwArgs *args, GError **error)
{
  const char *op = "adamw";

  return check_parameter (op, args->parameter, args->step, error) &&
      check_state (op, args->parameter, args->gradient, "gradient", error) &&
      check_state (op, args->parameter, args->moment1, "moment1", error) &&
      check_state (op, args->parameter, args->moment2, "moment2", error);
}

static gboolean
check_sgd (const UmedptSgdArgs *args, GError **error)
{
  const char *op = "sgd";

  return check_parameter (op, args->parameter, args->step, error) &&
      check_state (op, args->parameter, args->gradient, "gradient", error) &&
      check_state (op, args->parameter, args->moment, "moment", error);
}

gboolean
umedpt_op_adamw (UmedptContext *context, const UmedptAdamwArgs *args,
    GError **error)
{
  gboolean ok;

  if (!check_adamw (args, error))
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
  gboolean ok;

  if (!check_sgd (args, error))
    return FALSE;
  ok = UMEDPT_RUN (context, sgd, args, error, args->gradient, args->parameter,
      args->moment);
  umedpt_tensor_drop_attachments (args->parameter);
  return ok;
}

/* Of any shape, scalars among them. */
static gboolean
check_square_sum (const UmedptTensor *src, GError **error)
{
  return (src && src->dtype == UMEDPT_DTYPE_F32) ||
      umedpt_check_input ("square_sum", "src", src, UMEDPT_IS_F32, 0, error);
}

gboolean
umedpt_op_square_sum (UmedptContext *context, UmedptTensor *src, double *result,
    GError **error)
{
  UmedptSquareSumArgs args = { .src = src, .result = result };

  *result = 0;
  return check_square_sum (src, error) &&
      UMEDPT_RUN (context, square_sum, &args, error, src, NULL);
}

/* A backend's form for many tensors, in its queue. Forms of parameters that
 * hang on them are its own affair. */
#define RUN_MANY(context, function, ...) \
  ({ \
    UmedptBackend *many_backend = (context)->backend; \
    gboolean many_ok; \
\
    if (many_backend->queue) \
      g_rec_mutex_lock (many_backend->queue); \
    many_ok = many_backend->function (many_backend, __VA_ARGS__); \
    if (many_backend->queue) \
      g_rec_mutex_unlock (many_backend->queue); \
    many_ok; \
  })

gboolean
umedpt_op_adamw_many (UmedptContext *context, const UmedptAdamwArgs *steps,
    guint n, GError **error)
{
  const gboolean many = context->backend->adamw_many != NULL;

  for (guint i = 0; i < n; i++)
    if (!(many ? check_adamw (&steps[i], error) &&
                    umedpt_check_memory (context, UMEDPT_OP_adamw,
                        steps[i].gradient, error)
               : umedpt_op_adamw (context, &steps[i], error)))
      return FALSE;
  return !many ||
      RUN_MANY (context, adamw_many, steps, n,
          context->compute == UMEDPT_DTYPE_BF16, error);
}

gboolean
umedpt_op_sgd_many (UmedptContext *context, const UmedptSgdArgs *steps, guint n,
    GError **error)
{
  const gboolean many = context->backend->sgd_many != NULL;

  for (guint i = 0; i < n; i++)
    if (!(many ? check_sgd (&steps[i], error) &&
                    umedpt_check_memory (context, UMEDPT_OP_sgd,
                        steps[i].gradient, error)
               : umedpt_op_sgd (context, &steps[i], error)))
      return FALSE;
  return !many ||
      RUN_MANY (context, sgd_many, steps, n,
          context->compute == UMEDPT_DTYPE_BF16, error);
}

gboolean
umedpt_op_square_sum_many (UmedptContext *context, UmedptTensor *const *src,
    guint n, double *results, GError **error)
{
  const gboolean many = context->backend->square_sum_many != NULL;

  for (guint i = 0; i < n; i++)
    if (!(many ? check_square_sum (src[i], error) &&
                    umedpt_check_memory (context, UMEDPT_OP_square_sum, src[i],
                        error)
               : umedpt_op_square_sum (context, src[i], &results[i], error)))
      return FALSE;
  return !many || RUN_MANY (context, square_sum_many, src, n, results, error);
}
