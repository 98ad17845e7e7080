/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The encoder's forward pass. In training, blocks are left out at random per
 * image (stochastic depth, Huang et al. 2016, "row" mode): a block's branch is
 * kept with probability 1 - p and then divided by it; p grows linearly with
 * the block's index, from 0 to the description's value. Blocks may be
 * recomputed in the backward pass (Chen et al. 2016), which keeps one map per
 * block instead of all that is inside it.
 */
#include "base/error.h"
#include "net/swin-private.h"

static gboolean
check_images (const UmedptTensor *images, GError **error)
{
  g_autofree char *is = NULL;

  if (images->n_dims == 4 && images->shape[3] == 3 &&
      images->shape[1] >= UMEDPT_SWIN_MIN_SIZE &&
      images->shape[2] >= UMEDPT_SWIN_MIN_SIZE)
    return TRUE;
  is = umedpt_tensor_describe (images);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "The encoder got images %s; it needs [N, H, W, 3] with H and W of at "
      "least %d pixels.",
      is, UMEDPT_SWIN_MIN_SIZE);
  return FALSE;
}

/* What it takes to run a block, now or in the backward pass. */
typedef struct
{
  const UmedptSwinBlock *block;
  UmedptSwinValues *values; /* (nullable) kept alive if there */
  const UmedptSwinPrepared *prepared;
  UmedptSwinDrops drops;
} Run;

static void
run_clear (Run *run)
{
  g_clear_pointer (&run->values, umedpt_swin_values_unref);
  g_clear_pointer (&run->drops.attention, umedpt_tensor_unref);
  g_clear_pointer (&run->drops.mlp, umedpt_tensor_unref);
}

static void
run_free (gpointer data)
{
  run_clear (data);
  g_free (data);
}

static UmedptTensor *
run_forward (UmedptContext *context, gpointer data, UmedptTensor *x,
    GError **error)
{
  const Run *run = data;

  return umedpt_swin_block_forward (run->block, run->prepared, &run->drops,
      context, x, error);
}

/* The probability with which a block's branches are left out. */
static double
drop_rate (const UmedptSwin *self, guint index)
{
  return self->n_blocks > 1 && umedpt_swin_block_trains (&self->blocks[index])
      ? self->stochastic_depth * index / (self->n_blocks - 1)
      : 0;
}

/* Draws which of @n images skip which branches, for all blocks at once, as a
 * device gets them in one piece: f32 [blocks, 2, n], attention and MLP. NULL:
 * none skips any. */
static gboolean
draw_drops (const UmedptSwin *self, UmedptContext *context,
    const UmedptPass *pass, gint64 n, UmedptTensor **drops, GError **error)
{
  static const char *const branches[] = { "attention", "mlp" };
  const gint64 shape[] = { self->n_blocks, 2, n };
  g_autoptr (UmedptTensor) host = NULL;

  if (!pass || !pass->training || !(self->stochastic_depth > 0))
    return TRUE;
  host = umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 3, shape, error);
  if (!host)
    return FALSE;
  for (guint i = 0; i < 2 * self->n_blocks; i++) {
    const double rate = drop_rate (self, i / 2);
    g_autofree char *name =
        g_strdup_printf ("depth.%u.%s", i / 2, branches[i % 2]);

    if (rate > 0)
      umedpt_pass_fill (pass, name, rate, UMEDPT_F32 (host) + i * n, (gsize) n);
  }
  *drops = umedpt_tensor_to (host, umedpt_context_get_backend (context)->memory,
      error);
  return *drops != NULL;
}

/* Those of block @index; @all: (nullable). */
static gboolean
take_drops (const UmedptSwin *self, guint index, UmedptTensor *all,
    UmedptSwinDrops *drops, GError **error)
{
  gint64 n;

  if (!all || drop_rate (self, index) <= 0)
    return TRUE;
  n = all->shape[2];
  drops->attention =
      umedpt_tensor_new_view (all, (gsize) (2 * index * n), 1, &n, error);
  if (!drops->attention)
    return FALSE;
  drops->mlp =
      umedpt_tensor_new_view (all, (gsize) ((2 * index + 1) * n), 1, &n, error);
  return drops->mlp != NULL;
}

