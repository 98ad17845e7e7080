/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of the encoder share: its fields, and what attention needs
 * besides the image.
 */
#pragma once

#include "autograd/tape.h"
#include "net/swin.h"

G_BEGIN_DECLS

/* What follows from the parameters alone, for one backend and one state of
 * the parameters. Counted references (GAtomicRcBox). */
typedef struct
{
  UmedptBackend *backend;
  guint64 generation;
  guint n_blocks;
  UmedptSwinPrepared *blocks;
} UmedptSwinValues;

struct _UmedptSwin
{
  UmedptParameters *parameters; /* not owned */
  gint embed_dim;
  UmedptConv stem;
  UmedptNorm stem_norm;
  UmedptLinear reductions[UMEDPT_SWIN_LEVELS - 1];
  UmedptNorm reduction_norms[UMEDPT_SWIN_LEVELS - 1];
  UmedptNorm final_norm; /* unused */
  gint depths[UMEDPT_SWIN_LEVELS];
  guint n_blocks;
  UmedptSwinBlock *blocks; /* of all stages, in order */
  double stochastic_depth; /* of the last block; the first has 0 */

  GMutex lock;
  UmedptSwinValues *prepared; /* guarded by lock; for inference */
  UmedptSwinValues *round; /* guarded by lock; recorded on round_tape */
  UmedptTape *round_tape;
};

/* swin-prepare.c */
UmedptSwinValues *umedpt_swin_get_values (UmedptSwin *self,
    UmedptContext *context, GError **error);
UmedptSwinValues *umedpt_swin_values_ref (UmedptSwinValues *self);
void umedpt_swin_values_unref (UmedptSwinValues *self);
void umedpt_swin_drop_prepared (UmedptSwin *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptSwinValues, umedpt_swin_values_unref)

G_END_DECLS
