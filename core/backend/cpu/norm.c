/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Norms and pooling, forwards and backwards. Formulas: ref/norm.c and
 * ref/norm-backward.c.
 *
 * Group norm reads a map twice, whatever the groups: first the moments of each
 * channel in blocks of positions, which fit a cache, then the map itself to be
 * scaled. Blocks are joined in double (Chan, Golub and LeVeque 1983), channels
 * to groups afterwards. How the work is cut depends on shapes alone, so that
 * sums over rows and images have the same bits whoever computes.
 */
#include <math.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels-train.h"

#define BLOCK_ELEMENTS 8192
#define MIN_BLOCK 32 /* positions: moments must stay small beside the map */
#define MIN_ROWS 32
#define MAX_ROW_CHUNKS 64

typedef struct
{
  const UmedptLayerNormArgs *args;
  UmedptRows rows;
  gint64 C;
} NormJob;

static void
layer_norm_chunk (gpointer data, guint worker, guint chunk)
{
  const NormJob *job = data;
  const UmedptLayerNormArgs *args = job->args;
  gint64 begin = umedpt_rows_begin (&job->rows, chunk);

  umedpt_kernels_get ()->norm_rows (UMEDPT_F32 (args->src) + begin * job->C,
      umedpt_rows_count (&job->rows, chunk), job->C,
      umedpt_f32_or_null (args->gamma), umedpt_f32_or_null (args->beta),
      args->epsilon, NULL, UMEDPT_F32 (args->dst) + begin * job->C);
}

gboolean
umedpt_cpu_layer_norm (UmedptBackend *backend, const UmedptLayerNormArgs *args,
    GError **error)
{
  NormJob job = { .args = args, .C = args->src->shape[args->src->n_dims - 1] };

  if (args->src->n_elements == 0)
    return TRUE;
  job.rows = umedpt_rows_split ((gint64) args->src->n_elements / job.C);
  return umedpt_cpu_run (job.rows.n_chunks, layer_norm_chunk, &job, NULL,
      error);
}

static gboolean
check_memory (gconstpointer memory, GError **error)
{
  if (!memory)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "out of memory for the sums of a norm. Use a smaller image or batch.");
  return memory != NULL;
}

typedef struct
{
  const UmedptLayerNormBackwardArgs *args;
  UmedptRows rows;
  gsize C;
  float *sums; /* [chunks, 2, C]: gradients of gamma and beta */
} NormDiffJob;

static void
layer_norm_backward_chunk (gpointer data, guint worker, guint chunk)
{
  const NormDiffJob *job = data;
  const UmedptLayerNormBackwardArgs *args = job->args;
  gsize begin = (gsize) umedpt_rows_begin (&job->rows, chunk) * job->C;
  float *sums = job->sums + chunk * 2 * job->C;

  umedpt_train_kernels_get ()->norm_rows_diff (UMEDPT_F32 (args->forward.src) +
          begin,
      UMEDPT_F32 (args->diff_dst) + begin,
      umedpt_rows_count (&job->rows, chunk), job->C,
      umedpt_f32_or_null (args->forward.gamma), args->forward.epsilon,
      args->diff_src ? UMEDPT_F32 (args->diff_src) + begin : NULL,
      args->accumulate, sums, sums + job->C);
}

/* dst[i] += the sum over n of src[n * stride + i]; @dst may be NULL. */
static void
add_parts (const float *src, gsize n, gsize stride, gsize C, UmedptTensor *dst)
{
  for (gsize i = 0; dst && i < C; i++) {
    double sum = 0;

    for (gsize k = 0; k < n; k++)
      sum += src[k * stride + i];
    UMEDPT_F32 (dst)[i] += (float) sum;
  }
}

gboolean
umedpt_cpu_layer_norm_backward (UmedptBackend *backend,
    const UmedptLayerNormBackwardArgs *args, GError **error)
{
  NormDiffJob job = { .args = args,
    .C = (gsize) args->diff_dst->shape[args->diff_dst->n_dims - 1] };
  g_autofree float *sums = NULL;
  gint64 rows, size;

  if (args->diff_dst->n_elements == 0)
    return TRUE;
  rows = (gint64) (args->diff_dst->n_elements / job.C);
  size = MAX ((rows + MAX_ROW_CHUNKS - 1) / MAX_ROW_CHUNKS, MIN_ROWS);
  job.rows = (UmedptRows){ rows, size, (guint) ((rows + size - 1) / size) };
  job.sums = sums = g_try_new0 (float, job.rows.n_chunks * 2 * job.C);
  if (!check_memory (sums, error))
    return FALSE;
  if (!umedpt_cpu_run (job.rows.n_chunks, layer_norm_backward_chunk, &job, NULL,
          error))
    return FALSE;
  add_parts (sums, job.rows.n_chunks, 2 * job.C, job.C, args->diff_gamma);
  add_parts (sums + job.C, job.rows.n_chunks, 2 * job.C, job.C,
      args->diff_beta);
  return TRUE;
}

