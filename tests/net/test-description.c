/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The description of a model: the table of architectures, the round trip
 * through JSON, and one malformed text for each rule, with the message that
 * it must give.
 */
#include "net/description.h"

#include <string.h>

#include "base/error.h"

/* Text that is valid but for what @from -> @to changes in it. */
static char *
edit (const char *from, const char *to)
{
  g_autoptr (UmedptDescription) self =
      umedpt_description_new ("swinv2-tiny", NULL);
  g_autofree char *json = umedpt_description_to_json (self);
  g_autoptr (GString) text = g_string_new (json);

  g_assert_cmpuint (g_string_replace (text, from, to, 1), ==, 1);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
test_archs (void)
{
  static const struct
  {
    const char *name;
    gint embedding, window, depth, last_heads;
  } expected[] = {
    { "swinv2-nano", 256, 8, 6, 8 },
    { "swinv2-tiny", 768, 8, 6, 24 },
    { "swinv2-small", 768, 8, 18, 24 },
    { "swinv2-base", 1024, 8, 18, 32 },
    { "swinv2-large", 1536, 16, 18, 48 },
  };
  const char *const *names = umedpt_description_list_archs ();

  g_assert_cmpuint (g_strv_length ((char **) names), ==,
      G_N_ELEMENTS (expected));
  for (gsize i = 0; i < G_N_ELEMENTS (expected); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptDescription) self =
        umedpt_description_new (names[i], &error);

    g_assert_no_error (error);
    g_assert_cmpstr (self->arch, ==, expected[i].name);
    g_assert_cmpint (umedpt_description_get_embedding_size (self), ==,
        expected[i].embedding);
    g_assert_cmpint (self->window, ==, expected[i].window);
    g_assert_cmpint (self->depths[2], ==, expected[i].depth);
    g_assert_cmpint (self->heads[3], ==, expected[i].last_heads);
    for (gint stage = 0; stage < 4; stage++) /* all have heads of 32 */
      g_assert_cmpint ((self->embed_dim << stage) / self->heads[stage], ==, 32);
    g_assert_cmpint (self->patch, ==, 4);
    g_assert_cmpfloat (self->mlp_ratio, ==, 4);
    g_assert_cmpint (self->encoder_norm, ==, UMEDPT_NORM_AFFINE);
    g_assert_cmpint (self->pool_order, ==, UMEDPT_POOL_BEFORE);
    g_assert_true (self->squeeze_dense);
    g_assert_cmpint (self->input_width, ==, 256);
    g_assert_cmpfloat (self->mpp, ==, 0);
  }
}

static void
test_unknown_arch (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_description_new ("swin-tiny", &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message, "'swin-tiny'"));
  g_assert_nonnull (strstr (error->message, "swinv2-nano, swinv2-tiny"));
}

/* Every field away from its default. */
static UmedptDescription *
make_full (void)
{
  UmedptDescription *self = umedpt_description_new ("swinv2-base", NULL);
  UmedptTaskDescription *task;
  guint32 colors[] = { 0xff8000, 0x000001 };
  const char *labels[] = { "tumour \"T\"", "Gewebe ü", NULL };

  g_free (self->arch);
  self->arch = g_strdup ("my-own");
  self->window = 7;
  self->stochastic_depth = 0.2;
  self->mlp_ratio = 2.5;
  self->encoder_norm = UMEDPT_NORM_INSTANCE;
  self->squeezer_norm = UMEDPT_NORM_NONE;
  self->pool_order = UMEDPT_POOL_AFTER;
  self->squeeze_dense = FALSE;
  g_free (self->pooling);
  self->pooling = g_strdup ("combined");
  self->squeezer_channels = 512;
  self->input_width = 320;
  self->input_height = 224;
  self->mpp = 1 / 3.0;
  self->training = g_strdup ("{\"steps\": [1, {\"a\": null}]}");
  self->source = g_strdup ("a\tsource\x7f");
  self->pixel_channels = 24;
  self->pixel_hidden = 48;
  self->decoder_norm = UMEDPT_NORM_PLAIN;
  self->detection_channels = 64;
  self->grouper = UMEDPT_GROUPER_GATED;
  task = umedpt_description_add_task (self, "tissue",
      UMEDPT_TASK_MULTILABEL_SEGMENTATION, labels, NULL);
  task->colors = g_memdup2 (colors, sizeof colors);
  task->threshold = 0.1;
  task->input_width = 96;
  task->input_height = 64;
  task->mpp = 0.25;
  task = umedpt_description_add_task (self, "Age_2-b", UMEDPT_TASK_REGRESSION,
      NULL, NULL);
  task->range_min = -1.5;
  task->range_max = 120;
  task->grouped = TRUE;
  umedpt_description_add_task (self, "cells", UMEDPT_TASK_DETECTION, labels,
      NULL);
  return self;
}

