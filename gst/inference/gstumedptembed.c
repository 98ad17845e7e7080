/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Embeddings and the heads that read them: classification, multi-label,
 * regression. All that is hard about streams is in the base class.
 */

/**
 * SECTION:element-umedptembed
 * @title: umedptembed
 *
 * Runs the encoder on every frame, of any size, and attaches its embedding as
 * a tensor meta "umedpt-embedding-v1", f32 [D] (gstumedptmeta.h), or [n, D]
 * where n regions are looked at (#GstUmedptBase:inference-region). The frames
 * pass untouched and keep their size.
 *
 * With #GstUmedptEmbed:tasks it also runs classification, multi-label and
 * regression heads of the model, and attaches what they say as results
 * "umedpt-values", f32 [K], or [n, K] (gstumedptresults.h).
 *
 * Blocks while it computes; put a queue before it so that decoding goes on
 * meanwhile. On live input late frames pass without an embedding
 * (#GstUmedptBase:qos); otherwise every frame gets one. Later elements with the
 * same model use its encoder pass.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 -e umedptslidesrc location=slide.svs tile-size=256 mpp=0.5 ! queue ! umedptembed model-file=model.safetensors batch-size=8 ! progressreport ! umedptslidesink features-location=slide.h5
 * ]|
 * Embeds the tiles of a whole slide into an HDF5 file.
 * |[
 * gst-launch-1.0 -m filesrc location=video.mp4 ! decodebin ! videoconvert ! umedptembed model-file=model.safetensors post-messages=true ! fakesink
 * ]|
 * Embeds the frames of a video and shows the messages that carry the results.
 *
 * Since: 0.1
 */
#include "inference/gstumedptembed.h"

#include "base/error.h"
#include "common/gstumedptmetaprivate.h"
#include "common/gstumedptresultsprivate.h"
#include "common/gstumedpttasks.h"
#include "inference/gstumedptcuda.h"

struct _GstUmedptEmbed
{
  GstUmedptBase parent;

  /* under the object lock */
  char *tasks;
  gboolean embedding;
};

enum
{
  PROP_0,
  PROP_TASKS,
  PROP_EMBEDDING,
};

GST_DEBUG_CATEGORY_STATIC (gst_umedpt_embed_debug);
#define GST_CAT_DEFAULT gst_umedpt_embed_debug

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_UMEDPT_CAPS));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_UMEDPT_CAPS));

G_DEFINE_TYPE_WITH_CODE (GstUmedptEmbed, gst_umedpt_embed, GST_TYPE_UMEDPT_BASE,
    GST_DEBUG_CATEGORY_INIT (gst_umedpt_embed_debug, "umedptembed", 0,
        "Embeddings of pictures"));
GST_ELEMENT_REGISTER_DEFINE (umedptembed, "umedptembed", GST_RANK_NONE,
    GST_TYPE_UMEDPT_EMBED);

/* --- which tasks -------------------------------------------------------- */

/* A copy of the properties. */
typedef struct
{
  char *tasks;
  gboolean embedding;
} Settings;

static void
settings_clear (Settings *self)
{
  g_free (self->tasks);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Settings, settings_clear)

static void
get_settings (GstUmedptEmbed *self, Settings *settings)
{
  GST_OBJECT_LOCK (self);
  settings->tasks = g_strdup (self->tasks);
  settings->embedding = self->embedding;
  GST_OBJECT_UNLOCK (self);
}

static void
add_all_tasks (UmedptSession *session, GArray *numbers)
{
  const UmedptDescription *description =
      umedpt_model_get_description (umedpt_session_get_model (session));

  for (gint i = 0; i < (gint) description->tasks->len; i++)
    if (GST_UMEDPT_KIND (gst_umedpt_get_task (session, i)->kind) &
        GST_UMEDPT_VALUE_KINDS)
      g_array_append_val (numbers, i);
}

/* Their numbers, gint, or NULL with @error set. */
static GArray *
find_tasks (UmedptSession *session, const char *names, GError **error)
{
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint));
  g_auto (GStrv) wanted = gst_umedpt_split_names (names);

  if (wanted[0] && !wanted[1] && g_str_equal (wanted[0], "all")) {
    add_all_tasks (session, numbers);
    return g_steal_pointer (&numbers);
  }
  for (guint i = 0; wanted[i]; i++) {
    gint task = gst_umedpt_find_task (session, wanted[i],
        GST_UMEDPT_VALUE_KINDS, error);
    if (task < 0)
      return NULL;
    g_array_append_val (numbers, task);
  }
  return g_steal_pointer (&numbers);
}

