/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The model that the tests of tasks and of training passes share.
 */
#pragma once

#include "net/model-private.h"

/* "a", "b" */
extern const char *const fixture_labels[];

/* The tasks by index: classification, segmentation, detection, and multilabel
 * of cases; two labels each. */
enum
{
  CLASS,
  PIXELS,
  BOXES,
  CASE,
};

typedef struct
{
  UmedptModel *model;
  UmedptContext *context;
  UmedptTensor *images; /* two, u8 */
  UmedptTensor *groups; /* one case */
  UmedptFeatures features;
} Fixture;

UmedptDescription *fixture_describe (void);
/* A file with that model for images of @side pixels, its parameters by
 * formula.h. */
void fixture_write_model (const char *path, gint side);
/* Takes @model. */
void fixture_set_up_model (Fixture *self, UmedptModel *model);
void fixture_set_up (Fixture *self);
void fixture_tear_down (Fixture *self);
/* @pass: (nullable) */
void fixture_encode (Fixture *self, const UmedptPass *pass);
/* The logits: on the host, unless they are recorded. */
UmedptTaskOutput fixture_run (Fixture *self, guint task);
UmedptTensor *fixture_parameter (UmedptModel *model, const char *name);
void fixture_set_trainable (Fixture *self, const char *prefix,
    gboolean trainable);
/* (transfer full): a tensor of a device on the host. */
UmedptTensor *fixture_host (UmedptTensor *tensor);
/* The root of the mean square. */
double fixture_deviation (UmedptTensor *tensor);
