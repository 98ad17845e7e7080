/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The steps of a part of an encoding: which there are, what each reads, and
 * how it runs: op by op, or as a graph of the part's slot (device-slots.c).
 * A pass of a small model is some three hundred kernels, and launching them
 * takes longer than their work; as graphs it is half a dozen launches.
 *
 * A step has a graph of its own, since tasks may be asked for in any order and
 * any of them may be missing. It is recorded when it comes to the slot for the
 * second time: before that, it has prepared what is made only once (weights,
 * choice of algorithms), which must not become part of a graph.
 *
 * What a graph reads must lie where it did when it was recorded. So a step runs
 * as a graph only if the step before it did so for the same images. And forms
 * of a tensor that a backend hangs on it (bf16 of f32) would outlive the values
 * that the next run writes, or be taken for the work of another graph. So ops
 * never get a graph's results themselves, but views of them, new ones for each
 * part and each recording.
 */
#include "base/error.h"
#include "infer/encoding-private.h"

#define MAX_RESULTS (2 * UMEDPT_DETECTION_LEVELS)

/* Where @features has what @step makes, if it is no head. */
static guint
list_results (UmedptFeatures *features, guint step,
    UmedptTensor **results[MAX_RESULTS])
{
  guint n = 0;

  switch (step) {
    case UMEDPT_STEP_ENCODER:
      for (guint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
        results[n++] = &features->pyramid[i];
      results[n++] = &features->dense;
      break;
    case UMEDPT_STEP_VECTOR:
      results[n++] = &features->vector;
      break;
    case UMEDPT_STEP_PIXELS:
      results[n++] = &features->pixels;
      break;
    case UMEDPT_STEP_DETECTION:
      for (guint i = 0; i < UMEDPT_DETECTION_LEVELS; i++) {
        results[n++] = &features->detect_classes[i];
        results[n++] = &features->detect_boxes[i];
      }
      break;
    default:
      break;
  }
  return n;
}

static const UmedptTaskDescription *
task_of (UmedptEncoding *self, guint step)
{
  return g_ptr_array_index (umedpt_model_get_description (self->model)->tasks,
      step - UMEDPT_STEP_HEADS);
}

/* The step whose results @step reads. */
static guint
step_before (UmedptEncoding *self, guint step)
{
  if (step < UMEDPT_STEP_HEADS)
    return UMEDPT_STEP_ENCODER;
  switch (task_of (self, step)->kind) {
    case UMEDPT_TASK_SEGMENTATION:
    case UMEDPT_TASK_MULTILABEL_SEGMENTATION:
      return UMEDPT_STEP_PIXELS;
    case UMEDPT_TASK_DETECTION:
      return UMEDPT_STEP_DETECTION;
    default:
      return UMEDPT_STEP_VECTOR;
  }
}

static gboolean
is_done (UmedptEncodingPart *part, guint step)
{
  UmedptTensor **results[MAX_RESULTS];

  if (step >= UMEDPT_STEP_HEADS)
    return part->outputs[step - UMEDPT_STEP_HEADS].n_outputs > 0;
  list_results (&part->features, step, results);
  return *results[0] != NULL;
}

/* ---- Op by op ---- */

/* i32 [n]: 0, 1, …: for a task that groups images into cases, each image by
 * itself is one. */
static UmedptTensor *
new_groups (UmedptEncoding *self, guint n, GError **error)
{
  const gint64 shape[] = { n };
  g_autoptr (UmedptTensor) host =
      umedpt_tensor_new (UMEDPT_DTYPE_I32, 1, shape, error);

  if (!host)
    return NULL;
  for (guint i = 0; i < n; i++)
    ((gint32 *) host->data)[i] = (gint32) i;
  return umedpt_tensor_to (host, umedpt_encoding_get_backend (self)->memory,
      error);
}

/* What a step works with: a part's, or a slot's while it is recorded. */
typedef struct
{
  UmedptTensor *images;
  UmedptTensor *groups; /* (nullable) */
  UmedptFeatures *features;
  UmedptTaskOutput *outputs;
} Place;

static gboolean
run_encoder (UmedptEncoding *self, UmedptContext *context, const Place *place,
    GError **error)
{
  const UmedptDescription *description =
      umedpt_model_get_description (self->model);

  if (!umedpt_model_encode_features (self->model, context, place->images, NULL,
          place->features, error))
    return FALSE;
  if (!description->pixel_decoder && !description->detection_decoder)
    return TRUE;
  if (umedpt_model_need_dense (self->model, context, place->features, error))
    return TRUE;
  umedpt_features_clear (place->features);
  return FALSE;
}

static gboolean
run_head (UmedptEncoding *self, UmedptContext *context, const Place *place,
    guint step, GError **error)
{
  const guint task = step - UMEDPT_STEP_HEADS;
  UmedptTensor *groups = task_of (self, step)->grouped ? place->groups : NULL;
  UmedptTaskOutput *output = &place->outputs[task];

  if (umedpt_model_run_task (self->model, context, place->features, task,
          groups, groups ? groups->shape[0] : 0, output, error) &&
      umedpt_task_output_pack (output, error))
    return TRUE;
  umedpt_task_output_clear (output);
  return FALSE;
}

static gboolean
run_ops (UmedptEncoding *self, const Place *place, guint step, GError **error)
{
  UmedptContext *context = umedpt_session_get_context (self->session);

  switch (step) {
    case UMEDPT_STEP_ENCODER:
      return run_encoder (self, context, place, error);
    case UMEDPT_STEP_VECTOR:
      return umedpt_model_need_vector (self->model, context, place->features,
          error);
    case UMEDPT_STEP_PIXELS:
      return umedpt_model_need_pixels (self->model, context, place->features,
          error);
    case UMEDPT_STEP_DETECTION:
      return umedpt_model_need_detection (self->model, context, place->features,
          error);
    default:
      return run_head (self, context, place, step, error);
  }
}

/* ---- As a graph ---- */

/* Views of what @from has of @step's results, to @to. */
static gboolean
lend (UmedptFeatures *from, UmedptFeatures *to, guint step, GError **error)
{
  UmedptTensor **source[MAX_RESULTS], **target[MAX_RESULTS];
  const guint n = list_results (from, step, source);

  list_results (to, step, target);
  for (guint i = 0; i < n; i++) {
    const UmedptTensor *tensor = *source[i];

    if (tensor &&
        !(*target[i] = umedpt_tensor_reshape (*source[i], tensor->n_dims,
              tensor->shape, error)))
      return FALSE;
  }
  return TRUE;
}

/* Hands what a recording has made to the slot. */
static void
keep (UmedptSlot *slot, guint step, UmedptFeatures *features)
{
  UmedptTensor **source[MAX_RESULTS], **target[MAX_RESULTS];
  const guint n = list_results (features, step, source);

  list_results (&slot->features, step, target);
  for (guint i = 0; i < n; i++)
    *target[i] = g_steal_pointer (source[i]);
}

/* Records @step on @slot, whose input and groups are there: what comes from the
 * host cannot be recorded. */
static gpointer
record (UmedptEncoding *self, UmedptSlot *slot, guint step)
{
  UmedptBackend *backend = umedpt_encoding_get_backend (self);
  UmedptFeatures features = { { 0 } };
  const Place place = { slot->input, slot->groups, &features, slot->outputs };
  gboolean ok = TRUE;
  gpointer graph = NULL;

  for (guint i = 0; ok && i < UMEDPT_STEP_HEADS; i++)
    ok = !slot->steps[i].graph || lend (&slot->features, &features, i, NULL);
  if (ok && backend->graph_begin (backend, NULL)) {
    ok = run_ops (self, &place, step, NULL);
    graph = backend->graph_end (backend, NULL);
  }
  if (graph && ok)
    keep (slot, step, &features);
  else if (graph)
    backend->graph_free (backend, g_steal_pointer (&graph));
  if (!graph && step >= UMEDPT_STEP_HEADS)
    umedpt_task_output_clear (&slot->outputs[step - UMEDPT_STEP_HEADS]);
  umedpt_features_clear (&features);
  return graph;
}

/* Whether @step can run as a graph; makes it when it is time to. */
static gboolean
need_graph (UmedptEncoding *self, UmedptEncodingPart *part, guint step)
{
  UmedptBackend *backend = umedpt_encoding_get_backend (self);
  UmedptSlot *slot = part->slot;
  UmedptSlotStep *own = &slot->steps[step];

  if (own->failed || !own->prepared ||
      (step != UMEDPT_STEP_ENCODER &&
          !slot->steps[step_before (self, step)].ran))
    return FALSE;
  if (own->graph)
    return TRUE;
  if (backend->graph_begin && !slot->input)
    slot->input = umedpt_tensor_new_in (backend->memory, UMEDPT_DTYPE_U8, 4,
        part->fed.images->shape, NULL);
  if (backend->graph_begin && slot->input)
    own->graph = record (self, slot, step);
  own->failed = !own->graph;
  return own->graph != NULL;
}

/* Queues the graph; its results become the part's. */
static gboolean
run_graph (UmedptEncoding *self, UmedptEncodingPart *part, guint step)
{
  UmedptBackend *backend = umedpt_encoding_get_backend (self);
  UmedptSlot *slot = part->slot;
  UmedptTaskOutput *output;

  if ((step == UMEDPT_STEP_ENCODER &&
          !umedpt_tensor_copy (slot->input, part->fed.images, NULL)) ||
      !backend->graph_run (backend, slot->steps[step].graph, NULL))
    return FALSE;
  slot->steps[step].ran = TRUE;
  if (step < UMEDPT_STEP_HEADS)
    return lend (&slot->features, &part->features, step, NULL);
  output = &part->outputs[step - UMEDPT_STEP_HEADS];
  *output = slot->outputs[step - UMEDPT_STEP_HEADS];
  for (guint i = 0; i < output->n_outputs; i++)
    umedpt_tensor_ref (output->outputs[i]);
  umedpt_tensor_ref (output->packed);
  return TRUE;
}

/* FALSE: it has to be done op by op. Who records, or runs what was recorded,
 * holds the queue, so that nobody else's work gets into it. */
static gboolean
try_graph (UmedptEncoding *self, UmedptEncodingPart *part, guint step)
{
  GRecMutex *queue = umedpt_encoding_get_backend (self)->queue;
  gboolean ok;

  if (!part->slot)
    return FALSE;
  if (queue)
    g_rec_mutex_lock (queue);
  ok = need_graph (self, part, step);
  if (ok && !run_graph (self, part, step)) {
    part->slot->steps[step].failed = TRUE;
    ok = FALSE;
  }
  if (queue)
    g_rec_mutex_unlock (queue);
  return ok;
}

/* ---- One or the other ---- */

/* What a step reads beside the results of others. (transfer full) */
static gboolean
need_groups (UmedptEncoding *self, UmedptEncodingPart *part, guint step,
    UmedptTensor **groups, GError **error)
{
  UmedptSlot *slot = part->slot;

  *groups = NULL;
  if (step < UMEDPT_STEP_HEADS || !task_of (self, step)->grouped)
    return TRUE;
  *groups = slot && slot->groups ? umedpt_tensor_ref (slot->groups)
                                 : new_groups (self, part->n, error);
  if (slot && !slot->groups && *groups)
    slot->groups = umedpt_tensor_ref (*groups);
  return *groups != NULL;
}

static gboolean
run_step (UmedptEncoding *self, UmedptEncodingPart *part, guint step,
    GError **error)
{
  g_autoptr (UmedptTensor) groups = NULL;
  Place place = { part->fed.images, NULL, &part->features, part->outputs };
  gboolean ok;

  if (!need_groups (self, part, step, &groups, error))
    return FALSE;
  place.groups = groups;
  umedpt_session_lock (self->session);
  ok = try_graph (self, part, step) || run_ops (self, &place, step, error);
  umedpt_session_unlock (self->session);
  if (ok && part->slot)
    part->slot->steps[step].prepared = TRUE;
  return ok;
}

/* Whether there is more memory now: graphs hold some that ops share. The
 * part's features stay; only its slot goes. */
static gboolean
give_way (UmedptEncoding *self, UmedptEncodingPart *part, const GError *why)
{
  UmedptDevicePass *device = umedpt_session_get_device_pass (self->session);

  if (!device || !g_error_matches (why, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY))
    return FALSE;
  umedpt_device_pass_forget (device);
  umedpt_slots_give (umedpt_device_pass_get_slots (device),
      g_steal_pointer (&part->slot));
  return TRUE;
}

gboolean
umedpt_encoding_run (UmedptEncoding *self, UmedptEncodingPart *part, guint step,
    GError **error)
{
  const gboolean first = step == UMEDPT_STEP_ENCODER;
  GError *local = NULL;

  if (is_done (part, step))
    return TRUE;
  if (!first &&
      (!umedpt_encoding_check_features (part, error) ||
          !umedpt_encoding_run (self, part, step_before (self, step), error)))
    return FALSE;
  if (run_step (self, part, step, &local))
    return TRUE;
  if (!first && give_way (self, part, local)) {
    g_error_free (local);
    return run_step (self, part, step, error);
  }
  g_propagate_error (error, local);
  return FALSE;
}

/* ---- For the host ---- */

/* Somebody has waited for the device: the images have been read. */
static void
return_images (UmedptEncoding *self, UmedptEncodingPart *part)
{
  UmedptDevicePass *device = umedpt_session_get_device_pass (self->session);

  if (device)
    umedpt_device_feed_return (umedpt_device_pass_get_feed (device),
        &part->fed);
}

gboolean
umedpt_encoding_need_vectors (UmedptEncoding *self, UmedptEncodingPart *part,
    GError **error)
{
  if (part->vectors)
    return TRUE;
  if (!umedpt_encoding_run (self, part, UMEDPT_STEP_VECTOR, error))
    return FALSE;
  part->vectors = umedpt_tensor_to (part->features.vector, NULL, error);
  if (part->vectors)
    return_images (self, part);
  return part->vectors != NULL;
}

gboolean
umedpt_encoding_need_output (UmedptEncoding *self, UmedptEncodingPart *part,
    guint task, GError **error)
{
  UmedptTaskOutput *output = &part->outputs[task];

  if (!umedpt_encoding_run (self, part, UMEDPT_STEP_HEADS + task, error))
    return FALSE;
  if (!output->packed)
    return TRUE; /* it is there */
  if (umedpt_task_output_to_host (output, error)) {
    return_images (self, part);
    return TRUE;
  }
  umedpt_task_output_clear (output);
  return FALSE;
}

void
umedpt_encoding_drop_features (UmedptEncoding *self, UmedptEncodingPart *part)
{
  UmedptDevicePass *device = umedpt_session_get_device_pass (self->session);

  umedpt_features_clear (&part->features);
  umedpt_fed_clear (&part->fed);
  if (device)
    umedpt_slots_give (umedpt_device_pass_get_slots (device),
        g_steal_pointer (&part->slot));
}