/* What a channel of a sample is mapped with, and what it adds to the gradients
 * of gamma and beta; see UmedptChannelMap. */
enum
{
  MEAN,
  A,
  B,
  OFFSET,
  DIFF_GAMMA,
  DIFF_BETA,
  N_COEFFICIENTS
};

typedef struct
{
  const UmedptGroupNormArgs *args;
  const float *diff; /* of dst; NULL: forwards */
  float *dst; /* or diff_src */
  gboolean accumulate;
  gsize positions, C, width; /* of a sample; channels of a group */
  gsize block, n_blocks; /* positions; of a sample */
  float *moments; /* [N, blocks, N_MOMENTS, C] */
  float *coefficients; /* [N, N_COEFFICIENTS, C] */
} GroupJob;

static gsize
block_length (const GroupJob *job, gsize block)
{
  return MIN (job->block, job->positions - block * job->block);
}

static void
moments_chunk (gpointer data, guint worker, guint chunk)
{
  const GroupJob *job = data;
  gsize sample = chunk / job->n_blocks, block = chunk % job->n_blocks;
  gsize at = (sample * job->positions + block * job->block) * job->C;

  umedpt_train_kernels_get ()->channel_moments (UMEDPT_F32 (job->args->src) +
          at,
      job->diff ? job->diff + at : NULL, block_length (job, block), job->C,
      job->moments + chunk * UMEDPT_N_MOMENTS * job->C);
}

/* Sums over one group of one sample. */
typedef struct
{
  double mean, rstd;
  double diff, diff_u; /* means of gamma d and gamma d u */
} GroupSums;

static double
parameter (const UmedptTensor *tensor, gsize c, double otherwise)
{
  return tensor ? UMEDPT_F32 (tensor)[c] : otherwise;
}

/* Mean and variance of channels [@first, @first + width) from the moments of
 * the sample's blocks. */
static GroupSums
join_moments (const GroupJob *job, const float *moments, gsize first)
{
  const gsize C = job->C, stride = UMEDPT_N_MOMENTS * C;
  double n = (double) job->positions * job->width, mean = 0, squares = 0;

  for (gsize b = 0; b < job->n_blocks; b++)
    for (gsize c = first; c < first + job->width; c++)
      mean += (double) moments[b * stride + c] * block_length (job, b);
  mean /= n;
  for (gsize b = 0; b < job->n_blocks; b++)
    for (gsize c = first; c < first + job->width; c++) {
      double away = moments[b * stride + c] - mean;
      squares +=
          moments[b * stride + C + c] + away * away * block_length (job, b);
    }
  return (GroupSums){ .mean = mean,
    .rstd = 1 / sqrt (squares / n + job->args->epsilon) };
}

/* Sums of d and d u by channel, which are the gradients of beta and gamma. */
static void
join_diffs (const GroupJob *job, const float *moments, gsize first,
    GroupSums *sums, float *out)
{
  const gsize C = job->C, stride = UMEDPT_N_MOMENTS * C;
  double n = (double) job->positions * job->width;

  for (gsize c = first; c < first + job->width; c++) {
    double d = 0, u = 0, gamma = parameter (job->args->gamma, c, 1);

    for (gsize b = 0; b < job->n_blocks; b++) {
      const float *m = moments + b * stride + c;
      d += m[2 * C];
      u += m[3 * C] + (m[0] - sums->mean) * m[2 * C];
    }
    u *= sums->rstd;
    out[DIFF_BETA * C + c] = (float) d;
    out[DIFF_GAMMA * C + c] = (float) u;
    sums->diff += gamma * d / n;
    sums->diff_u += gamma * u / n;
  }
}

/* One sample: from moments to what its channels are mapped with. */
static void
join_chunk (gpointer data, guint worker, guint sample)
{
  const GroupJob *job = data;
  const gsize C = job->C;
  const float *moments =
      job->moments + sample * job->n_blocks * UMEDPT_N_MOMENTS * C;
  float *out = job->coefficients + sample * N_COEFFICIENTS * C;

  for (gsize c = 0; c < C; c += job->width) {
    GroupSums sums = join_moments (job, moments, c);
    float mean = (float) sums.mean;

    if (job->diff)
      join_diffs (job, moments, c, &sums, out);
    if (job->diff && job->positions * job->width == 1)
      sums.rstd = 0; /* a single value is its own mean: exactly 0 */
    for (gsize i = c; i < c + job->width; i++) {
      double gamma = parameter (job->args->gamma, i, 1);
      double a =
          job->diff ? -sums.rstd * sums.rstd * sums.diff_u : sums.rstd * gamma;
      double offset = job->diff ? -sums.rstd * sums.diff
                                : parameter (job->args->beta, i, 0);
      out[MEAN * C + i] = mean;
      out[A * C + i] = (float) a;
      out[B * C + i] = (float) (sums.rstd * gamma);
      out[OFFSET * C + i] = (float) (offset + (mean - sums.mean) * a);
    }
  }
}

