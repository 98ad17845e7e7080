/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An exponential moving average of the weights (Polyak and Juditsky 1992):
 * after update number n = 1, 2, …
 *
 *   average = d average + (1 - d) parameter,  d = min (decay, (1 + n)/(10 + n))
 *
 * The second term lets the first updates forget the initial weights, which a
 * short run with a large decay would else end up with; it is how TensorFlow's
 * ExponentialMovingAverage uses its num_updates.
 */
#include "base/error.h"
#include "train/optimizer.h"

struct _UmedptAverage
{
  UmedptParameters *parameters; /* not owned */
  double decay;
  guint64 n_updates;
  GArray *indices; /* of guint: which parameters */
  GPtrArray *values; /* of UmedptTensor: their averages */
};

static void
unref_tensor (gpointer tensor)
{
  umedpt_tensor_unref (tensor);
}

/* Begins with the parameters' values of now. No parameter may be declared
 * after this. */
UmedptAverage *
umedpt_average_new (UmedptParameters *parameters, double decay, GError **error)
{
  g_autoptr (UmedptAverage) self = g_new0 (UmedptAverage, 1);

  self->parameters = parameters;
  self->decay = decay;
  self->indices = g_array_new (FALSE, FALSE, sizeof (guint));
  self->values = g_ptr_array_new_with_free_func (unref_tensor);
  for (guint i = 0; i < umedpt_parameters_get_n (parameters); i++) {
    const UmedptTensor *tensor = umedpt_parameters_get_tensor (parameters, i);
    UmedptTensor *copy;

    if (!tensor || !tensor->requires_grad)
      continue;
    copy = umedpt_tensor_new_in (tensor->memory, UMEDPT_DTYPE_F32,
        tensor->n_dims, tensor->shape, error);
    if (!copy)
      return NULL;
    g_array_append_val (self->indices, i);
    g_ptr_array_add (self->values, copy);
    if (!umedpt_tensor_copy (copy, tensor, error))
      return NULL;
  }
  return g_steal_pointer (&self);
}

void
umedpt_average_free (UmedptAverage *self)
{
  if (!self)
    return;
  g_array_unref (self->indices);
  g_ptr_array_unref (self->values);
  g_free (self);
}

static UmedptTensor *
nth_parameter (UmedptAverage *self, guint i)
{
  return umedpt_parameters_get_tensor (self->parameters,
      g_array_index (self->indices, guint, i));
}

static const char *
nth_name (UmedptAverage *self, guint i)
{
  return umedpt_parameters_get_name (self->parameters,
      g_array_index (self->indices, guint, i));
}

/* On a device: a step of SGD at the rate @rest with the gradient average -
 * parameter, which is decay minus "gradient"; a backend needs no op for it. */
static gboolean
update_on_device (UmedptContext *context, UmedptTensor *average,
    UmedptTensor *parameter, double rest, GError **error)
{
  g_autoptr (UmedptTensor) moment = umedpt_tensor_new_in (average->memory,
      UMEDPT_DTYPE_F32, average->n_dims, average->shape, error);

  return moment &&
      umedpt_op_sgd (context,
          &(UmedptSgdArgs){ .parameter = average,
              .gradient = parameter,
              .moment = moment,
              .lr = rest,
              .weight_decay = 1,
              .gradient_scale = -1,
              .step = 1 },
          error);
}

gboolean
umedpt_average_update (UmedptAverage *self, UmedptContext *context,
    GError **error)
{
  const double n = (double) ++self->n_updates;
  const float rest = (float) (1 - MIN (self->decay, (1 + n) / (10 + n)));

  for (guint i = 0; i < self->values->len; i++) {
    UmedptTensor *parameter = nth_parameter (self, i);
    UmedptTensor *value = self->values->pdata[i];
    const float *restrict src = UMEDPT_F32 (parameter);
    float *restrict dst = UMEDPT_F32 (value);

    if (value->memory) {
      if (!update_on_device (context, value, parameter, rest, error))
        return FALSE;
      continue;
    }
    for (gsize j = 0; j < parameter->n_elements; j++)
      dst[j] += rest * (src[j] - dst[j]);
  }
  return TRUE;
}

