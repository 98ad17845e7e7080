/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Groups of files: all names appear at commit, none if one of them cannot, and
 * nothing temporary is left.
 */
#include "base/atomic-group.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "base/atomic-file.h"
#include "base/error.h"

#define N 3

typedef struct
{
  char *folder;
  char *paths[N];
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->folder = g_dir_make_tmp ("umedpt-XXXXXX", NULL);
  g_assert_nonnull (f->folder);
  for (guint i = 0; i < N; i++) {
    g_autofree char *name = g_strdup_printf ("%u.bin", i);
    f->paths[i] = g_build_filename (f->folder, name, NULL);
  }
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
  for (guint i = 0; i < N; i++) {
    g_unlink (f->paths[i]);
    g_free (f->paths[i]);
  }
  /* fails if anything was left behind */
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->folder);
}

static void
assert_content (const char *path, const char *expected)
{
  g_autofree char *content = NULL;

  g_assert_true (g_file_get_contents (path, &content, NULL, NULL));
  g_assert_cmpstr (content, ==, expected);
}

/* Writes all files, as writers that know of no group. */
static UmedptAtomicGroup *
write_all (Fixture *f, gboolean overwrite)
{
  UmedptAtomicGroup *group = umedpt_atomic_group_new ();

  umedpt_atomic_group_begin (group);
  for (guint i = 0; i < N; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptAtomicFile) file =
        umedpt_atomic_file_new (f->paths[i], overwrite, &error);

    g_assert_no_error (error);
    g_assert_true (umedpt_atomic_file_write (file, "new", 3, &error));
    g_assert_true (umedpt_atomic_file_commit (file, &error));
    g_assert_no_error (error);
  }
  umedpt_atomic_group_end (group);
  return group;
}

static void
test_commit (Fixture *f, gconstpointer data)
{
  g_autoptr (UmedptAtomicGroup) group = write_all (f, FALSE);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < N; i++)
    g_assert_false (g_file_test (f->paths[i], G_FILE_TEST_EXISTS));
  g_assert_true (umedpt_atomic_group_commit (group, &error));
  g_assert_no_error (error);
  for (guint i = 0; i < N; i++)
    assert_content (f->paths[i], "new");
  g_assert_cmpuint (count_files (f->folder), ==, N);
}

static void
test_abandon (Fixture *f, gconstpointer data)
{
  umedpt_atomic_group_free (write_all (f, FALSE));
  g_assert_cmpuint (count_files (f->folder), ==, 0);
}

/* After end, a file is on its own again. */
static void
test_end (Fixture *f, gconstpointer data)
{
  g_autoptr (UmedptAtomicGroup) group = umedpt_atomic_group_new ();
  g_autoptr (UmedptAtomicFile) file =
      umedpt_atomic_file_new (f->paths[0], FALSE, NULL);

  umedpt_atomic_group_begin (group);
  umedpt_atomic_group_end (group);
  g_assert_true (umedpt_atomic_file_commit (file, NULL));
  assert_content (f->paths[0], "");
}

/* Somebody makes a file of the last name in the meantime. */
static void
test_exists (Fixture *f, gconstpointer data)
{
  g_autoptr (UmedptAtomicGroup) group = write_all (f, FALSE);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (f->paths[N - 1], "mine", -1, NULL));
  g_assert_false (umedpt_atomic_group_commit (group, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS);
  g_clear_pointer (&group, umedpt_atomic_group_free);
  assert_content (f->paths[N - 1], "mine");
  g_assert_cmpuint (count_files (f->folder), ==, 1);
}

/* The temporary file of @path. */
static void
remove_temporary (Fixture *f, const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (f->folder, 0, NULL);
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *prefix = g_strdup_printf (".%s.", base);
  const char *name = NULL;

  while ((name = g_dir_read_name (dir)))
    if (g_str_has_prefix (name, prefix)) {
      g_autofree char *found = g_build_filename (f->folder, name, NULL);
      g_assert_cmpint (g_unlink (found), ==, 0);
    }
}

/* The last one fails where no check could foresee it: what is new goes again,
 * what replaced another file stays. */
static void
test_retract (Fixture *f, gconstpointer data)
{
  g_autoptr (UmedptAtomicGroup) group = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (f->paths[0], "old", -1, NULL));
  group = write_all (f, TRUE);
  remove_temporary (f, f->paths[N - 1]);
  g_assert_false (umedpt_atomic_group_commit (group, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
  g_clear_pointer (&group, umedpt_atomic_group_free);
  assert_content (f->paths[0], "new");
  g_assert_cmpuint (count_files (f->folder), ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, function) \
  g_test_add ("/atomic-group/" name, Fixture, NULL, set_up, function, tear_down)
  ADD ("commit", test_commit);
  ADD ("abandon", test_abandon);
  ADD ("end", test_end);
  ADD ("exists", test_exists);
  ADD ("retract", test_retract);
#undef ADD
  return g_test_run ();
}
