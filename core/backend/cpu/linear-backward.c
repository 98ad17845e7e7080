/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The backward passes of linear maps and of the two fused branches of a Swin
 * V2 block. For the MLP a chunk of rows goes from the norm to the source in
 * one go: the hidden layer's value and gradient are written once, for the two
 * weight gradients.
 */
#include <string.h>

#include "backend/cpu/rows-backward.h"

gboolean
umedpt_cpu_linear_backward (UmedptBackend *backend,
    const UmedptLinearBackwardArgs *args, GError **error)
{
  const UmedptLinearArgs *f = &args->forward;
  UmedptRowsBackward job = { .N = f->weight->shape[0],
    .K = f->weight->shape[1],
    .M = (gint64) f->src->n_elements / MAX (f->weight->shape[1], 1),
    .weight = f->weight,
    .compute = f->compute,
    .diff_dst = args->diff_dst,
    .src = f->src,
    .diff_src = args->diff_src,
    .accumulate = args->accumulate,
    .diff_weight = (float *) umedpt_f32_or_null (args->diff_weight),
    .diff_bias = (float *) umedpt_f32_or_null (args->diff_bias) };

  return umedpt_rows_backward (&job, error);
}

gboolean
umedpt_cpu_linear_norm_backward (UmedptBackend *backend,
    const UmedptLinearNormBackwardArgs *args, GError **error)
{
  const UmedptLinearNormArgs *f = &args->forward;
  UmedptRowsBackward job = { .N = f->weight->shape[0],
    .K = f->weight->shape[1],
    .M = (gint64) f->src->n_elements / MAX (f->weight->shape[1], 1),
    .weight = f->weight,
    .compute = f->compute,
    .diff_dst = args->diff_dst,
    .product = f->saved_product,
    .gamma = f->gamma,
    .epsilon = f->epsilon,
    .src = f->src,
    .diff_src = args->diff_src,
    .accumulate = args->accumulate,
    .diff_weight = (float *) umedpt_f32_or_null (args->diff_weight),
    .diff_bias = (float *) umedpt_f32_or_null (args->diff_bias),
    .diff_gamma = (float *) umedpt_f32_or_null (args->diff_gamma),
    .diff_beta = (float *) umedpt_f32_or_null (args->diff_beta) };

  job.branch = umedpt_branch (f->branch_scale, job.M);
  if (!umedpt_branch_is_off (&job.branch, 0, job.M))
    return umedpt_rows_backward (&job, error);
  if (job.diff_src && !job.accumulate)
    memset (job.diff_src->data, 0, umedpt_tensor_get_size (job.diff_src));
  return TRUE;
}

typedef struct
{
  const UmedptMlpNormBackwardArgs *args;
  gint64 M, C, hidden;
  UmedptBranch branch;
  UmedptRows rows;
  UmedptLinearMap second, first; /* dY W2, dH W1 */
  /* of the compute type: the gradients of fc2's and fc1's products, GELU's
   * result, and the source */
  UmedptTensor *diff, *diff_hidden, *act, *operand;
  UmedptGroupSums sums; /* gamma, beta, fc2's bias [C], fc1's [hidden] */
  atomic_int failed;
} MlpJob;

static void
mlp_job_clear (MlpJob *job)
{
  umedpt_linear_map_clear (&job->second);
  umedpt_linear_map_clear (&job->first);
  g_clear_pointer (&job->diff, umedpt_tensor_unref);
  g_clear_pointer (&job->diff_hidden, umedpt_tensor_unref);
  g_clear_pointer (&job->act, umedpt_tensor_unref);
  g_clear_pointer (&job->operand, umedpt_tensor_unref);
  umedpt_group_sums_clear (&job->sums);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MlpJob, mlp_job_clear)