/* All that runs here shares a pass of the encoder at one size: the model's
 * where the embedding is wanted, else that of the first task. */
static void
find_input (UmedptSession *session, const GArray *tasks, gboolean embedding,
    gint *width, gint *height)
{
  const UmedptDescription *description =
      umedpt_model_get_description (umedpt_session_get_model (session));

  *width = description->input_width;
  *height = description->input_height;
  if (!embedding && tasks->len > 0)
    gst_umedpt_get_task_input (session, g_array_index (tasks, gint, 0), width,
        height);
}

static gboolean
check_sizes (UmedptSession *session, const GArray *tasks, gint width,
    gint height, GError **error)
{
  for (guint i = 0; i < tasks->len; i++) {
    gint task = g_array_index (tasks, gint, i), w, h;

    gst_umedpt_get_task_input (session, task, &w, &h);
    if (w == width && h == height)
      continue;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "Task '%s' sees pictures at %dx%d pixels, and this element runs the "
        "encoder at %dx%d. Give it a umedptembed of its own, with "
        "embedding=false.",
        gst_umedpt_get_task (session, task)->name, w, h, width, height);
    return FALSE;
  }
  return TRUE;
}

static gboolean
gst_umedpt_embed_check (GstUmedptBase *base, UmedptSession *session,
    GError **error)
{
  g_auto (Settings) settings = { NULL };
  g_autoptr (GArray) tasks = NULL;
  gint width, height;

  get_settings (GST_UMEDPT_EMBED (base), &settings);
  tasks = find_tasks (session, settings.tasks, error);
  if (!tasks)
    return FALSE;
  if (!settings.embedding && tasks->len == 0) {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "There is nothing to do: embedding=false, and tasks names none.");
    return FALSE;
  }
  find_input (session, tasks, settings.embedding, &width, &height);
  return check_sizes (session, tasks, width, height, error);
}

static void
gst_umedpt_embed_get_input (GstUmedptBase *base, UmedptSession *session,
    gint *width, gint *height)
{
  g_auto (Settings) settings = { NULL };
  g_autoptr (GArray) tasks = NULL;

  get_settings (GST_UMEDPT_EMBED (base), &settings);
  tasks = find_tasks (session, settings.tasks, NULL);
  if (!tasks)
    tasks = g_array_new (FALSE, FALSE, sizeof (gint));
  find_input (session, tasks, settings.embedding, width, height);
}

static gboolean
gst_umedpt_embed_needs_features (GstUmedptBase *base)
{
  g_auto (Settings) settings = { NULL };

  get_settings (GST_UMEDPT_EMBED (base), &settings);
  return settings.tasks && *settings.tasks;
}

static gboolean
gst_umedpt_embed_settle (GstUmedptBase *base, UmedptEncoding *encoding,
    GError **error)
{
  g_auto (Settings) settings = { NULL };
  g_autoptr (GArray) tasks = NULL;

  get_settings (GST_UMEDPT_EMBED (base), &settings);
  tasks = find_tasks (umedpt_encoding_get_session (encoding), settings.tasks,
      error);
  return tasks &&
      umedpt_encoding_settle (encoding, (const guint *) (gpointer) tasks->data,
          tasks->len, settings.embedding, error);
}

/* --- results ------------------------------------------------------------ */

static gboolean
attach_embeddings (const GstUmedptLook *look, GstBuffer *buffer, GError **error)
{
  UmedptModel *model = umedpt_session_get_model (look->session);
  const gsize dim = umedpt_session_get_embedding_size (look->session);
  const gsize dims[] = { look->n_views, dim };
  float *data = g_new (float, MAX (look->n_views * dim, 1));

  for (guint i = 0; i < look->n_views; i++)
    if (!umedpt_encoding_get_embedding (look->views[i].encoding,
            look->views[i].index, data + i * dim, error)) {
      g_free (data);
      return FALSE;
    }
  gst_buffer_add_umedpt_tensor_meta (buffer, GST_UMEDPT_TENSOR_EMBEDDING,
      GST_UMEDPT_TENSOR_F32, look->whole ? 1 : 2, look->whole ? &dims[1] : dims,
      gst_buffer_new_wrapped (data, look->n_views * dim * sizeof *data),
      umedpt_model_get_description (model)->arch,
      umedpt_model_get_hash (model));
  return TRUE;
}

