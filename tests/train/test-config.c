/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Configurations: values and defaults arrive where they belong, every mistake
 * is refused with file, group, key, value and what is allowed, and the words
 * of the table are those of the functions that use them.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "train/config-private.h"

#define MODEL "[model]\narch=swinv2-nano\n"
#define TASK "[task a]\nkind=classification\nformat=imagefolder\npath=images\n"

static UmedptTrainConfig *
parse (const char *text, GError **error)
{
  g_autoptr (GKeyFile) keys = g_key_file_new ();

  g_assert_true (g_key_file_load_from_data (keys, text, -1, 0, error));
  return umedpt_train_config_new_from_keys (keys, "run.ini", "/data", error);
}

static void
test_defaults (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTrainConfig) config = parse (MODEL TASK, &error);
  const UmedptTrainTask *task;

  g_assert_no_error (error);
  g_assert_cmpstr (config->folder, ==, "/data");
  g_assert_cmpstr (config->description->arch, ==, "swinv2-nano");
  g_assert_cmpuint (config->seed, ==, 1);
  g_assert_cmpint (config->sampler, ==, UMEDPT_SAMPLER_CYCLIC);
  g_assert_cmpfloat (config->optimizer.lr, ==, 1e-4);
  g_assert_cmpfloat (config->optimizer.clip, ==, 1);
  g_assert_cmpuint (config->tasks->len, ==, 1);
  task = g_ptr_array_index (config->tasks, 0);
  g_assert_cmpstr (task->name, ==, "a");
  g_assert_cmpint (task->train.augment.width, ==, 256);
  g_assert_cmpuint (task->train.batch, ==, 8);
  g_assert_cmpuint (task->val.batch, ==, 8);
  g_assert_true (task->train.shuffle && !task->val.shuffle);
  g_assert_true (task->train.augment.random && !task->val.augment.random);
}

static void
test_values (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTrainConfig) config =
      parse ("[model]\narch=own\nembed-dim=16\ndepths=1;1;2;1\nheads=1;2;2;4\n"
             "window=4\nfreeze=encoder;squeezer\nsize=96x64\n"
             "[train]\nseed=7\nrounds=12\nsampler=balanced\naverage=0.99\n"
             "folder=sub\nprecision=bf16\n"
             "[optimizer]\nkind=sgd\nlr=0.5\n"
             "[schedule]\nkind=plateau\npatience=2\nheads=false\n"
             "[task a]\nkind=classification\nformat=csv\npath=x\ngrouped=true\n"
             "max-group=5\nbatch=3\nval-batch=1\naugment=weak\nfocal-gamma=2\n"
             "[task b-2]\nkind=regression\nformat=csv\npath=y\nrange=-5;5\n"
             "size=128x32\nfit=crop\nscale=0.5\nfraction=0.25\n",
          &error);
  const UmedptTrainTask *a, *b;

  g_assert_no_error (error);
  g_assert_cmpint (config->description->embed_dim, ==, 16);
  g_assert_cmpint (config->description->depths[2], ==, 2);
  g_assert_cmpint (config->description->window, ==, 4);
  g_assert_cmpint (config->description->grouper, ==, UMEDPT_GROUPER_WEIGHTED);
  g_assert_cmpstr (config->frozen[1], ==, "squeezer");
  g_assert_cmpstr (config->folder, ==, "/data/sub");
  g_assert_cmpint (config->sampler, ==, UMEDPT_SAMPLER_BALANCED);
  g_assert_cmpint (config->precision, ==, UMEDPT_PRECISION_BF16);
  g_assert_cmpint (config->optimizer.kind, ==, UMEDPT_OPTIMIZER_SGD);
  g_assert_cmpint (config->schedule.kind, ==, UMEDPT_SCHEDULE_PLATEAU);
  g_assert_false (config->schedule.heads);
  a = g_ptr_array_index (config->tasks, 0);
  g_assert_true (a->train.grouped && a->train.max_group == 5);
  g_assert_cmpuint (a->val.batch, ==, 1);
  g_assert_cmpint (a->train.augment.width, ==, 96);
  g_assert_cmpint (a->train.augment.height, ==, 64);
  g_assert_cmpint (a->train.augment.augmentation, ==, UMEDPT_AUGMENT_WEAK);
  g_assert_cmpint (a->val.augment.augmentation, ==, UMEDPT_AUGMENT_NONE);
  b = g_ptr_array_index (config->tasks, 1);
  g_assert_cmpstr (b->name, ==, "b-2");
  g_assert_cmpfloat (b->range_min, ==, -5);
  g_assert_cmpfloat (b->range_max, ==, 5);
  g_assert_cmpint (b->train.augment.width, ==, 128);
  g_assert_cmpint (b->train.augment.height, ==, 32);
  g_assert_cmpint (b->val.augment.fit, ==, UMEDPT_FIT_CROP);
  g_assert_cmpfloat (b->fraction, ==, 0.25);
}

