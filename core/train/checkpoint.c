/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A checkpoint is a folder with the model file that elements load and a file
 * with all other state of the run: moments of the optimisers, average,
 * counters, positions of the loaders. It is written under another name and
 * exchanged with the old one in one step (renameat2(2), RENAME_EXCHANGE), so
 * that at any moment the name leads to a whole checkpoint; a disk that is full
 * leaves the old one. Where the file system cannot exchange, two renames do
 * it, and umedpt_checkpoint_find() knows the moment between them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic-file.h"
#include "base/error.h"
#include "train/trainer-private.h"

#define SHARED_PREFIX "shared."
#define AVERAGE_PREFIX "average."
#define HEAD_PREFIX "head."
#define FORMAT "1"

static gboolean
fail_errno (const char *what, const char *path, GError **error)
{
  int number = errno;
  gboolean full = number == ENOSPC || number == EDQUOT;

  g_set_error (error, UMEDPT_ERROR,
      full ? UMEDPT_ERROR_NO_SPACE : UMEDPT_ERROR_IO, "Cannot %s '%s': %s.",
      what, path, g_strerror (number));
  return FALSE;
}

/* Removes a checkpoint folder; what is not ours in it stays, and it with it. */
static void
remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *file = g_build_filename (path, name, NULL);

    if (g_str_has_suffix (name, ".safetensors") ||
        g_str_has_suffix (name, ".tmp"))
      g_unlink (file);
  }
  g_rmdir (path);
}

static void
sync_folder (const char *path)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0)
    return;
  fsync (fd); /* some file systems cannot, and need not */
  close (fd);
}

static void
set_count (UmedptSafetensorsWriter *writer, const char *key, guint64 value)
{
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, value);

  umedpt_safetensors_writer_set_metadata (writer, key, text);
}

static void
set_double (UmedptSafetensorsWriter *writer, const char *key, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  umedpt_safetensors_writer_set_metadata (writer, key,
      g_ascii_dtostr (text, sizeof text, value));
}

static void
store_state (UmedptTrainer *self, UmedptSafetensorsWriter *writer,
    gint64 log_size)
{
  const UmedptRunState *state = &self->state;

  umedpt_safetensors_writer_set_metadata (writer, "umedpt-state", FORMAT);
  umedpt_safetensors_writer_set_metadata (writer, "config", self->config_hash);
  set_count (writer, "round", state->round);
  set_count (writer, "epoch", state->epoch);
  set_count (writer, "pass", state->pass);
  set_count (writer, "has-best", state->has_best);
  set_double (writer, "best", state->best);
  set_count (writer, "best-round", state->best_round);
  set_count (writer, "bad", state->bad);
  set_double (writer, "schedule-best", state->schedule.best);
  set_count (writer, "schedule-bad", state->schedule.bad_epochs);
  set_double (writer, "schedule-factor", state->schedule.factor);
  set_count (writer, "log", (guint64) log_size);
  for (guint i = 0; i < self->n_tasks; i++) {
    const char *name = self->tasks[i].config->name;
    g_autofree char *epoch_key = g_strdup_printf ("loader-epoch/%s", name);
    g_autofree char *batch_key = g_strdup_printf ("loader-batch/%s", name);
    g_autofree char *images_key = g_strdup_printf ("loader-images/%s", name);
    guint64 epoch;
    guint batch;

    set_count (writer, images_key, self->tasks[i].train->len);
    umedpt_loader_tell (self->tasks[i].loader, &epoch, &batch);
    set_count (writer, epoch_key, epoch);
    set_count (writer, batch_key, batch);
  }
}

static gboolean
store_tensors (UmedptTrainer *self, UmedptSafetensorsWriter *writer,
    GError **error)
{
  if (!umedpt_optimizer_store (self->shared, writer, SHARED_PREFIX, error))
    return FALSE;
  if (self->average &&
      !umedpt_average_store (self->average, writer, AVERAGE_PREFIX, error))
    return FALSE;
  for (guint i = 0; i < self->n_tasks; i++) {
    g_autofree char *prefix =
        g_strdup_printf (HEAD_PREFIX "%s.", self->tasks[i].config->name);

    if (!umedpt_optimizer_store (self->tasks[i].optimizer, writer, prefix,
            error))
      return FALSE;
  }
  return TRUE;
}

/* The best model is the average, if there is one; the latest is where training
 * goes on. */
static gboolean
save_model (UmedptTrainer *self, const char *folder, gboolean best,
    GError **error)
{
  g_autofree char *path = g_build_filename (folder, UMEDPT_RUN_MODEL, NULL);
  gboolean ok;

  if (!best || !self->average)
    return umedpt_model_save (self->model, path, error);
  umedpt_average_swap (self->average);
  ok = umedpt_model_save (self->model, path, error);
  umedpt_average_swap (self->average);
  return ok;
}

