/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A data set of samples that are computed (samples.h).
 */
#include "samples.h"

#include "base/error.h"

gint samples_n_reads, samples_gate_closed;
gint samples_bad = -1, samples_gate = -1;

/* What sample @index shows: bytes, or values that no byte has. */
static gfloat
pixel (guint index, gsize i)
{
  if (index % 3 == 2)
    return (gfloat) ((i * 7 + index * 13) % 1000) / 1000;
  return (gfloat) ((i * (index % 2 ? 5 : 0) + index * 11) % 256) / 255.0f;
}

static void
annotate (UmedptSample *sample, UmedptTaskKind kind, guint index)
{
  gsize n = SAMPLES_WIDTH * SAMPLES_HEIGHT;
  guint planes =
      kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION ? SAMPLES_LABELS : 1;
  UmedptBox box = { 2, 3, 12, 13, (gint) (index % SAMPLES_LABELS), 1 };

  sample->label = (gint) (index % SAMPLES_LABELS);
  sample->value = index * 0.5;
  if (kind == UMEDPT_TASK_MULTILABEL) {
    sample->labels = g_new0 (gfloat, SAMPLES_LABELS);
    sample->labels[index % SAMPLES_LABELS] = 1;
    if (index % 2) {
      sample->weights = g_new0 (gfloat, SAMPLES_LABELS);
      sample->weights[0] = (gfloat) index;
    }
  }
  if (kind == UMEDPT_TASK_SEGMENTATION ||
      kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION) {
    sample->mask = g_malloc (n * planes);
    for (gsize i = 0; i < n * planes; i++)
      sample->mask[i] = (guint8) ((i + index) % 2);
  }
  if (kind == UMEDPT_TASK_DETECTION) {
    sample->boxes = g_array_new (FALSE, FALSE, sizeof box);
    for (guint i = 0; i < index % 4; i++)
      g_array_append_val (sample->boxes, box);
  }
}

static UmedptSample *
read_one (UmedptDataset *self, const UmedptRecord *record, GError **error)
{
  guint index = GPOINTER_TO_UINT (record->data);
  UmedptSample *sample;

  g_atomic_int_inc (&samples_n_reads);
  while ((gint) index == samples_gate &&
      g_atomic_int_get (&samples_gate_closed))
    g_usleep (500);
  if ((gint) index == samples_bad) {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "it is no image");
    return NULL;
  }
  sample = umedpt_sample_new (SAMPLES_WIDTH, SAMPLES_HEIGHT);
  for (gsize i = 0; i < 3 * SAMPLES_WIDTH * SAMPLES_HEIGHT; i++)
    sample->image[i] = pixel (index, i / (index % 2 ? 1 : 3));
  annotate (sample, self->kind, index);
  return sample;
}

static const UmedptDatasetFormat format = { "test", G_MAXUINT, NULL, read_one };

UmedptDataset *
samples_dataset (UmedptTaskKind kind, guint n)
{
  UmedptDataset *self = g_object_new (UMEDPT_TYPE_DATASET, NULL);

  self->format = &format;
  self->kind = kind;
  self->labels = g_strsplit ("a;b;c", ";", -1);
  for (guint i = 0; i < n; i++) {
    guint start[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6 };
    UmedptRecord record = { g_strdup_printf ("images/%u.png", i),
      g_strdup_printf ("case-%u", i / 10 * 10 + start[i % 10]), -1,
      i % 10 < 6       ? 0
          : i % 10 < 9 ? 1
                       : 2,
      GUINT_TO_POINTER (i) };

    g_array_append_val (self->records, record);
  }
  samples_n_reads = 0;
  samples_bad = samples_gate = -1;
  return self;
}

UmedptLoaderSettings
samples_settings (guint batch)
{
  return (UmedptLoaderSettings){ .batch = batch,
    .augment = { 20, 12, UMEDPT_AUGMENT_HISTOLOGY, UMEDPT_FIT_STRETCH, 1,
        TRUE },
    .seed = 7,
    .shuffle = TRUE,
    .threads = 2 };
}

UmedptLoader *
samples_loader (UmedptDataset *dataset, const UmedptLoaderSettings *settings)
{
  g_autoptr (GArray) all = umedpt_dataset_get_split (dataset, UMEDPT_SPLIT_ALL);

  return umedpt_loader_new (dataset, all, settings);
}

UmedptBatch *
samples_next (UmedptLoader *loader)
{
  g_autoptr (GError) error = NULL;
  UmedptBatch *batch = umedpt_loader_next (loader, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (batch);
  return batch;
}
