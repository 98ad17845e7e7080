/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a training run leaves for people: a TensorBoard event file, and one
 * self-contained HTML page made from the run's folder (log.jsonl, described in
 * train/trainer.h, config.ini, and pictures/<task>/<n>.png).
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct _UmedptEventWriter UmedptEventWriter;

/* Appends scalars to <folder>/events.out.tfevents.…; TensorBoard's format
 * (TFRecord of Event protocol buffers, with masked CRC-32C). */
UMEDPT_API
UmedptEventWriter *umedpt_event_writer_new (const char *folder, GError **error);
UMEDPT_API
gboolean umedpt_event_writer_add (UmedptEventWriter *self, const char *tag,
    gint64 step, double value, GError **error);
UMEDPT_API
gboolean umedpt_event_writer_flush (UmedptEventWriter *self, GError **error);
UMEDPT_API
void umedpt_event_writer_free (UmedptEventWriter *self);

/* Writes <folder>/report.html: curves per task, confusion matrices, pictures,
 * configuration, environment, exact command; no script or file from elsewhere.
 * Atomic. */
UMEDPT_API
gboolean umedpt_run_report_write (const char *folder, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptEventWriter, umedpt_event_writer_free)

G_END_DECLS
