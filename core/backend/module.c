/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Finds and opens a backend that is a module, so that one binary runs with
 * and without a GPU. The file libumedpt-NAME.so is looked for in the folders
 * of UMEDPT_BACKEND_PATH (separated by colons), then where it is installed.
 * Everything that may be missing (the file, a library that it needs, the
 * driver, the device) gives one clear sentence and never ends the program.
 *
 * A module is opened once per process and stays: CUDA's run-time library
 * cannot be unloaded. The answer, also a "no", is kept.
 */
#include "backend/module.h"

#include <gmodule.h>

#include "base/error.h"

/* Where the build installs modules; the build says where. */
#ifndef UMEDPT_BACKEND_DIR
#define UMEDPT_BACKEND_DIR "/usr/lib/umedpt-1.0"
#endif

static GMutex lock;
static UmedptBackend *cuda; /* the one module that there is */
static GError *cuda_error; /* why not */

/* The first existing file of that name, or NULL. */
static char *
find_file (const char *file_name, const char *path)
{
  g_auto (GStrv) folders = g_strsplit (path, G_SEARCHPATH_SEPARATOR_S, -1);

  for (guint i = 0; folders[i]; i++) {
    g_autofree char *file = g_build_filename (folders[i], file_name, NULL);

    if (folders[i][0] && g_file_test (file, G_FILE_TEST_EXISTS))
      return g_steal_pointer (&file);
  }
  return NULL;
}

static const UmedptBackendHost host = {
  .attach = umedpt_tensor_attach,
  .drop_attachments = umedpt_tensor_drop_attachments,
};

/* Runs the module's open function, and checks what it says. */
static UmedptBackend *
call_open (GModule *module, const char *file, GError **error)
{
  g_autoptr (GError) local = NULL;
  UmedptBackendOpenFunc open;
  UmedptBackend *backend;

  if (!g_module_symbol (module, UMEDPT_BACKEND_OPEN_SYMBOL,
          (gpointer *) &open) ||
      !open) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "%s is no backend of UMedPT: it has no function %s.", file,
        UMEDPT_BACKEND_OPEN_SYMBOL);
    return NULL;
  }
  backend = open (UMEDPT_BACKEND_API_VERSION, &host, &local);
  if (backend && !local && backend->api_version == UMEDPT_BACKEND_API_VERSION)
    return backend;
  if (local && !backend)
    g_propagate_error (error, g_steal_pointer (&local));
  else if (backend && !local)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "%s was built for version %u of the backend interface, this library "
        "has version %u. Install both from one release.",
        file, backend->api_version, UMEDPT_BACKEND_API_VERSION);
  else
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "%s broke the backend interface: it gave %s.", file,
        backend ? "a backend and an error" : "neither a backend nor an error");
  return NULL;
}

/* The module drags in some hundred megabytes of NVIDIA's libraries, which a
 * program without a driver should not wait for. */
static gboolean
find_driver (GError **error)
{
  GModule *driver = g_module_open ("libcuda.so.1", G_MODULE_BIND_LAZY);

  if (driver) {
    g_module_make_resident (driver);
    return TRUE;
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "There is no NVIDIA driver (libcuda.so.1) on this machine.");
  return FALSE;
}

static UmedptBackend *
open_module (const char *name, GError **error)
{
  const char *variable = g_getenv ("UMEDPT_BACKEND_PATH");
  g_autofree char *path =
      g_strjoin (variable && *variable ? G_SEARCHPATH_SEPARATOR_S : "",
          variable ? variable : "", UMEDPT_BACKEND_DIR, NULL);
  g_autofree char *file_name = g_strdup_printf ("libumedpt-%s.so", name);
  g_autofree char *file = find_file (file_name, path);
  UmedptBackend *backend;
  GModule *module;

  if (!file) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
        "The %s module %s is not installed (looked in %s). Set "
        "UMEDPT_BACKEND_PATH if it is elsewhere.",
        name, file_name, path);
    return NULL;
  }
  if (!find_driver (error))
    return NULL;
  module = g_module_open (file, G_MODULE_BIND_LOCAL);
  if (!module) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "The %s module cannot be loaded: %s.", name, g_module_error ());
    return NULL;
  }
  backend = call_open (module, file, error);
  /* resident in any case: CUDA registers handlers that outlive a refusal */
  g_module_make_resident (module);
  return backend;
}

/* The backend of module @name ("cuda"); NULL with @error set says why there
 * is none (%UMEDPT_ERROR_NOT_FOUND, %UMEDPT_ERROR_BACKEND). */
UmedptBackend *
umedpt_backend_module (const char *name, GError **error)
{
  UmedptBackend *backend;

  g_return_val_if_fail (g_str_equal (name, "cuda"), NULL);

  g_mutex_lock (&lock);
  if (!cuda && !cuda_error)
    cuda = open_module (name, &cuda_error);
  backend = cuda;
  if (!backend)
    g_propagate_error (error, g_error_copy (cuda_error));
  g_mutex_unlock (&lock);
  return backend;
}
