/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Counts and sums per class, written at the end; the file is made at the
 * beginning, so that a folder that cannot be written to is told before a slide
 * is read. CSV by RFC 4180, numbers with a point in every locale.
 */
#include "output/object-table.h"

#include <math.h>
#include <string.h>

#include "base/atomic-file.h"
#include "base/error.h"

#define MAX_LABEL 65535

typedef struct
{
  char *name;
  guint64 count;
  double area, score; /* sums */
} Class;

typedef struct
{
  char *name;
  GArray *classes; /* Class */
} Task;

struct _UmedptObjectTable
{
  UmedptAtomicFile *file;
  char *slide;
  double mpp;
  double area; /* square level-0 pixels */
  GPtrArray *tasks; /* of Task, by number (nullable) */
};

static void
clear_class (gpointer data)
{
  g_free (((Class *) data)->name);
}

static void
free_task (gpointer data)
{
  Task *task = data;

  if (!task)
    return;
  g_free (task->name);
  g_array_unref (task->classes);
  g_free (task);
}

/**
 * umedpt_object_table_new: (skip)
 * @path: the CSV file to make
 * @slide: the slide's name, for the first column
 * @mpp: micrometres per level-0 pixel, 0 if unknown
 * @overwrite: whether an existing file may be replaced
 * @error: return location for an error
 *
 * Begins a table of one slide's objects.
 *
 * Returns: (transfer full): the table, or %NULL with @error set
 *   (%UMEDPT_ERROR_EXISTS, %UMEDPT_ERROR_NOT_FOUND, %UMEDPT_ERROR_IO,
 *   %UMEDPT_ERROR_NO_SPACE)
 *
 * Since: 0.1
 */
UmedptObjectTable *
umedpt_object_table_new (const char *path, const char *slide, double mpp,
    gboolean overwrite, GError **error)
{
  g_autoptr (UmedptObjectTable) self = NULL;

  g_return_val_if_fail (path != NULL && slide != NULL, NULL);
  g_return_val_if_fail (mpp >= 0 && isfinite (mpp), NULL);

  self = g_new0 (UmedptObjectTable, 1);
  self->slide = g_strdup (slide);
  self->mpp = mpp;
  self->tasks = g_ptr_array_new_with_free_func (free_task);
  self->file = umedpt_atomic_file_new (path, overwrite, error);
  return self->file ? g_steal_pointer (&self) : NULL;
}

/**
 * umedpt_object_table_free: (skip)
 * @self: (nullable): the table
 *
 * Without a successful umedpt_object_table_finish() nothing is left.
 *
 * Since: 0.1
 */
void
umedpt_object_table_free (UmedptObjectTable *self)
{
  if (!self)
    return;
  g_clear_pointer (&self->file, umedpt_atomic_file_free);
  g_ptr_array_unref (self->tasks);
  g_free (self->slide);
  g_free (self);
}

static Task *
get_task (UmedptObjectTable *self, guint number)
{
  if (number >= self->tasks->len)
    g_ptr_array_set_size (self->tasks, (gint) number + 1);
  if (!self->tasks->pdata[number]) {
    Task *task = g_new0 (Task, 1);

    task->name = g_strdup_printf ("%u", number);
    task->classes = g_array_new (FALSE, TRUE, sizeof (Class));
    g_array_set_clear_func (task->classes, clear_class);
    self->tasks->pdata[number] = task;
  }
  return self->tasks->pdata[number];
}

/* Classes that nobody has named are called by their numbers. */
static Class *
get_class (Task *task, gint label)
{
  while (task->classes->len <= (guint) label) {
    Class class = { g_strdup_printf ("%u", task->classes->len), 0, 0, 0 };

    g_array_append_val (task->classes, class);
  }
  return &g_array_index (task->classes, Class, label);
}

/**
 * umedpt_object_table_add_task: (skip)
 * @self: the table
 * @task: the number of a task, as its objects have it
 * @names: what it and its classes are called; copied
 *
 * Names the classes of a task, so that those without objects have a row.
 *
 * Since: 0.1
 */
void
umedpt_object_table_add_task (UmedptObjectTable *self, guint task,
    const UmedptClassNames *names)
{
  Task *at;

  g_return_if_fail (self != NULL && names != NULL && task <= MAX_LABEL);

  at = get_task (self, task);
  g_free (at->name);
  at->name = g_strdup (names->task);
  for (gint i = 0; i == 0 || (names->labels && names->labels[i]); i++) {
    Class *class = get_class (at, i);

    g_free (class->name);
    class->name = g_strdup (names->labels && names->labels[i] ? names->labels[i]
                                                              : names->task);
  }
}

/**
 * umedpt_object_table_add_area: (skip)
 * @self: the table
 * @area: square level-0 pixels that were looked at, besides those before
 *
 * Since: 0.1
 */
