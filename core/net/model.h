/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The model: encoder and squeezer built from, and saved to, one model file.
 */
#pragma once

#include <glib-object.h>

#include "net/description.h"

G_BEGIN_DECLS

#define UMEDPT_TYPE_MODEL (umedpt_model_get_type ())
UMEDPT_API
G_DECLARE_FINAL_TYPE (UmedptModel, umedpt_model, UMEDPT, MODEL, GObject)

UMEDPT_API
UmedptModel *umedpt_model_new_from_file (const char *path, GError **error);
/* Initialised as the paper's library does; the same seed, the same bits. */
UMEDPT_API
UmedptModel *umedpt_model_new_initialised (const UmedptDescription *description,
    guint64 seed, GError **error);
UMEDPT_API
gboolean umedpt_model_save (UmedptModel *self, const char *path,
    GError **error);
UMEDPT_API
const UmedptDescription *umedpt_model_get_description (UmedptModel *self);
/* Hex SHA-256 over description and parameters: identifies results. */
UMEDPT_API
const char *umedpt_model_get_hash (UmedptModel *self);
/* Reads everything and compares it with the hash that the file states. */
UMEDPT_API
gboolean umedpt_model_verify (UmedptModel *self, GError **error);
UMEDPT_API
guint64 umedpt_model_get_n_parameters (UmedptModel *self);

G_END_DECLS
