/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Finding backends: names, the environment, and modules that are missing,
 * broken, or have no device to work on. The library keeps a module's answer
 * for the life of the process, so each case is a process of its own.
 * TEST_MODULE_DIR is where the bad modules are, TEST_DRIVER_DIR that of an empty
 * driver, TEST_CUDA_DIR the folder of the real module (not set: it was not
 * built).
 */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "backend/backend.h"
#include "backend/devices.h"
#include "base/error.h"

/* One sentence or two for people: a text of one line that ends properly. */
static void
assert_clear (const GError *error)
{
  gsize length = strlen (error->message);

  g_assert_cmpuint (length, >, 20);
  g_assert_null (strchr (error->message, '\n'));
  g_assert_cmpint (error->message[length - 1], ==, '.');
}

static void
assert_find_fails (const char *name, int code, const char *words)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_backend_find (name, &error));
  g_assert_error (error, UMEDPT_ERROR, code);
  g_test_message ("%s", error->message);
  assert_clear (error);
  if (!strstr (error->message, words))
    g_error ("'%s' does not say '%s'", error->message, words);
}

static void
test_names (void)
{
  g_autoptr (GError) error = NULL;
  UmedptBackend *ref = umedpt_backend_find ("ref", &error);

  g_assert_no_error (error);
  g_assert_cmpstr (ref->name, ==, "ref");
  g_assert_true (umedpt_backend_find ("ref:0", &error) == ref);
  assert_find_fails ("ref:1", UMEDPT_ERROR_SETTINGS, "ref:0");
  assert_find_fails ("cuda:x", UMEDPT_ERROR_SETTINGS, "cuda:0");
  assert_find_fails ("cuda:", UMEDPT_ERROR_SETTINGS, "cuda:0");
  assert_find_fails ("gpu", UMEDPT_ERROR_SETTINGS, "auto, ref, cpu and cuda");
  assert_find_fails (":0", UMEDPT_ERROR_SETTINGS, "no backend ''");
}

/* Runs @path as a process with an environment of its own. */
static void
run (const char *path, const char *variable, const char *value)
{
  g_autofree char *old = g_strdup (g_getenv (variable));

  g_setenv (variable, value, TRUE);
  g_test_trap_subprocess (path, 0,
      G_TEST_SUBPROCESS_INHERIT_STDOUT | G_TEST_SUBPROCESS_INHERIT_STDERR);
  if (old)
    g_setenv (variable, old, TRUE);
  else
    g_unsetenv (variable);
  g_test_trap_assert_passed ();
}

/* The same, in a process that finds the driver of no-driver.c. */
static void
run_with_driver (const char *path, const char *variable, const char *value)
{
  g_autofree char *old = g_strdup (g_getenv ("LD_LIBRARY_PATH"));

  g_setenv ("LD_LIBRARY_PATH", g_getenv ("TEST_DRIVER_DIR"), TRUE);
  run (path, variable, value);
  if (old)
    g_setenv ("LD_LIBRARY_PATH", old, TRUE);
  else
    g_unsetenv ("LD_LIBRARY_PATH");
}

