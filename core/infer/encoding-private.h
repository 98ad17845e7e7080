/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an encoding holds, for its two halves: encoding.c runs the encoder,
 * encoding-heads.c the heads.
 */
#pragma once

#include "infer/encoding.h"
#include "infer/session-private.h"
#include "net/model-private.h"

G_BEGIN_DECLS

typedef struct
{
  guint n; /* images */
  UmedptFeatures features;
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

/* Where the backend computes. */
UmedptMemory *umedpt_encoding_get_memory (UmedptEncoding *self);
/* Whether more can be computed of a part; FALSE with @error set. */
gboolean umedpt_encoding_check_features (const UmedptEncodingPart *part,
    GError **error);
/* Computes the part's vectors if they are not there; with the lock. */
gboolean umedpt_encoding_need_vectors (UmedptEncoding *self,
    UmedptEncodingPart *part, GError **error);

G_END_DECLS
