/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Heads: what belongs to one task alone.
 */
#pragma once

#include "net/model-private.h"

G_BEGIN_DECLS

typedef struct _UmedptHead UmedptHead;

UmedptHead *umedpt_head_new (const UmedptDescription *description,
    const UmedptTaskDescription *task, UmedptParameters *parameters,
    GError **error);
void umedpt_head_free (UmedptHead *self);
gboolean umedpt_head_move (UmedptHead *self, UmedptMemory *memory,
    GError **error);
/* Each fills @output, zeroed before, from what the task's kind needs. */
gboolean umedpt_head_run_vector (UmedptHead *self, UmedptContext *context,
    const UmedptPass *pass, UmedptTensor *vector, UmedptTaskOutput *output,
    GError **error);
gboolean umedpt_head_run_pixels (UmedptHead *self, UmedptContext *context,
    UmedptTensor *pixels, UmedptTaskOutput *output, GError **error);
gboolean umedpt_head_run_detection (UmedptHead *self, UmedptContext *context,
    UmedptTensor *const classes[UMEDPT_DETECTION_LEVELS],
    UmedptTensor *const boxes[UMEDPT_DETECTION_LEVELS],
    UmedptTaskOutput *output, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptHead, umedpt_head_free)

G_END_DECLS
