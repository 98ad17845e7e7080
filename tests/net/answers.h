/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * All that can be asked of encodings of the fixture's model, and whether the
 * answers are, to the bit, what ops give that run one by one.
 */
#pragma once

#include "infer/encoding.h"
#include "task-fixture.h"

#define SIDE 64 /* of the model's input */
#define SMALL 32 /* of what is encoded */

/* What can be asked of an encoding: the fixture's tasks, and … */
#define VECTOR 4
#define N_ASKS 5

/* All answers about up to MAX_IMAGES images. */
#define MAX_IMAGES 6

typedef struct
{
  GByteArray *of[MAX_IMAGES][N_ASKS];
} Answers;

/* A model file for all that follows, and its end. */
void answers_set_up (void);
void answers_tear_down (void);

/* On the device "cuda". */
UmedptSession *answers_open_session (UmedptPrecision precision);
/* What it kept prepared goes with it. */
void answers_close_session (UmedptSession *session);
/* @n images from number @first on, resized to @side. */
UmedptEncoding *answers_encode (UmedptSession *session, guint first, guint n,
    gint side, GError **error);
UmedptEncoding *answers_encode_one (UmedptSession *session, guint image);
/* All tasks and vectors. */
void answers_settle (UmedptEncoding *encoding);

/* What ops one by one make of @n images together, or each by itself. */
void answers_expect (Answers *self, UmedptPrecision precision, guint first,
    guint n, gint side);
void answers_expect_each (Answers *self, UmedptPrecision precision, guint n,
    gint side);
void answers_clear (Answers *self);
void answers_check (UmedptEncoding *encoding, guint index, guint ask,
    const GByteArray *expected);
void answers_check_all (UmedptEncoding *encoding, const Answers *expected,
    guint image);
/* A frame of a live stream: encoded, settled, read, gone. */
void answers_run_frame (UmedptSession *session, const Answers *expected,
    guint image);
