/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an encoding holds, for its parts: encoding.c makes it, encoding-steps.c
 * computes, encoding-heads.c answers what is asked of tasks.
 */
#pragma once

#include "infer/encoding.h"
#include "infer/session-private.h"

G_BEGIN_DECLS

typedef struct
{
  guint n; /* images */
  UmedptFed fed; /* the images, until the encoder has read them */
  UmedptSlot *slot; /* (nullable) with graphs for them */
  UmedptFeatures features;
  UmedptTensor *vectors; /* (nullable) f32 [n, D] in host memory */
  UmedptTaskOutput *outputs; /* per task of the model; n_outputs 0: not run */
} UmedptEncodingPart;

struct _UmedptEncoding
{
  gatomicrefcount references;
  UmedptSession *session;
  UmedptModel *model;
  gint width, height; /* of the encoded images */
  guint n_images;
  guint part_size; /* images per part, but for the last one */
  guint n_parts;
  UmedptEncodingPart *parts;
  gfloat *vectors; /* (nullable) f32 [n, D]: vectors only, without parts */
  GMutex lock; /* of features and outputs */
};

UmedptBackend *umedpt_encoding_get_backend (UmedptEncoding *self);
/* Whether more can be computed of a part; FALSE with @error set. */
gboolean umedpt_encoding_check_features (const UmedptEncodingPart *part,
    GError **error);
/* Gives up features, and what they were computed with. */
void umedpt_encoding_drop_features (UmedptEncoding *self,
    UmedptEncodingPart *part);
/* Runs a step (device-slots.h) if its results are not there, and first what
 * it needs; on a device, queues it. With the lock, like those after it. */
gboolean umedpt_encoding_run (UmedptEncoding *self, UmedptEncodingPart *part,
    guint step, GError **error);
/* Runs what is needed, waits, and has the part's vectors, or a task's logits,
 * in host memory. */
gboolean umedpt_encoding_need_vectors (UmedptEncoding *self,
    UmedptEncodingPart *part, GError **error);
gboolean umedpt_encoding_need_output (UmedptEncoding *self,
    UmedptEncodingPart *part, guint task, GError **error);

G_END_DECLS