/* What they hold, wherever it lies, and nothing is copied. */
static void
swap_values (UmedptTensor *a, UmedptTensor *b)
{
  UmedptStorage *storage = a->storage;
  gpointer data = a->data;

  umedpt_tensor_drop_attachments (a);
  umedpt_tensor_drop_attachments (b);
  a->storage = b->storage;
  a->data = b->data;
  b->storage = storage;
  b->data = data;
}

/* In place: layers go on to hold the same tensors. */
void
umedpt_average_swap (UmedptAverage *self)
{
  for (guint i = 0; i < self->values->len; i++) {
    UmedptTensor *parameter = nth_parameter (self, i);
    UmedptTensor *value = self->values->pdata[i];

    g_assert (parameter->memory == value->memory);
    swap_values (parameter, value);
  }
  umedpt_parameters_changed (self->parameters);
}

/* The averages under <prefix><parameter>, the number of updates in the
 * metadata under <prefix>updates. Tensors in host memory are shared with
 * @writer: it must be written before the next update. */
gboolean
umedpt_average_store (UmedptAverage *self, UmedptSafetensorsWriter *writer,
    const char *prefix, GError **error)
{
  g_autofree char *key = g_strconcat (prefix, "updates", NULL);
  g_autofree char *value =
      g_strdup_printf ("%" G_GUINT64_FORMAT, self->n_updates);

  umedpt_safetensors_writer_set_metadata (writer, key, value);
  for (guint i = 0; i < self->values->len; i++) {
    g_autofree char *name = g_strconcat (prefix, nth_name (self, i), NULL);
    g_autoptr (UmedptTensor) average =
        umedpt_tensor_to (self->values->pdata[i], NULL, error);

    if (!average)
      return FALSE;
    umedpt_safetensors_writer_add (writer, name, average);
  }
  return TRUE;
}

static gboolean
check_value (UmedptTensor *found, const UmedptTensor *expected,
    const char *name, GError **error)
{
  g_autofree char *is = NULL;
  g_autofree char *shall = NULL;

  if (found->dtype == UMEDPT_DTYPE_F32 &&
      umedpt_tensor_same_shape (found, expected))
    return TRUE;
  is = umedpt_tensor_describe (found);
  shall = umedpt_tensor_describe (expected);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      "The average %s is %s instead of %s: it belongs to another model.", name,
      is, shall);
  return FALSE;
}

/* Replaces all averages by those in @file, or changes nothing. */
gboolean
umedpt_average_load (UmedptAverage *self, UmedptSafetensors *file,
    const char *prefix, GError **error)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (unref_tensor);
  g_autofree char *key = g_strconcat (prefix, "updates", NULL);
  const char *text = umedpt_safetensors_get_metadata (file, key);
  guint64 n_updates = 0;

  if (!text ||
      !g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT64, &n_updates,
          NULL)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "The metadata '%s' is %s; expected the number of updates of the "
        "average of weights.",
        key, text ? text : "missing");
    return FALSE;
  }
  for (guint i = 0; i < self->values->len; i++) {
    g_autofree char *name = g_strconcat (prefix, nth_name (self, i), NULL);
    UmedptTensor *tensor = umedpt_safetensors_get_tensor (file, name, error);

    if (!tensor)
      return FALSE;
    g_ptr_array_add (found, tensor);
    if (!check_value (tensor, self->values->pdata[i], name, error))
      return FALSE;
  }
  for (guint i = 0; i < self->values->len; i++)
    if (!umedpt_tensor_copy (self->values->pdata[i], found->pdata[i], error))
      return FALSE;
  self->n_updates = n_updates;
  return TRUE;
}

gboolean
umedpt_average_share (UmedptAverage *self, UmedptRanks *ranks,
    const char *prefix, guint root, GError **error)
{
  for (guint i = 0; i < self->values->len; i++) {
    const char *name = umedpt_parameters_get_name (self->parameters,
        g_array_index (self->indices, guint, i));

    if (g_str_has_prefix (name, prefix) &&
        !umedpt_ranks_broadcast_tensor (ranks, self->values->pdata[i], root,
            error))
      return FALSE;
  }
  return TRUE;
}
