/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The fields of a model, for the files that make it, run it and train it.
 */
#pragma once

#include "net/detection-decoder.h"
#include "net/grouper.h"
#include "net/head.h"
#include "net/pixel-decoder.h"

G_BEGIN_DECLS

struct _UmedptModel
{
  GObject parent_instance;

  UmedptDescription *description;
  UmedptParameters *parameters;
  UmedptSwin *swin;
  UmedptSqueezer *squeezer;
  UmedptPixelDecoder *pixel_decoder; /* (nullable) */
  UmedptDetectionDecoder *detection_decoder; /* (nullable) */
  UmedptGrouperBlock *grouper; /* (nullable) */
  GPtrArray *heads; /* of UmedptHead, one per task */
  GMutex lock;
  char *hash; /* (nullable) guarded by lock: computed when first wanted */
};

G_END_DECLS
