/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whole slides with annotations beside them (slide.svs, slide.geojson) as a
 * data set: windows within annotated regions for classification, windows with
 * masks or boxes of what is annotated for segmentation and detection. Windows
 * are chosen once, when the set is opened, so that a sample is the same in
 * every epoch and run; a slide is a case. Slides are opened when they are read
 * and the last few stay open.
 */
#include "data/dataset-slides.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/geojson.h"

#define MAX_OPEN 8 /* slides; OpenSlide caches up to 32 MiB each */
#define MIN_VISIBLE 0.2 /* of a box that counts */

static void
shape_clear (gpointer data)
{
  UmedptSlideShape *shape = data;

  g_free (shape->class_name);
  umedpt_polygon_free (shape->shape);
}

static void
slide_file_free (gpointer data)
{
  UmedptSlideFile *file = data;

  g_free (file->name);
  g_clear_pointer (&file->shapes, g_array_unref);
  g_clear_object (&file->slide);
  g_free (file);
}

static void
slides_free (gpointer data)
{
  UmedptSlides *self = data;

  g_queue_clear (&self->used);
  g_ptr_array_unref (self->slides);
  g_array_unref (self->mpps);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static UmedptSlides *
slides_new (void)
{
  UmedptSlides *self = g_new0 (UmedptSlides, 1);

  self->slides = g_ptr_array_new_with_free_func (slide_file_free);
  self->mpps = g_array_new (FALSE, FALSE, sizeof (double));
  g_queue_init (&self->used);
  g_mutex_init (&self->lock);
  return self;
}

static gboolean
read_mpps (UmedptSlides *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_auto (GStrv) list = umedpt_dataset_get_key_list (file, group, "mpp");

  for (guint i = 0; list && list[i]; i++) {
    char *end = NULL;
    double value = g_ascii_strtod (list[i], &end);

    if (*end != '\0' || !(value >= 0.01 && value <= 1000))
      return umedpt_dataset_fail_key (file, group, "mpp", error,
          "expected micrometres per pixel, 0.01 to 1000: 0.5 or 0.5;1");
    g_array_append_val (self->mpps, value);
  }
  return TRUE;
}

static gboolean
read_keys (UmedptSlides *self, GKeyFile *file, const char *group,
    GError **error)
{
  double size, max, seed;

  if (!read_mpps (self, file, group, error) ||
      !umedpt_dataset_get_key_number (file, group, "window-size", 8, 8192, 256,
          &size, error) ||
      !umedpt_dataset_get_key_number (file, group, "max-windows", 1, 1e6, 64,
          &max, error) ||
      !umedpt_dataset_get_key_number (file, group, "window-seed", 0, 1e15, 1,
          &seed, error))
    return FALSE;
  self->size = (gint) size;
  self->max_windows = (guint) max;
  self->seed = (guint64) seed;
  return TRUE;
}

/* Opens the slide, for its size and scale. */
static gboolean
measure (UmedptDataset *dataset, const UmedptSlides *self,
    UmedptSlideFile *slide, double given_mpp, gboolean from_bounds,
    GError **error)
{
  g_autofree char *path = umedpt_dataset_path (dataset, slide->name);
  g_autoptr (UmedptSlide) handle = umedpt_slide_open (path, error);
  const UmedptSlideLevel *level;
  gint64 x, y, w, h;

  if (!handle)
    return FALSE;
  level = umedpt_slide_get_level (handle, 0);
  slide->width = (double) level->width;
  slide->height = (double) level->height;
  slide->mpp = given_mpp > 0 ? given_mpp : umedpt_slide_get_mpp (handle, NULL);
  if (from_bounds && umedpt_slide_get_bounds (handle, &x, &y, &w, &h)) {
    slide->origin_x = (double) x;
    slide->origin_y = (double) y;
  }
  if (slide->mpp > 0 || self->mpps->len == 0)
    return TRUE;
  return umedpt_dataset_fail (dataset, slide->name, error,
      "it does not say its scale; give micrometres per pixel of its full "
      "resolution with slide-mpp=");
}

static gint
compare_areas (gconstpointer a, gconstpointer b)
{
  const UmedptSlideShape *p = a, *q = b;

  if (p->shape->area != q->shape->area)
    return p->shape->area < q->shape->area ? 1 : -1;
  return p->x1 != q->x1 ? (p->x1 > q->x1 ? 1 : -1)
                        : (p->y1 > q->y1) - (p->y1 < q->y1);
}

/* To absolute coordinates of the slide. */
static void
move_shape (UmedptPolygon *shape, double x, double y)
{
  for (guint i = 0; i < shape->points->len; i++) {
    g_array_index (shape->points, UmedptPoint, i).x += x;
    g_array_index (shape->points, UmedptPoint, i).y += y;
  }
  umedpt_polygon_finish (shape);
}

static void
take_features (UmedptSlideFile *slide, UmedptGeojson *json)
{
  for (guint i = 0; i < json->features->len; i++) {
    UmedptFeature *feature = json->features->pdata[i];
    UmedptSlideShape shape = { .label = UMEDPT_SLIDES_UNKNOWN,
      .class_name = g_steal_pointer (&feature->class_name),
      .shape = g_steal_pointer (&feature->shape) };

    move_shape (shape.shape, slide->origin_x, slide->origin_y);
    shape.x1 = shape.shape->x1;
    shape.y1 = shape.shape->y1;
    shape.x2 = shape.shape->x2;
    shape.y2 = shape.shape->y2;
    g_array_append_val (slide->shapes, shape);
  }
  g_array_sort (slide->shapes, compare_areas);
}

static gboolean
load_shapes (UmedptDataset *dataset, UmedptSlideFile *slide,
    const char *annotation, GError **error)
{
  g_autofree char *path = umedpt_dataset_path (dataset, annotation);
  gsize length;
  g_autofree char *text = umedpt_dataset_load_text (path, &length, error);
  g_autoptr (UmedptGeojson) json = NULL;

  if (!text)
    return FALSE;
  json = umedpt_geojson_parse (text, length, error);
  if (!json) {
    g_prefix_error (error, "“%s”: ", path);
    return FALSE;
  }
  if (json->n_skipped > 0)
    umedpt_dataset_warn (dataset, annotation,
        "%u annotations are points or empty; they are left out",
        json->n_skipped);
  slide->shapes = g_array_new (FALSE, FALSE, sizeof (UmedptSlideShape));
  g_array_set_clear_func (slide->shapes, shape_clear);
  take_features (slide, json);
  return TRUE;
}

/* What lies where, by keys. */
typedef struct
{
  char *images, *annotations, *suffix;
  double mpp;
  gint origin;
} Places;

static void
places_clear (Places *self)
{
  g_free (self->images);
  g_free (self->annotations);
  g_free (self->suffix);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Places, places_clear)

static gboolean
find_places (Places *places, UmedptDataset *dataset, GKeyFile *file,
    const char *group, GError **error)
{
  static const char *const origins[] = { "bounds", "slide", NULL };

  places->images = umedpt_dataset_find_place (dataset, file, group, "images",
      "images", TRUE, error);
  if (!places->images)
    return FALSE;
  if (g_key_file_has_key (file, group, "annotations", NULL))
    places->annotations = umedpt_dataset_find_place (dataset, file, group,
        "annotations", "", TRUE, error);
  else
    places->annotations = g_strdup (places->images);
  places->suffix =
      umedpt_dataset_get_key (file, group, "annotation-suffix", ".geojson");
  return places->annotations &&
      umedpt_dataset_get_key_number (file, group, "slide-mpp", 0.01, 1000, 0,
          &places->mpp, error) &&
      umedpt_dataset_get_key_choice (file, group, "annotation-origin", origins,
          &places->origin, error);
}

static gboolean
add_slide (UmedptDataset *dataset, UmedptSlides *self, const Places *places,
    const char *name, GError **error)
{
  g_autofree char *base = g_path_get_basename (name);
  g_autofree char *stem = umedpt_dataset_stem (base);
  g_autofree char *file = g_strconcat (stem, places->suffix, NULL);
  g_autofree char *annotation = umedpt_dataset_join (places->annotations, file);
  UmedptSlideFile *slide;

  if (!umedpt_dataset_has (dataset, annotation)) {
    umedpt_dataset_warn (dataset, name,
        "there is no annotation “%s”; the slide is left out", annotation);
    return TRUE;
  }
  slide = g_new0 (UmedptSlideFile, 1);
  slide->name = g_strdup (name);
  g_ptr_array_add (self->slides, slide);
  return measure (dataset, self, slide, places->mpp, places->origin == 0,
             error) &&
      load_shapes (dataset, slide, annotation, error);
}

static gboolean
add_slides (UmedptDataset *dataset, UmedptSlides *self, const Places *places,
    GError **error)
{
  static const char *const suffixes[] = { ".svs", ".tif", ".tiff", ".ndpi",
    ".mrxs", ".scn", ".bif", ".svslide", ".vms", ".vmu", ".png", ".jpg",
    ".jpeg", NULL };
  g_autoptr (GPtrArray) names =
      umedpt_dataset_list (dataset, places->images, suffixes, error);

  for (guint i = 0; names && i < names->len; i++) {
    g_autofree char *name =
        umedpt_dataset_join (places->images, names->pdata[i]);

    if (!add_slide (dataset, self, places, name, error))
      return FALSE;
  }
  return names != NULL;
}

static void
add_records (UmedptDataset *dataset, const UmedptSlides *self)
{
  g_autoptr (GArray) windows =
      g_array_new (FALSE, FALSE, sizeof (UmedptSlideWindow));

  for (guint i = 0; i < self->slides->len; i++)
    umedpt_slides_plan (self, i, dataset->kind, windows);
  for (guint i = 0; i < windows->len; i++) {
    const UmedptSlideWindow *w = &g_array_index (windows, UmedptSlideWindow, i);
    const UmedptSlideFile *slide = self->slides->pdata[w->slide];
    g_autofree char *name = g_strdup_printf ("%s#%.0f,%.0f,%.0f", slide->name,
        w->x, w->y, self->size * w->downsample);
    UmedptRecord *record =
        umedpt_dataset_add (dataset, name, g_memdup2 (w, sizeof *w));

    g_free (record->case_id);
    record->case_id = g_strdup (slide->name);
    if (dataset->kind == UMEDPT_TASK_CLASSIFICATION)
      record->label = w->label;
  }
}

static gboolean
open_slides (UmedptDataset *dataset, GKeyFile *file, const char *group,
    GError **error)
{
  UmedptSlides *self = slides_new ();
  g_auto (Places) places = { 0 };

  dataset->state = self;
  dataset->state_free = slides_free;
  dataset->record_free = g_free;
  if (!read_keys (self, file, group, error) ||
      !find_places (&places, dataset, file, group, error) ||
      !add_slides (dataset, self, &places, error) ||
      !umedpt_slides_set_labels (dataset, self, file, group, error))
    return FALSE;
  add_records (dataset, self);
  return TRUE;
}

/* (transfer full): the open slide; the one not used for longest is closed. */
static UmedptSlide *
get_handle (UmedptDataset *dataset, UmedptSlides *self, UmedptSlideFile *file,
    GError **error)
{
  g_autofree char *path = umedpt_dataset_path (dataset, file->name);
  UmedptSlide *slide = NULL;

  g_mutex_lock (&self->lock);
  if (!file->slide)
    file->slide = umedpt_slide_open (path, error);
  if (file->slide) {
    g_queue_remove (&self->used, file);
    g_queue_push_head (&self->used, file);
    slide = g_object_ref (file->slide);
  }
  if (self->used.length > MAX_OPEN) {
    UmedptSlideFile *oldest = g_queue_pop_tail (&self->used);

    g_clear_object (&oldest->slide);
  }
  g_mutex_unlock (&self->lock);
  return slide;
}

static UmedptSample *
read_pixels (UmedptDataset *dataset, UmedptSlides *self,
    const UmedptSlideWindow *w, GError **error)
{
  g_autoptr (UmedptSlide) slide =
      get_handle (dataset, self, self->slides->pdata[w->slide], error);
  g_autoptr (UmedptSample) sample = NULL;
  gsize n = 3 * (gsize) self->size * self->size;
  g_autofree guint8 *rgb = NULL;

  if (!slide)
    return NULL;
  rgb = g_malloc (n);
  sample = umedpt_sample_new (self->size, self->size);
  if (!sample) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "No memory for a window of %d x %d pixels.", self->size, self->size);
    return NULL;
  }
  if (!umedpt_slide_read (slide, w->x, w->y, w->downsample, self->size,
          self->size, rgb, 3 * (gsize) self->size, NULL, NULL, error))
    return NULL;
  for (gsize i = 0; i < n; i++)
    sample->image[i] = (gfloat) rgb[i] / 255.0f;
  return g_steal_pointer (&sample);
}

