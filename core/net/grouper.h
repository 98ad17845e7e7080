/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The grouper: from the vectors of many images (slices of a volume, tiles of a
 * slide) to one vector per case.
 */
#pragma once

#include "net/description.h"
#include "nn/layers.h"

G_BEGIN_DECLS

typedef struct _UmedptGrouperBlock UmedptGrouperBlock;

UmedptGrouperBlock *
umedpt_grouper_block_new (const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix);
void umedpt_grouper_block_free (UmedptGrouperBlock *self);
UmedptTensor *umedpt_grouper_block_forward (UmedptGrouperBlock *self,
    UmedptContext *context, UmedptTensor *vectors, UmedptTensor *groups,
    gint64 n_groups, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptGrouperBlock, umedpt_grouper_block_free)

G_END_DECLS
