/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Inside of the trainer: what a run consists of, and which part of it is
 * state, that is, must be in a checkpoint for the run to continue with the
 * same bits.
 */
#pragma once

#include "autograd/tape.h"
#include "net/model-private.h"
#include "train/log.h"
#include "train/loss.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/ranks.h"
#include "train/sampler.h"

G_BEGIN_DECLS

/* Names in a run's folder. */
#define UMEDPT_RUN_CONFIG "config.ini"
#define UMEDPT_RUN_LOG "log.jsonl"
#define UMEDPT_RUN_MODEL "model.safetensors"
#define UMEDPT_RUN_STATE "state.safetensors"
#define UMEDPT_RUN_LATEST "checkpoint-latest"
#define UMEDPT_RUN_BEST "checkpoint-best"

/* The state of a run besides tensors; loaders have two numbers each. */
typedef struct
{
  guint64 round; /* shared steps done */
  guint64 epoch; /* epochs done, validation included */
  guint64 pass; /* batches of this epoch done */
  gboolean has_best;
  double best; /* score of the best validation: a loss */
  guint64 best_round;
  guint bad; /* validations since then */
  UmedptScheduleState schedule;
} UmedptRunState;

typedef struct
{
  UmedptTrainTask *config; /* of the trainer's configuration */
  guint index; /* in the model's description */
  const UmedptTaskDescription *description; /* the model's */
  UmedptLoader *loader; /* of the training part */
  GArray *train, *val; /* of guint, indices into the data set */
  UmedptOptimizer *optimizer; /* of the head */
  guint n_owners; /* processes that run it, a part of each batch */
  gint part; /* of this one, -1: none */
  /* of a task with several owners, from its turn to the step of its head */
  gboolean pending;
  gboolean ran; /* something in this part counted */
  UmedptBatch *batch; /* (nullable) this part */
  UmedptLossNormalizers whole; /* of the whole batch */
} UmedptRunTask;

/* What one round did, for the log. */
typedef struct
{
  UmedptLoss *losses; /* [n_tasks], sums over its passes */
  guint *passes; /* [n_tasks] */
  guint64 images;
  double lr, grad_norm, seconds, loader_wait;
  gsize activations; /* bytes: the most that one pass added */
} UmedptRound;

struct _UmedptTrainer
{
  GObject parent_instance;

  UmedptTrainConfig *config;
  char *folder, *config_hash;
  char **command; /* (nullable) */
  UmedptTrainObserver observer;
  UmedptTrainLog *log; /* NULL on ranks that do not write */
  UmedptRanks *ranks; /* (nullable) NULL: this process is alone */
  gint64 resumed_from; /* round, -1: not resumed */

  UmedptContext *context;
  UmedptTape *tape;
  UmedptModel *model;
  UmedptOptimizer *shared;
  UmedptAverage *average; /* (nullable) */
  guint n_tasks;
  UmedptRunTask *tasks;
  UmedptSamplerPlan *plan;
  guint64 n_rounds; /* in all, as far as known */
  UmedptRound last; /* what the last round did */
  double validation_seconds; /* of the last one */
  double round_seconds; /* mean of the last rounds, for what is left */
  /* for umedpt_trainer_get_status(), [n_tasks] */
  const char **names;
  double *losses, *val_losses;
  double score;
  gboolean best;

  UmedptRunState state;
};

/* device.c */
UmedptContext *umedpt_train_context_new (const char *device,
    UmedptPrecision precision, GError **error);
/* Moves @model to where @context computes. */
gboolean umedpt_train_place (UmedptModel *model, UmedptContext *context,
    GError **error);
gsize umedpt_train_get_rss (void);
/* Rows @first … @first + @n of @tensor, sharing its memory. */
UmedptTensor *umedpt_train_rows (UmedptTensor *tensor, guint first, guint n,
    GError **error);

/* setup.c: model, loaders, optimisers of the configuration. @checkpoint:
 * (nullable) folder whose model is continued. */
