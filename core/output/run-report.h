/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a training run leaves for people, made from its folder: a TensorBoard
 * event file that grows with the run, and one self-contained HTML page. Both
 * are made of log.jsonl (its lines are described in train/trainer.h) alone,
 * the page also of config.ini and pictures/<task>/<name>.png.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct _UmedptEventWriter UmedptEventWriter;

UMEDPT_API
UmedptEventWriter *umedpt_event_writer_new (const char *folder, GError **error);
UMEDPT_API
gboolean umedpt_event_writer_add (UmedptEventWriter *self, const char *json,
    GError **error);
UMEDPT_API
void umedpt_event_writer_free (UmedptEventWriter *self);

/* Writes <folder>/report.html: curves per task, confusion matrices, pictures,
 * configuration, environment, exact command; no script, and no file from
 * elsewhere. Replaces an older one when it is complete. */
UMEDPT_API
gboolean umedpt_run_report_write (const char *folder, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptEventWriter, umedpt_event_writer_free)

G_END_DECLS