/* The state comes last: a folder that has it is whole. */
static gboolean
write_folder (UmedptTrainer *self, const char *folder, gboolean best,
    GError **error)
{
  g_autoptr (UmedptSafetensorsWriter) writer = umedpt_safetensors_writer_new ();
  g_autofree char *path = g_build_filename (folder, UMEDPT_RUN_STATE, NULL);
  gint64 log_size = umedpt_train_log_sync (self->log, error);

  if (log_size < 0)
    return FALSE;
  remove_folder (folder); /* of a run that was killed */
  if (g_mkdir (folder, 0777) != 0)
    return fail_errno ("make the folder", folder, error);
  store_state (self, writer, log_size);
  if (!save_model (self, folder, best, error) ||
      !store_tensors (self, writer, error) ||
      !umedpt_safetensors_writer_write (writer, path, error))
    return FALSE;
  sync_folder (folder);
  return TRUE;
}

static guint64
read_count (UmedptSafetensors *file, const char *key, guint64 fallback)
{
  const char *text = umedpt_safetensors_get_metadata (file, key);
  guint64 value;

  return text &&
          g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT64, &value, NULL)
      ? value
      : fallback;
}

/* "checkpoint-00000120", from the state inside @folder. */
static char *
name_kept (const char *run, const char *folder)
{
  g_autofree char *path = g_build_filename (folder, UMEDPT_RUN_STATE, NULL);
  g_autoptr (UmedptSafetensors) file = umedpt_safetensors_open (path, NULL);

  if (!file)
    return NULL;
  return g_strdup_printf ("%s/checkpoint-%08" G_GUINT64_FORMAT, run,
      read_count (file, "round", 0));
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The newest @keep of the numbered checkpoints stay. */
static void
prune (const char *run, guint keep)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (run, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    if (g_str_has_prefix (name, "checkpoint-") &&
        g_ascii_isdigit (name[strlen ("checkpoint-")]))
      g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i + keep < names->len; i++) {
    g_autofree char *path =
        g_build_filename (run, g_ptr_array_index (names, i), NULL);
    remove_folder (path);
  }
}

/* What the new checkpoint replaced: kept under its number, or removed. */
static void
put_away (UmedptTrainer *self, const char *old, gboolean latest)
{
  g_autofree char *kept =
      latest && self->config->keep ? name_kept (self->folder, old) : NULL;

  if (kept) {
    remove_folder (kept);
    g_rename (old, kept);
    prune (self->folder, self->config->keep);
  }
  remove_folder (old);
}

