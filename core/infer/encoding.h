/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Images that went through the encoder of a session: from here every head
 * reads, so that any number of them costs one encoder pass. What a head needs
 * is computed when it is first asked for, and kept.
 */
#pragma once

#include "base/task.h"
#include "infer/session.h"

G_BEGIN_DECLS

typedef struct _UmedptEncoding UmedptEncoding;

#define UMEDPT_TYPE_ENCODING (umedpt_encoding_get_type ())
UMEDPT_API
GType umedpt_encoding_get_type (void);

/* @width, @height: to which images are resized; 0: the model's input.
 * @vectors_only: nothing but embeddings will be asked for. (transfer full) */
UMEDPT_API
UmedptEncoding *umedpt_session_encode (UmedptSession *session,
    const UmedptImage *images, guint n_images, gint width, gint height,
    gboolean vectors_only, GCancellable *cancellable, GError **error);
UMEDPT_API
UmedptEncoding *umedpt_encoding_ref (UmedptEncoding *self);
UMEDPT_API
void umedpt_encoding_unref (UmedptEncoding *self);
UMEDPT_API
UmedptSession *umedpt_encoding_get_session (const UmedptEncoding *self);
UMEDPT_API
guint umedpt_encoding_get_n_images (const UmedptEncoding *self);
UMEDPT_API
void umedpt_encoding_get_size (const UmedptEncoding *self, gint *width,
    gint *height);
UMEDPT_API
gboolean umedpt_encoding_has_features (const UmedptEncoding *self);

/* For many images at once: computes what will be asked for, all of it, and lets
 * go of the features; afterwards nothing else can be asked for. @tasks: numbers
 * of tasks; @embedding: the embeddings as well. */
UMEDPT_API
gboolean umedpt_encoding_settle (UmedptEncoding *self, const guint *tasks,
    guint n_tasks, gboolean embedding, GError **error);

/* Results of image @index. @task is a number in the model's description, and
 * must be of a kind that has such results. */

/* @embedding: f32 [D] */
UMEDPT_API
gboolean umedpt_encoding_get_embedding (UmedptEncoding *self, guint index,
    gfloat *embedding, GError **error);
/* @values: f32 [K]: probabilities, or the number of a regression. */
UMEDPT_API
gboolean umedpt_encoding_get_values (UmedptEncoding *self, guint index,
    guint task, gfloat *values, GError **error);
/* Boxes in pixels of the encoded size, best first, appended to @boxes (of
 * UmedptBox). */
UMEDPT_API
gboolean umedpt_encoding_get_boxes (UmedptEncoding *self, guint index,
    guint task, const UmedptDetectionSettings *settings, GArray *boxes,
    GError **error);
/* The size at which masks are decided: half the encoded one. */
UMEDPT_API
void umedpt_encoding_get_mask_size (const UmedptEncoding *self, gint *width,
    gint *height);
/* @mask: u8 [height, width] at that size: the class, or UMEDPT_IGNORE_PIXEL
 * where its probability is below @threshold; for multi-label tasks, and those
 * with one label, u8 [height, width, K] of 0 and 1. */
UMEDPT_API
gboolean umedpt_encoding_get_mask (UmedptEncoding *self, guint index,
    guint task, double threshold, guint8 *mask, GError **error);
/* @probabilities: f32 [height, width, K] at that size. */
UMEDPT_API
gboolean umedpt_encoding_get_probabilities (UmedptEncoding *self, guint index,
    guint task, gfloat *probabilities, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptEncoding, umedpt_encoding_unref)

G_END_DECLS