void
umedpt_object_table_add_area (UmedptObjectTable *self, double area)
{
  g_return_if_fail (self != NULL && area >= 0 && isfinite (area));

  self->area += area;
}

/**
 * umedpt_object_table_add: (skip)
 * @self: the table
 * @object: a whole object
 *
 * Counts an object.
 *
 * Since: 0.1
 */
void
umedpt_object_table_add (UmedptObjectTable *self, const UmedptObject *object)
{
  Class *class;

  g_return_if_fail (self != NULL && object != NULL);
  g_return_if_fail (object->label >= 0 && object->label <= MAX_LABEL);
  g_return_if_fail (object->task <= MAX_LABEL);

  class = get_class (get_task (self, object->task), object->label);
  class->count++;
  class->area += object->area;
  class->score += (double) object->score;
}

/**
 * umedpt_object_table_get_count: (skip)
 * @self: the table
 * @task: the number of a task
 * @label: a class, or -1 for all of them
 *
 * Returns: how many objects were counted
 *
 * Since: 0.1
 */
guint64
umedpt_object_table_get_count (UmedptObjectTable *self, guint task, gint label)
{
  const Task *at;
  guint64 count = 0;

  g_return_val_if_fail (self != NULL, 0);

  at = task < self->tasks->len ? self->tasks->pdata[task] : NULL;
  for (guint i = 0; at && i < at->classes->len; i++)
    if (label < 0 || i == (guint) label)
      count += g_array_index (at->classes, Class, i).count;
  return count;
}

/* In quotes where RFC 4180 asks for them. */
static void
append_cell (GString *text, const char *cell)
{
  g_autofree char *valid = g_utf8_make_valid (cell, -1);

  if (!strpbrk (valid, ",\"\r\n")) {
    g_string_append (text, valid);
    return;
  }
  g_string_append_c (text, '"');
  for (const char *c = valid; *c; c++) {
    if (*c == '"')
      g_string_append_c (text, '"');
    g_string_append_c (text, *c);
  }
  g_string_append_c (text, '"');
}

/* A comma, and the number if there is one: six digits tell all that a count
 * over an area can. */
static void
append_number (GString *text, gboolean known, double value)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];

  g_string_append_c (text, ',');
  if (known)
    g_string_append (text,
        g_ascii_formatd (buffer, sizeof buffer, "%.6g", value));
}

static void
append_row (GString *text, UmedptObjectTable *self, const Task *task,
    const Class *class)
{
  const gboolean scaled = self->mpp > 0, some = class->count > 0;
  const double micrometres = self->mpp * self->mpp;
  const double area = self->area * micrometres / 1e6; /* mm² */
  const double n = (double) class->count;

  append_cell (text, self->slide);
  g_string_append_c (text, ',');
  append_cell (text, task->name);
  g_string_append_c (text, ',');
  append_cell (text, class->name);
  g_string_append_printf (text, ",%" G_GUINT64_FORMAT, class->count);
  append_number (text, scaled, area);
  append_number (text, scaled && area > 0, n / area);
  append_number (text, scaled && some, class->area * micrometres / n);
  append_number (text, some, class->score / n);
  g_string_append_c (text, '\n');
}

static void
append_task (GString *text, UmedptObjectTable *self, const Task *task)
{
  char name[] = "all";
  Class all = { name, 0, 0, 0 };

  for (guint i = 0; i < task->classes->len; i++) {
    const Class *class = &g_array_index (task->classes, Class, i);

    append_row (text, self, task, class);
    all.count += class->count;
    all.area += class->area;
    all.score += class->score;
  }
  append_row (text, self, task, &all);
}

/**
 * umedpt_object_table_finish: (skip)
 * @self: the table
 * @error: return location for an error
 *
 * Writes the table: a row per class of each task, in their order, and one for
 * all of them.
 *
 * Returns: %FALSE with @error set if it could not be written
 *   (%UMEDPT_ERROR_NO_SPACE, %UMEDPT_ERROR_IO, %UMEDPT_ERROR_EXISTS)
 *
 * Since: 0.1
 */
gboolean
umedpt_object_table_finish (UmedptObjectTable *self, GError **error)
{
  g_autoptr (GString) text = g_string_new (
      "slide,task,class,count,area_mm2,density_per_mm2,mean_area_um2,"
      "mean_score\n");

  g_return_val_if_fail (self != NULL, FALSE);

  for (guint i = 0; i < self->tasks->len; i++)
    if (self->tasks->pdata[i])
      append_task (text, self, self->tasks->pdata[i]);
  return umedpt_atomic_file_write (self->file, text->str, text->len, error) &&
      umedpt_atomic_file_commit (self->file, error);
}