static void
test_round_trip (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptDescription) self = make_full ();
  g_autofree char *json = umedpt_description_to_json (self);
  g_autoptr (UmedptDescription) read =
      umedpt_description_new_from_json (json, -1, &error);
  g_autoptr (UmedptDescription) copy = NULL;
  g_autofree char *again = NULL;
  g_autofree char *copied = NULL;
  const UmedptTaskDescription *task;

  g_assert_no_error (error);
  again = umedpt_description_to_json (read);
  g_assert_cmpstr (again, ==, json);
  g_assert_cmpfloat (read->mpp, ==, 1 / 3.0); /* all bits */
  g_assert_nonnull (strstr (json, "\"stochastic_depth\":0.2,"));
  g_assert_cmpint (read->pool_order, ==, UMEDPT_POOL_AFTER);
  g_assert_cmpint (read->squeezer_norm, ==, UMEDPT_NORM_NONE);
  g_assert_cmpint (umedpt_description_get_embedding_size (read), ==, 512);
  g_assert_true (read->pixel_decoder);
  g_assert_cmpint (read->pixel_channels, ==, 24);
  g_assert_cmpint (read->pixel_hidden, ==, 48);
  g_assert_cmpint (read->decoder_norm, ==, UMEDPT_NORM_PLAIN);
  g_assert_true (read->detection_decoder);
  g_assert_cmpint (read->detection_channels, ==, 64);
  g_assert_cmpint (read->grouper, ==, UMEDPT_GROUPER_GATED);
  g_assert_cmpuint (read->tasks->len, ==, 3);
  task = g_ptr_array_index (read->tasks, 0);
  g_assert_cmpint (task->kind, ==, UMEDPT_TASK_MULTILABEL_SEGMENTATION);
  g_assert_cmpstr (task->labels[1], ==, "Gewebe ü");
  g_assert_cmphex (task->colors[0], ==, 0xff8000);
  g_assert_cmpint (task->input_width, ==, 96);
  g_assert_cmpint (task->input_height, ==, 64);
  g_assert_cmpfloat (task->mpp, ==, 0.25);
  g_assert_false (task->grouped);
  task = g_ptr_array_index (read->tasks, 1);
  g_assert_cmpfloat (task->range_min, ==, -1.5);
  g_assert_cmpfloat (task->range_max, ==, 120);
  g_assert_true (task->grouped);

  copy = umedpt_description_copy (read);
  g_clear_pointer (&read, umedpt_description_free);
  copied = umedpt_description_to_json (copy);
  g_assert_cmpstr (copied, ==, json);
}

/* Keys that may be missing, in any order, with blanks; a length given. */
static void
test_lenient (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *no_tasks = edit (",\"tasks\":[]", " \n ");
  g_autofree char *longer = g_strconcat (no_tasks, "rubbish", NULL);
  g_autoptr (UmedptDescription) a =
      umedpt_description_new_from_json (no_tasks, -1, &error);
  g_autoptr (UmedptDescription) b = NULL;

  g_assert_no_error (error);
  g_assert_cmpuint (a->tasks->len, ==, 0);
  g_assert_null (a->source);
  b = umedpt_description_new_from_json (longer, strlen (no_tasks), &error);
  g_assert_no_error (error);
}

