/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The encoder: Swin Transformer V2 (Liu et al., CVPR 2022, arXiv:2111.09883)
 * with the parameter names and the computation of torchvision's swin_v2_*.
 * An image becomes a pyramid of four feature maps, at strides 4, 8, 16, 32.
 */
#pragma once

#include "net/description.h"
#include "net/pass.h"
#include "nn/layers.h"

G_BEGIN_DECLS

#define UMEDPT_SWIN_LEVELS 4
#define UMEDPT_SWIN_MIN_SIZE 32 /* pixels per side of an image */

typedef struct _UmedptSwin UmedptSwin;

UmedptSwin *umedpt_swin_new (const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix, GError **error);
void umedpt_swin_free (UmedptSwin *self);
gboolean umedpt_swin_forward (UmedptSwin *self, UmedptContext *context,
    UmedptTensor *images, const UmedptPass *pass,
    UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS], GError **error);
gboolean umedpt_swin_begin_round (UmedptSwin *self, UmedptContext *context,
    GError **error);
gboolean umedpt_swin_end_round (UmedptSwin *self, UmedptContext *context,
    GError **error);

/* swin-block.c: a transformer block. */
typedef struct
{
  gint64 channels, heads, window, shift;
  UmedptTensor *logit_scale; /* f32 [heads, 1, 1] */
  UmedptLinear qkv, proj, fc1, fc2;
  UmedptLinear position1, position2; /* the MLP of the position bias */
  UmedptNorm norm1, norm2;
} UmedptSwinBlock;

/* The constants that checkpoints carry along with every block: they follow
 * from the window, so that all blocks share them. Either may be NULL. */
typedef struct
{
  UmedptTensor *coords_table; /* f32 [1, 2w - 1, 2w - 1, 2] */
  UmedptTensor *position_index; /* i64 [w^4] */
} UmedptSwinBuffers;

void umedpt_swin_buffers_init (UmedptSwinBuffers *self, gint64 window);
void umedpt_swin_buffers_clear (UmedptSwinBuffers *self);

/* What a block's attention needs besides the image, derived from parameters
 * alone and therefore kept while they stay as they are. */
typedef struct
{
  UmedptTensor *qkv_bias; /* f32 [3C], the k part 0 */
  UmedptTensor *scale; /* f32 [heads] */
  UmedptTensor *position_bias; /* f32 [heads, L, L], L = window^2 */
} UmedptSwinPrepared;

/* What multiplies the branches of each image: 0, or 1 / (1 - p). */
typedef struct
{
  UmedptTensor *attention, *mlp; /* (nullable) f32 [N] */
} UmedptSwinDrops;

void umedpt_swin_block_declare (UmedptSwinBlock *self,
    const UmedptDescription *description, const UmedptSwinBuffers *buffers,
    gint stage, gint index, UmedptParameters *parameters, const char *prefix);
gboolean umedpt_swin_block_prepare (const UmedptSwinBlock *self,
    UmedptContext *context, UmedptSwinPrepared *prepared, GError **error);
void umedpt_swin_prepared_clear (UmedptSwinPrepared *prepared);
UmedptTensor *umedpt_swin_block_forward (const UmedptSwinBlock *self,
    const UmedptSwinPrepared *prepared, const UmedptSwinDrops *drops,
    UmedptContext *context, UmedptTensor *x, GError **error);
/* Whether any of its parameters wants a gradient. */
gboolean umedpt_swin_block_trains (const UmedptSwinBlock *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptSwin, umedpt_swin_free)

G_END_DECLS