gboolean umedpt_trainer_set_up (UmedptTrainer *self, const char *checkpoint,
    GError **error);

/* round.c: one shared step. */
gboolean umedpt_trainer_round (UmedptTrainer *self, GError **error);
guint umedpt_trainer_get_round_tasks (UmedptTrainer *self);

/* validate.c: loss, metrics and (with an observer) pictures of one task. */
typedef struct
{
  UmedptMetrics *metrics;
  double loss; /* mean over images; NaN: nothing counted */
  char *json; /* (nullable) with several ranks, on all: as for the log */
} UmedptValidation;

gboolean umedpt_validate (UmedptModel *model, guint task,
    UmedptContext *context, UmedptTrainTask *config, const GArray *indices,
    const UmedptTrainObserver *observer, GCancellable *cancellable,
    UmedptValidation *validation, GError **error);
void umedpt_validation_clear (UmedptValidation *self);
/* umedpt_metrics_to_json() with "loss", and the names of its classes. */
char *umedpt_validation_to_json (const UmedptValidation *self,
    const UmedptTaskDescription *task);
void umedpt_log_labels (GString *json, const UmedptTaskDescription *task);

/* shares.c: who runs what. One process owns all tasks. */
gboolean umedpt_trainer_distribute (UmedptTrainer *self, GError **error);
/* The first owner, which validates it and tells the others. */
guint umedpt_trainer_get_owner (UmedptTrainer *self, guint task);
/* Whether that is this process; whether this is one of the owners. */
gboolean umedpt_trainer_leads (UmedptTrainer *self, guint task);
gboolean umedpt_trainer_owns (UmedptTrainer *self, guint task);
gboolean umedpt_trainer_is_shared (UmedptTrainer *self, guint task);
/* The pass, @end at the latest, before which shared heads must have stepped. */
guint64 umedpt_trainer_find_meeting (UmedptTrainer *self, guint64 end);
/* Parts of the batches of shared tasks up to pass @end; then what divides the
 * loss of the whole ones, from all. */
gboolean umedpt_trainer_load_shared (UmedptTrainer *self, guint64 end,
    GError **error);
gboolean umedpt_trainer_tell_shared (UmedptTrainer *self, GError **error);
/* Fails on all ranks or on none. */
gboolean umedpt_trainer_step_shared_heads (UmedptTrainer *self, double factor,
    GError **error);

/* round-ranks.c: several processes. With one, the telling functions do
 * nothing. */
gboolean umedpt_trainer_join (UmedptTrainer *self, GError **error);
/* The owners' numbers to all. */
gboolean umedpt_trainer_tell_round (UmedptTrainer *self, GError **error);
gboolean umedpt_trainer_tell_validation (UmedptTrainer *self, guint task,
    UmedptValidation *validation, GError **error);
/* Heads, their optimisers and the places of the loaders to all. */
gboolean umedpt_trainer_share_heads (UmedptTrainer *self, GError **error);

/* checkpoint.c */
gboolean umedpt_checkpoint_save (UmedptTrainer *self, const char *name,
    GError **error);
/* (nullable) the folder of the latest whole checkpoint of a run. */
char *umedpt_checkpoint_find (const char *run);
gboolean umedpt_checkpoint_load (UmedptTrainer *self, const char *checkpoint,
    gint64 *log_size, GError **error);
/* Copies a file atomically. */
gboolean umedpt_checkpoint_copy (const char *from, const char *to,
    GError **error);

/* events.c: lines of the log. */
gboolean umedpt_trainer_log_start (UmedptTrainer *self, GError **error);
gboolean umedpt_trainer_log_round (UmedptTrainer *self, GError **error);
gboolean umedpt_trainer_log_validation (UmedptTrainer *self,
    const UmedptValidation *validations, double score, gboolean best,
    GError **error);
gboolean umedpt_trainer_log_checkpoint (UmedptTrainer *self, const char *name,
    GError **error);
void umedpt_trainer_log_stop (UmedptTrainer *self, const char *reason,
    const char *message);

G_END_DECLS
