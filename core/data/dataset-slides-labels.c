/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From the names that annotators typed to classes. Case does not count. The
 * configuration's classes may be the names, parts of them, or regular
 * expressions for their beginning; a name must not match two.
 */
#include <string.h>

#include "base/error.h"
#include "data/dataset-slides.h"

#define MAX_MASK_CLASSES 254

typedef enum
{
  MATCH_EXACT,
  MATCH_PART,
  MATCH_REGEX,
} Match;

static const char *const match_names[] = { "exact", "part", "regex", NULL };

typedef struct
{
  UmedptDataset *dataset;
  Match match;
  GPtrArray *folded; /* of char *: classes without case */
  GPtrArray *regexes; /* of GRegex, if these are asked for */
  const gint *numbers; /* after the ignored ones are gone */
  GHashTable *known; /* name → number + 3 */
} Matcher;

static gint
compare_folded (gconstpointer a, gconstpointer b)
{
  g_autofree char *p = g_utf8_casefold (*(char *const *) a, -1);
  g_autofree char *q = g_utf8_casefold (*(char *const *) b, -1);
  gint order = strcmp (p, q);

  return order != 0 ? order : strcmp (*(char *const *) a, *(char *const *) b);
}

/* All names of the annotations, each once whatever its case, sorted. */
static char **
gather_names (const UmedptSlides *self)
{
  g_autoptr (GPtrArray) all = g_ptr_array_new ();
  g_autoptr (GPtrArray) kept = g_ptr_array_new ();
  g_autofree char *last = NULL;

  for (guint i = 0; i < self->slides->len; i++) {
    const UmedptSlideFile *file = self->slides->pdata[i];

    for (guint k = 0; k < file->shapes->len; k++) {
      char *name = g_array_index (file->shapes, UmedptSlideShape, k).class_name;

      if (name)
        g_ptr_array_add (all, name);
    }
  }
  g_ptr_array_sort (all, compare_folded);
  for (guint i = 0; i < all->len; i++) {
    g_autofree char *folded = g_utf8_casefold (all->pdata[i], -1);

    if (g_strcmp0 (folded, last) == 0)
      continue;
    g_ptr_array_add (kept, g_strdup (all->pdata[i]));
    g_free (last);
    last = g_steal_pointer (&folded);
  }
  g_ptr_array_add (kept, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&kept), FALSE);
}

/* The class @name (in any case), put first if it is new and may be. */
static gboolean
find_background (UmedptDataset *dataset, gboolean may_add, GKeyFile *file,
    const char *group, char **background, GError **error)
{
  g_autofree char *wanted =
      umedpt_dataset_get_key (file, group, "background", NULL);
  g_autofree char *folded = wanted ? g_utf8_casefold (wanted, -1) : NULL;
  guint n = umedpt_dataset_get_n_labels (dataset);

  *background = NULL;
  for (guint i = 0; wanted && i < n && !*background; i++) {
    g_autofree char *label = g_utf8_casefold (dataset->labels[i], -1);

    if (strcmp (label, folded) == 0)
      *background = g_strdup (dataset->labels[i]);
  }
  if (!wanted || *background)
    return TRUE;
  if (!may_add)
    return umedpt_dataset_fail_key (file, group, "background", error,
        "it is not among the classes");
  dataset->labels = g_renew (char *, dataset->labels, n + 2);
  memmove (dataset->labels + 1, dataset->labels, (n + 1) * sizeof (char *));
  dataset->labels[0] = g_strdup (wanted);
  *background = g_steal_pointer (&wanted);
  return TRUE;
}

static gboolean
prepare (Matcher *self, GKeyFile *file, const char *group, GError **error)
{
  for (guint i = 0; i < umedpt_dataset_get_n_labels (self->dataset); i++) {
    const char *label = self->dataset->labels[i];
    g_autoptr (GError) local = NULL;
    GRegex *regex;

    g_ptr_array_add (self->folded, g_utf8_casefold (label, -1));
    if (self->match != MATCH_REGEX)
      continue;
    regex = g_regex_new (label, G_REGEX_CASELESS | G_REGEX_OPTIMIZE,
        G_REGEX_MATCH_ANCHORED, &local);
    if (!regex)
      return umedpt_dataset_fail_key (file, group, "classes", error,
          "“%s” is no regular expression (%s)", label, local->message);
    g_ptr_array_add (self->regexes, regex);
  }
  return TRUE;
}

