/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Modules that break the rules for backends, one per value of BAD: what a
 * half-installed or outdated system may hold. Loaded by test-module.c.
 */
#include "backend/backend.h"

#define BAD_VERSION 1 /* speaks another version of the interface */
#define BAD_SILENT 2 /* neither a backend nor an error */
#define BAD_NOTHING 3 /* no open function at all */

UMEDPT_API
UmedptBackend *umedpt_backend_module_open (guint api_version,
    const UmedptBackendHost *host, GError **error);
UMEDPT_API
int umedpt_bad_module_mark (void);

#if BAD != BAD_NOTHING
UmedptBackend *
umedpt_backend_module_open (guint api_version, const UmedptBackendHost *host,
    GError **error)
{
  static UmedptBackend backend = {
    .api_version = UMEDPT_BACKEND_API_VERSION + 1,
    .name = "cuda",
  };

  return BAD == BAD_VERSION ? &backend : NULL;
}
#endif

int
umedpt_bad_module_mark (void)
{
  return BAD;
}
