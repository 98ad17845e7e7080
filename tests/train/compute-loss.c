/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A loss and its gradients of what is in a safetensors file, into another, for
 * check-losses.py.
 *
 * compute-loss KIND IN OUT: logits "logits", or "classes0", "boxes0",
 * "centerness0", … per level; "targets", (nullable) "weights"; detection:
 * "boxes" f32 [n, 6]: image, x1, y1, x2, y2, label. Metadata: width, height,
 * gamma, range. OUT: "loss" f32 [total, parts …], "diff_" and the name of each
 * of the logits.
 */
#include <stdio.h>
#include <stdlib.h>

#include "autograd/tape.h"
#include "train/loss.h"

static const char *const level_names[] = { "classes", "boxes", "centerness" };

static double
get_number (UmedptSafetensors *file, const char *key, double otherwise)
{
  const char *text = umedpt_safetensors_get_metadata (file, key);

  return text ? g_ascii_strtod (text, NULL) : otherwise;
}

static char *
output_name (UmedptTaskKind kind, guint i)
{
  return kind == UMEDPT_TASK_DETECTION
      ? g_strdup_printf ("%s%u", level_names[i % 3], i / 3)
      : g_strdup ("logits");
}

/* The logits, where the context computes; they want gradients. */
static gboolean
read_output (UmedptSafetensors *file, UmedptContext *context,
    UmedptTaskOutput *output, GError **error)
{
  output->n_outputs = output->kind == UMEDPT_TASK_DETECTION ? 15 : 1;
  for (guint i = 0; i < output->n_outputs; i++) {
    g_autofree char *name = output_name (output->kind, i);
    g_autoptr (UmedptTensor) logits =
        umedpt_safetensors_get_tensor (file, name, error);

    if (!logits)
      return FALSE;
    output->outputs[i] = umedpt_tensor_to (logits,
        umedpt_context_get_backend (context)->memory, error);
    if (!output->outputs[i])
      return FALSE;
    output->outputs[i]->requires_grad = TRUE;
  }
  return TRUE;
}

static GPtrArray *
read_boxes (UmedptSafetensors *file, guint n)
{
  g_autoptr (UmedptTensor) rows =
      umedpt_safetensors_get_tensor (file, "boxes", NULL);
  GPtrArray *boxes =
      g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);

  for (guint i = 0; i < n; i++)
    g_ptr_array_add (boxes, g_array_new (FALSE, FALSE, sizeof (UmedptBox)));
  for (gint64 i = 0; rows && i < rows->shape[0]; i++) {
    const float *row = UMEDPT_F32 (rows) + 6 * i;
    const UmedptBox box = { row[1], row[2], row[3], row[4], (gint) row[5], 1 };

    g_array_append_val ((GArray *) boxes->pdata[(guint) row[0]], box);
  }
  return boxes;
}

static void
read_batch (UmedptSafetensors *file, UmedptBatch *batch)
{
  const gint64 shape[] = { batch->n, (gint64) get_number (file, "height", 1),
    (gint64) get_number (file, "width", 1), 3 };

  batch->images = umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 4, shape, NULL);
  batch->targets = umedpt_safetensors_get_tensor (file, "targets", NULL);
  batch->weights = umedpt_safetensors_get_tensor (file, "weights", NULL);
  batch->boxes = read_boxes (file, batch->n);
}

static gboolean
write_result (const UmedptTaskOutput *output, const UmedptLoss *loss,
    const char *path, GError **error)
{
  g_autoptr (UmedptSafetensorsWriter) writer = umedpt_safetensors_writer_new ();
  const gint64 shape[] = { 1 + loss->n_parts };
  g_autoptr (UmedptTensor) values =
      umedpt_tensor_new (UMEDPT_DTYPE_F32, 1, shape, error);

  if (!values)
    return FALSE;
  UMEDPT_F32 (values)[0] = (float) loss->total;
  for (guint i = 0; i < loss->n_parts; i++)
    UMEDPT_F32 (values)[1 + i] = (float) loss->parts[i];
  umedpt_safetensors_writer_add (writer, "loss", values);
  for (guint i = 0; i < output->n_outputs; i++) {
    g_autofree char *name = output_name (output->kind, i);
    g_autofree char *full = g_strconcat ("diff_", name, NULL);

    if (output->outputs[i]->grad) {
      g_autoptr (UmedptTensor) grad =
          umedpt_tensor_to (output->outputs[i]->grad, NULL, error);

      if (!grad)
        return FALSE;
      umedpt_safetensors_writer_add (writer, full, grad);
    }
  }
  return umedpt_safetensors_writer_write (writer, path, error);
}

static gboolean
run (UmedptTaskKind kind, const char *in, const char *out, GError **error)
{
  g_autoptr (UmedptSafetensors) file = umedpt_safetensors_open (in, error);
  g_autoptr (UmedptContext) context =
      umedpt_context_new (umedpt_backend_find (NULL, NULL), UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTape) tape = umedpt_tape_new ();
  g_autoptr (UmedptBatch) batch = g_new0 (UmedptBatch, 1);
  UmedptTaskOutput output = { .kind = kind };
  UmedptTaskDescription task = { .name = (char *) "task", .kind = kind };
  UmedptLoss loss;
  gboolean ok = file && read_output (file, context, &output, error);

  if (ok) {
    batch->kind = kind;
    batch->n = (guint) output.outputs[0]->shape[0];
    read_batch (file, batch);
    task.range_max = get_number (file, "range", 1);
    umedpt_context_set_tape (context, tape);
    ok = umedpt_loss_compute (context, &task, &output, batch, 0,
             get_number (file, "gamma", 0), NULL, &loss, error) &&
        write_result (&output, &loss, out, error);
  }
  umedpt_task_output_clear (&output);
  return ok;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  UmedptTaskKind kind;

  if (argc != 4 || !umedpt_task_kind_parse (argv[1], &kind, &error) ||
      !run (kind, argv[2], argv[3], &error)) {
    fprintf (stderr, "%s\n", error ? error->message : "see the source");
    return 1;
  }
  return 0;
}