/* The largest first, so that objects lie on regions. */
static void
draw_mask (const UmedptSlides *self, const UmedptSlideWindow *w,
    UmedptSample *sample)
{
  const UmedptSlideFile *file = self->slides->pdata[w->slide];
  UmedptRaster raster = { w->x, w->y, w->downsample, self->size, self->size };
  gsize n = (gsize) self->size * self->size;

  sample->mask = g_malloc (n);
  memset (sample->mask, self->background, n);
  for (guint i = 0; i < file->shapes->len; i++) {
    const UmedptSlideShape *s =
        &g_array_index (file->shapes, UmedptSlideShape, i);

    if (s->label != UMEDPT_SLIDES_UNKNOWN)
      umedpt_polygon_fill (s->shape, &raster, sample->mask, 1,
          s->label < 0 ? UMEDPT_IGNORE_PIXEL : (guint8) s->label);
  }
}

static void
collect_boxes (const UmedptSlides *self, const UmedptSlideWindow *w,
    UmedptSample *sample)
{
  const UmedptSlideFile *file = self->slides->pdata[w->slide];
  double size = self->size, d = w->downsample;

  sample->boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  for (guint i = 0; i < file->shapes->len; i++) {
    const UmedptSlideShape *s =
        &g_array_index (file->shapes, UmedptSlideShape, i);
    double x1 = MAX ((s->x1 - w->x) / d, 0), y1 = MAX ((s->y1 - w->y) / d, 0);
    double x2 = MIN ((s->x2 - w->x) / d, size);
    double y2 = MIN ((s->y2 - w->y) / d, size);
    double whole = (s->x2 - s->x1) * (s->y2 - s->y1) / (d * d);
    UmedptBox box = { (gfloat) x1, (gfloat) y1, (gfloat) x2, (gfloat) y2,
      s->label, 1 };

    if (s->label == UMEDPT_SLIDES_UNKNOWN || x2 <= x1 || y2 <= y1)
      continue;
    if ((x2 - x1) * (y2 - y1) < MIN_VISIBLE * whole)
      box.label = UMEDPT_IGNORE_LABEL;
    g_array_append_val (sample->boxes, box);
  }
}

static UmedptSample *
read_window (UmedptDataset *dataset, const UmedptRecord *record, GError **error)
{
  UmedptSlides *self = dataset->state;
  const UmedptSlideWindow *w = record->data;
  UmedptSample *sample = read_pixels (dataset, self, w, error);

  if (!sample)
    return NULL;
  sample->label = record->label;
  if (dataset->kind == UMEDPT_TASK_SEGMENTATION)
    draw_mask (self, w, sample);
  else if (dataset->kind == UMEDPT_TASK_DETECTION)
    collect_boxes (self, w, sample);
  return sample;
}

const UmedptDatasetFormat umedpt_dataset_slides = { "slides",
  1 << UMEDPT_TASK_CLASSIFICATION | 1 << UMEDPT_TASK_SEGMENTATION |
      1 << UMEDPT_TASK_DETECTION,
  open_slides, read_window };
