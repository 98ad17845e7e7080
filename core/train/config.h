/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The configuration of a training run: an INI file as GLib reads it
 * (GKeyFile). Groups [model], [train], [optimizer], [schedule], and one
 * [task NAME] per task, which also describes its data set. Every key is in
 * one table with its meaning, its default and what is allowed; an error names
 * file, group, key, value, and that.
 */
#pragma once

#include "data/dataset.h"
#include "data/loader.h"
#include "infer/session.h"
#include "net/description.h"
#include "train/settings.h"

G_BEGIN_DECLS

#define UMEDPT_TRAIN_AUTO G_MAXUINT /* "auto" instead of a number */

typedef enum
{
  UMEDPT_SAMPLER_CYCLIC, /* a batch of each task in turn, until the longest
                            loader is through once; shorter ones begin again */
  UMEDPT_SAMPLER_SHORTEST, /* the same until the shortest is through */
  UMEDPT_SAMPLER_CONCAT, /* one task after another */
  UMEDPT_SAMPLER_BALANCED, /* a random task, as likely as its loader is long */
} UmedptSampler;

typedef struct
{
  char *name;
  UmedptTaskKind kind;
  char *group; /* of the key file, "task NAME" */
  UmedptLoaderSettings train, val; /* batch, augmentation, fit, size … */
  double fraction; /* of the training split that is used: 1 */
  guint cache; /* of decoded training images, MiB; 0: none */
  double focal_gamma; /* classification */
  double lr_factor; /* of the head, 1 */
  double threshold; /* of the task's description */
  double range_min, range_max; /* regression */
  UmedptDataset *dataset; /* opened by the trainer */
} UmedptTrainTask;

typedef struct
{
  char *path; /* of the file */
  char *folder; /* of the file: relative paths begin there */
  GKeyFile *keys;
  /* [model] */
  char *start; /* (nullable) model file to begin with */
  double residual_init; /* of new encoders: gamma of the blocks' norms */
  UmedptDescription *description; /* of the model to make, with all tasks */
  gboolean keep_tasks; /* of `start`, besides those of the configuration */
  char **frozen; /* blocks: "encoder", "squeezer", "decoder", … */
  /* [train] */
  guint64 seed;
  guint epochs; /* at most */
  guint64 rounds; /* at most; 0: as epochs say */
  guint round_tasks; /* passes per shared step; 0: one of each task */
  /* images at once where the loss allows; 0: the batch; AUTO: 1, on a device
   * the batch */
  guint micro_batch;
  gboolean checkpoint_activations;
  gboolean dropout; /* and stochastic depth */
  UmedptSampler sampler;
  UmedptPrecision precision;
  char *device;
  guint validate_every; /* epochs */
  guint save_every; /* rounds between checkpoints; 0: epochs only */
  guint keep; /* checkpoints kept beside best and latest */
  guint patience; /* early stopping: validations; 0: none */
  double average; /* EMA decay; 0: none */
  /* [optimizer], [schedule] */
  UmedptOptimizerSettings optimizer;
  UmedptScheduleSettings schedule;
  GPtrArray *tasks; /* of UmedptTrainTask */
} UmedptTrainConfig;

/* Reads and checks everything but the data sets' files. */
UMEDPT_API
UmedptTrainConfig *umedpt_train_config_new_from_file (const char *path,
    GError **error);
/* The same of @keys (transfer none) that were made or changed by a program;
 * @path is named in messages, relative paths begin at @folder. */
UMEDPT_API
UmedptTrainConfig *umedpt_train_config_new_from_keys (GKeyFile *keys,
    const char *path, const char *folder, GError **error);
UMEDPT_API
void umedpt_train_config_free (UmedptTrainConfig *self);
/* Opens all data sets and completes the description from them (labels). */
UMEDPT_API
gboolean umedpt_train_config_open_data (UmedptTrainConfig *self,
    GError **error);
/* Every key with meaning, default and what is allowed, as text. */
UMEDPT_API
char *umedpt_train_config_describe_keys (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptTrainConfig, umedpt_train_config_free)

G_END_DECLS
