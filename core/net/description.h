/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The description of a model: everything needed to build and use it, kept as
 * JSON under the key "umedpt" of the model file's metadata. No second file.
 */
#pragma once

#include <glib-object.h>

#include "base/macros.h"

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

typedef enum
{
  UMEDPT_TASK_CLASSIFICATION,
  UMEDPT_TASK_MULTILABEL,
  UMEDPT_TASK_REGRESSION,
  UMEDPT_TASK_SEGMENTATION,
  UMEDPT_TASK_MULTILABEL_SEGMENTATION,
  UMEDPT_TASK_DETECTION,
} UmedptTaskKind;

typedef struct
{
  char *name;
  UmedptTaskKind kind;
  char **labels; /* (nullable) NULL-terminated */
  guint32 *colors; /* (nullable) 0xRRGGBB per label */
  double threshold;
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
/* FALSE + SETTINGS lists the words. */
UMEDPT_API
gboolean umedpt_norm_policy_parse (const char *name, UmedptNormPolicy *policy,
    GError **error);
UMEDPT_API
gboolean umedpt_pool_order_parse (const char *name, UmedptPoolOrder *order,
    GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptDescription, umedpt_description_free)

G_END_DECLS