/* Through the norm, in the compute type. */
static void
mlp_norm_diff (MlpJob *job, gint64 begin, gint64 n)
{
  const UmedptMlpNormArgs *f = &job->args->forward;
  const gint64 C = job->C;
  float scale;

  for (gint64 i = 0, run; i < n; i += run) {
    gint64 row = begin + i;
    gint64 group = MIN (n - i, UMEDPT_GROUP - row % UMEDPT_GROUP);
    gpointer dst = umedpt_row (job->diff, row, C);

    run = umedpt_branch_run (&job->branch, row, group, &scale);
    if (scale == 0)
      memset (dst, 0, run * C * umedpt_dtype_size (f->compute));
    else
      umedpt_row_kernels_get ()->norm_diff (umedpt_row (f->saved_product, row,
                                                C),
          umedpt_row (job->args->diff_dst, row, C), run, C,
          umedpt_f32_or_null (f->gamma), scale, f->epsilon, dst,
          f->compute == UMEDPT_DTYPE_BF16,
          umedpt_group_sums_at (&job->sums, row));
  }
}

static void
mlp_gelu_diff (MlpJob *job, gint64 begin, gint64 n)
{
  const UmedptRowKernels *kernels = umedpt_row_kernels_get ();
  const UmedptMlpNormArgs *f = &job->args->forward;
  const gint64 hidden = job->hidden;

  for (gint64 i = 0, run; i < n; i += run) {
    gint64 row = begin + i;
    gpointer src = umedpt_row (f->saved_hidden, row, hidden);
    gpointer diff = umedpt_row (job->diff_hidden, row, hidden);
    gpointer act = umedpt_row (job->act, row, hidden);
    float *sums = umedpt_group_sums_at (&job->sums, row) + 3 * job->C;

    run = MIN (n - i, UMEDPT_GROUP - row % UMEDPT_GROUP);
    if (f->compute == UMEDPT_DTYPE_BF16)
      kernels->gelu_diff_bf16 (src, diff, act, run, hidden, sums);
    else
      kernels->gelu_diff_f32 (src, diff, act, run, hidden, sums);
  }
}

/* Rows whose branch is off: only the residual path is left. */
static void
mlp_skip (MlpJob *job, gint64 begin, gint64 n)
{
  const gsize size = umedpt_dtype_size (job->args->forward.compute);
  UmedptTensor *diff_src = job->args->diff_src;

  memset (umedpt_row (job->diff, begin, job->C), 0, n * job->C * size);
  memset (umedpt_row (job->diff_hidden, begin, job->hidden), 0,
      n * job->hidden * size);
  memset (umedpt_row (job->act, begin, job->hidden), 0, n * job->hidden * size);
  if (diff_src)
    umedpt_store_rows (umedpt_row (job->args->diff_dst, begin, job->C),
        umedpt_row (diff_src, begin, job->C), UMEDPT_DTYPE_F32, n * job->C,
        FALSE);
}

static void
mlp_chunk (gpointer data, guint worker, guint chunk)
{
  MlpJob *job = data;
  const gint64 begin = umedpt_rows_begin (&job->rows, chunk);
  const gint64 n = umedpt_rows_count (&job->rows, chunk), C = job->C;
  const UmedptMlpNormBackwardArgs *args = job->args;
  float *scratch = umedpt_cpu_scratch (worker, n * C * sizeof (float));

  if (job->operand != args->forward.src)
    umedpt_kernels_get ()->f32_to_bf16 (umedpt_row (args->forward.src, begin,
                                            C),
        umedpt_row (job->operand, begin, C), n * C);
  if (umedpt_branch_is_off (&job->branch, begin, n)) {
    mlp_skip (job, begin, n);
    return;
  }
  mlp_norm_diff (job, begin, n);
  if (!scratch ||
      !umedpt_linear_map_run (&job->second, &job->rows, chunk, worker,
          umedpt_row (job->diff, begin, C),
          umedpt_row (job->diff_hidden, begin, job->hidden))) {
    atomic_store (&job->failed, 1);
    return;
  }
  mlp_gelu_diff (job, begin, n);
  if (!args->diff_src)
    return;
  if (!umedpt_linear_map_run (&job->first, &job->rows, chunk, worker,
          umedpt_row (job->diff_hidden, begin, job->hidden), scratch))
    atomic_store (&job->failed, 1);
  umedpt_row_kernels_get ()->add_f32 (scratch,
      umedpt_row (args->diff_dst, begin, C),
      umedpt_row (args->diff_src, begin, C), n * C);
}