/* What is wrong, and two things that the message must say. */
static const struct
{
  const char *text, *where, *what;
} wrong[] = {
  { TASK, "[model] arch", "it is missing" },
  { MODEL, "'run.ini'", "has no task" },
  { "[model]\narch=swin\n" TASK, "[model] arch", "swinv2-tiny" },
  { MODEL "[trian]\nseed=1\n" TASK, "[trian]", "Did you mean 'train'?" },
  { MODEL "[train]\nepoch=3\n" TASK, "[train] epoch",
      "Did you mean 'epochs'?" },
  { MODEL "[train]\nxyzzy=3\n" TASK, "[train] xyzzy", "there are seed" },
  { MODEL "[train]\nepochs=0\n" TASK, "[train] epochs",
      "found '0'; expected a whole number from 1" },
  { MODEL "[train]\nepochs=three\n" TASK, "[train] epochs", "found 'three'" },
  { MODEL "[train]\nepochs=3.5\n" TASK, "[train] epochs", "found '3.5'" },
  { MODEL "[train]\nepochs=-1\n" TASK, "[train] epochs", "found '-1'" },
  { MODEL "[train]\nepochs=\n" TASK, "[train] epochs", "found ''" },
  { MODEL "[train]\nepochs=99999999999999999999\n" TASK, "[train] epochs",
      "whole number" },
  { MODEL "[train]\nsampler=cyclical\n" TASK, "[train] sampler",
      "Did you mean 'cyclic'?" },
  { MODEL "[train]\naverage=1\n" TASK, "[train] average", "found '1'" },
  { MODEL "[train]\ncheckpoint-activations=yes\n" TASK,
      "[train] checkpoint-activations", "true or false" },
  { MODEL "[optimizer]\nlr=nan\n" TASK, "[optimizer] lr", "found 'nan'" },
  { MODEL "[optimizer]\nlr=1e-4x\n" TASK, "[optimizer] lr", "found '1e-4x'" },
  { MODEL "[optimizer]\nlr=0,1\n" TASK, "[optimizer] lr", "found '0,1'" },
  { MODEL "[schedule]\nkind=cosin\n" TASK, "[schedule] kind",
      "Did you mean 'cosine'?" },
  { MODEL "freeze=encoder;head\n" TASK, "[model] freeze",
      "any of encoder, squeezer" },
  { MODEL "size=16\n" TASK, "[model] size", "found '16'" },
  { MODEL "size=64x\n" TASK, "[model] size", "as 256 or 320x256" },
  { MODEL "embed-dim=8\n" TASK, "[model] embed-dim", "are known" },
  { "[model]\narch=own\nembed-dim=8\n" TASK, "[model] embed-dim",
      "depths and heads" },
  { "[model]\narch=own\nembed-dim=9\ndepths=1;1;1;1\nheads=2;2;2;2\n" TASK,
      "[model]", "not a multiple of its 2 heads" },
  { MODEL "detection-channels=100\n" TASK, "[model] detection-channels",
      "a multiple of 32" },
  { MODEL "detection-channels=4096\n" TASK, "[model] detection-channels",
      "from 32 to 2048" },
  { MODEL "pixel-channels=4096\n" TASK, "[model] pixel-channels",
      "from 1 to 1024" },
  { MODEL "[train]\nvalidate-every=0\npatience=3\n" TASK, "[train] patience",
      "no validations" },
  { MODEL "[train]\nvalidate-every=0\n[schedule]\nkind=plateau\n" TASK,
      "[schedule] kind", "no validations" },
  { MODEL "start=x\n" TASK, "[model] arch", "says this already" },
  { "[model]\nstart=nothing-here\n" TASK, "[model] start", "nothing-here" },
  { MODEL "[task a]\nformat=csv\npath=x\n", "[task a] kind", "missing" },
  { MODEL "[task a]\nkind=detection\npath=x\n", "[task a] format", "missing" },
  { MODEL "[task a]\nkind=detection\nformat=coco\n", "[task a] path",
      "missing" },
  { MODEL "[task a.b]\nkind=detection\nformat=coco\npath=x\n", "[task a.b]",
      "letters, digits" },
  { MODEL "[task ]\nkind=detection\nformat=coco\npath=x\n", "[task ]",
      "letters, digits" },
  { MODEL "[task a]\nkind=detect\nformat=coco\npath=x\n", "[task a] kind",
      "segmentation" },
  { MODEL "[task a]\nkind=detection\nformat=coco\npath=x\nbalanced=true\n",
      "[task a] balanced", "classification" },
  { MODEL TASK "range=0;1\n", "[task a] range", "regression" },
  { MODEL TASK "max-group=3\n", "[task a] max-group", "not grouped" },
  { MODEL TASK "batch=0\n", "[task a] batch", "found '0'" },
  { MODEL TASK "bach=4\n", "[task a] bach", "Did you mean 'batch'?" },
  { MODEL TASK "augment=histolgy\n", "[task a] augment",
      "Did you mean 'histology'?" },
  { MODEL "[task a]\nkind=regression\nformat=csv\npath=x\nrange=1;1\n",
      "[task a] range", "the smaller first" },
};

