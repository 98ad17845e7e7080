/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Atomic files: what is under the final name is whole or is not there, what
 * was there survives a failure, and no failure leaves a temporary file.
 * Failures are real ones: a full tmpfs, a size limit, another user's folder.
 */
#define _GNU_SOURCE
#include "base/atomic-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

typedef struct
{
  char *folder;
  char *path; /* a name in it */
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->folder = g_dir_make_tmp ("umedpt-XXXXXX", NULL);
  g_assert_nonnull (f->folder);
  f->path = g_build_filename (f->folder, "out.bin", NULL);
}

static guint
count_files (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir))
    n++;
  return n;
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_unlink (f->path);
  /* fails if anything was left behind */
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->folder);
  g_free (f->path);
}

static void
assert_content (const char *path, const char *expected)
{
  g_autofree char *content = NULL;

  g_assert_true (g_file_get_contents (path, &content, NULL, NULL));
  g_assert_cmpstr (content, ==, expected);
}

static gboolean
put (const char *path, const char *text, gboolean overwrite, GError **error)
{
  g_autoptr (UmedptAtomicFile) file =
      umedpt_atomic_file_new (path, overwrite, error);

  return file && umedpt_atomic_file_write (file, text, strlen (text), error) &&
      umedpt_atomic_file_commit (file, error);
}

static void
test_commit (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptAtomicFile) file =
      umedpt_atomic_file_new (f->path, FALSE, &error);
  g_autofree char *name = NULL;
  g_autofree char *folder = NULL;

  g_assert_no_error (error);
  name = g_path_get_basename (umedpt_atomic_file_get_temporary_path (file));
  folder = g_path_get_dirname (umedpt_atomic_file_get_temporary_path (file));
  g_assert_cmpint (name[0], ==, '.');
  g_assert_cmpstr (folder, ==, f->folder);
  g_assert_cmpint (umedpt_atomic_file_get_fd (file), >=, 0);

  g_assert_true (umedpt_atomic_file_write (file, "ab", 2, &error));
  g_assert_true (umedpt_atomic_file_write (file, NULL, 0, &error));
  g_assert_true (umedpt_atomic_file_write (file, "c", 1, &error));
  g_assert_false (g_file_test (f->path, G_FILE_TEST_EXISTS));
  g_assert_true (umedpt_atomic_file_commit (file, &error));
  assert_content (f->path, "abc");
  g_assert_cmpuint (count_files (f->folder), ==, 1);
}

static void
test_abandon (Fixture *f, gconstpointer data)
{
  g_autoptr (UmedptAtomicFile) file =
      umedpt_atomic_file_new (f->path, FALSE, NULL);

  g_assert_true (umedpt_atomic_file_write (file, "ab", 2, NULL));
  g_assert_cmpuint (count_files (f->folder), ==, 1);
  g_clear_pointer (&file, umedpt_atomic_file_free);
  g_assert_cmpuint (count_files (f->folder), ==, 0);
}

