/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Inside of the configuration: the table of keys, from which values are read,
 * defaults taken, mistakes told, and the documentation printed, so that none
 * of the four can differ from the others.
 */
#pragma once

#include "train/config.h"

G_BEGIN_DECLS

/* Groups; that of a task is "task NAME". */
#define UMEDPT_CONFIG_MODEL "model"
#define UMEDPT_CONFIG_TRAIN "train"
#define UMEDPT_CONFIG_OPTIMIZER "optimizer"
#define UMEDPT_CONFIG_SCHEDULE "schedule"
#define UMEDPT_CONFIG_TASK "task"
#define UMEDPT_CONFIG_TASK_PREFIX "task "

typedef enum
{
  UMEDPT_KEY_BOOLEAN, /* gboolean */
  UMEDPT_KEY_COUNT, /* guint */
  UMEDPT_KEY_AUTO, /* guint, or "auto": UMEDPT_TRAIN_AUTO */
  UMEDPT_KEY_LONG, /* guint64 */
  UMEDPT_KEY_REAL, /* double */
  UMEDPT_KEY_CHOICE, /* an enum, in the order of `choices` */
  UMEDPT_KEY_TEXT, /* char * */
  UMEDPT_KEY_WORDS, /* char **; of `choices` if there are any */
  UMEDPT_KEY_FOUR, /* gint[4] */
  UMEDPT_KEY_SIZE, /* gint[2]: "256", or "320x256" */
  UMEDPT_KEY_RANGE, /* double[2]: "0;10" */
} UmedptKeyType;

typedef struct
{
  const char *group, *key;
  UmedptKeyType type;
  gsize offset; /* into the struct that the group fills */
  double min, max;
  const char *const *choices;
  const char *fallback; /* (nullable) the default, as one would write it */
  const char *meaning;
} UmedptConfigKey;

/* What [model] says, before there is a description. */
typedef struct
{
  char *arch, *start;
  guint embed_dim, window;
  gint depths[4], heads[4];
  gint norm, pool_order, pooling, grouper;
  gboolean squeeze_dense, keep_tasks;
  guint squeezer_channels, pixel_channels, pixel_hidden, detection_channels;
  double stochastic_depth, residual_init, mpp;
  gint size[2];
  char **freeze;
} UmedptModelKeys;

void umedpt_model_keys_clear (UmedptModelKeys *self);

/* The table, and its length. */
const UmedptConfigKey *umedpt_config_list_keys (gsize *n);
/* Reads all keys of the table's @group from the file's @name into @target;
 * those that are missing get their default. */
gboolean umedpt_config_read_group (const UmedptTrainConfig *config,
    const char *group, const char *name, gpointer target, GError **error);
/* Refuses groups and keys that nobody reads. */
gboolean umedpt_config_check_names (const UmedptTrainConfig *config,
    GError **error);
/* "'FILE', [GROUP] KEY: …" SETTINGS; returns FALSE. */
gboolean umedpt_config_fail (const UmedptTrainConfig *config, const char *group,
    const char *key, GError **error, const char *format, ...)
    G_GNUC_PRINTF (5, 6);
gboolean umedpt_config_has (const UmedptTrainConfig *config, const char *group,
    const char *key);
/* @path as the configuration means it. */
char *umedpt_config_resolve (const UmedptTrainConfig *config, const char *path);
/* The candidate that @word was probably meant to be, or NULL. */
const char *umedpt_config_suggest (const char *word,
    const char *const *candidates);

/* config-model.c */
gboolean umedpt_config_read_model (UmedptTrainConfig *config, GError **error);
/* config-task.c: the groups "task NAME", in their order in the file. */
gboolean umedpt_config_read_tasks (UmedptTrainConfig *config, GError **error);
void umedpt_train_task_free (UmedptTrainTask *task);

/* The parameters of a block that [model] freeze can name. */
const char *umedpt_config_block_prefix (const char *block);
/* The file as a run folder keeps it: relative paths begin where they began. */
char *umedpt_train_config_to_text (const UmedptTrainConfig *config);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (UmedptModelKeys, umedpt_model_keys_clear)

G_END_DECLS
