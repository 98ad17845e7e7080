/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What encodings need of their session.
 */
#pragma once

#include "infer/device-pass.h"

G_BEGIN_DECLS

#define UMEDPT_SESSION_MAX_SIDE 8192 /* pixels per side of an input */

UmedptContext *umedpt_session_get_context (UmedptSession *self);
/* The compute queue: held while something is computed on a backend that works
 * on host memory. */
void umedpt_session_lock (UmedptSession *self);
void umedpt_session_unlock (UmedptSession *self);
/* (nullable): the backend works on host memory. */
UmedptDevicePass *umedpt_session_get_device_pass (UmedptSession *self);
/* Counts images that went through the encoder. */
void umedpt_session_count (UmedptSession *self, guint n_images);

G_END_DECLS
