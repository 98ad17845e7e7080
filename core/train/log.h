/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * log.jsonl: what happened in a run, one JSON object per line (the types are
 * described in trainer.h). The size of the file is part of a checkpoint: what
 * was written after it did not happen, for a run that is resumed from it.
 */
#pragma once

#include "train/trainer.h"

G_BEGIN_DECLS

typedef struct _UmedptTrainLog UmedptTrainLog;

/* Opens or makes @path; with @size not -1, cuts it to that size. */
UmedptTrainLog *umedpt_train_log_new (const char *path, gint64 size,
    GError **error);
void umedpt_train_log_free (UmedptTrainLog *self);
/* Appends @json as a line and tells the observer. */
gboolean umedpt_train_log_add (UmedptTrainLog *self, const char *type,
    const char *json, const UmedptTrainObserver *observer, GError **error);
/* Puts what is written on the disk; the size, or -1 with @error set. */
gint64 umedpt_train_log_sync (UmedptTrainLog *self, GError **error);

/* Pieces of JSON objects: ,"key":value (no comma after a brace). */
void umedpt_log_key (GString *json, const char *key);
void umedpt_log_string (GString *json, const char *key, const char *value);
/* What is not finite becomes null. */
void umedpt_log_double (GString *json, const char *key, double value);
void umedpt_log_count (GString *json, const char *key, guint64 value);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptTrainLog, umedpt_train_log_free)

G_END_DECLS
