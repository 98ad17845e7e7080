/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The parts of a model that bench-train trains, put together as
 * net/model-run.c does it, with the sizes that a description has by default.
 */
#include "bench-train-model.h"

static gboolean
build (BenchModel *self, gboolean decoders, GError **error)
{
  self->swin = umedpt_swin_new (self->description, self->parameters,
      UMEDPT_ENCODER_PREFIX, error);
  if (!self->swin || !decoders)
    return self->swin != NULL;
  if (self->description->squeeze_dense) {
    self->squeezer = umedpt_squeezer_new (self->description, self->parameters,
        UMEDPT_SQUEEZER_PREFIX, error);
    if (!self->squeezer)
      return FALSE;
  }
  self->pixels = umedpt_pixel_decoder_new (self->description, self->parameters,
      UMEDPT_PIXEL_DECODER_PREFIX);
  self->detection = umedpt_detection_decoder_new (self->description,
      self->parameters, UMEDPT_DETECTION_DECODER_PREFIX);
  return TRUE;
}

gboolean
bench_model_init (BenchModel *self, const char *arch, gboolean decoders,
    UmedptMemory *memory, GError **error)
{
  self->description = umedpt_description_new (arch, error);
  if (!self->description)
    return FALSE;
  self->parameters = umedpt_parameters_new ();
  return build (self, decoders, error) &&
      umedpt_parameters_initialise (self->parameters, 1, error) &&
      umedpt_parameters_move (self->parameters, memory, error) &&
      umedpt_parameters_set_requires_grad (self->parameters, NULL, TRUE, error);
}

void
bench_model_clear (BenchModel *self)
{
  g_clear_pointer (&self->detection, umedpt_detection_decoder_free);
  g_clear_pointer (&self->pixels, umedpt_pixel_decoder_free);
  g_clear_pointer (&self->squeezer, umedpt_squeezer_free);
  g_clear_pointer (&self->swin, umedpt_swin_free);
  g_clear_pointer (&self->parameters, umedpt_parameters_free);
  g_clear_pointer (&self->description, umedpt_description_free);
}

/* @tensor: (transfer full) (nullable) */
static gboolean
append (GPtrArray *outputs, UmedptTensor *tensor)
{
  if (tensor)
    g_ptr_array_add (outputs, tensor);
  return tensor != NULL;
}

static gboolean
decode (BenchModel *self, UmedptContext *context, UmedptTensor *const *pyramid,
    GPtrArray *outputs, GError **error)
{
  UmedptTensor *classes[UMEDPT_DETECTION_LEVELS] = { NULL };
  UmedptTensor *boxes[UMEDPT_DETECTION_LEVELS] = { NULL };
  UmedptTensor *const f4 = pyramid[UMEDPT_SWIN_LEVELS - 1];
  g_autoptr (UmedptTensor) dense = self->squeezer
      ? umedpt_squeezer_map (self->squeezer, context, f4, error)
      : umedpt_tensor_ref (f4);

  if (!dense ||
      !append (outputs,
          umedpt_pixel_decoder_forward (self->pixels, context, pyramid, dense,
              error)) ||
      !umedpt_detection_decoder_forward (self->detection, context, pyramid,
          dense, classes, boxes, error))
    return FALSE;
  for (guint i = 0; i < UMEDPT_DETECTION_LEVELS; i++) {
    append (outputs, classes[i]);
    append (outputs, boxes[i]);
  }
  return TRUE;
}

gboolean
bench_model_forward (BenchModel *self, UmedptContext *context,
    UmedptTensor *images, const UmedptPass *pass, GPtrArray *outputs,
    GError **error)
{
  UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS] = { NULL };
  gboolean ok;

  if (!umedpt_swin_forward (self->swin, context, images, pass, pyramid, error))
    return FALSE;
  ok = self->pixels
      ? decode (self, context, pyramid, outputs, error)
      : append (outputs,
            umedpt_op_global_pool (context, pyramid[UMEDPT_SWIN_LEVELS - 1],
                UMEDPT_POOLING_AVERAGE, error));
  for (guint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
    umedpt_tensor_unref (pyramid[i]);
  return ok;
}
