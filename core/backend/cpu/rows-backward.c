/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backward passes of linear maps of rows. First by chunks of rows, which stay
 * in the second-level cache: through the norm, to the type of products, times
 * the weights. What the weight gradient needs of it, both operands in the
 * compute type, is kept for a second job over all rows.
 */
#include <string.h>

#include "backend/cpu/rows-backward.h"

/* Through the norm, or as it is, in the compute type; with sums by column. */
static void
make_diff (UmedptRowsBackward *job, gint64 begin, gint64 n)
{
  const UmedptRowKernels *kernels = umedpt_row_kernels_get ();
  const gboolean half = job->compute == UMEDPT_DTYPE_BF16;
  const gint64 N = job->N;
  float scale;

  for (gint64 i = 0, run; i < n; i += run) {
    gint64 row = begin + i;
    gint64 group = MIN (n - i, UMEDPT_GROUP - row % UMEDPT_GROUP);
    float *sums = umedpt_group_sums_at (&job->sums, row);
    gpointer dst = umedpt_row (job->diff, row, N);

    run = umedpt_branch_run (&job->branch, row, group, &scale);
    if (!job->product) {
      const gboolean same = job->diff == job->diff_dst;
      gconstpointer src = umedpt_row (job->diff_dst, row, N);
      if (job->diff_dst->dtype == UMEDPT_DTYPE_BF16) {
        kernels->column_sums_bf16 (src, run, N, sums);
        if (!same)
          umedpt_kernels_get ()->bf16_to_f32 (src, dst, run * N);
      } else {
        kernels->column_sums_f32 (src, run, N, sums);
        if (!same)
          umedpt_kernels_get ()->f32_to_bf16 (src, dst, run * N);
      }
    } else if (scale == 0) {
      memset (dst, 0, run * N * umedpt_dtype_size (job->compute));
    } else {
      kernels->norm_diff (umedpt_row (job->product, row, N),
          umedpt_row (job->diff_dst, row, N), run, N,
          umedpt_f32_or_null (job->gamma), scale, job->epsilon, dst, half,
          sums);
    }
  }
}

/* The source's rows in the compute type; @scratch [n, K] f32. */
static void
make_operand (UmedptRowsBackward *job, gint64 begin, gint64 n, float *scratch)
{
  const gint64 K = job->K;
  gpointer dst = umedpt_row (job->operand, begin, K);
  float *rows = job->compute == UMEDPT_DTYPE_F32 ? dst : scratch;

  if (job->gather) {
    for (gint64 i = 0; i < n; i++)
      job->gather (job, begin + i, rows + i * K);
    if (job->compute == UMEDPT_DTYPE_BF16)
      umedpt_kernels_get ()->f32_to_bf16 (rows, dst, n * K);
  } else if (job->compute == UMEDPT_DTYPE_BF16) {
    umedpt_kernels_get ()->f32_to_bf16 (umedpt_row (job->src, begin, K), dst,
        n * K);
  } else {
    umedpt_kernels_get ()->bf16_to_f32 (umedpt_row (job->src, begin, K), dst,
        n * K);
  }
}

/* Whether the product may be written where it belongs. */
static gboolean
is_direct (const UmedptRowsBackward *job)
{
  return !job->accumulate && !job->scatter &&
      (job->compute == UMEDPT_DTYPE_BF16 ||
          job->diff_src->dtype == UMEDPT_DTYPE_F32);
}

