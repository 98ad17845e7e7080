/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Truth is on the left and the prediction on the right for masks; boxes are
 * drawn in one picture, those of the truth dashed; labels are in the caption.
 */
#include "train-pictures.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "output/draw.h"
#include "program.h"

#define OPACITY 0.45
/* Boxes that a picture shows; metrics see all. */
#define SHOWN_SCORE 0.3

struct _TrainPictures
{
  char *folder;
  GHashTable *counts; /* task -> how many */
  gboolean complained;
};

TrainPictures *
train_pictures_new (const char *folder)
{
  TrainPictures *self = g_new0 (TrainPictures, 1);

  self->folder = g_build_filename (folder, "pictures", NULL);
  self->counts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return self;
}

void
train_pictures_free (TrainPictures *self)
{
  if (!self)
    return;
  g_hash_table_unref (self->counts);
  g_free (self->folder);
  g_free (self);
}

void
train_pictures_restart (TrainPictures *self)
{
  g_hash_table_remove_all (self->counts);
}

static guint
n_planes (const UmedptPrediction *p)
{
  return p->description->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION
      ? (guint) umedpt_task_description_get_n_outputs (p->description)
      : 1;
}

/* [height, 2 width, bytes]: @left and @right beside each other. */
static gpointer
join (const UmedptPrediction *p, gconstpointer left, gconstpointer right,
    gsize bytes)
{
  gsize row = (gsize) p->width * bytes;
  guint8 *both = g_malloc (2 * row * (gsize) p->height);

  for (gint y = 0; y < p->height; y++) {
    memcpy (both + 2 * y * row, (const guint8 *) left + y * row, row);
    memcpy (both + (2 * y + 1) * row, (const guint8 *) right + y * row, row);
  }
  return both;
}

/* Of a task with one class, 1 is that class and 0 is none. */
static void
number_one_class (guint8 *mask, gsize n)
{
  for (gsize i = 0; i < n; i++)
    mask[i] = mask[i] == 1 ? 0 : UMEDPT_IGNORE_PIXEL;
}

static UmedptPicture *
draw_masks (const UmedptPrediction *p)
{
  const guint planes = n_planes (p);
  const gboolean one_class =
      umedpt_task_description_get_n_outputs (p->description) == 1;
  g_autofree gfloat *image = join (p, p->image, p->image, 3 * sizeof *p->image);
  g_autofree guint8 *mask = join (p, p->mask_truth, p->mask, planes);
  UmedptPicture *picture = umedpt_picture_new (image, 2 * p->width, p->height);

  if (one_class)
    number_one_class (mask, 2 * (gsize) p->width * (gsize) p->height);
  umedpt_picture_draw_mask (picture, mask, planes, !one_class,
      p->description->colors, OPACITY);
  return picture;
}

static UmedptPicture *
draw_boxes (const UmedptPrediction *p)
{
  UmedptPicture *picture = umedpt_picture_new (p->image, p->width, p->height);
  const char *const *labels = (const char *const *) p->description->labels;
  g_autoptr (GArray) shown = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  for (guint i = 0; i < p->boxes->len; i++) {
    const UmedptBox *box = &g_array_index (p->boxes, UmedptBox, i);
    if (box->score >= SHOWN_SCORE)
      g_array_append_val (shown, *box);
  }
  umedpt_picture_draw_boxes (picture, p->boxes_truth, NULL,
      p->description->colors, TRUE);
  umedpt_picture_draw_boxes (picture, shown, labels, p->description->colors,
      FALSE);
  return picture;
}

static const char *
get_label (const UmedptPrediction *p, gint index)
{
  guint n = p->description->labels ? g_strv_length (p->description->labels) : 0;

  return index >= 0 && (guint) index < n ? p->description->labels[index] : "?";
}

static void
append_labels (GString *text, const UmedptPrediction *p, const gfloat *values,
    double threshold)
{
  gint n = umedpt_task_description_get_n_outputs (p->description);
  gboolean any = FALSE;

  for (gint i = 0; i < n; i++)
    if (values[i] > threshold) {
      g_string_append_printf (text, "%s%s", any ? "+" : "", get_label (p, i));
      any = TRUE;
    }
  if (!any)
    g_string_append (text, "none");
}

static char *
make_caption (const UmedptPrediction *p)
{
  GString *text = g_string_new (p->file);
  gint n = umedpt_task_description_get_n_outputs (p->description), best = 0;

  g_string_append (text, ": ");
  switch (p->description->kind) {
    case UMEDPT_TASK_CLASSIFICATION:
      for (gint i = 1; i < n; i++)
        if (p->probabilities[i] > p->probabilities[best])
          best = i;
      g_string_append_printf (text, "truth %s, predicted %s (%.2f)",
          get_label (p, p->label), get_label (p, best),
          (double) p->probabilities[best]);
      break;
    case UMEDPT_TASK_MULTILABEL:
      g_string_append (text, "truth ");
      append_labels (text, p, p->labels, 0.5);
      g_string_append (text, ", predicted ");
      append_labels (text, p, p->probabilities, p->description->threshold);
      break;
    case UMEDPT_TASK_REGRESSION:
      g_string_append_printf (text, "truth %.4g, predicted %.4g", p->value,
          (double) p->probabilities[0]);
      break;
    case UMEDPT_TASK_DETECTION:
      g_string_append (text, "truth dashed");
      break;
    default:
      g_string_append (text, "truth left, prediction right");
      break;
  }
  return g_string_free (text, FALSE);
}

static UmedptPicture *
draw (const UmedptPrediction *p)
{
  g_autofree char *caption = make_caption (p);
  UmedptPicture *picture;

  if (p->mask)
    picture = draw_masks (p);
  else if (p->boxes)
    picture = draw_boxes (p);
  else
    picture = umedpt_picture_new (p->image, p->width, p->height);
  umedpt_picture_draw_caption (picture, caption);
  return picture;
}

static char *
make_path (TrainPictures *self, const char *task)
{
  g_autofree char *folder = g_build_filename (self->folder, task, NULL);
  g_autofree char *name = NULL;
  guint n = GPOINTER_TO_UINT (g_hash_table_lookup (self->counts, task));

  g_mkdir_with_parents (folder, 0777);
  g_hash_table_insert (self->counts, g_strdup (task), GUINT_TO_POINTER (n + 1));
  name = g_strdup_printf ("%02u.png", n);
  return g_build_filename (folder, name, NULL);
}

void
train_pictures_add (TrainPictures *self, const UmedptPrediction *prediction)
{
  g_autoptr (UmedptPicture) picture = draw (prediction);
  g_autofree char *path = make_path (self, prediction->task);
  g_autoptr (GError) error = NULL;

  if (umedpt_picture_save_png (picture, path, &error) || self->complained)
    return;
  program_complain (PROGRAM_FAILED, "no pictures: %s", error->message);
  self->complained = TRUE;
}