static void
map_chunk (gpointer data, guint worker, guint chunk)
{
  const GroupJob *job = data;
  gsize sample = chunk / job->n_blocks, block = chunk % job->n_blocks;
  gsize at = (sample * job->positions + block * job->block) * job->C;
  const float *k = job->coefficients + sample * N_COEFFICIENTS * job->C;
  const UmedptChannelMap map = { k + MEAN * job->C, k + A * job->C,
    k + B * job->C, k + OFFSET * job->C };

  umedpt_train_kernels_get ()->channel_map (UMEDPT_F32 (job->args->src) + at,
      job->diff ? job->diff + at : NULL, block_length (job, block), job->C,
      &map, job->dst + at, job->accumulate);
}

/* @self: args, diff, dst and accumulate are set. */
static gboolean
run_group_job (GroupJob *self, UmedptTensor *diff_gamma,
    UmedptTensor *diff_beta, GError **error)
{
  const gint64 *s = self->args->src->shape;
  const gsize N = (gsize) s[0], C = (gsize) s[3];
  g_autofree float *moments = NULL;
  g_autofree float *coefficients = NULL;

  if (self->args->src->n_elements == 0)
    return TRUE;
  self->positions = (gsize) (s[1] * s[2]);
  self->C = C;
  self->width = C / (gsize) self->args->groups;
  self->block = MIN (MAX (BLOCK_ELEMENTS / C, MIN_BLOCK), self->positions);
  self->n_blocks = (self->positions + self->block - 1) / self->block;
  self->moments = moments =
      g_try_new (float, N * self->n_blocks * UMEDPT_N_MOMENTS * C);
  self->coefficients = coefficients = g_try_new (float, N *N_COEFFICIENTS *C);
  if (!check_memory (moments, error) || !check_memory (coefficients, error))
    return FALSE;
  if (!umedpt_cpu_run ((guint) (N * self->n_blocks), moments_chunk, self, NULL,
          error) ||
      !umedpt_cpu_run ((guint) N, join_chunk, self, NULL, error))
    return FALSE;
  if (self->dst &&
      !umedpt_cpu_run ((guint) (N * self->n_blocks), map_chunk, self, NULL,
          error))
    return FALSE;
  add_parts (coefficients + DIFF_GAMMA * C, N, N_COEFFICIENTS * C, C,
      diff_gamma);
  add_parts (coefficients + DIFF_BETA * C, N, N_COEFFICIENTS * C, C, diff_beta);
  return TRUE;
}

gboolean
umedpt_cpu_group_norm (UmedptBackend *backend, const UmedptGroupNormArgs *args,
    GError **error)
{
  GroupJob job = { .args = args, .dst = UMEDPT_F32 (args->dst) };

  return run_group_job (&job, NULL, NULL, error);
}

gboolean
umedpt_cpu_group_norm_backward (UmedptBackend *backend,
    const UmedptGroupNormBackwardArgs *args, GError **error)
{
  GroupJob job = { .args = &args->forward,
    .diff = UMEDPT_F32 (args->diff_dst),
    .dst = args->diff_src ? UMEDPT_F32 (args->diff_src) : NULL,
    .accumulate = args->accumulate };

  return run_group_job (&job, args->diff_gamma, args->diff_beta, error);
}

static void
pool_chunk (gpointer data, guint worker, guint sample)
{
  const UmedptGlobalPoolArgs *args = data;
  const gint64 *s = args->src->shape;

  umedpt_kernels_get ()->pool (UMEDPT_F32 (args->src) +
          (gsize) (sample * s[1] * s[2] * s[3]),
      s[1] * s[2], s[3], args->pooling, UMEDPT_F32 (args->dst) + sample * s[3]);
}

gboolean
umedpt_cpu_global_pool (UmedptBackend *backend,
    const UmedptGlobalPoolArgs *args, GError **error)
{
  if (args->src->n_elements == 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "an empty map has no pooled value.");
    return FALSE;
  }
  return umedpt_cpu_run ((guint) args->src->shape[0], pool_chunk,
      (gpointer) args, NULL, error);
}

static void
pool_backward_chunk (gpointer data, guint worker, guint sample)
{
  const UmedptGlobalPoolBackwardArgs *args = data;
  const gint64 *s = args->forward.src->shape;
  gsize at = (gsize) (sample * s[1] * s[2] * s[3]);

  umedpt_train_kernels_get ()->pool_diff (UMEDPT_F32 (args->forward.src) + at,
      UMEDPT_F32 (args->diff_dst) + sample * s[3], (gsize) (s[1] * s[2]),
      (gsize) s[3], args->forward.pooling, UMEDPT_F32 (args->diff_src) + at,
      args->accumulate);
}

gboolean
umedpt_cpu_global_pool_backward (UmedptBackend *backend,
    const UmedptGlobalPoolBackwardArgs *args, GError **error)
{
  if (!args->diff_src || args->diff_src->n_elements == 0)
    return TRUE;
  return umedpt_cpu_run ((guint) args->forward.src->shape[0],
      pool_backward_chunk, (gpointer) args, NULL, error);
}