static void
child_forced (void)
{
  g_autoptr (GError) error = NULL;
  UmedptBackend *backend = umedpt_backend_find (NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (backend->name, ==, "ref");
  g_assert_true (umedpt_backend_find ("auto", NULL) == backend);
}

static void
child_forced_wrong (void)
{
  assert_find_fails (NULL, UMEDPT_ERROR_SETTINGS, "cuda");
}

static void
test_environment (void)
{
  run ("/module/subprocess/forced", "UMEDPT_BACKEND", "ref");
  run ("/module/subprocess/forced-wrong", "UMEDPT_BACKEND", "abacus");
}

static void
child_missing (void)
{
  g_autoptr (GError) error = NULL;

  assert_find_fails ("cuda", UMEDPT_ERROR_NOT_FOUND, "UMEDPT_BACKEND_PATH");
  assert_find_fails ("cuda:0", UMEDPT_ERROR_NOT_FOUND, "/nonexistent");
  g_assert_nonnull (umedpt_backend_find ("auto", &error));
  g_assert_no_error (error);
}

static void
test_missing (void)
{
  run ("/module/subprocess/missing", "UMEDPT_BACKEND_PATH", "/nonexistent:");
}

static void
child_no_driver (void)
{
  if (g_file_test ("/proc/driver/nvidia", G_FILE_TEST_EXISTS))
    g_test_skip ("there is a driver");
  else
    assert_find_fails ("cuda", UMEDPT_ERROR_BACKEND, "driver");
}

static void
child_garbage (void)
{
  assert_find_fails ("cuda", UMEDPT_ERROR_BACKEND, "cannot be loaded");
}

static void
child_version (void)
{
  assert_find_fails ("cuda", UMEDPT_ERROR_BACKEND, "one release");
}

static void
child_silent (void)
{
  assert_find_fails ("cuda", UMEDPT_ERROR_BACKEND, "neither");
}

static void
child_nothing (void)
{
  assert_find_fails ("cuda", UMEDPT_ERROR_BACKEND, UMEDPT_BACKEND_OPEN_SYMBOL);
}

/* Runs @path with a folder in which libumedpt-cuda.so is a link to @target,
 * or, without one, a text. */
static void
run_with_module (const char *path, const char *target,
    void (*start) (const char *path, const char *variable, const char *value))
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("umedpt-XXXXXX", &error);
  g_autofree char *file = g_build_filename (folder, "libumedpt-cuda.so", NULL);
  g_autofree char *search = g_strdup_printf ("/nonexistent:%s", folder);

  g_assert_no_error (error);
  if (target) {
    g_autoptr (GFile) link = g_file_new_for_path (file);
    g_autofree char *source =
        g_build_filename (g_getenv ("TEST_MODULE_DIR"), target, NULL);
    g_file_make_symbolic_link (link, source, NULL, &error);
  } else {
    g_file_set_contents (file, "no library", -1, &error);
  }
  g_assert_no_error (error);
  start (path, "UMEDPT_BACKEND_PATH", search);
  g_assert_cmpint (g_unlink (file), ==, 0);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

static void
test_bad (void)
{
  run_with_module ("/module/subprocess/no-driver", NULL, run);
  run_with_module ("/module/subprocess/garbage", NULL, run_with_driver);
  run_with_module ("/module/subprocess/version", "libbad-version.so",
      run_with_driver);
  run_with_module ("/module/subprocess/silent", "libbad-silent.so",
      run_with_driver);
  run_with_module ("/module/subprocess/nothing", "libbad-nothing.so",
      run_with_driver);
}

/* With a GPU the module works; without one it refuses, and does so again with
 * the same words. */
static void
child_cuda (void)
{
  g_autoptr (GError) first = NULL;
  g_autoptr (GError) second = NULL;
  UmedptBackend *backend = umedpt_backend_find ("cuda", &first);

  g_assert_true (umedpt_backend_find ("cuda:0", &second) == backend);
  if (backend) {
    g_assert_no_error (first);
    g_assert_nonnull (backend->memory);
    return;
  }
  g_assert_error (first, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND);
  assert_clear (first);
  g_assert_cmpstr (first->message, ==, second->message);
  /* neither of these may be what keeps the module from its work */
  g_assert_null (strstr (first->message, "cannot be loaded"));
  g_assert_null (strstr (first->message, "wrong results"));
}

static void
test_cuda (void)
{
  if (!g_getenv ("TEST_CUDA_DIR"))
    g_test_skip ("the CUDA module was not built");
  else
    run ("/module/subprocess/cuda", "UMEDPT_BACKEND_PATH",
        g_getenv ("TEST_CUDA_DIR"));
}

static void
child_library (void)
{
  assert_find_fails ("cuda", UMEDPT_ERROR_BACKEND, "libnocuda.so");
}

/* A machine without CUDA's run-time library: the module, with the name of the
 * library that it needs changed to one that is nowhere. */
static void
test_missing_library (void)
{
  static const char from[] = "libcudart.so", to[] = "libnocuda.so";
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("umedpt-XXXXXX", &error);
  g_autofree char *file = g_build_filename (folder, "libumedpt-cuda.so", NULL);
  g_autofree char *original = NULL, *data = NULL;
  gsize size, n_changed = 0;

  if (!g_getenv ("TEST_CUDA_DIR")) {
    g_test_skip ("the CUDA module was not built");
    g_rmdir (folder);
    return;
  }
  original =
      g_build_filename (g_getenv ("TEST_CUDA_DIR"), "libumedpt-cuda.so", NULL);
  g_file_get_contents (original, &data, &size, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i + sizeof from <= size; i++)
    if (memcmp (data + i, from, strlen (from)) == 0) {
      memcpy (data + i, to, strlen (to));
      n_changed++;
    }
  g_assert_cmpuint (n_changed, >, 0);
  g_file_set_contents (file, data, size, &error);
  g_assert_no_error (error);
  run_with_driver ("/module/subprocess/library", "UMEDPT_BACKEND_PATH", folder);
  g_assert_cmpint (g_unlink (file), ==, 0);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

static void
test_devices (void)
{
  g_autoptr (GArray) list = umedpt_devices_list ();
  gboolean found_ref = FALSE;

  g_assert_cmpuint (list->len, ==, 3);
  for (guint i = 0; i < list->len; i++) {
    const UmedptDeviceInfo *info = &g_array_index (list, UmedptDeviceInfo, i);

    g_test_message ("%s: %s", info->name,
        info->problem ? info->problem : info->description);
    g_assert_true ((info->problem == NULL) == (info->description != NULL));
    found_ref =
        found_ref || (g_str_equal (info->name, "ref") && !info->problem);
  }
  g_assert_true (found_ref);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *path;
    GTestFunc func;
  } children[] = {
    { "/module/subprocess/forced", child_forced },
    { "/module/subprocess/forced-wrong", child_forced_wrong },
    { "/module/subprocess/missing", child_missing },
    { "/module/subprocess/no-driver", child_no_driver },
    { "/module/subprocess/garbage", child_garbage },
    { "/module/subprocess/version", child_version },
    { "/module/subprocess/silent", child_silent },
    { "/module/subprocess/nothing", child_nothing },
    { "/module/subprocess/cuda", child_cuda },
    { "/module/subprocess/library", child_library },
  };

  g_test_init (&argc, &argv, NULL);
  /* GLib runs a path with "subprocess" in it only when asked for it */
  for (guint i = 0; i < G_N_ELEMENTS (children); i++)
    g_test_add_func (children[i].path, children[i].func);
  g_test_add_func ("/module/names", test_names);
  g_test_add_func ("/module/environment", test_environment);
  g_test_add_func ("/module/missing", test_missing);
  g_test_add_func ("/module/bad", test_bad);
  g_test_add_func ("/module/cuda", test_cuda);
  g_test_add_func ("/module/missing-library", test_missing_library);
  g_test_add_func ("/module/devices", test_devices);
  return g_test_run ();
}
