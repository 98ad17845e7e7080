/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The log of a training run as its readers need it: each line a list of
 * leaves, in order, under paths like "losses/nuclei". The lines themselves are
 * described in train/trainer.h.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef enum
{
  UMEDPT_LEAF_NUMBER,
  UMEDPT_LEAF_TEXT, /* strings; "true" and "false" */
  UMEDPT_LEAF_ARRAY, /* as JSON */
} UmedptLeafKind;

typedef struct
{
  UmedptLeafKind kind;
  char *path;
  double number; /* NaN for null */
  char *text;
} UmedptLeaf;

typedef struct
{
  char *type; /* "round", "validation" … */
  gint64 round;
  GPtrArray *leaves; /* of UmedptLeaf */
} UmedptRunEvent;

UmedptRunEvent *umedpt_run_event_parse (const char *line, gssize length,
    GError **error);
void umedpt_run_event_free (UmedptRunEvent *self);
/* (nullable) (transfer none) */
const UmedptLeaf *umedpt_run_event_find (const UmedptRunEvent *self,
    const char *path);

/* All lines of <folder>/log.jsonl, of UmedptRunEvent. A last line without its
 * end, as a killed process leaves it, is passed over. */
GPtrArray *umedpt_run_log_read (const char *folder, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptRunEvent, umedpt_run_event_free)

G_END_DECLS