/* The text of a description without the newer blocks is what the first
 * version wrote, so that the hashes of its files stay valid. */
static void
test_old_text (void)
{
  g_autoptr (UmedptDescription) self =
      umedpt_description_new ("swinv2-nano", NULL);
  g_autofree char *json = NULL;

  umedpt_description_add_task (self, "a", UMEDPT_TASK_CLASSIFICATION, NULL,
      NULL);
  json = umedpt_description_to_json (self);
  g_assert_cmpstr (json, ==,
      "{\"format\":1,\"arch\":\"swinv2-nano\",\"embed_dim\":32,"
      "\"depths\":[2,2,6,2],\"heads\":[1,2,4,8],\"window\":8,\"patch\":4,"
      "\"mlp_ratio\":4,\"stochastic_depth\":0.1,"
      "\"encoder_norm\":\"affinelayernorm\","
      "\"squeezer_norm\":\"affinelayernorm\",\"pool_order\":\"before\","
      "\"squeeze_dense\":true,\"pooling\":\"average\","
      "\"squeezer_channels\":0,\"input_width\":256,\"input_height\":256,"
      "\"mpp\":0,\"tasks\":[{\"name\":\"a\",\"kind\":\"classification\","
      "\"threshold\":0.5}]}");
}

/* A block that is there states its sizes; one that is not, nothing. */
static void
test_blocks (void)
{
  g_autoptr (UmedptDescription) self =
      umedpt_description_new ("swinv2-nano", NULL);
  g_autofree char *json = NULL;

  umedpt_description_add_task (self, "a", UMEDPT_TASK_SEGMENTATION, NULL, NULL);
  json = umedpt_description_to_json (self);
  g_assert_nonnull (strstr (json,
      "\"pixel_decoder\":true,\"pixel_channels\":16,\"pixel_hidden\":96,"
      "\"decoder_norm\":\"affinelayernorm\",\"tasks\""));
}