static gboolean
mlp_prepare (MlpJob *job, GError **error)
{
  const UmedptMlpNormArgs *f = &job->args->forward;
  const gint64 narrow[] = { job->M, job->C }, wide[] = { job->M, job->hidden };

  job->rows = umedpt_rows_split_groups (job->M);
  job->diff = umedpt_tensor_new (f->compute, 2, narrow, error);
  if (job->diff)
    job->diff_hidden = umedpt_tensor_new (f->compute, 2, wide, error);
  if (job->diff_hidden)
    job->act = umedpt_tensor_new (f->compute, 2, wide, error);
  if (job->act)
    job->operand = f->compute == UMEDPT_DTYPE_F32
        ? umedpt_tensor_ref (f->src)
        : umedpt_tensor_new (f->compute, 2, narrow, error);
  return job->operand &&
      umedpt_group_sums_init (&job->sums, job->M, 3 * job->C + job->hidden,
          error) &&
      umedpt_linear_map_init (&job->second, f->fc2_weight, NULL,
          UMEDPT_WEIGHTS_TRANSPOSED, f->compute, f->compute, &job->rows,
          error) &&
      umedpt_linear_map_init (&job->first, f->fc1_weight, NULL,
          UMEDPT_WEIGHTS_TRANSPOSED, f->compute, UMEDPT_DTYPE_F32, &job->rows,
          error);
}

gboolean
umedpt_cpu_mlp_norm_backward (UmedptBackend *backend,
    const UmedptMlpNormBackwardArgs *args, GError **error)
{
  const UmedptMlpNormArgs *f = &args->forward;
  const gint64 C = f->fc1_weight->shape[1], hidden = f->fc1_weight->shape[0];
  g_auto (MlpJob) job = { .args = args,
    .M = (gint64) f->src->n_elements / MAX (C, 1),
    .C = C,
    .hidden = hidden };
  UmedptWeightGradient gradients[2] = {
    { .N = C,
        .K = hidden,
        .dst = (float *) umedpt_f32_or_null (args->diff_fc2_weight) },
    { .N = hidden,
        .K = C,
        .dst = (float *) umedpt_f32_or_null (args->diff_fc1_weight) },
  };
  UmedptTensor *sums[] = { args->diff_gamma, args->diff_beta,
    args->diff_fc2_bias };

  if (!umedpt_cpu_check_compute (f->compute, error))
    return FALSE;
  if (f->src->n_elements == 0 || hidden == 0)
    return TRUE;
  job.branch = umedpt_branch (f->branch_scale, job.M);
  if (umedpt_branch_is_off (&job.branch, 0, job.M)) {
    if (args->diff_src && args->diff_src->data != args->diff_dst->data)
      memcpy (args->diff_src->data, args->diff_dst->data,
          umedpt_tensor_get_size (args->diff_src));
    return TRUE;
  }
  if (!mlp_prepare (&job, error) ||
      !umedpt_cpu_run (job.rows.n_chunks, mlp_chunk, &job, &job.failed, error))
    return FALSE;
  gradients[0].diff = job.diff;
  gradients[0].src = job.act;
  gradients[1].diff = job.diff_hidden;
  gradients[1].src = job.operand;
  for (guint i = 0; i < G_N_ELEMENTS (sums); i++)
    job.sums.parts[i] =
        (UmedptSumPart){ i * C, C, (float *) umedpt_f32_or_null (sums[i]) };
  job.sums.parts[3] = (UmedptSumPart){ 3 * C, hidden,
    (float *) umedpt_f32_or_null (args->diff_fc1_bias) };
  return umedpt_gradients_run (gradients, 2, &job.sums, f->compute, job.M,
      error);
}
