/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A file: the model's description as a table, or the tensors of any
 * safetensors file.
 */
#include <glib/gstdio.h>
#include <umedpt.h>

#include "info.h"

/* "27 581 034": in groups of three. */
static char *
group_digits (guint64 number)
{
  g_autofree char *digits = g_strdup_printf ("%" G_GUINT64_FORMAT, number);
  GString *text = g_string_new (digits);

  for (gssize at = (gssize) text->len - 3; at > 0; at -= 3)
    g_string_insert_c (text, at, ' ');
  return g_string_free (text, FALSE);
}

static void
add_number (Report *report, const char *title, const char *key, guint64 number,
    const char *unit)
{
  g_autofree char *grouped = group_digits (number);
  g_autofree char *text = g_strdup_printf ("%s%s", grouped, unit);
  g_autofree char *json = g_strdup_printf ("%" G_GUINT64_FORMAT, number);

  report_both (report, title, key, text, json);
}

static void
add_file (Report *report, const char *path)
{
  g_autofree char *name = g_filename_display_name (path);
  GStatBuf status;

  report_section (report, "File", "file");
  report_text (report, "name", "name", "%s", name);
  if (g_stat (path, &status) == 0)
    add_number (report, "size", "size", (guint64) status.st_size, " bytes");
}

static void
add_architecture (Report *report, const UmedptDescription *d)
{
  const gint *depths = d->depths, *heads = d->heads;

  report_text (report, "architecture", NULL, "%s", d->arch);
  report_text (report, "encoder", NULL,
      "Swin V2, %d channels, depths %d %d %d %d, heads %d %d %d %d, window %d",
      d->embed_dim, depths[0], depths[1], depths[2], depths[3], heads[0],
      heads[1], heads[2], heads[3], d->window);
  report_text (report, "norms", NULL, "encoder %s, squeezer %s",
      umedpt_norm_policy_get_name (d->encoder_norm),
      umedpt_norm_policy_get_name (d->squeezer_norm));
  report_text (report, "pooling", NULL, "%s, %s the norm", d->pooling,
      umedpt_pool_order_get_name (d->pool_order));
  report_text (report, "dense heads get", NULL, "%s",
      d->squeeze_dense ? "the squeezed map" : "the encoder's map");
  if (d->mpp > 0)
    report_text (report, "input", NULL, "%d x %d pixels, %g µm per pixel",
        d->input_width, d->input_height, d->mpp);
  else
    report_text (report, "input", NULL, "%d x %d pixels, µm per pixel unknown",
        d->input_width, d->input_height);
  report_text (report, "source", NULL, "%s", d->source ? d->source : "unknown");
  report_text (report, "training", NULL, "%s",
      d->training ? d->training : "no record");
}

/* "classification: tumour, stroma; threshold 0.5" */
static void
add_task (Report *report, const UmedptTaskDescription *task)
{
  g_autofree char *labels =
      task->labels ? g_strjoinv (", ", task->labels) : NULL;

  report_text (report, task->name, NULL, "%s%s%s; threshold %g",
      umedpt_task_kind_get_name (task->kind), labels ? ": " : "",
      labels ? labels : "", task->threshold);
}

/* The model in @path. */
gboolean
info_model (Report *report, const char *path, GError **error)
{
  g_autoptr (UmedptModel) model = umedpt_model_new_from_file (path, error);
  const UmedptDescription *description;
  g_autofree char *json = NULL;

  if (!model)
    return FALSE;
  description = umedpt_model_get_description (model);
  json = umedpt_description_to_json (description);
  add_file (report, path);
  report_section (report, "Model", "model");
  report_both (report, NULL, "description", NULL, json);
  add_architecture (report, description);
  add_number (report, "parameters", "parameters",
      umedpt_model_get_n_parameters (model), "");
  add_number (report, "embedding", "embedding",
      (guint64) umedpt_description_get_embedding_size (description),
      " numbers per image");
  report_text (report, "hash", "hash", "%s", umedpt_model_get_hash (model));

  if (description->tasks->len > 0)
    report_section (report, "Tasks", NULL);
  for (guint i = 0; i < description->tasks->len; i++)
    add_task (report, g_ptr_array_index (description->tasks, i));
  return TRUE;
}

static gboolean
add_tensor (Report *report, UmedptSafetensors *file, const char *name,
    GError **error)
{
  g_autoptr (UmedptTensor) tensor = NULL;
  g_autoptr (GError) problem = NULL;
  g_autofree char *text = NULL;

  tensor = umedpt_safetensors_get_tensor (file, name, &problem);
  if (g_error_matches (problem, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED)) {
    report_text (report, name, name, "%s", problem->message);
    return TRUE;
  }
  if (!tensor) {
    g_propagate_error (error, g_steal_pointer (&problem));
    return FALSE;
  }
  text = umedpt_tensor_describe (tensor);
  report_text (report, name, name, "%s", text);
  return TRUE;
}

/* Metadata keys and tensors of the safetensors file @path. */
gboolean
info_tensors (Report *report, const char *path, GError **error)
{
  g_autoptr (UmedptSafetensors) file = umedpt_safetensors_open (path, error);
  g_autoptr (GList) keys = NULL;

  if (!file)
    return FALSE;
  add_file (report, path);
  report_section (report, "Metadata", "metadata");
  keys = umedpt_safetensors_get_metadata_keys (file);
  for (GList *key = keys; key; key = key->next)
    report_text (report, key->data, key->data, "%s",
        umedpt_safetensors_get_metadata (file, key->data));
  report_section (report, "Tensors", "tensors");
  for (guint i = 0; i < umedpt_safetensors_get_n_tensors (file); i++)
    if (!add_tensor (report, file, umedpt_safetensors_get_name (file, i),
            error))
      return FALSE;
  return TRUE;
}
