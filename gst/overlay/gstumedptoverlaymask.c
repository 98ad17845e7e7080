/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Masks of a scene. Classes that may overlap are one map each, so that all
 * that follows knows but one class per pixel. With hysteresis a mask is cut
 * into regions, and a map is made again of those that are shown.
 */
#include "overlay/gstumedptoverlaybuild.h"

#include <math.h>
#include <string.h>

#include "overlay/gstumedptpaintregions.h"

#define UNDECIDED GST_UMEDPT_UNDECIDED

static gboolean
is_placed (const GstUmedptMask *mask)
{
  return isfinite (mask->x) && isfinite (mask->y) && isfinite (mask->w) &&
      isfinite (mask->h) && mask->w > 0 && mask->h > 0;
}

static gboolean
is_alike (const GstUmedptMask *a, const GstUmedptMask *b)
{
  return a->width == b->width && a->height == b->height &&
      a->planes == b->planes && a->background == b->background &&
      a->x == b->x && a->y == b->y && a->w == b->w && a->h == b->h;
}

/* Of a task with labels, other numbers are of no class. */
static GstUmedptClasses
get_classes (const GstUmedptOverlayTask *task)
{
  GstUmedptClasses classes = { { FALSE } };

  for (guint i = 0; i < UNDECIDED; i++)
    classes.drawn[i] = (task->n_labels == 0 || i < task->n_labels) &&
        !(task->mask.background && !task->per_class && i == 0);
  return classes;
}

static void
add_map (GstUmedptBuild *build, const GstUmedptOverlayTask *task,
    const guint8 *map, gpointer data)
{
  GstUmedptScene *scene = build->scene;
  const GstUmedptClasses classes = get_classes (task);
  const GstUmedptMask *mask = &task->mask;
  GstUmedptSceneMask item = { .task = task,
    .mask = *mask,
    .first_run = scene->runs->len,
    .first_edge = scene->edges->len };

  if (build->settings->mask_style == GST_UMEDPT_MASK_STYLE_FILL)
    gst_umedpt_runs_find (scene->runs, map, mask->width, mask->height,
        &classes);
  gst_umedpt_edges_find (scene->edges, map, mask->width, mask->height,
      &classes);
  item.n_runs = scene->runs->len - item.first_run;
  item.n_edges = scene->edges->len - item.first_edge;
  if (item.n_edges > 0) /* there is no region without an edge */
    g_array_append_val (scene->masks, item);
}

/* Calls add_map() for what is shown of a mask by hysteresis: for each class
 * alone where classes may overlap, else for all at once. */
static void
add_tracked_map (GstUmedptBuild *build, const GstUmedptOverlayTask *task,
    gint label)
{
  const GArray *tracked = build->scene->tracked;
  const gsize n = (gsize) task->mask.width * (gsize) task->mask.height;
  g_autofree guint8 *map = g_malloc (n);

  memset (map, UNDECIDED, n);
  for (guint i = 0; i < tracked->len; i++) {
    const GstUmedptTracked *item =
        &g_array_index (tracked, GstUmedptTracked, i);
    if (item->confirmed && (label < 0 || item->box.label == label))
      gst_umedpt_regions_paint (map, task->mask.width, item->shape);
  }
  add_map (build, task, map, NULL);
}

static void
list_regions (GstUmedptBuild *build, GstUmedptOverlayTask *task,
    gboolean present)
{
  GArray *tracked = build->scene->tracked;
  gboolean shown[256] = { FALSE };
  gboolean any = FALSE;

  g_array_set_size (tracked, 0);
  gst_umedpt_hysteresis_list (task->objects, &build->rule, build->now, present,
      tracked);
  for (guint i = 0; i < tracked->len; i++) {
    const GstUmedptTracked *item =
        &g_array_index (tracked, GstUmedptTracked, i);

    if (item->confirmed)
      any = shown[item->box.label] = TRUE;
    else
      gst_umedpt_build_add_box (build, task, &item->box, FALSE);
  }
  if (any && !task->per_class)
    add_tracked_map (build, task, -1);
  for (gint label = 0; any && task->per_class && label < UNDECIDED; label++)
    if (shown[label])
      add_tracked_map (build, task, label);
}

static void
unref_bytes (gpointer bytes)
{
  g_bytes_unref (bytes);
}

