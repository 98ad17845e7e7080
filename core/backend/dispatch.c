/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Chooses a backend, and runs ops on it with the fallback to `ref`. The
 * backend's answer is policed here, once for all ops: FALSE without an error,
 * or TRUE with one, is a defect of the backend and is reported as such, for a
 * caller would either crash on it or go on with an unfinished tensor.
 *
 * A backend refuses (%UMEDPT_ERROR_UNSUPPORTED) before it writes anything, so
 * that the fallback is right for ops that work in place.
 */
#define G_LOG_DOMAIN "Umedpt-dispatch"
#include "backend/backend.h"

#include <string.h>

#include "backend/module.h"
#include "base/debug.h"
#include "base/error.h"

static void
log_fallback (const UmedptBackend *backend, const char *op, const char *why)
{
  if (umedpt_debug_enabled (UMEDPT_DEBUG_DISPATCH))
    g_message ("%s: not on %s (%s), ref computes it", op, backend->name, why);
}

/* Whether @backend has refused an op that `ref` may take over. */
static gboolean
has_refused (const UmedptBackend *backend, gboolean ok, const GError *answer)
{
  return !ok &&
      g_error_matches (answer, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED) &&
      backend->host_memory && backend != umedpt_backend_ref ();
}

/* Hands the backend's answer on if it is a sane one. Takes @answer. */
static gboolean
police (const UmedptBackend *backend, const char *op, gboolean ok,
    GError *answer, GError **error)
{
  if (!ok == (answer != NULL)) {
    if (answer)
      g_propagate_error (error, answer);
    return ok;
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "Defect in backend %s: %s %s. Please report it; UMEDPT_BACKEND=ref "
      "avoids it.%s%s",
      backend->name, op,
      ok ? "succeeded but set an error" : "failed without setting an error",
      ok ? " The error is: " : "", ok ? answer->message : "");
  g_clear_error (&answer);
  return FALSE;
}

static gboolean
no_such_op (const UmedptBackend *backend, const char *op, GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
      "Backend %s does not have the op %s; choose another one "
      "(UMEDPT_BACKEND).",
      backend->name, op);
  return FALSE;
}

/* A device has one queue, however many threads use it. */
static void
lock_queue (UmedptBackend *backend)
{
  if (backend->queue)
    g_rec_mutex_lock (backend->queue);
}

static void
unlock_queue (UmedptBackend *backend)
{
  if (backend->queue)
    g_rec_mutex_unlock (backend->queue);
}

#define DEFINE_DISPATCH(slot, Type) \
  gboolean umedpt_dispatch_##slot (UmedptBackend *backend, \
      const Umedpt##Type##Args *args, GError **error) \
  { \
    GError *answer = NULL; \
    gboolean ok; \
\
    if (backend->slot) { \
      lock_queue (backend); \
      ok = backend->slot (backend, args, &answer); \
      unlock_queue (backend); \
      if (!has_refused (backend, ok, answer)) \
        return police (backend, #slot, ok, answer, error); \
      log_fallback (backend, #slot, answer->message); \
      g_clear_error (&answer); \
    } else { \
      if (!backend->host_memory) \
        return no_such_op (backend, #slot, error); \
      log_fallback (backend, #slot, "it has no kernel for it"); \
    } \
    backend = umedpt_backend_ref (); \
    if (!backend->slot) \
      return no_such_op (backend, #slot, error); \
    ok = backend->slot (backend, args, &answer); \
    return police (backend, #slot, ok, answer, error); \
  }

UMEDPT_FOREACH_OP (DEFINE_DISPATCH)

/* The best that works. A missing GPU is the usual case and is not worth a
 * word, unless somebody asks. */
static UmedptBackend *
find_best (void)
{
  g_autoptr (GError) why = NULL;
  UmedptBackend *backend = umedpt_backend_module ("cuda", &why);

  if (backend)
    return backend;
  if (umedpt_debug_enabled (UMEDPT_DEBUG_DISPATCH))
    g_message ("no CUDA: %s", why->message);
  return umedpt_backend_cpu ();
}

/* Splits "cuda:0" into name and device; FALSE if it is none of the form. */
static gboolean
parse_name (const char *text, char **name, guint64 *device, GError **error)
{
  const char *colon = strchr (text, ':');

  *device = 0;
  *name = colon ? g_strndup (text, colon - text) : g_strdup (text);
  if (!colon ||
      g_ascii_string_to_unsigned (colon + 1, 10, 0, G_MAXINT, device, NULL))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "Device '%s': a number is expected after the colon, as in cuda:0.", text);
  return FALSE;
}

/* (nullable) @text: as written by the user. */
UmedptBackend *
umedpt_backend_find (const char *text, GError **error)
{
  g_autofree char *name = NULL;
  guint64 device;

  if (!text || !*text || g_str_equal (text, "auto"))
    text = g_getenv ("UMEDPT_BACKEND");
  if (!text || !*text || g_str_equal (text, "auto"))
    return find_best ();
  if (!parse_name (text, &name, &device, error))
    return NULL;
  if (device != 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "Device '%s': only the first device can be used, %s:0. Choose among "
        "GPUs with CUDA_VISIBLE_DEVICES.",
        text, name);
    return NULL;
  }
  if (g_str_equal (name, "ref"))
    return umedpt_backend_ref ();
  if (g_str_equal (name, "cpu"))
    return umedpt_backend_cpu ();
  if (g_str_equal (name, "cuda"))
    return umedpt_backend_module (name, error);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "There is no backend '%s'; there are auto, ref, cpu and cuda.", name);
  return NULL;
}
