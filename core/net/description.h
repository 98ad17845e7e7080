/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The description of a model: everything needed to build and use it, kept as
 * JSON under the key "umedpt" of the model file's metadata. No second file.
 */
#pragma once

#include <glib-object.h>

#include "base/task.h"

G_BEGIN_DECLS

/**
 * UmedptNormPolicy:
 * @UMEDPT_NORM_AFFINE: "affinelayernorm": BatchNorm became GroupNorm(1) with
 *   affine parameters, LayerNorm is affine; the default
 * @UMEDPT_NORM_PLAIN: "layernorm": the same without affine parameters
 * @UMEDPT_NORM_INSTANCE: "instancenorm": BatchNorm became InstanceNorm
 *   without affine parameters, LayerNorm unchanged (affine)
 * @UMEDPT_NORM_NONE: "nonorm": BatchNorm became the identity, LayerNorm
 *   unchanged (affine)
 *
 * What became of the norms of a shared block.
 */
typedef enum
{
  UMEDPT_NORM_AFFINE,
  UMEDPT_NORM_PLAIN,
  UMEDPT_NORM_INSTANCE,
  UMEDPT_NORM_NONE,
} UmedptNormPolicy;

/**
 * UmedptPoolOrder:
 * @UMEDPT_POOL_BEFORE: z = act (norm (conv (pool (F4)))): releases 1.0.2-1.0.4
 * @UMEDPT_POOL_AFTER: z = pool (act (norm (conv (F4)))): the paper, and 1.6
 *
 * Where the squeezer pools.
 */
typedef enum
{
  UMEDPT_POOL_BEFORE,
  UMEDPT_POOL_AFTER,
} UmedptPoolOrder;

/**
 * UmedptGrouper:
 * @UMEDPT_GROUPER_NONE: an image is a case
 * @UMEDPT_GROUPER_WEIGHTED: mean of the vectors, each weighted by a sigmoid
 * @UMEDPT_GROUPER_ATTENTION: softmax attention over a case's images
 * @UMEDPT_GROUPER_GATED: the same with gated attention (Ilse et al. 2018)
 *
 * How the vectors of many images become that of one case.
 */
typedef enum
{
  UMEDPT_GROUPER_NONE,
  UMEDPT_GROUPER_WEIGHTED,
  UMEDPT_GROUPER_ATTENTION,
  UMEDPT_GROUPER_GATED,
} UmedptGrouper;

typedef struct
{
  char *name;
  UmedptTaskKind kind;
  char **labels; /* (nullable) NULL-terminated */
  guint32 *colors; /* (nullable) 0xRRGGBB per label */
  double threshold;
  gint input_width, input_height; /* pixels; 0: the model's */
  double mpp; /* micrometres per pixel; 0: the model's */
  double range_min, range_max; /* regression: of the values; 0, 1 */
  gboolean grouped; /* many images make one case: uses the grouper */
} UmedptTaskDescription;

typedef struct
{
  char *arch; /* "swinv2-tiny" … */
  gint embed_dim;
  gint depths[4];
  gint heads[4];
  gint window;
  gint patch;
  double mlp_ratio;
  double stochastic_depth;
  UmedptNormPolicy encoder_norm;
  UmedptNormPolicy squeezer_norm;
  UmedptPoolOrder pool_order;
  gboolean squeeze_dense; /* dense heads get the squeezed F4 */
  char *pooling; /* "average", "max", "combined" */
  gint squeezer_channels; /* D of the squeezer's conv; 0: no conv, D = 8 C0 */
  gint input_width, input_height; /* of the images it was trained on, pixels */
  double mpp; /* micrometres per pixel, 0 = unknown */
  /* shared blocks beside encoder and squeezer */
  gboolean pixel_decoder; /* needed by segmentation tasks */
  gint pixel_channels; /* of the pixel embedding: 16 */
  gint pixel_hidden; /* the most channels of a decoder block: 96 */
  gboolean detection_decoder; /* needed by detection tasks */
  gint detection_channels; /* of FPN and towers: 128 */
  UmedptNormPolicy decoder_norm; /* of the pixel decoder */
  UmedptGrouper grouper; /* needed by grouped tasks */
  GPtrArray *tasks; /* of UmedptTaskDescription */
  char *training; /* (nullable) JSON object: training record */
  char *source; /* (nullable) where the weights come from */
} UmedptDescription;

#define UMEDPT_TYPE_DESCRIPTION (umedpt_description_get_type ())

UMEDPT_API
GType umedpt_description_get_type (void);

/* Names: swinv2-nano, -tiny, -small, -base, -large. NULL + SETTINGS lists
 * them. */
UMEDPT_API
UmedptDescription *umedpt_description_new (const char *arch, GError **error);
UMEDPT_API
UmedptDescription *umedpt_description_new_from_json (const char *json,
    gssize length, GError **error);
UMEDPT_API
char *umedpt_description_to_json (const UmedptDescription *self);
UMEDPT_API
UmedptDescription *umedpt_description_copy (const UmedptDescription *self);
UMEDPT_API
void umedpt_description_free (UmedptDescription *self);
/* The length of the image vector z. */
UMEDPT_API
gint umedpt_description_get_embedding_size (const UmedptDescription *self);
/* (transfer none) NULL-terminated list of the known names. */
UMEDPT_API
const char *const *umedpt_description_list_archs (void);
/* The words of the JSON form, as "affinelayernorm", "before", "detection". */
UMEDPT_API
const char *umedpt_norm_policy_get_name (UmedptNormPolicy policy);
UMEDPT_API
const char *umedpt_pool_order_get_name (UmedptPoolOrder order);
UMEDPT_API
const char *umedpt_task_kind_get_name (UmedptTaskKind kind);
UMEDPT_API
const char *umedpt_grouper_get_name (UmedptGrouper grouper);
/* Appends a task (@labels copied), with the blocks that it needs. NULL +
 * SETTINGS if the name is taken or not usable. (transfer none) */
UMEDPT_API
UmedptTaskDescription *umedpt_description_add_task (UmedptDescription *self,
    const char *name, UmedptTaskKind kind, const char *const *labels,
    GError **error);
/* The index of a task, or -1. */
UMEDPT_API
gint umedpt_description_find_task (const UmedptDescription *self,
    const char *name);
/* How many outputs a task has per image or pixel: its labels, or 1. */
UMEDPT_API
gint umedpt_task_description_get_n_outputs (const UmedptTaskDescription *task);
/* FALSE + SETTINGS lists the words. */
UMEDPT_API
gboolean umedpt_task_kind_parse (const char *name, UmedptTaskKind *kind,
    GError **error);
UMEDPT_API
gboolean umedpt_grouper_parse (const char *name, UmedptGrouper *grouper,
    GError **error);
UMEDPT_API
gboolean umedpt_norm_policy_parse (const char *name, UmedptNormPolicy *policy,
    GError **error);
UMEDPT_API
gboolean umedpt_pool_order_parse (const char *name, UmedptPoolOrder *order,
    GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptDescription, umedpt_description_free)

G_END_DECLS