static UmedptTensor *
run_block (UmedptSwin *self, guint index, UmedptSwinValues *values,
    UmedptContext *context, const UmedptPass *pass, UmedptTensor *drops,
    UmedptTensor *x, GError **error)
{
  const gboolean trains = umedpt_swin_block_trains (&self->blocks[index]);
  Run run = { .block = &self->blocks[index],
    .prepared = &values->blocks[index] };
  UmedptTensor *y;

  if (!take_drops (self, index, drops, &run.drops, error)) {
    run_clear (&run);
    return NULL;
  }
  if (pass && pass->checkpoint && umedpt_context_get_tape (context) &&
      (trains || x->requires_grad)) {
    run.values = umedpt_swin_values_ref (values);
    return umedpt_tape_checkpoint (context, run_forward,
        g_memdup2 (&run, sizeof run), run_free, x, error);
  }
  y = run_forward (context, &run, x, error);
  run_clear (&run);
  return y;
}

/* Runs the blocks of a stage on @x, (transfer full) in and out. */
static UmedptTensor *
run_stage (UmedptSwin *self, guint first, gint n, UmedptSwinValues *values,
    UmedptContext *context, const UmedptPass *pass, UmedptTensor *drops,
    UmedptTensor *x, GError **error)
{
  for (gint i = 0; x && i < n; i++) {
    UmedptTensor *y = run_block (self, first + (guint) i, values, context, pass,
        drops, x, error);
    umedpt_tensor_unref (x);
    x = y;
  }
  return x;
}

/* images: u8 (0 … 255) or f32 (0 … 1) [N, H, W, 3], RGB, no mean or standard
 * deviation taken off; wherever they lie. @pass: (nullable): inference. @pyramid receives F1..F4
 * (transfer full), f32 [N, H/4, W/4, C0], [N, H/8, W/8, 2 C0],
 * [N, H/16, W/16, 4 C0], [N, H/32, W/32, 8 C0] (rounding: see the head of
 * swin.c). */
gboolean
umedpt_swin_forward (UmedptSwin *self, UmedptContext *context,
    UmedptTensor *images, const UmedptPass *pass,
    UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS], GError **error)
{
  g_autoptr (UmedptSwinValues) values = NULL;
  g_autoptr (UmedptTensor) placed = NULL; /* images, where they are needed */
  g_autoptr (UmedptTensor) drops = NULL;
  UmedptTensor *levels[UMEDPT_SWIN_LEVELS] = { NULL };
  UmedptTensor *x;
  guint block = 0;

  if (!check_images (images, error))
    return FALSE;
  values = umedpt_swin_get_values (self, context, error);
  if (!values)
    return FALSE;
  placed = umedpt_tensor_to (images,
      umedpt_context_get_backend (context)->memory, error);
  if (!placed ||
      !draw_drops (self, context, pass, images->shape[0], &drops, error))
    return FALSE;
  x = umedpt_op_patch_embed (context, placed, self->stem.weight,
      self->stem.bias, self->stem_norm.gamma, self->stem_norm.beta,
      UMEDPT_NORM_EPSILON, error);
  for (gint i = 0; x && i < UMEDPT_SWIN_LEVELS; i++) {
    levels[i] = run_stage (self, block, self->depths[i], values, context, pass,
        drops, g_steal_pointer (&x), error);
    block += (guint) self->depths[i];
    if (levels[i] && i + 1 < UMEDPT_SWIN_LEVELS)
      x = umedpt_op_patch_merge (context, levels[i], self->reductions[i].weight,
          self->reduction_norms[i].gamma, self->reduction_norms[i].beta,
          UMEDPT_NORM_EPSILON, error);
  }
  if (!levels[UMEDPT_SWIN_LEVELS - 1]) {
    for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
      g_clear_pointer (&levels[i], umedpt_tensor_unref);
    return FALSE;
  }
  for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
    pyramid[i] = levels[i];
  return TRUE;
}
