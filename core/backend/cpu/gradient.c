/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Weight gradients and sums over rows. A gradient is cut by outputs: every
 * chunk reads all rows and adds to its own part, so that there is nothing to
 * reduce. Blocks depend on the shape alone and so do results. Biases and the
 * norms' parameters are summed within groups of rows, by whoever has the rows
 * in the cache, and the groups in order.
 */
#include <string.h>

#include "backend/cpu/gradient.h"

#define WANTED_BLOCKS 4
#define MIN_BLOCK 48 /* outputs; below, packing the operands shows */
#define MAX_BLOCK 384

typedef struct
{
  UmedptWeightGradient *gradients;
  guint n_gradients;
  UmedptGroupSums *sums;
  atomic_int failed;
} GradientJob;

static gint64
get_block (gint64 N)
{
  return CLAMP ((N / WANTED_BLOCKS + 7) / 8 * 8, MIN_BLOCK, MAX_BLOCK);
}

static guint
count_blocks (const UmedptWeightGradient *gradient)
{
  return gradient->dst
      ? (guint) ((gradient->N + gradient->block - 1) / gradient->block)
      : 0;
}

static gboolean
prepare (UmedptWeightGradient *g, UmedptDtype compute, gint64 rows,
    GError **error)
{
  gint64 last;

  if (!g->dst)
    return TRUE;
  g->block = MIN (get_block (g->N), g->N);
  last = g->N - (count_blocks (g) - 1) * g->block;
  g->whole =
      umedpt_gradient_get_linear (compute, rows, g->block, g->N, g->K, error);
  if (g->whole)
    g->last =
        umedpt_gradient_get_linear (compute, rows, last, g->N, g->K, error);
  return g->last != NULL;
}

gboolean
umedpt_group_sums_init (UmedptGroupSums *sums, gint64 rows, gint64 width,
    GError **error)
{
  const gint64 shape[] = { (rows + UMEDPT_GROUP - 1) / UMEDPT_GROUP, width };

  sums->width = width;
  sums->groups = umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 2, shape, error);
  return sums->groups != NULL;
}

void
umedpt_group_sums_clear (UmedptGroupSums *sums)
{
  g_clear_pointer (&sums->groups, umedpt_tensor_unref);
}

/* The groups' sums end in the first group's place. */
void
umedpt_group_sums_finish (UmedptGroupSums *sums)
{
  const UmedptRowKernels *kernels = umedpt_row_kernels_get ();
  float *first = UMEDPT_F32 (sums->groups);

  kernels->column_sums_f32 (first + sums->width, sums->groups->shape[0] - 1,
      sums->width, first);
  for (guint i = 0; i < UMEDPT_MAX_SUMS; i++) {
    const UmedptSumPart *part = &sums->parts[i];
    if (part->dst)
      kernels->add_f32 (first + part->begin, part->dst, part->dst, part->n);
  }
}

static void
gradient_chunk (gpointer data, guint worker, guint chunk)
{
  GradientJob *job = data;
  UmedptWeightGradient *g = job->gradients;
  gint64 first;

  for (; chunk >= count_blocks (g); g++) {
    chunk -= count_blocks (g);
    if (g + 1 == job->gradients + job->n_gradients) {
      umedpt_group_sums_finish (job->sums);
      return;
    }
  }
  first = chunk * g->block;
  if (!umedpt_gradient_run (chunk + 1 == count_blocks (g) ? g->last : g->whole,
          worker, umedpt_row (g->diff, first, 1), g->src->data,
          g->dst + first * g->K))
    atomic_store (&job->failed, 1);
}

gboolean
umedpt_gradients_run (UmedptWeightGradient *gradients, guint n,
    UmedptGroupSums *sums, UmedptDtype compute, gint64 rows, GError **error)
{
  GradientJob job = { .gradients = gradients, .n_gradients = n, .sums = sums };
  gboolean ok = TRUE;
  guint chunks = 1;

  for (guint i = 0; i < n && ok; i++) {
    ok = prepare (&gradients[i], compute, rows, error);
    chunks += count_blocks (&gradients[i]);
  }
  ok = ok && umedpt_cpu_run (chunks, gradient_chunk, &job, &job.failed, error);
  for (guint i = 0; i < n; i++) {
    umedpt_primitive_unref (gradients[i].whole);
    umedpt_primitive_unref (gradients[i].last);
  }
  return ok;
}

void
umedpt_store_rows (const float *src, gpointer dst, UmedptDtype dtype, gsize n,
    gboolean accumulate)
{
  const UmedptRowKernels *kernels = umedpt_row_kernels_get ();

  if (dtype == UMEDPT_DTYPE_F32)
    kernels->add_f32 (src, accumulate ? dst : NULL, dst, n);
  else if (accumulate)
    kernels->add_bf16 (src, dst, n);
  else
    umedpt_kernels_get ()->f32_to_bf16 (src, dst, n);
}
