/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the library itself does with a model: the forward passes. A model can
 * be used from several threads, and with all backends at once that look for it
 * where it lies.
 */
#pragma once

#include "autograd/ops.h"
#include "net/model.h"
#include "net/pass.h"
#include "net/squeezer.h"
#include "net/swin.h"

G_BEGIN_DECLS

/* In files a parameter is called <prefix><name in the released checkpoint>;
 * that of a head UMEDPT_TASKS_PREFIX<task>.<name>. */
#define UMEDPT_ENCODER_PREFIX "encoder.model.wrapped_model."
#define UMEDPT_SQUEEZER_PREFIX "squeezer."
#define UMEDPT_PIXEL_DECODER_PREFIX "decoder."
#define UMEDPT_DETECTION_DECODER_PREFIX "fcosfpn."
#define UMEDPT_GROUPER_PREFIX "grouper."
#define UMEDPT_TASKS_PREFIX "tasks."

#define UMEDPT_DETECTION_LEVELS 5 /* P3 … P7, strides 8 … 128 */

/* What has been computed of one batch of images; each part once, when a task
 * first needs it, so that one encoder pass serves every head. Zeroed before
 * use; (nullable) fields are what is not there yet. */
typedef struct
{
  UmedptPass pass;
  UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS]; /* F1 … F4 */
  UmedptTensor *vector; /* z, f32 [N, D] */
  UmedptTensor *dense; /* what dense heads get at level 4, f32 [N, h, w, D] */
  UmedptTensor *pixels; /* f32 [N, 2 (H/4), 2 (W/4), 16] */
  UmedptTensor *detect_classes[UMEDPT_DETECTION_LEVELS]; /* f32 [N,h,w,128] */
  UmedptTensor *detect_boxes[UMEDPT_DETECTION_LEVELS];
} UmedptFeatures;

/* The logits of one task. outputs[0]:
 *   classification, multilabel, regression  f32 [N or groups, K]
 *   segmentation (also multilabel)          f32 [N, 2 (H/4), 2 (W/4), K]
 * (integer division: H/2 and W/2 where they are multiples of 4; the values of
 * regression are in the task's units).
 * detection: level l has classes at 3l, f32 [N, h, w, K], boxes at 3l + 1,
 * f32 [N, h, w, 4] (l, t, r, b >= 0 in units of the stride), centerness at
 * 3l + 2, f32 [N, h, w, 1]. */
typedef struct
{
  UmedptTaskKind kind;
  guint n_outputs;
  UmedptTensor *outputs[3 * UMEDPT_DETECTION_LEVELS];
  UmedptTensor *packed; /* (nullable) all of them, one after the other */
} UmedptTaskOutput;

void umedpt_features_clear (UmedptFeatures *self);
void umedpt_task_output_clear (UmedptTaskOutput *self);
/* Copies logits of a device into one tensor there; only queues it. */
gboolean umedpt_task_output_pack (UmedptTaskOutput *self, GError **error);
/* Replaces logits that lie elsewhere by copies in host memory. */
gboolean umedpt_task_output_to_host (UmedptTaskOutput *self, GError **error);

/* Moves parameters and constants to @memory, that of a backend (NULL: the
 * host's), before it computes with them. Nobody may use the model meanwhile,
 * and afterwards only backends of that memory can; files are written from
 * anywhere. */
gboolean umedpt_model_move (UmedptModel *self, UmedptMemory *memory,
    GError **error);

/* images: u8 or f32 [N, H, W, 3], wherever they lie; fills the pyramid. @pass:
 * (nullable). */
gboolean umedpt_model_encode_features (UmedptModel *self,
    UmedptContext *context, UmedptTensor *images, const UmedptPass *pass,
    UmedptFeatures *features, GError **error);
/* Each computes what its name says if it is not there yet; dense is the map
 * that dense heads get, which the two after it need. */
gboolean umedpt_model_need_vector (UmedptModel *self, UmedptContext *context,
    UmedptFeatures *features, GError **error);
gboolean umedpt_model_need_dense (UmedptModel *self, UmedptContext *context,
    UmedptFeatures *features, GError **error);
gboolean umedpt_model_need_pixels (UmedptModel *self, UmedptContext *context,
    UmedptFeatures *features, GError **error);
gboolean umedpt_model_need_detection (UmedptModel *self, UmedptContext *context,
    UmedptFeatures *features, GError **error);
/* Decoder (as far as needed) and head of task number @task. @groups: for
 * grouped tasks the case of each image, i32 [N], ascending from 0, wherever
 * they lie, else NULL. */
gboolean umedpt_model_run_task (UmedptModel *self, UmedptContext *context,
    UmedptFeatures *features, guint task, UmedptTensor *groups, gint64 n_groups,
    UmedptTaskOutput *output, GError **error);

/* Training. Between these two the parameters stay as they are: begin computes
 * (and records) what follows from them alone, end takes the gradients that
 * gathered there on to the parameters. */
gboolean umedpt_model_begin_round (UmedptModel *self, UmedptContext *context,
    GError **error);
gboolean umedpt_model_end_round (UmedptModel *self, UmedptContext *context,
    GError **error);
/* Copies what still lies in a mapped file, and wants gradients for parameters
 * whose name begins with @prefix (NULL: all). */
gboolean umedpt_model_set_trainable (UmedptModel *self, const char *prefix,
    gboolean trainable, GError **error);
/* A model of @description: parameters that @base (nullable) has under the
 * same name and shape are copied, the others initialised with @seed. */
UmedptModel *umedpt_model_new_extended (UmedptModel *base,
    const UmedptDescription *description, guint64 seed, GError **error);

UmedptParameters *umedpt_model_get_parameters (UmedptModel *self);

/* images: u8 or f32 [N, H, W, 3]; see umedpt_swin_forward(). */
gboolean umedpt_model_encode (UmedptModel *self, UmedptContext *context,
    UmedptTensor *images, UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS],
    GError **error);
/* F4, f32 [N, H, W, C4] -> z, f32 [N, D]; with @dense not NULL also the map
 * that dense heads get at level 4, f32 [N, H, W, D or C4]. */
UmedptTensor *umedpt_model_squeeze (UmedptModel *self, UmedptContext *context,
    UmedptTensor *f4, UmedptTensor **dense, GError **error);

G_END_DECLS
