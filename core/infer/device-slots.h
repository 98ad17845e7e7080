/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Slots: places on a device where images of one size and number are computed
 * again and again; see device-slots.c.
 */
#pragma once

#include "net/model-private.h"

G_BEGIN_DECLS

/* The steps from images to logits. Each reads what those before it left. */
enum
{
  UMEDPT_STEP_ENCODER, /* images -> pyramid, and the map for dense heads */
  UMEDPT_STEP_VECTOR,
  UMEDPT_STEP_PIXELS,
  UMEDPT_STEP_DETECTION,
  UMEDPT_STEP_HEADS, /* + number of a task -> its logits */
};

/* One of them, on fixed addresses. */
typedef struct
{
  gboolean prepared; /* it has run op by op: weights and algorithms are there */
  gboolean failed; /* there is no graph of it: op by op for good */
  gpointer graph; /* (nullable) */
  gboolean ran; /* its results are those of the images that are here now */
} UmedptSlotStep;

/* Whoever has taken a slot has it for himself. */
typedef struct
{
  guint n; /* images */
  gint width, height;
  UmedptTensor *input; /* (nullable) u8 [n, H, W, 3] */
  UmedptTensor *groups; /* (nullable) i32 [n]: 0, 1, … */
  UmedptFeatures features; /* what the graphs make … */
  UmedptTaskOutput *outputs; /* … and their logits, per task */
  UmedptSlotStep *steps;
  gboolean taken, forgotten; /* under the lock */
} UmedptSlot;

typedef struct _UmedptSlots UmedptSlots;

UmedptSlots *umedpt_slots_new (UmedptBackend *backend, guint n_tasks);
/* None may be taken. */
void umedpt_slots_free (UmedptSlots *self);

/* (nullable): there are too many. From any thread. */
UmedptSlot *umedpt_slots_take (UmedptSlots *self, guint n, gint width,
    gint height);
/* What is queued may still use it. */
void umedpt_slots_give (UmedptSlots *self, UmedptSlot *slot);
/* Where memory is short: frees all that nobody has, those that are taken when
 * they are given back, and allows half as many from now on. FALSE: there was
 * nothing to free. */
gboolean umedpt_slots_forget (UmedptSlots *self);

G_END_DECLS