static void
test_mistakes (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;
    UmedptTrainConfig *config = parse (wrong[i].text, &error);

    g_test_message ("%s", wrong[i].text);
    g_assert_null (config);
    g_assert_nonnull (error);
    g_assert_true (error->domain == UMEDPT_ERROR);
    g_test_message ("%s", error->message);
    g_assert_nonnull (strstr (error->message, "'run.ini'"));
    g_assert_nonnull (strstr (error->message, wrong[i].where));
    g_assert_nonnull (strstr (error->message, wrong[i].what));
  }
}

static void
test_files (void)
{
  g_autoptr (GError) missing = NULL;
  g_autoptr (GError) broken = NULL;
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("umedpt-XXXXXX.ini", &path, NULL);

  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  g_assert_null (umedpt_train_config_new_from_file ("/no/such.ini", &missing));
  g_assert_error (missing, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
  g_assert_true (g_file_set_contents (path, "epochs=3\n", -1, NULL));
  g_assert_null (umedpt_train_config_new_from_file (path, &broken));
  g_assert_error (broken, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_unlink (path);
}

/* A run's copy means the same wherever it lies. */
static void
test_copy (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTrainConfig) config =
      parse ("# why\n" MODEL "[train]\nfolder=sub\n" TASK, &error);
  g_autofree char *text = umedpt_train_config_to_text (config);
  g_autoptr (UmedptTrainConfig) copy = parse (text, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (copy->folder, ==, "/data/sub");
  g_assert_cmpuint (copy->tasks->len, ==, 1);
}

/* The table's words are those of the code that uses them. */
static void
test_words (void)
{
  gsize n;
  const UmedptConfigKey *keys = umedpt_config_list_keys (&n);

  for (gsize i = 0; i < n; i++)
    for (guint k = 0; keys[i].choices && keys[i].choices[k]; k++) {
      const char *word = keys[i].choices[k], *key = keys[i].key;

      if (strcmp (key, "augment") == 0)
        g_assert_cmpstr (word, ==, umedpt_augmentation_get_name (k));
      else if (strcmp (key, "fit") == 0)
        g_assert_cmpstr (word, ==, umedpt_fit_get_name (k));
      else if (strcmp (key, "norm") == 0)
        g_assert_cmpstr (word, ==, umedpt_norm_policy_get_name (k));
      else if (strcmp (key, "pool-order") == 0)
        g_assert_cmpstr (word, ==, umedpt_pool_order_get_name (k));
      else if (strcmp (key, "grouper") == 0)
        g_assert_cmpstr (word, ==, umedpt_grouper_get_name (k));
      else if (strcmp (key, "freeze") == 0)
        g_assert_nonnull (umedpt_config_block_prefix (word));
      else if (strcmp (keys[i].group, "task") == 0 && strcmp (key, "kind") == 0)
        g_assert_cmpstr (word, ==, umedpt_task_kind_get_name (k));
    }
}

static void
test_description (void)
{
  g_autofree char *text = umedpt_train_config_describe_keys ();
  gsize n;
  const UmedptConfigKey *keys = umedpt_config_list_keys (&n);
  const UmedptDatasetKey *data = umedpt_dataset_list_keys ();

  for (gsize i = 0; i < n; i++)
    g_assert_nonnull (strstr (text, keys[i].key));
  /* no key of a data set hides one of a task */
  for (; data->key; data++)
    for (gsize i = 0; i < n; i++)
      g_assert_false (strcmp (keys[i].group, "task") == 0 &&
          strcmp (keys[i].key, data->key) == 0);
}

/* The examples that ship are right. */
static void
test_examples (gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (data, 0, NULL);
  const char *name;
  guint n = 0;

  g_assert_nonnull (dir);
  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (data, name, NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptTrainConfig) config = NULL;

    if (!g_str_has_suffix (name, ".ini"))
      continue;
    config = umedpt_train_config_new_from_file (path, &error);
    g_assert_no_error (error);
    g_assert_nonnull (config);
    n++;
  }
  g_assert_cmpuint (n, >=, 2);
}

/* Usage: test-config [FOLDER-OF-EXAMPLES] */
int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config/defaults", test_defaults);
  g_test_add_func ("/config/values", test_values);
  g_test_add_func ("/config/mistakes", test_mistakes);
  g_test_add_func ("/config/files", test_files);
  g_test_add_func ("/config/copy", test_copy);
  g_test_add_func ("/config/words", test_words);
  g_test_add_func ("/config/description", test_description);
  if (argc > 1)
    g_test_add_data_func ("/config/examples", argv[1], test_examples);
  return g_test_run ();
}
