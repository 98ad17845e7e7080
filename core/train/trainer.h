/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The trainer: forward and backward task by task, each head stepped at once,
 * one step of the shared blocks per round (Schäfer et al. 2024, Methods). At
 * any time one task's batch is in memory, so the number of tasks costs none.
 *
 * A run lives in a folder:
 *   config.ini            what it was started with
 *   log.jsonl             what happened (below)
 *   checkpoint-latest/, checkpoint-best/   model.safetensors, state.safetensors
 *   model.safetensors     the result: the best model
 * and, from the program: events.out.tfevents.* and report.html
 * (output/run-report.h), pictures/<task>/<n>.png (output/draw.h)
 * Everything is written under a temporary name and renamed. A run that is
 * resumed continues with the same bits as one that was never stopped.
 *
 * Lines of log.jsonl, one JSON object each, by "type":
 *   start       version, time, command, config, seed, device, hardware (what
 *               the device is, in words), precision, threads, arch,
 *               n_parameters, n_rounds, processes (if several), resumed_from (round or
 *               null), tasks: [{name, kind, labels, n_train, n_val, batch,
 *               processes (if several share it)}]
 *   round       round, epoch, losses {task: total}, parts {task: {part: x}},
 *               lr, grad_norm, images_per_second, seconds, loader_wait (s),
 *               rss, activations (peak bytes)
 *   validation  round, epoch, score, best (boolean), seconds, tasks {name: {loss, n,
 *               labels [names of the confusion matrix's classes], metrics
 *               {name: x}, per_class {label: {name: x}}, confusion [[…]]}}
 *   checkpoint  round, path
 *   stop        reason ("finished", "early", "cancelled", "error"), message
 */
#pragma once

#include <gio/gio.h>

#include "net/model.h"
#include "train/config.h"

G_BEGIN_DECLS

#define UMEDPT_TYPE_TRAINER (umedpt_trainer_get_type ())
UMEDPT_API
G_DECLARE_FINAL_TYPE (UmedptTrainer, umedpt_trainer, UMEDPT, TRAINER, GObject)

/* One image with truth and prediction: what metrics are made of. Pixels of the
 * network's input size. */
typedef struct
{
  const char *task, *file;
  const char *group; /* (nullable) the case, which has the result */
  const UmedptTaskDescription *description;
  gint width, height;
  UmedptAugmentMap map; /* to the picture in the file */
  const gfloat *image; /* [height, width, 3] in 0 … 1 */
  const gfloat *probabilities; /* (nullable) [K] */
  gint label; /* classification: truth */
  const gfloat *labels; /* (nullable) multilabel: truth [K] */
  const gfloat *weights; /* (nullable) [K], 0: the truth is not known */
  gdouble value; /* regression: truth */
  const guint8 *mask, *mask_truth; /* (nullable) [height, width (, K)] */
  const GArray *boxes, *boxes_truth; /* (nullable) of UmedptBox; best first,
                                        of any score */
} UmedptPrediction;

/* What a program may want to know; any may be NULL. All are called from the
 * thread that trains. */
typedef struct
{
  /* a line of log.jsonl, without the line feed; already in the file */
  void (*event) (const char *type, const char *json, gpointer data);
  /* progress of the epoch, 0 … 1, and the seconds that are left (NaN) */
  void (*progress) (double fraction, double seconds_left, gpointer data);
  /* up to `n_pictures` images per task at each validation */
  void (*prediction) (const UmedptPrediction *prediction, gpointer data);
  gpointer data;
  guint n_pictures;
} UmedptTrainObserver;

/* A new run in @folder, which must not hold one. Takes @config. */
UMEDPT_API
UmedptTrainer *umedpt_trainer_new (UmedptTrainConfig *config,
    const char *folder, GError **error);
/* The run in @folder, as its latest checkpoint left it. */
UMEDPT_API
UmedptTrainer *umedpt_trainer_resume (const char *folder, GError **error);
UMEDPT_API
void umedpt_trainer_set_observer (UmedptTrainer *self,
    const UmedptTrainObserver *observer);
/* The command line, for the log. */
UMEDPT_API
void umedpt_trainer_set_command (UmedptTrainer *self,
    const char *const *command);
/* Trains to the end. When @cancellable is cancelled, finishes the round,
 * writes a checkpoint, and returns FALSE + CANCELLED. A loss that is not
 * finite is an error that names task, round and files. */
UMEDPT_API
gboolean umedpt_trainer_run (UmedptTrainer *self, GCancellable *cancellable,
    GError **error);
/* Which of the processes of a launcher this is; 0: the one that speaks. */
UMEDPT_API
guint umedpt_trainer_get_rank (void);
UMEDPT_API
UmedptModel *umedpt_trainer_get_model (UmedptTrainer *self);

/* Where a run is, for people who wait. Arrays have n_tasks entries and are
 * valid until the trainer goes on; NaN: not known. */
typedef struct
{
  guint64 round, n_rounds; /* shared steps done, and in all */
  guint64 epoch, n_epochs;
  double fraction; /* of the epoch */
  double seconds_left; /* to the end of the training */
  double images_per_second;
  gsize rss; /* bytes */
  guint n_tasks;
  const char *const *tasks;
  const double *losses; /* in the last round */
  const double *val_losses; /* in the last validation */
  double score; /* of it: the mean of the losses */
  gboolean best; /* none was better */
} UmedptTrainStatus;

UMEDPT_API
void umedpt_trainer_get_status (UmedptTrainer *self, UmedptTrainStatus *status);

/* Metrics of @task of @model on the given part of its data set, as JSON
 * (umedpt_metrics_to_json() with "loss"). */
UMEDPT_API
char *umedpt_evaluate (UmedptModel *model, UmedptTrainTask *task,
    UmedptSplit split, const char *device, UmedptPrecision precision,
    const UmedptTrainObserver *observer, GCancellable *cancellable,
    GError **error);
/* What umedpt_evaluate() returned as tables for people. */
UMEDPT_API
char *umedpt_evaluation_to_text (const char *json, GError **error);
/* The metric by which models of this kind of task are compared: name
 * (transfer full) and value, NaN where it is not defined. */
UMEDPT_API
gboolean umedpt_evaluation_get_main (const char *json, char **name,
    double *value, GError **error);

/* One image of a data set and its vector. FALSE with @error set ends it. */
typedef gboolean (*UmedptEmbedFunc) (UmedptDataset *dataset, guint index,
    const gfloat *vector, guint n, gpointer data, GError **error);
/* The vectors z of all images of @split, as @task brings them to size. The
 * model need not have the task. */
UMEDPT_API
gboolean umedpt_embed_dataset (UmedptModel *model, UmedptTrainTask *task,
    UmedptSplit split, const char *device, UmedptPrecision precision,
    UmedptEmbedFunc func, gpointer data, GCancellable *cancellable,
    GError **error);

G_END_DECLS
