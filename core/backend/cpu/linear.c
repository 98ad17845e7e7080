/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Linear maps and the two fused branches of a Swin V2 block. A chunk of rows
 * goes through the whole op while it lies in the second-level cache: for the
 * MLP that is both products, GELU, norm and residual, so that the hidden layer
 * (four times the activations) is never written to memory.
 */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels-rows.h"

typedef struct
{
  UmedptRows rows;
  UmedptLinearMap map, second; /* second: fc2 of the MLP */
  UmedptTensor *src, *dst;
  UmedptDtype compute;
  UmedptActivation activation;
  UmedptNormTail tail;
  UmedptBranch branch;
  UmedptTensor *saved_product, *saved_hidden;
  atomic_int failed;
} LinearJob;

static void
linear_job_clear (LinearJob *job)
{
  umedpt_linear_map_clear (&job->map);
  umedpt_linear_map_clear (&job->second);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (LinearJob, linear_job_clear)

/* Rows of the job's source in the compute type; converted into @scratch only
 * if they are of another type. */
static gconstpointer
get_src_rows (const LinearJob *job, gint64 begin, gint64 n, gpointer scratch)
{
  const UmedptKernels *kernels = umedpt_kernels_get ();
  const gint64 K = job->map.K;

  if (job->src->dtype == job->compute)
    return (const char *) job->src->data +
        (gsize) (begin * K) * umedpt_dtype_size (job->compute);
  if (job->compute == UMEDPT_DTYPE_BF16)
    kernels->f32_to_bf16 (UMEDPT_F32 (job->src) + begin * K, scratch, n * K);
  else
    kernels->bf16_to_f32 (UMEDPT_BF16 (job->src) + begin * K, scratch, n * K);
  return scratch;
}

static void
activate (gpointer data, UmedptDtype dtype, gsize n, UmedptActivation kind)
{
  if (kind == UMEDPT_ACTIVATION_NONE)
    return;
  if (dtype == UMEDPT_DTYPE_BF16)
    umedpt_kernels_get ()->activate_bf16 (data, n, kind);
  else
    umedpt_kernels_get ()->activate_f32 (data, n, kind);
}

static void
finish_run (const UmedptNormTail *tail, const float *gamma, const float *beta,
    const float *src, gint64 begin, gint64 n, gint64 C)
{
  umedpt_kernels_get ()->norm_rows (src, n, C, gamma, beta, tail->epsilon,
      tail->residual ? tail->residual + begin * C : NULL,
      tail->dst + begin * C);
}

/* Rows whose branch is switched off: only the residual is left. What the
 * backward pass would read is made 0. */
static void
skip_rows (const LinearJob *job, gint64 begin, gint64 n, gint64 C)
{
  const gsize size = n * C * sizeof (float);
  float *dst = job->tail.dst + begin * C;

  if (!job->tail.residual)
    memset (dst, 0, size);
  else if (job->tail.residual + begin * C != dst)
    memcpy (dst, job->tail.residual + begin * C, size);
  if (job->saved_product)
    memset (umedpt_row (job->saved_product, begin, C), 0, size);
  if (job->saved_hidden)
    memset (umedpt_row (job->saved_hidden, begin, job->map.N), 0,
        n * job->map.N * umedpt_dtype_size (job->compute));
}

/* A branch's factor is multiplied into gamma and beta; @scaled [2, C] is for
 * those. */
static void
finish_rows (const LinearJob *job, const float *src, gint64 begin, gint64 n,
    gint64 C, float *scaled)
{
  const UmedptNormTail *tail = &job->tail;
  float scale;

  for (gint64 i = 0, run; i < n; i += run) {
    run = umedpt_branch_run (&job->branch, begin + i, n - i, &scale);
    if (scale == 0) {
      skip_rows (job, begin + i, run, C);
      continue;
    }
    if (scale == 1) {
      finish_run (tail, tail->gamma, tail->beta, src + i * C, begin + i, run,
          C);
      continue;
    }
    for (gint64 c = 0; c < C; c++) {
      scaled[c] = tail->gamma ? scale * tail->gamma[c] : scale;
      scaled[C + c] = tail->beta ? scale * tail->beta[c] : 0;
    }
    finish_run (tail, scaled, scaled + C, src + i * C, begin + i, run, C);
  }
}

/* oneDNN writes bf16 only from bf16 operands; a bf16 result of an f32 product
 * is converted here. */
static void
linear_chunk (gpointer data, guint worker, guint chunk)
{
  LinearJob *job = data;
  const gint64 begin = umedpt_rows_begin (&job->rows, chunk);
  const gint64 n = umedpt_rows_count (&job->rows, chunk);
  const gint64 N = job->map.N;
  const gboolean via_f32 =
      job->dst->dtype == UMEDPT_DTYPE_BF16 && job->compute == UMEDPT_DTYPE_F32;
  gsize src_size = umedpt_cpu_aligned (n * job->map.K * sizeof (float));
  char *scratch = umedpt_cpu_scratch (worker,
      src_size + (via_f32 ? n * N * sizeof (float) : 0));
  char *dst = (char *) job->dst->data +
      (gsize) (begin * N) * umedpt_dtype_size (job->dst->dtype);
  char *result = via_f32 ? scratch + src_size : dst;

  if (!scratch ||
      !umedpt_linear_map_run (&job->map, &job->rows, chunk, worker,
          get_src_rows (job, begin, n, scratch), result)) {
    atomic_store (&job->failed, 1);
    return;
  }
  activate (result, via_f32 ? UMEDPT_DTYPE_F32 : job->dst->dtype, n * N,
      job->activation);
  if (via_f32)
    umedpt_kernels_get ()->f32_to_bf16 ((float *) result, (guint16 *) dst,
        n * N);
}

gboolean
umedpt_cpu_linear (UmedptBackend *backend, const UmedptLinearArgs *args,
    GError **error)
{
  g_auto (LinearJob) job = { .src = args->src,
    .dst = args->dst,
    .compute = args->compute,
    .activation = args->activation };
  gint64 K = args->weight->shape[1];

  if (!umedpt_cpu_check_compute (args->compute, error))
    return FALSE;
  if (args->dst->n_elements == 0)
    return TRUE;
  job.rows = umedpt_rows_split ((gint64) args->src->n_elements / K);
  if (!umedpt_linear_map_init (&job.map, args->weight, args->bias,
          UMEDPT_WEIGHTS_LINEAR, args->compute,
          args->compute == UMEDPT_DTYPE_F32 ? UMEDPT_DTYPE_F32
                                            : args->dst->dtype,
          &job.rows, error))
    return FALSE;
  return umedpt_cpu_run (job.rows.n_chunks, linear_chunk, &job, &job.failed,
      error);
}

static void
linear_norm_chunk (gpointer data, guint worker, guint chunk)
{
  LinearJob *job = data;
  const gint64 begin = umedpt_rows_begin (&job->rows, chunk);
  const gint64 n = umedpt_rows_count (&job->rows, chunk);
  const gint64 N = job->map.N;
  gsize src_size = umedpt_cpu_aligned (n * job->map.K * sizeof (float));
  gsize result_size = umedpt_cpu_aligned (n * N * sizeof (float));
  char *scratch;
  float *result;

  if (umedpt_branch_is_off (&job->branch, begin, n)) {
    skip_rows (job, begin, n, N);
    return;
  }
  scratch = umedpt_cpu_scratch (worker,
      src_size + result_size + 2 * N * sizeof (float));
  if (!scratch) {
    atomic_store (&job->failed, 1);
    return;
  }
  result = job->saved_product ? umedpt_row (job->saved_product, begin, N)
                              : (gpointer) (scratch + src_size);
  if (!umedpt_linear_map_run (&job->map, &job->rows, chunk, worker,
          get_src_rows (job, begin, n, scratch), result)) {
    atomic_store (&job->failed, 1);
    return;
  }
  finish_rows (job, result, begin, n, N,
      (float *) (scratch + src_size + result_size));
}

gboolean
umedpt_cpu_linear_norm (UmedptBackend *backend,
    const UmedptLinearNormArgs *args, GError **error)
{
  g_auto (LinearJob) job = { .src = args->src,
    .dst = args->dst,
    .compute = args->compute,
    .tail = { umedpt_f32_or_null (args->gamma), umedpt_f32_or_null (args->beta),
        umedpt_f32_or_null (args->residual), UMEDPT_F32 (args->dst),
        args->epsilon },
    .saved_product = args->saved_product };

  if (!umedpt_cpu_check_compute (args->compute, error))
    return FALSE;
  if (args->dst->n_elements == 0)
    return TRUE;
  job.rows = umedpt_rows_split ((gint64) args->src->n_elements /
      args->weight->shape[1]);
  job.branch = umedpt_branch (args->branch_scale, job.rows.rows);
  if (!umedpt_linear_map_init (&job.map, args->weight, args->bias,
          UMEDPT_WEIGHTS_LINEAR, args->compute, UMEDPT_DTYPE_F32, &job.rows,
          error))
    return FALSE;
  return umedpt_cpu_run (job.rows.n_chunks, linear_norm_chunk, &job,
      &job.failed, error);
}

/* fc1 and GELU of a chunk into @hidden; what training saves lies between. */
static gboolean
run_fc1 (LinearJob *job, guint worker, guint chunk, gconstpointer src,
    gpointer hidden)
{
  const UmedptRowKernels *kernels = umedpt_row_kernels_get ();
  const gint64 begin = umedpt_rows_begin (&job->rows, chunk);
  const gint64 n = umedpt_rows_count (&job->rows, chunk) * job->map.N;
  gpointer raw = job->saved_hidden
      ? umedpt_row (job->saved_hidden, begin, job->map.N)
      : hidden;

  if (!umedpt_linear_map_run (&job->map, &job->rows, chunk, worker, src, raw))
    return FALSE;
  if (raw == hidden)
    activate (hidden, job->compute, n, UMEDPT_ACTIVATION_GELU);
  else if (job->compute == UMEDPT_DTYPE_BF16)
    kernels->gelu_bf16 (raw, hidden, n);
  else
    kernels->gelu_f32 (raw, hidden, n);
  return TRUE;
}

static void
mlp_chunk (gpointer data, guint worker, guint chunk)
{
  LinearJob *job = data;
  const gint64 begin = umedpt_rows_begin (&job->rows, chunk);
  const gint64 n = umedpt_rows_count (&job->rows, chunk);
  const gint64 C = job->map.K, hidden = job->map.N;
  gsize src_size = umedpt_cpu_aligned (n * C * sizeof (float));
  gsize hidden_size =
      umedpt_cpu_aligned (n * hidden * umedpt_dtype_size (job->compute));
  char *scratch;
  gpointer result;

  if (umedpt_branch_is_off (&job->branch, begin, n)) {
    skip_rows (job, begin, n, C);
    return;
  }
  scratch = umedpt_cpu_scratch (worker,
      src_size + hidden_size + 2 * C * sizeof (float));
  /* the result takes the place of the converted source */
  result =
      job->saved_product ? umedpt_row (job->saved_product, begin, C) : scratch;
  if (!scratch ||
      !run_fc1 (job, worker, chunk, get_src_rows (job, begin, n, scratch),
          scratch + src_size) ||
      !umedpt_linear_map_run (&job->second, &job->rows, chunk, worker,
          scratch + src_size, result)) {
    atomic_store (&job->failed, 1);
    return;
  }
  finish_rows (job, result, begin, n, C,
      (float *) (scratch + src_size + hidden_size));
}

gboolean
umedpt_cpu_mlp_norm (UmedptBackend *backend, const UmedptMlpNormArgs *args,
    GError **error)
{
  g_auto (LinearJob) job = { .src = args->src,
    .dst = args->dst,
    .compute = args->compute,
    .tail = { umedpt_f32_or_null (args->gamma), umedpt_f32_or_null (args->beta),
        UMEDPT_F32 (args->src), UMEDPT_F32 (args->dst), args->epsilon },
    .saved_product = args->saved_product,
    .saved_hidden = args->saved_hidden };

  if (!umedpt_cpu_check_compute (args->compute, error))
    return FALSE;
  if (args->dst->n_elements == 0)
    return TRUE;
  job.rows = umedpt_rows_split ((gint64) args->src->n_elements /
      args->fc1_weight->shape[1]);
  job.branch = umedpt_branch (args->branch_scale, job.rows.rows);
  if (!umedpt_linear_map_init (&job.map, args->fc1_weight, args->fc1_bias,
          UMEDPT_WEIGHTS_LINEAR, args->compute, args->compute, &job.rows,
          error) ||
      !umedpt_linear_map_init (&job.second, args->fc2_weight, args->fc2_bias,
          UMEDPT_WEIGHTS_LINEAR, args->compute, UMEDPT_DTYPE_F32, &job.rows,
          error))
    return FALSE;
  return umedpt_cpu_run (job.rows.n_chunks, mlp_chunk, &job, &job.failed,
      error);
}
