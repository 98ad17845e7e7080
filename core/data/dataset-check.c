/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reads a whole data set before training does, so that the one bad file is
 * found now and not in hour three. Samples are read by the worker pool, a
 * stretch at a time; what was found is told by the calling thread in the order
 * of the samples, the same on every run.
 */
#include "data/dataset-files.h"

#include <string.h>

#include "base/error.h"
#include "base/pool.h"

/* Read between two looks at the cancellable. */
#define STRETCH 64

typedef struct
{
  guint8 digest[32]; /* of the pixels */
  gboolean blank; /* all pixels are equal */
  char *problem;
} Finding;

typedef struct
{
  UmedptDataset *self;
  guint first;
  Finding *findings; /* of all records */
  UmedptProblemFunc problem;
  gpointer data;
  gint n_fatal;
} Check;

static void
report (Check *check, const char *where, const char *text, gboolean fatal)
{
  check->n_fatal += fatal;
  if (check->problem != NULL)
    check->problem (where, text, fatal, check->data);
}

static gboolean
is_blank (const UmedptSample *sample)
{
  gsize n = (gsize) sample->width * sample->height * 3;

  for (gsize i = 3; i < n; i++)
    if (sample->image[i] != sample->image[i % 3])
      return FALSE;
  return TRUE;
}

static void
check_sample (gpointer data, guint worker, guint chunk)
{
  Check *check = data;
  guint index = check->first + chunk;
  Finding *finding = &check->findings[index];
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSample) sample =
      umedpt_dataset_read (check->self, index, &error);
  g_autoptr (GChecksum) sum = NULL;
  gsize length = sizeof finding->digest;

  if (sample == NULL) {
    finding->problem = g_strdup (error->message);
    return;
  }
  finding->blank = is_blank (sample);
  sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_checksum_update (sum, (const guchar *) &sample->width, sizeof (gint));
  g_checksum_update (sum, (const guchar *) sample->image,
      (gssize) ((gsize) sample->width * sample->height * 3 * sizeof (gfloat)));
  g_checksum_get_digest (sum, finding->digest, &length);
}

static void
report_finding (Check *check, guint index)
{
  const Finding *finding = &check->findings[index];
  const char *name = umedpt_dataset_get_name (check->self, index);

  if (finding->problem != NULL)
    report (check, name, finding->problem, TRUE);
  else if (finding->blank && strchr (name, '#') == NULL)
    report (check, name, "all its pixels are equal", FALSE);
}

static guint
digest_hash (gconstpointer digest)
{
  return *(const guint *) digest;
}

static gboolean
digest_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, 32) == 0;
}

/* What of a pair in two parts makes validation look better than it is. */
static void
check_leaks (Check *check)
{
  g_autoptr (GHashTable) images = g_hash_table_new (digest_hash, digest_equal);
  g_autoptr (GHashTable) cases = g_hash_table_new (g_str_hash, g_str_equal);
  GArray *records = check->self->records;

  for (guint i = 0; i < records->len; i++) {
    UmedptRecord *record = &g_array_index (records, UmedptRecord, i);
    Finding *finding = &check->findings[i];
    gpointer other;

    if (finding->problem != NULL || record->split < 0)
      continue;
    other = g_hash_table_lookup (images, finding->digest);
    if (other == NULL && !finding->blank)
      g_hash_table_insert (images, finding->digest, record);
    else if (other != NULL &&
        ((UmedptRecord *) other)->split != record->split) {
      g_autofree char *text =
          g_strdup_printf ("the same pixels as “%s”, which is in another part",
              ((UmedptRecord *) other)->name);

      report (check, record->name, text, FALSE);
    }
    other = g_hash_table_lookup (cases, record->case_id);
    if (other == NULL)
      g_hash_table_insert (cases, record->case_id, record);
    else if (((UmedptRecord *) other)->split != record->split) {
      g_autofree char *text =
          g_strdup_printf ("its case “%s” is in another part, too (“%s”)",
              record->case_id, ((UmedptRecord *) other)->name);

      report (check, record->name, text, FALSE);
    }
  }
}

/* What is wrong with the set as a whole. */
static void
check_parts (Check *check)
{
  UmedptDataset *self = check->self;
  guint n_labels = umedpt_dataset_get_n_labels (self);
  g_autofree guint *counts = g_new0 (guint, n_labels + 1);
  guint n[3] = { 0 };

  for (guint i = 0; i < self->records->len; i++) {
    const UmedptRecord *record =
        &g_array_index (self->records, UmedptRecord, i);

    if (record->split >= 0 && record->split < 3)
      n[record->split]++;
    if (record->split == UMEDPT_SPLIT_TRAIN && record->label >= 0)
      counts[record->label]++;
  }
  if (n[UMEDPT_SPLIT_TRAIN] == 0)
    report (check, self->root, "no sample is in the part train", TRUE);
  if (n[UMEDPT_SPLIT_VAL] == 0)
    report (check, self->root,
        "no sample is in the part val: there will be no validation", FALSE);
  for (guint i = 0; self->kind == UMEDPT_TASK_CLASSIFICATION && i < n_labels;
       i++)
    if (counts[i] == 0) {
      g_autofree char *text =
          g_strdup_printf ("no sample of the part train is of the class “%s”",
              self->labels[i]);

      report (check, self->root, text, FALSE);
    }
}

static gboolean
check_all (Check *check, gdouble *progress, GCancellable *cancellable,
    GError **error)
{
  UmedptPool *pool = umedpt_pool_get_default ();
  guint n = check->self->records->len;

  for (guint first = 0; first < n; first += STRETCH) {
    guint size = MIN (STRETCH, n - first);

    if (g_cancellable_is_cancelled (cancellable)) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED,
          "The check of “%s” was stopped.", check->self->root);
      return FALSE;
    }
    check->first = first;
    umedpt_pool_run (pool, size, check_sample, check);
    for (guint i = first; i < first + size; i++)
      report_finding (check, i);
    if (progress != NULL)
      *progress = (double) (first + size) / n;
  }
  return TRUE;
}

/**
 * umedpt_dataset_check: (skip)
 * @self: a data set
 * @problem: (nullable): called for each problem, by the calling thread
 * @data: its last argument
 * @progress: (nullable): from 0 to 1
 * @cancellable: (nullable): to stop it
 * @error: return location for a #GError
 *
 * Reads every image and annotation, with as many threads as the worker pool
 * has, and tells what is wrong: files that cannot be read or do not fit their
 * annotation (fatal), and what merely looks wrong.
 *
 * Returns: the number of fatal problems, or -1 with @error set when cancelled
 *
 * Since: 0.1
 */
gint
umedpt_dataset_check (UmedptDataset *self, UmedptProblemFunc problem,
    gpointer data, gdouble *progress, GCancellable *cancellable, GError **error)
{
  Check check = { .self = self, .problem = problem, .data = data };
  gboolean ok;

  check.findings = g_new0 (Finding, self->records->len);
  for (guint i = 0; i < self->warnings->len; i++) {
    const char *text = self->warnings->pdata[i];
    const char *colon = strstr (text, ": ");
    g_autofree char *where =
        colon != NULL ? g_strndup (text, colon - text) : g_strdup (self->root);

    report (&check, where, colon != NULL ? colon + 2 : text, FALSE);
  }
  ok = check_all (&check, progress, cancellable, error);
  if (ok) {
    check_leaks (&check);
    check_parts (&check);
  }
  for (guint i = 0; i < self->records->len; i++)
    g_free (check.findings[i].problem);
  g_free (check.findings);
  return ok ? check.n_fatal : -1;
}