/* Puts @fresh in the place of @path; the old one is then at @old. */
static gboolean
exchange (const char *fresh, const char *path, const char *old, GError **error)
{
  remove_folder (old);
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return g_rename (fresh, path) == 0 || fail_errno ("rename", fresh, error);
  if (renameat2 (AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
    return g_rename (fresh, old) == 0 || fail_errno ("rename", fresh, error);
  return (g_rename (path, old) == 0 && g_rename (fresh, path) == 0) ||
      fail_errno ("rename", path, error);
}

static gboolean
save (UmedptTrainer *self, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename (self->folder, name, NULL);
  g_autofree char *fresh = g_strdup_printf ("%s/.%s.new", self->folder, name);
  g_autofree char *old = g_strdup_printf ("%s/.%s.old", self->folder, name);
  gboolean latest = g_str_equal (name, UMEDPT_RUN_LATEST);

  if (!write_folder (self, fresh, !latest, error) ||
      !exchange (fresh, path, old, error)) {
    g_prefix_error (error,
        "The checkpoint of round %" G_GUINT64_FORMAT
        " could not be written; the one before it is whole. ",
        self->state.round);
    remove_folder (fresh);
    return FALSE;
  }
  sync_folder (self->folder);
  put_away (self, old, latest);
  return umedpt_trainer_log_checkpoint (self, name, error);
}

/* One rank writes, with what the others own. */
gboolean
umedpt_checkpoint_save (UmedptTrainer *self, const char *name, GError **error)
{
  gboolean ok = umedpt_trainer_share_heads (self, error) &&
      (!self->log || save (self, name, error));

  return umedpt_ranks_agree (self->ranks, ok, error);
}

static gboolean
is_whole (const char *folder)
{
  g_autofree char *state = g_build_filename (folder, UMEDPT_RUN_STATE, NULL);

  return g_file_test (state, G_FILE_TEST_IS_REGULAR);
}

char *
umedpt_checkpoint_find (const char *run)
{
  static const char *const names[] = { UMEDPT_RUN_LATEST,
    "." UMEDPT_RUN_LATEST ".new", "." UMEDPT_RUN_LATEST ".old" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (run, names[i], NULL);

    if (is_whole (path))
      return g_steal_pointer (&path);
  }
  return NULL;
}

static gboolean
load_tensors (UmedptTrainer *self, UmedptSafetensors *file, GError **error)
{
  if (!umedpt_optimizer_load (self->shared, file, SHARED_PREFIX, error))
    return FALSE;
  if (self->average &&
      !umedpt_average_load (self->average, file, AVERAGE_PREFIX, error))
    return FALSE;
  for (guint i = 0; i < self->n_tasks; i++) {
    g_autofree char *prefix =
        g_strdup_printf (HEAD_PREFIX "%s.", self->tasks[i].config->name);

    if (!umedpt_optimizer_load (self->tasks[i].optimizer, file, prefix, error))
      return FALSE;
  }
  return TRUE;
}

static double
read_double (UmedptSafetensors *file, const char *key)
{
  const char *text = umedpt_safetensors_get_metadata (file, key);

  return text ? g_ascii_strtod (text, NULL) : 0;
}

static void
load_state (UmedptTrainer *self, UmedptSafetensors *file)
{
  UmedptRunState *state = &self->state;

  state->round = read_count (file, "round", 0);
  state->epoch = read_count (file, "epoch", 0);
  state->pass = read_count (file, "pass", 0);
  state->has_best = read_count (file, "has-best", 0) != 0;
  state->best = read_double (file, "best");
  state->best_round = read_count (file, "best-round", 0);
  state->bad = (guint) read_count (file, "bad", 0);
  state->schedule.best = read_double (file, "schedule-best");
  state->schedule.bad_epochs = (guint) read_count (file, "schedule-bad", 0);
  state->schedule.factor = read_double (file, "schedule-factor");
  for (guint i = 0; i < self->n_tasks; i++) {
    const char *name = self->tasks[i].config->name;
    g_autofree char *epoch_key = g_strdup_printf ("loader-epoch/%s", name);
    g_autofree char *batch_key = g_strdup_printf ("loader-batch/%s", name);

    umedpt_loader_seek (self->tasks[i].loader, read_count (file, epoch_key, 0),
        (guint) read_count (file, batch_key, 0));
  }
}

static gboolean
check_state (UmedptTrainer *self, UmedptSafetensors *file, const char *path,
    GError **error)
{
  const char *format = umedpt_safetensors_get_metadata (file, "umedpt-state");
  const char *hash = umedpt_safetensors_get_metadata (file, "config");

  if (g_strcmp0 (format, FORMAT) != 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "'%s' is not a training state that this version can continue.", path);
    return FALSE;
  }
  if (g_strcmp0 (hash, self->config_hash) == 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "'%s' has changed since the checkpoint was written, and the run could not "
      "be continued as it began. Only epochs, rounds, keep and save-every of "
      "[train] may change; for anything else start a new run with [model] "
      "start=%s/" UMEDPT_RUN_LATEST "/" UMEDPT_RUN_MODEL ".",
      self->config->path, self->folder);
  return FALSE;
}

/* Batches are drawn from as many images as there are: with others, the run
 * would go on as none that was not stopped could have. */
static gboolean
check_data (UmedptTrainer *self, UmedptSafetensors *file, GError **error)
{
  for (guint i = 0; i < self->n_tasks; i++) {
    const UmedptRunTask *task = &self->tasks[i];
    g_autofree char *key =
        g_strdup_printf ("loader-images/%s", task->config->name);
    guint64 n = read_count (file, key, task->train->len);

    if (n == task->train->len)
      continue;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "The data set of task '%s' has %u training images; it had "
        "%" G_GUINT64_FORMAT " when the checkpoint was written. Restore it, or "
        "start a new run.",
        task->config->name, task->train->len, n);
    return FALSE;
  }
  return TRUE;
}

gboolean
umedpt_checkpoint_load (UmedptTrainer *self, const char *checkpoint,
    gint64 *log_size, GError **error)
{
  g_autofree char *path = g_build_filename (checkpoint, UMEDPT_RUN_STATE, NULL);
  g_autoptr (UmedptSafetensors) file = umedpt_safetensors_open (path, error);

  if (!file || !check_state (self, file, path, error) ||
      !check_data (self, file, error) || !load_tensors (self, file, error))
    return FALSE;
  load_state (self, file);
  *log_size = (gint64) read_count (file, "log", 0);
  return TRUE;
}

gboolean
umedpt_checkpoint_copy (const char *from, const char *to, GError **error)
{
  g_autoptr (GMappedFile) file = g_mapped_file_new (from, FALSE, error);
  g_autoptr (UmedptAtomicFile) copy = NULL;

  if (!file)
    return FALSE;
  copy = umedpt_atomic_file_new (to, TRUE, error);
  return copy &&
      umedpt_atomic_file_write (copy, g_mapped_file_get_contents (file),
          g_mapped_file_get_length (file), error) &&
      umedpt_atomic_file_commit (copy, error);
}
