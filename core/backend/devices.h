/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What this machine can compute on, for people and for programs that let
 * people choose.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

/**
 * UmedptDeviceInfo:
 * @name: what UMEDPT_BACKEND and device properties take: "ref", "cpu", "cuda"
 * @description: (nullable): kernels and library versions; %NULL if unknown
 *   because the backend does not work here
 * @problem: (nullable): %NULL if it works, else one sentence that says why not
 *
 * A backend, and whether it works here. The strings live as long as the
 * process.
 *
 * Since: 0.1
 */
typedef struct
{
  const char *name;
  const char *description;
  const char *problem;
} UmedptDeviceInfo;

UMEDPT_API
GArray *umedpt_devices_list (void);

G_END_DECLS