static gboolean
attach_values (const GstUmedptLook *look, gint task, GstBuffer *buffer,
    GError **error)
{
  const UmedptTaskDescription *own = gst_umedpt_get_task (look->session, task);
  const guint k = (guint) umedpt_task_description_get_n_outputs (own);
  g_autofree float *values = g_new (float, (gsize) look->n_views *k + 1);

  for (guint i = 0; i < look->n_views; i++)
    if (!umedpt_encoding_get_values (look->views[i].encoding,
            look->views[i].index, (guint) task, values + (gsize) i * k, error))
      return FALSE;
  gst_buffer_add_umedpt_result (buffer, own->name,
      gst_umedpt_result_new_values (umedpt_session_get_model (look->session),
          (guint) task, look->pts, values, look->n_views * k));
  return TRUE;
}

static gboolean
gst_umedpt_embed_process (GstUmedptBase *base, const GstUmedptLook *look,
    GstBuffer *buffer, GError **error)
{
  g_auto (Settings) settings = { NULL };
  g_autoptr (GArray) tasks = NULL;

  get_settings (GST_UMEDPT_EMBED (base), &settings);
  if (settings.embedding && !attach_embeddings (look, buffer, error))
    return FALSE;
  if (!settings.tasks)
    return TRUE;
  tasks = find_tasks (look->session, settings.tasks, error);
  for (guint i = 0; tasks && i < tasks->len; i++)
    if (!attach_values (look, g_array_index (tasks, gint, i), buffer, error))
      return FALSE;
  return tasks != NULL;
}

/* The values as a GstBuffer, which every language can map. */
static void
gst_umedpt_embed_describe (GstUmedptBase *base, GstBuffer *buffer,
    GstStructure *message)
{
  const GstUmedptTensorMeta *meta =
      gst_buffer_get_umedpt_tensor_meta (buffer, GST_UMEDPT_TENSOR_EMBEDDING);
  const GstStructure *results = gst_buffer_get_umedpt_results (buffer);

  if (meta)
    gst_structure_set (message, "dim", G_TYPE_UINT,
        (guint) meta->dims[meta->num_dims - 1], "data", GST_TYPE_BUFFER,
        meta->data, NULL);
  if (results)
    gst_structure_set (message, "results", GST_TYPE_STRUCTURE, results, NULL);
}

/* --- properties, class -------------------------------------------------- */

static void
gst_umedpt_embed_set_property (GObject *object, guint id, const GValue *value,
    GParamSpec *pspec)
{
  GstUmedptEmbed *self = GST_UMEDPT_EMBED (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_TASKS:
      g_free (self->tasks);
      self->tasks = g_value_dup_string (value);
      break;
    case PROP_EMBEDDING:
      self->embedding = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_umedpt_embed_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec)
{
  GstUmedptEmbed *self = GST_UMEDPT_EMBED (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_TASKS:
      g_value_set_string (value, self->tasks);
      break;
    case PROP_EMBEDDING:
      g_value_set_boolean (value, self->embedding);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_umedpt_embed_finalize (GObject *object)
{
  g_free (GST_UMEDPT_EMBED (object)->tasks);
  G_OBJECT_CLASS (gst_umedpt_embed_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *object)
{
  const GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  /**
   * GstUmedptEmbed:tasks:
   *
   * Classification, multi-label and regression tasks of the model to run,
   * separated by commas; "all" is every one of them.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_TASKS,
      g_param_spec_string ("tasks", "Tasks",
          "Tasks to run on the embedding, as \"a,b\", or \"all\"", NULL,
          flags));
  /**
   * GstUmedptEmbed:embedding:
   *
   * Whether to attach the embedding; else only what the tasks say.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_EMBEDDING,
      g_param_spec_boolean ("embedding", "Embedding",
          "Whether to attach the embedding", TRUE, flags));
}

static void
gst_umedpt_embed_class_init (GstUmedptEmbedClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstUmedptBaseClass *base = GST_UMEDPT_BASE_CLASS (klass);

  object->set_property = gst_umedpt_embed_set_property;
  object->get_property = gst_umedpt_embed_get_property;
  object->finalize = gst_umedpt_embed_finalize;
  install_properties (object);
  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "UMedPT embedder",
      "Filter/Analyzer/Video",
      "Attaches the embedding of every frame by the UMedPT encoder",
      "The UMedPT in C authors");

  base->result = GST_UMEDPT_TENSOR_EMBEDDING;
  base->check = gst_umedpt_embed_check;
  base->get_input = gst_umedpt_embed_get_input;
  base->needs_features = gst_umedpt_embed_needs_features;
  base->settle = gst_umedpt_embed_settle;
  base->process = gst_umedpt_embed_process;
  base->describe = gst_umedpt_embed_describe;
}

static void
gst_umedpt_embed_init (GstUmedptEmbed *self)
{
  self->embedding = TRUE;
}