static gboolean
matches (const Matcher *self, guint i, const char *name, const char *folded)
{
  if (self->match == MATCH_EXACT)
    return strcmp (self->folded->pdata[i], folded) == 0;
  if (self->match == MATCH_PART)
    return strstr (folded, self->folded->pdata[i]) != NULL;
  return g_regex_match (self->regexes->pdata[i], name, 0, NULL);
}

/* @label (out) */
static gboolean
find_class (Matcher *self, const UmedptSlideFile *file, const char *name,
    gint *label, GError **error)
{
  g_autofree char *folded = g_utf8_casefold (name, -1);
  gpointer known = g_hash_table_lookup (self->known, name);
  gint found = -1;

  if (known) {
    *label = GPOINTER_TO_INT (known) - 3;
    return TRUE;
  }
  for (guint i = 0; i < self->folded->len; i++) {
    if (!matches (self, i, name, folded))
      continue;
    if (found >= 0)
      return umedpt_dataset_fail (self->dataset, file->name, error,
          "the annotated class “%s” matches the classes “%s” and “%s”", name,
          (char *) self->folded->pdata[found], (char *) self->folded->pdata[i]);
    found = (gint) i;
  }
  *label = found >= 0 ? self->numbers[found] : UMEDPT_SLIDES_UNKNOWN;
  if (found < 0)
    umedpt_dataset_warn (self->dataset, file->name,
        "the annotated class “%s” is none of the classes; it is left out",
        name);
  g_hash_table_insert (self->known, (gpointer) name,
      GINT_TO_POINTER (*label + 3));
  return TRUE;
}

static gboolean
label_all (Matcher *self, UmedptSlides *slides, GError **error)
{
  for (guint i = 0; i < slides->slides->len; i++) {
    const UmedptSlideFile *file = slides->slides->pdata[i];

    for (guint k = 0; k < file->shapes->len; k++) {
      UmedptSlideShape *shape =
          &g_array_index (file->shapes, UmedptSlideShape, k);

      shape->label = UMEDPT_SLIDES_UNKNOWN;
      if (shape->class_name &&
          !find_class (self, file, shape->class_name, &shape->label, error))
        return FALSE;
    }
  }
  return TRUE;
}

static gboolean
run_matcher (Matcher *self, UmedptSlides *slides, GKeyFile *file,
    const char *group, GError **error)
{
  g_autofree gint *numbers = NULL;

  if (!prepare (self, file, group, error))
    return FALSE;
  numbers = umedpt_dataset_ignore_labels (self->dataset, file, group, error);
  self->numbers = numbers;
  return numbers && label_all (self, slides, error);
}

static void
regex_free (gpointer regex)
{
  g_regex_unref (regex);
}

gboolean
umedpt_slides_set_labels (UmedptDataset *dataset, UmedptSlides *self,
    GKeyFile *file, const char *group, GError **error)
{
  g_autoptr (GPtrArray) folded = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) regexes = g_ptr_array_new_with_free_func (regex_free);
  g_autoptr (GHashTable) known = g_hash_table_new (g_str_hash, g_str_equal);
  Matcher matcher = { dataset, MATCH_EXACT, folded, regexes, NULL, known };
  g_autofree char *background = NULL;
  gboolean gathered;
  gint match, label;

  if (!umedpt_dataset_load_classes (dataset, file, group, error) ||
      !umedpt_dataset_get_key_choice (file, group, "match", match_names, &match,
          error))
    return FALSE;
  matcher.match = match;
  gathered = dataset->labels == NULL;
  if (gathered)
    dataset->labels = gather_names (self);
  if (!find_background (dataset, gathered, file, group, &background, error) ||
      !run_matcher (&matcher, self, file, group, error))
    return FALSE;
  if (umedpt_dataset_get_n_labels (dataset) > MAX_MASK_CLASSES)
    return umedpt_dataset_fail_key (file, group, "format", error,
        "there are %u classes; masks of slides hold at most %d",
        umedpt_dataset_get_n_labels (dataset), MAX_MASK_CLASSES);
  self->background = UMEDPT_IGNORE_PIXEL;
  label = background ? umedpt_dataset_find_label (dataset, background) : -1;
  if (label >= 0)
    self->background = label;
  return TRUE;
}
