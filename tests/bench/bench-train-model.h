/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What bench-train trains: the encoder alone, or with the two dense decoders,
 * without the tasks that a model file would have.
 */
#pragma once

#include "net/detection-decoder.h"
#include "net/pixel-decoder.h"
#include "net/squeezer.h"

G_BEGIN_DECLS

typedef struct
{
  UmedptDescription *description;
  UmedptParameters *parameters;
  UmedptSwin *swin;
  /* (nullable) with --decoders */
  UmedptSqueezer *squeezer;
  UmedptPixelDecoder *pixels;
  UmedptDetectionDecoder *detection;
} BenchModel;

/* Random parameters in @memory, all of which want gradients. */
gboolean bench_model_init (BenchModel *self, const char *arch,
    gboolean decoders, UmedptMemory *memory, GError **error);
void bench_model_clear (BenchModel *self);
/* Appends the outputs to @outputs (of UmedptTensor, with a free function): the
 * image vectors, or the pixel embedding and the maps of both towers. */
gboolean bench_model_forward (BenchModel *self, UmedptContext *context,
    UmedptTensor *images, const UmedptPass *pass, GPtrArray *outputs,
    GError **error);

G_END_DECLS