static gboolean
make_diff_src (UmedptRowsBackward *job, guint worker, guint chunk,
    float *scratch)
{
  const gint64 begin = umedpt_rows_begin (&job->rows, chunk);
  const gint64 n = umedpt_rows_count (&job->rows, chunk), K = job->K;
  gconstpointer diff = umedpt_row (job->diff, begin, job->N);

  if (is_direct (job))
    return umedpt_linear_map_run (&job->map, &job->rows, chunk, worker, diff,
        umedpt_row (job->diff_src, begin, K));
  if (!umedpt_linear_map_run (&job->map, &job->rows, chunk, worker, diff,
          scratch))
    return FALSE;
  if (job->scatter)
    for (gint64 i = 0; i < n; i++)
      job->scatter (job, begin + i, scratch + i * K);
  else
    umedpt_store_rows (scratch, umedpt_row (job->diff_src, begin, K),
        job->diff_src->dtype, n * K, job->accumulate);
  return TRUE;
}

static void
backward_chunk (gpointer data, guint worker, guint chunk)
{
  UmedptRowsBackward *job = data;
  const gint64 begin = umedpt_rows_begin (&job->rows, chunk);
  const gint64 n = umedpt_rows_count (&job->rows, chunk);
  float *scratch = umedpt_cpu_scratch (worker, n * job->K * sizeof (float));

  if (!scratch) {
    atomic_store (&job->failed, 1);
    return;
  }
  make_diff (job, begin, n);
  if (job->diff_weight && job->operand != job->src)
    make_operand (job, begin, n, scratch);
  if (job->diff_src && !make_diff_src (job, worker, chunk, scratch))
    atomic_store (&job->failed, 1);
}

static gboolean
prepare (UmedptRowsBackward *job, GError **error)
{
  const gint64 diff_shape[] = { job->M, job->N };
  const gint64 src_shape[] = { job->M, job->K };

  job->rows = umedpt_rows_split_groups (job->M);
  job->diff = job->product || job->diff_dst->dtype != job->compute
      ? umedpt_tensor_new (job->compute, 2, diff_shape, error)
      : umedpt_tensor_ref (job->diff_dst);
  if (!job->diff ||
      !umedpt_group_sums_init (&job->sums, job->M,
          (job->product ? 3 : 1) * job->N, error))
    return FALSE;
  if (job->diff_weight) {
    job->operand = job->gather || job->src->dtype != job->compute
        ? umedpt_tensor_new (job->compute, 2, src_shape, error)
        : umedpt_tensor_ref (job->src);
    if (!job->operand)
      return FALSE;
  }
  return !job->diff_src ||
      umedpt_linear_map_init (&job->map, job->weight, NULL,
          UMEDPT_WEIGHTS_TRANSPOSED, job->compute,
          is_direct (job) ? job->diff_src->dtype : UMEDPT_DTYPE_F32, &job->rows,
          error);
}

static gboolean
run (UmedptRowsBackward *job, GError **error)
{
  const gint64 N = job->N;
  UmedptWeightGradient gradient = {
    .N = N, .K = job->K, .dst = job->diff_weight
  };

  if (!prepare (job, error) ||
      !umedpt_cpu_run (job->rows.n_chunks, backward_chunk, job, &job->failed,
          error))
    return FALSE;
  gradient.diff = job->diff;
  gradient.src = job->operand;
  job->sums.parts[0] =
      (UmedptSumPart){ job->product ? 2 * N : 0, N, job->diff_bias };
  job->sums.parts[1] = (UmedptSumPart){ 0, N, job->diff_gamma };
  job->sums.parts[2] = (UmedptSumPart){ N, N, job->diff_beta };
  return umedpt_gradients_run (&gradient, 1, &job->sums, job->compute, job->M,
      error);
}

gboolean
umedpt_rows_backward (UmedptRowsBackward *job, GError **error)
{
  gboolean ok;

  if (!umedpt_cpu_check_compute (job->compute, error))
    return FALSE;
  if (job->M == 0 || job->N == 0 || job->K == 0)
    return TRUE;
  ok = run (job, error);
  umedpt_linear_map_clear (&job->map);
  umedpt_group_sums_clear (&job->sums);
  g_clear_pointer (&job->diff, umedpt_tensor_unref);
  g_clear_pointer (&job->operand, umedpt_tensor_unref);
  return ok;
}