static void
test_exists (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (put (f->path, "old", FALSE, NULL));
  g_assert_false (put (f->path, "new", FALSE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS);
  g_assert_nonnull (strstr (error->message, f->path));
  assert_content (f->path, "old");
  g_assert_true (put (f->path, "new", TRUE, NULL));
  assert_content (f->path, "new");
}

/* Another program takes the name between new() and commit(). */
static void
test_race (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptAtomicFile) file =
      umedpt_atomic_file_new (f->path, FALSE, NULL);

  g_assert_true (g_file_set_contents (f->path, "theirs", -1, NULL));
  g_assert_true (umedpt_atomic_file_write (file, "ours", 4, NULL));
  g_assert_false (umedpt_atomic_file_commit (file, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS);
  g_clear_pointer (&file, umedpt_atomic_file_free);
  assert_content (f->path, "theirs");
  g_assert_cmpuint (count_files (f->folder), ==, 1);
}

static void
test_permissions (Fixture *f, gconstpointer data)
{
  struct stat status;
  mode_t mask = umask (027);

  g_assert_true (put (f->path, "a", FALSE, NULL));
  umask (mask);
  g_assert_cmpint (stat (f->path, &status), ==, 0);
  g_assert_cmpint (status.st_mode & 0777, ==, 0640);

  g_assert_cmpint (g_chmod (f->path, 0600), ==, 0);
  g_assert_true (put (f->path, "b", TRUE, NULL));
  g_assert_cmpint (stat (f->path, &status), ==, 0);
  g_assert_cmpint (status.st_mode & 0777, ==, 0600);
}

static void
test_link (Fixture *f, gconstpointer data)
{
  g_autofree char *link = g_build_filename (f->folder, "link", NULL);

  g_assert_true (put (f->path, "old", FALSE, NULL));
  g_assert_cmpint (symlink ("out.bin", link), ==, 0);
  g_assert_true (put (link, "new", TRUE, NULL));
  assert_content (f->path, "new");
  g_assert_true (g_file_test (link, G_FILE_TEST_IS_SYMLINK));
  g_unlink (link);
}

static void
test_not_a_file (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (put (f->folder, "a", TRUE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO);
  g_clear_error (&error);
  g_assert_cmpint (mkfifo (f->path, 0600), ==, 0);
  g_assert_false (put (f->path, "a", TRUE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO);
}

static void
test_no_folder (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path =
      g_build_filename (f->folder, "missing", "out.bin", NULL);

  g_assert_false (put (path, "a", FALSE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, path));
}

static void
test_unwritable (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gboolean root = geteuid () == 0;

  g_assert_cmpint (g_chmod (f->folder, 0555), ==, 0);
  if (root) /* whom permissions do not stop */
    g_assert_cmpint (seteuid (65534), ==, 0);
  g_assert_false (put (f->path, "a", FALSE, &error));
  if (root)
    g_assert_cmpint (seteuid (0), ==, 0);
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO);
  g_assert_nonnull (strstr (error->message, f->path));
  g_assert_nonnull (strstr (error->message, "may write"));
  g_chmod (f->folder, 0755);
}

static void
test_long_name (Fixture *f, gconstpointer data)
{
  g_autofree char *name = g_strnfill (255, 'n');
  g_autofree char *path = g_build_filename (f->folder, name, NULL);

  g_assert_true (put (path, "a", FALSE, NULL));
  assert_content (path, "a");
  g_unlink (path);
}

static void
test_size_limit (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  struct rlimit old, limit;

  g_assert_true (put (f->path, "old", FALSE, NULL));
  signal (SIGXFSZ, SIG_IGN);
  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &old), ==, 0);
  limit = old;
  limit.rlim_cur = 2;
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  g_assert_false (put (f->path, "longer", TRUE, &error));
  setrlimit (RLIMIT_FSIZE, &old);
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE);
  assert_content (f->path, "old");
  g_assert_cmpuint (count_files (f->folder), ==, 1);
}

static gboolean
put_line (const char *path, const char *line)
{
  int fd = open (path, O_WRONLY | O_CLOEXEC);
  gboolean done = fd >= 0 && write (fd, line, strlen (line)) > 0;

  if (fd >= 0)
    close (fd);
  return done;
}

/* A mount name space of our own: root has the right to one, others as the root
 * of a user name space in which they are the only user. */
static gboolean
enter_name_space (void)
{
  g_autofree char *user = g_strdup_printf ("0 %u 1", geteuid ());
  g_autofree char *group = g_strdup_printf ("0 %u 1", getegid ());

  if (unshare (CLONE_NEWNS) == 0)
    return TRUE;
  return unshare (CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
      put_line ("/proc/self/setgroups", "deny") &&
      put_line ("/proc/self/uid_map", user) &&
      put_line ("/proc/self/gid_map", group);
}

/* A tmpfs of 64 kB. Runs last: the process stays in its name space. */
static void
test_full_disk (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = g_strnfill (1 << 20, 'x');

  if (!enter_name_space ()) {
    g_test_skip ("no mount name space of our own is allowed here");
    return;
  }
  mount ("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
  if (mount ("none", f->folder, "tmpfs", 0, "size=64k") != 0) {
    g_test_skip ("no tmpfs may be mounted here");
    return;
  }
  g_assert_true (put (f->path, "old", FALSE, NULL));
  g_assert_false (put (f->path, text, TRUE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE);
  g_assert_nonnull (strstr (error->message, f->path));
  assert_content (f->path, "old");
  g_assert_cmpuint (count_files (f->folder), ==, 1);
  g_assert_cmpint (umount (f->folder), ==, 0);
}

#define ADD(name, function) \
  g_test_add ("/atomic-file/" name, Fixture, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("commit", test_commit);
  ADD ("abandon", test_abandon);
  ADD ("exists", test_exists);
  ADD ("race", test_race);
  ADD ("permissions", test_permissions);
  ADD ("link", test_link);
  ADD ("not-a-file", test_not_a_file);
  ADD ("no-folder", test_no_folder);
  ADD ("unwritable", test_unwritable);
  ADD ("long-name", test_long_name);
  ADD ("size-limit", test_size_limit);
  ADD ("full-disk", test_full_disk);
  return g_test_run ();
}