static void
test_add_task (void)
{
  const char *const twice[] = { "x", "x", NULL };
  const char *const two[] = { "x", "y", NULL };
  const char *const names[] = { "", "a b", "a/b", "ä", "a.b" };
  g_autoptr (UmedptDescription) self =
      umedpt_description_new ("swinv2-nano", NULL);
  g_autoptr (GError) error = NULL;
  UmedptTaskDescription *task;

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_assert_null (umedpt_description_add_task (self, names[i],
        UMEDPT_TASK_DETECTION, NULL, &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
    g_clear_error (&error);
  }
  g_assert_null (umedpt_description_add_task (self, "a",
      UMEDPT_TASK_CLASSIFICATION, twice, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_clear_error (&error);
  g_assert_cmpuint (self->tasks->len, ==, 0);
  g_assert_false (self->detection_decoder);

  task = umedpt_description_add_task (self, "a", UMEDPT_TASK_DETECTION, two,
      &error);
  g_assert_no_error (error);
  g_assert_true (self->detection_decoder);
  g_assert_false (self->pixel_decoder);
  g_assert_cmpfloat (task->threshold, ==, 0.5);
  g_assert_cmpfloat (task->range_max, ==, 1);
  g_assert_cmpint (umedpt_task_description_get_n_outputs (task), ==, 2);
  task = umedpt_description_add_task (self, "b",
      UMEDPT_TASK_MULTILABEL_SEGMENTATION, NULL, &error);
  g_assert_true (self->pixel_decoder);
  g_assert_cmpint (umedpt_task_description_get_n_outputs (task), ==, 1);
  g_assert_cmpint (umedpt_description_find_task (self, "b"), ==, 1);
  g_assert_cmpint (umedpt_description_find_task (self, "c"), ==, -1);
  g_assert_null (umedpt_description_add_task (self, "b",
      UMEDPT_TASK_CLASSIFICATION, NULL, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message, "has a task 'b' already"));
}

static void
test_words (void)
{
  g_autoptr (GError) error = NULL;
  UmedptTaskKind kind;
  UmedptGrouper grouper;

  for (guint i = 0; i < UMEDPT_N_TASK_KINDS; i++) {
    g_assert_true (umedpt_task_kind_parse (umedpt_task_kind_get_name (i), &kind,
        &error));
    g_assert_cmpuint (kind, ==, i);
  }
  for (guint i = 0; i <= UMEDPT_GROUPER_GATED; i++) {
    g_assert_true (umedpt_grouper_parse (umedpt_grouper_get_name (i), &grouper,
        &error));
    g_assert_cmpuint (grouper, ==, i);
  }
  g_assert_false (umedpt_task_kind_parse ("x", &kind, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message, "classification, multilabel,"));
  g_clear_error (&error);
  g_assert_false (umedpt_grouper_parse ("x", &grouper, &error));
  g_assert_nonnull (strstr (error->message,
      "none, weighted, attention, gated"));
}

typedef struct
{
  const char *name, *from, *to, *message;
} Malformed;

#define TASKS(text) "\"tasks\":[]", "\"tasks\":[" text "]"

// clang-format off
static const Malformed malformed[] = {
  { "no-object", "{", "[", "expected an object" },
  { "cut-off", "\"tasks\":[]}", "\"tasks\":[", "found the end" },
  { "text-after", "\"tasks\":[]}", "\"tasks\":[]} {}", "the end of the text" },
  { "no-format", "\"format\":1,", "", "'format' is missing" },
  { "later-format", "\"format\":1", "\"format\":2", "format is 2, and this version reads format 1" },
  { "later-format-first", "\"format\":1", "\"new\":{},\"format\":2", "format is 2" },
  { "format-twice", "\"format\":1", "\"format\":1,\"format\":1", "'format' is given twice" },
  { "format-text", "\"format\":1", "\"format\":\"1\"", "an integer from 1" },
  { "unknown-key", "\"window\"", "\"windows\"", "'windows' is unknown" },
  { "missing-key", "\"window\":8,", "", "'window' is missing" },
  { "key-twice", "\"window\":8", "\"window\":8,\"window\":8", "'window' is given twice" },
  { "arch-empty", "\"swinv2-tiny\"", "\"\"", "'arch': found an empty string" },
  { "arch-number", "\"swinv2-tiny\"", "1", "'arch': at byte" },
  { "arch-lies", "\"embed_dim\":96", "\"embed_dim\":192", "'arch' is 'swinv2-tiny', but" },
  { "embed-zero", "\"embed_dim\":96", "\"embed_dim\":0", "'embed_dim': at byte" },
  { "embed-huge", "\"embed_dim\":96", "\"embed_dim\":1000000", "from 1 to 1024" },
  { "embed-wraps", "\"embed_dim\":96", "\"embed_dim\":4294967392", "from 1 to 1024" },
  { "depths-three", "[2,2,6,2]", "[2,2,6]", "'depths': expected four" },
  { "depths-five", "[2,2,6,2]", "[2,2,6,2,2]", "'depths': expected four" },
  { "depths-zero", "[2,2,6,2]", "[2,2,0,2]", "from 1 to 64" },
  { "heads-odd", "[3,6,12,24]", "[3,6,13,24]", "stage 3 has 384 channels, not a multiple of its 13 heads" },
  { "window-float", "\"window\":8", "\"window\":8.0", "'window': at byte" },
  { "window-large", "\"window\":8", "\"window\":64", "window 64 with 3 heads needs too much memory" },
  { "biases-large", "[2,2,6,2],\"heads\":[3,6,12,24],\"window\":8", "[64,64,64,64],\"heads\":[3,6,12,24],\"window\":24", "window 24 in blocks with 2880 heads in all needs too much memory" },
  { "ratio-zero", "\"mlp_ratio\":4", "\"mlp_ratio\":0", "a number from 0.125 to 16" },
  { "ratio-odd", "\"mlp_ratio\":4", "\"mlp_ratio\":1.01", "is no whole number" },
  { "ratio-nan", "\"mlp_ratio\":4", "\"mlp_ratio\":NaN", "found 'NaN" },
  { "ratio-overflow", "\"mlp_ratio\":4", "\"mlp_ratio\":1e999", "from 0.125 to 16" },
  { "depth-rate", "\"stochastic_depth\":0.2", "\"stochastic_depth\":1", "from 0 to 0.99" },
  { "norm", "\"encoder_norm\":\"affinelayernorm\"", "\"encoder_norm\":\"keepnorm\"", "'encoder_norm': found 'keepnorm'; expected one of 'affinelayernorm'" },
  { "pool-order", "\"before\"", "\"during\"", "expected one of 'before', 'after'" },
  { "dense", "\"squeeze_dense\":true", "\"squeeze_dense\":1", "expected true or false" },
  { "pooling", "\"average\"", "\"attention\"", "expected one of 'average', 'max', 'combined'" },
  { "squeezer", "\"squeezer_channels\":0", "\"squeezer_channels\":-1", "from 0 to 65536" },
  { "input-huge", "\"input_width\":256", "\"input_width\":2147483647", "from 32 to 4096" },
  { "mpp-negative", "\"mpp\":0", "\"mpp\":-0.5", "from 0 to 1000" },
  { "training-text", "\"mpp\":0", "\"mpp\":0,\"training\":\"x\"", "'training': at byte" },
  { "training-broken", "\"mpp\":0", "\"mpp\":0,\"training\":{\"a\":tru}", "true or false" },
  { "task-no-object", TASKS ("1"), "'tasks': task 1: at byte" },
  { "task-no-name", TASKS ("{\"kind\":\"detection\"}"), "task 1: the key 'name' is missing" },
  { "task-no-kind", TASKS ("{\"name\":\"a\"}"), "the key 'kind' is missing" },
  { "task-empty-name", TASKS ("{\"name\":\"\",\"kind\":\"detection\"}"), "its name is empty" },
  { "task-kind", TASKS ("{\"name\":\"a\",\"kind\":\"x\"}"), "'kind': found 'x'; expected one of 'classification'" },
  { "task-key", TASKS ("{\"nam\":\"a\"}"), "found 'nam'; expected one of 'name'" },
  { "task-key-twice", TASKS ("{\"name\":\"a\",\"name\":\"a\"}"), "'name' is given twice" },
  { "task-twice", TASKS ("{\"name\":\"a\",\"kind\":\"multilabel\"},{\"name\":\"a\",\"kind\":\"multilabel\"}"), "two tasks are called 'a'" },
  { "task-labels", TASKS ("{\"name\":\"a\",\"kind\":\"detection\",\"labels\":[1]}"), "'labels': at byte" },
  { "task-color", TASKS ("{\"name\":\"a\",\"kind\":\"detection\",\"labels\":[\"x\"],\"colors\":[\"red\"]}"), "found 'red'; expected a colour" },
  { "task-colors", TASKS ("{\"name\":\"a\",\"kind\":\"detection\",\"labels\":[\"x\"],\"colors\":[]}"), "found 0 colours for 1 labels" },
  { "task-threshold", TASKS ("{\"name\":\"a\",\"kind\":\"detection\",\"threshold\":1.5}"), "from 0 to 1" },
  { "task-name", TASKS ("{\"name\":\"a b\",\"kind\":\"detection\"}"), "task 'a b': the name 'a b' cannot be used" },
  { "task-decoder", TASKS ("{\"name\":\"a\",\"kind\":\"detection\"}"), "task 'a': detection needs 'detection_decoder'" },
  { "task-pixels", TASKS ("{\"name\":\"a\",\"kind\":\"segmentation\"}"), "segmentation needs 'pixel_decoder'" },
  { "task-grouper", TASKS ("{\"name\":\"a\",\"kind\":\"regression\",\"grouped\":true}"), "grouped tasks need a 'grouper'" },
  { "task-label-empty", TASKS ("{\"name\":\"a\",\"kind\":\"regression\",\"labels\":[\"\"]}"), "label 1 is empty" },
  { "task-label-twice", TASKS ("{\"name\":\"a\",\"kind\":\"multilabel\",\"labels\":[\"x\",\"y\",\"x\"]}"), "two labels are called 'x'" },
  { "task-values", TASKS ("{\"name\":\"a\",\"kind\":\"regression\",\"labels\":[\"x\",\"y\"]}"), "regression has one value; found 2 labels" },
  { "task-range", TASKS ("{\"name\":\"a\",\"kind\":\"regression\",\"range\":[2,2]}"), "its range is 2 to 2" },
  { "task-range-one", TASKS ("{\"name\":\"a\",\"kind\":\"regression\",\"range\":[2]}"), "expected two numbers" },
  { "task-range-huge", TASKS ("{\"name\":\"a\",\"kind\":\"regression\",\"range\":[0,1e31]}"), "'range': at byte" },
  { "task-input", TASKS ("{\"name\":\"a\",\"kind\":\"regression\",\"input_width\":16,\"input_height\":16}"), "its input is 16 pixels" },
  { "task-input-one", TASKS ("{\"name\":\"a\",\"kind\":\"regression\",\"input_width\":64}"), "its input is 64x0 pixels" },
  { "task-mpp", TASKS ("{\"name\":\"a\",\"kind\":\"regression\",\"mpp\":-1}"), "from 0 to 1000" },
  { "detection-channels", "\"tasks\":[]", "\"detection_channels\":48", "48 channels; multiples of 32" },
  { "pixel-channels", "\"tasks\":[]", "\"pixel_channels\":0", "from 1 to 1024" },
  { "grouper", "\"tasks\":[]", "\"grouper\":\"mean\"", "expected one of 'none', 'weighted'" },
};
// clang-format on

static void
test_malformed (gconstpointer data)
{
  const Malformed *m = data;
  g_autofree char *json = edit (m->from, m->to);
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_description_new_from_json (json, -1, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_test_message ("%s", error->message);
  g_assert_true (g_str_has_prefix (error->message,
      "The description of the model is not"));
  g_assert_nonnull (strstr (error->message, m->message));
}

/* Each within its range, together too much. */
static void
test_too_large (void)
{
  g_autoptr (UmedptDescription) self =
      umedpt_description_new ("swinv2-tiny", NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *json = NULL;

  g_free (self->arch);
  self->arch = g_strdup ("giant");
  self->embed_dim = 1024;
  for (gint i = 0; i < 4; i++) {
    self->depths[i] = 64;
    self->heads[i] = 32;
  }
  json = umedpt_description_to_json (self);
  g_assert_null (umedpt_description_new_from_json (json, -1, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "parameters; at most"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/description/archs", test_archs);
  g_test_add_func ("/description/unknown-arch", test_unknown_arch);
  g_test_add_func ("/description/round-trip", test_round_trip);
  g_test_add_func ("/description/lenient", test_lenient);
  g_test_add_func ("/description/old-text", test_old_text);
  g_test_add_func ("/description/blocks", test_blocks);
  g_test_add_func ("/description/add-task", test_add_task);
  g_test_add_func ("/description/words", test_words);
  g_test_add_func ("/description/too-large", test_too_large);
  for (gsize i = 0; i < G_N_ELEMENTS (malformed); i++) {
    g_autofree char *path =
        g_strconcat ("/description/malformed/", malformed[i].name, NULL);
    g_test_add_data_func (path, &malformed[i], test_malformed);
  }
  return g_test_run ();
}
