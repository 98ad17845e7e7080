/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The context of ops: which backend computes, and in which type. It belongs
 * to one thread at a time. What UMEDPT_DEBUG can tell about ops is told here:
 * `shapes` as they run, `nan` stops at the first op that makes one, `timing`
 * sums the wall time per op until the context is freed.
 */
#define G_LOG_DOMAIN "Umedpt-ops"
#include "autograd/ops-private.h"

#include <math.h>

#include "base/debug.h"
#include "base/error.h"

#define OP_NAME(slot, Type) #slot,
static const char *const op_names[] = { UMEDPT_FOREACH_OP (OP_NAME) };
#undef OP_NAME

/* @compute is f32, or bf16 for matrix products in bf16. Never NULL. */
UmedptContext *
umedpt_context_new (UmedptBackend *backend, UmedptDtype compute)
{
  UmedptContext *context;

  g_return_val_if_fail (backend != NULL, NULL);
  g_return_val_if_fail (compute == UMEDPT_DTYPE_F32 ||
          compute == UMEDPT_DTYPE_BF16,
      NULL);

  context = g_new0 (UmedptContext, 1);
  context->backend = backend;
  context->compute = compute;
  return context;
}

static void
log_timing (const UmedptContext *context)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gint64 sum = 0;

  for (guint i = 0; i < UMEDPT_N_OPS; i++)
    sum += context->microseconds[i];
  for (guint i = 0; i < UMEDPT_N_OPS; i++)
    if (context->calls[i])
      g_string_append_printf (text,
          "\n  %-25s %8" G_GUINT64_FORMAT " calls %10.3f ms %5.1f %%",
          op_names[i], context->calls[i], context->microseconds[i] / 1e3,
          100.0 * context->microseconds[i] / MAX (sum, 1));
  if (text->len)
    g_message ("time in ops on %s, %.3f ms:%s", context->backend->name,
        sum / 1e3, text->str);
}

void
umedpt_context_free (UmedptContext *context)
{
  g_return_if_fail (context != NULL);

  if (umedpt_debug_enabled (UMEDPT_DEBUG_TIMING))
    log_timing (context);
  g_free (context);
}

UmedptBackend *
umedpt_context_get_backend (const UmedptContext *context)
{
  g_return_val_if_fail (context != NULL, NULL);
  return context->backend;
}

UmedptDtype
umedpt_context_get_compute (const UmedptContext *context)
{
  g_return_val_if_fail (context != NULL, UMEDPT_DTYPE_F32);
  return context->compute;
}

static char *
describe_first (guint n, UmedptTensor *const *outputs)
{
  for (guint i = 0; i < n; i++)
    if (outputs[i])
      return umedpt_tensor_describe (outputs[i]);
  return g_strdup ("nothing");
}

/* Whether @src, and with it all that the op works on, lies where the backend
 * looks for it. */
gboolean
umedpt_check_memory (const UmedptContext *context, UmedptOpId op,
    const UmedptTensor *src, GError **error)
{
  const UmedptMemory *memory = context->backend->memory;

  if (src->memory == memory)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "%s on %s got a tensor in %s memory; move the model and its inputs to "
      "the device first.",
      op_names[op], context->backend->name,
      src->memory ? src->memory->name : "host");
  return FALSE;
}

/* Called before an op is dispatched; returns the time for umedpt_op_end().
 * @outputs: (nullable) what it will write. */
gint64
umedpt_op_begin (UmedptContext *context, UmedptOpId op, const UmedptTensor *src,
    guint n, UmedptTensor *const *outputs)
{
  if (umedpt_debug_enabled (UMEDPT_DEBUG_SHAPES)) {
    g_autofree char *from = umedpt_tensor_describe (src);
    g_autofree char *to = describe_first (n, outputs);

    g_message ("%s: %s -> %s", op_names[op], from, to);
  }
  return umedpt_debug_enabled (UMEDPT_DEBUG_TIMING) ? g_get_monotonic_time ()
                                                    : 0;
}

/* The index of the first NaN, or the number of elements. */
static gsize
find_nan (const UmedptTensor *tensor)
{
  gsize i = 0;

  if (tensor->dtype == UMEDPT_DTYPE_F32)
    while (i < tensor->n_elements && !isnan (UMEDPT_F32 (tensor)[i]))
      i++;
  else
    while (i < tensor->n_elements &&
        !isnan (umedpt_bf16_to_f32 (UMEDPT_BF16 (tensor)[i])))
      i++;
  return i;
}

static gboolean
check_nan (const char *op, const UmedptTensor *dst, GError **error)
{
  gsize at = find_nan (dst);
  g_autofree char *text = NULL;

  if (at == dst->n_elements)
    return TRUE;
  text = umedpt_tensor_describe (dst);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "%s made a NaN: element %" G_GSIZE_FORMAT " of its output %s. "
      "UMEDPT_DEBUG=nan stops here.",
      op, at, text);
  return FALSE;
}

/* Waits until a device has computed the op: without it, the time is that of
 * queueing it. While a graph is recorded nothing is computed and nothing can be
 * waited for; then there is no graph, and ops run one by one. */
static void
wait_for_device (const UmedptContext *context, guint n,
    UmedptTensor *const *outputs)
{
  UmedptMemory *memory = context->backend->memory;
  guint8 byte;

  for (guint i = 0; memory && i < n; i++)
    if (outputs[i] && outputs[i]->n_elements > 0) {
      memory->download (memory, &byte, outputs[i]->data, sizeof byte, NULL);
      return;
    }
}

static gboolean
check_output (const char *op, UmedptTensor *dst, GError **error)
{
  g_autoptr (UmedptTensor) host = umedpt_tensor_to (dst, NULL, error);

  return host && check_nan (op, host, error);
}

/* Called after the dispatch, whose result is @ok. */
gboolean
umedpt_op_end (UmedptContext *context, UmedptOpId op, gint64 start, gboolean ok,
    guint n, UmedptTensor *const *outputs, GError **error)
{
  if (umedpt_debug_enabled (UMEDPT_DEBUG_TIMING)) {
    wait_for_device (context, n, outputs);
    context->microseconds[op] += g_get_monotonic_time () - start;
    context->calls[op]++;
  }
  if (!umedpt_debug_enabled (UMEDPT_DEBUG_NAN))
    return ok;
  for (guint i = 0; ok && i < n; i++)
    ok = !outputs[i] || check_output (op_names[op], outputs[i], error);
  return ok;
}