/* Adds the regions of a map to scene->found and @shapes (GPtrArray), their
 * boxes in pixels of the frame. */
static void
find_regions (GstUmedptBuild *build, const GstUmedptOverlayTask *task,
    const guint8 *map, gpointer shapes)
{
  GArray *found = build->scene->found, *runs = build->scene->runs;
  const GstUmedptMask *mask = &task->mask;
  const GstUmedptClasses classes = get_classes (task);
  const guint first = found->len, first_run = runs->len;
  const gfloat sx = (gfloat) (mask->w / mask->width);
  const gfloat sy = (gfloat) (mask->h / mask->height);

  gst_umedpt_runs_find (runs, map, mask->width, mask->height, &classes);
  gst_umedpt_regions_find (&g_array_index (runs, GstUmedptRun, first_run),
      runs->len - first_run, found, shapes);
  g_array_set_size (runs, first_run); /* of what is drawn only */
  for (guint i = first; i < found->len; i++) {
    GstUmedptBox *box = &g_array_index (found, GstUmedptBox, i);

    box->x = (gfloat) mask->x + box->x * sx;
    box->y = (gfloat) mask->y + box->y * sy;
    box->width *= sx;
    box->height *= sy;
  }
}

/* A map u8 [height, width] in which class @label is itself and all else is
 * undecided. (transfer full) */
static guint8 *
make_map (const GstUmedptMask *mask, guint8 label)
{
  const gsize n = (gsize) mask->width * (gsize) mask->height;
  guint8 *map = g_malloc (n);

  for (gsize i = 0; i < n; i++)
    map[i] = mask->data[i * (gsize) mask->planes + label] ? label : UNDECIDED;
  return map;
}

typedef void (*MapFunc) (GstUmedptBuild *build,
    const GstUmedptOverlayTask *task, const guint8 *map, gpointer data);

/* Calls @func with the mask as a map, or with one for each class. */
static void
for_each_map (GstUmedptBuild *build, const GstUmedptOverlayTask *task,
    const GstUmedptMask *mask, MapFunc func, gpointer data)
{
  const GstUmedptClasses classes = get_classes (task);

  if (!task->per_class)
    func (build, task, mask->data, data);
  for (gint c = 0; task->per_class && c < MIN (mask->planes, UNDECIDED); c++)
    if (classes.drawn[c]) {
      g_autofree guint8 *map = make_map (mask, (guint8) c);
      func (build, task, map, data);
    }
}

static void
observe_mask (GstUmedptBuild *build, GstUmedptOverlayTask *task,
    const GstUmedptMask *mask, gint64 at)
{
  GArray *found = build->scene->found;
  g_autoptr (GPtrArray) shapes = g_ptr_array_new_with_free_func (unref_bytes);

  g_array_set_size (found, 0);
  for_each_map (build, task, mask, find_regions, shapes);
  gst_umedpt_hysteresis_observe (task->objects, &build->rule, at,
      (const GstUmedptBox *) (gpointer) found->data,
      (GBytes *const *) shapes->pdata, found->len);
  list_regions (build, task, TRUE);
}

void
gst_umedpt_build_held_mask (GstUmedptBuild *build, GstUmedptOverlayTask *task)
{
  if (build->settings->mask_style != GST_UMEDPT_MASK_STYLE_NONE)
    list_regions (build, task, FALSE);
}

void
gst_umedpt_build_mask (GstUmedptBuild *build, GstUmedptOverlayTask *task,
    const GstStructure *result, gint64 at)
{
  GstUmedptMask mask = { 0 };

  if (!gst_umedpt_result_get_mask (result, &mask) || !is_placed (&mask))
    return;
  if (task->what != GST_UMEDPT_OVERLAY_MASK || !is_alike (&mask, &task->mask))
    gst_umedpt_hysteresis_reset (task->objects);
  task->what = GST_UMEDPT_OVERLAY_MASK;
  task->mask = mask;
  task->mask.data = NULL;
  task->per_class = mask.planes > 1 ||
      g_strcmp0 (gst_structure_get_string (result, "kind"),
          "multilabel-segmentation") == 0;
  if (build->settings->mask_style == GST_UMEDPT_MASK_STYLE_NONE)
    return;
  if (build->hysteresis)
    observe_mask (build, task, &mask, at);
  else
    for_each_map (build, task, &mask, add_map, NULL);
}
