/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Gradients of shifted-window attention over a map; the arithmetic of one
 * head of one window is in attention-backward-kernel.h.
 *
 * The gradients of the position bias and of the scale are sums over all
 * windows of all images. For the same bits whoever computes, windows are cut
 * into slots whose number depends on shapes alone; a chunk is one slot and
 * some heads, and adds its windows, in order, to sums of its own. A second
 * pass adds the slots' sums in order.
 */
#include <string.h>

#include "backend/cpu/attention-windows.h"
#include "backend/cpu/kernels-train.h"

#define WINDOWS_PER_SLOT 8 /* at least: each slot costs L x L sums per head */
#define MAX_SLOTS 32
#define WANTED_CHUNKS 16

typedef struct
{
  const UmedptWindowAttentionBackwardArgs *args;
  UmedptWindows windows;
  UmedptBiasRange range;
  gsize element;
  gint64 heads, L;
  gint64 slots, windows_per_slot;
  gint64 groups, heads_per_group;
  gconstpointer padding; /* a pixel's 3C values for pixels beyond the map */
  float *diff_bias; /* [slots, heads, L, L] */
  float *diff_scale; /* [slots, heads] */
  float *diff_padding; /* [slots, heads, UMEDPT_HEAD_DIM] */
  atomic_int failed;
} BackwardJob;

typedef struct
{
  const void *rows[UMEDPT_MAX_TOKENS];
  const void *diff_dst[UMEDPT_MAX_TOKENS];
  void *diff_qkv[UMEDPT_MAX_TOKENS];
} BackwardTable;

static const float zeros[UMEDPT_HEAD_DIM];

/* Pointers for head @h. @unwanted takes dq, dk and dv (3C numbers) where
 * nobody wants them. */
static void
fill_table (const BackwardJob *job, const UmedptWindowTokens *tokens, gint64 h,
    gpointer unwanted, BackwardTable *table)
{
  const UmedptWindowAttentionArgs *forward = &job->args->forward;
  const UmedptTensor *diff_qkv = job->args->diff_qkv;
  const gsize row = (gsize) job->windows.C * job->element;
  const gsize at = (gsize) h * UMEDPT_HEAD_DIM * job->element;

  for (gint64 i = 0; i < job->L; i++) {
    gsize pixel = (gsize) tokens->pixel[i];

    if (tokens->pixel[i] < 0) {
      table->rows[i] = (const char *) job->padding + at;
      table->diff_dst[i] = zeros;
      table->diff_qkv[i] = NULL;
      continue;
    }
    table->rows[i] = (const char *) forward->qkv->data + pixel * 3 * row + at;
    table->diff_dst[i] =
        (const char *) job->args->diff_dst->data + pixel * row + at;
    table->diff_qkv[i] =
        diff_qkv ? (char *) diff_qkv->data + pixel * 3 * row + at : unwanted;
  }
}

/* Heads [@first, @end) of one window, added to the sums of @slot. */
static void
differentiate_window (const BackwardJob *job, gint64 window, gint64 slot,
    gint64 first, gint64 end, char *scratch)
{
  const UmedptWindowAttentionArgs *forward = &job->args->forward;
  const UmedptTrainKernels *kernels = umedpt_train_kernels_get ();
  const gint64 L = job->L;
  gsize kernel_size = UMEDPT_ATTENTION_DIFF_SCRATCH (L) * sizeof (float);
  UmedptWindowTokens tokens;
  BackwardTable table;

  umedpt_windows_get (&job->windows, window, &tokens);
  for (gint64 h = first; h < end; h++) {
    gint64 sum = slot * job->heads + h;
    UmedptAttentionDiff diff = {
      .head = { .tokens = L,
          .rows = table.rows,
          .channels = job->windows.C,
          .region = tokens.mixed ? tokens.region : NULL,
          .bias = UMEDPT_F32 (forward->position_bias) + h * L * L,
          .scale = UMEDPT_F32 (forward->scale)[h],
          .scratch = (float *) scratch },
      .diff_dst = table.diff_dst,
      .diff_qkv = table.diff_qkv,
      .diff_bias = job->diff_bias + sum * L * L,
      .diff_padding = job->diff_padding + sum * UMEDPT_HEAD_DIM
    };

    umedpt_bias_bound (&job->range, h, &diff.head);
    fill_table (job, &tokens, h, scratch + kernel_size, &table);
    if (job->element == 2)
      kernels->attention_bf16 (&diff);
    else
      kernels->attention_f32 (&diff);
    job->diff_scale[sum] += diff.diff_scale;
  }
}

static void
backward_chunk (gpointer data, guint worker, guint chunk)
{
  BackwardJob *job = data;
  gint64 slot = chunk / job->groups;
  gint64 first = chunk % job->groups * job->heads_per_group;
  gint64 end = MIN (first + job->heads_per_group, job->heads);
  gint64 begin = slot * job->windows_per_slot;
  gint64 stop = MIN (begin + job->windows_per_slot, job->windows.n_windows);
  gsize sum = (gsize) (slot * job->heads + first), n = (gsize) (end - first);
  char *scratch = umedpt_cpu_scratch (worker,
      (UMEDPT_ATTENTION_DIFF_SCRATCH (job->L) + (gsize) job->windows.C * 3) *
          sizeof (float));

  if (!scratch) {
    atomic_store (&job->failed, 1);
    return;
  }
  memset (job->diff_bias + sum * job->L * job->L, 0,
      n * job->L * job->L * sizeof (float));
  memset (job->diff_scale + sum, 0, n * sizeof (float));
  memset (job->diff_padding + sum * UMEDPT_HEAD_DIM, 0,
      n * UMEDPT_HEAD_DIM * sizeof (float));
  for (gint64 window = begin; window < stop; window++)
    differentiate_window (job, window, slot, first, end, scratch);
}

/* dst[i] += the sum over slots of src[slot * stride + i] */
static void
add_slots (const BackwardJob *job, const float *src, gsize stride, gsize n,
    float *dst)
{
  for (gint64 slot = 0; slot < job->slots; slot++)
    for (gsize i = 0; i < n; i++)
      dst[i] += src[(gsize) slot * stride + i];
}

/* Adds the sums of head @h to the gradients. */
static void
reduce_chunk (gpointer data, guint worker, guint h)
{
  const BackwardJob *job = data;
  const UmedptWindowAttentionBackwardArgs *args = job->args;
  const gsize n = (gsize) (job->L * job->L), heads = (gsize) job->heads;

  if (args->diff_position_bias)
    add_slots (job, job->diff_bias + h * n, heads * n, n,
        UMEDPT_F32 (args->diff_position_bias) + h * n);
  if (args->diff_scale)
    add_slots (job, job->diff_scale + h, heads, 1,
        UMEDPT_F32 (args->diff_scale) + h);
  if (args->diff_qkv_bias) /* v alone: a padded pixel's output is dropped */
    add_slots (job, job->diff_padding + h * UMEDPT_HEAD_DIM,
        heads * UMEDPT_HEAD_DIM, UMEDPT_HEAD_DIM,
        UMEDPT_F32 (args->diff_qkv_bias) + 2 * job->windows.C +
            h * UMEDPT_HEAD_DIM);
}

/* How the work is cut depends on shapes alone. */
static void
cut (BackwardJob *job)
{
  gint64 n = job->windows.n_windows, wanted;

  job->slots = CLAMP (n / WINDOWS_PER_SLOT, 1, MAX_SLOTS);
  job->windows_per_slot = (n + job->slots - 1) / job->slots;
  job->slots = (n + job->windows_per_slot - 1) / job->windows_per_slot;
  wanted = CLAMP ((WANTED_CHUNKS + job->slots - 1) / job->slots, 1, job->heads);
  job->heads_per_group = (job->heads + wanted - 1) / wanted;
  job->groups = (job->heads + job->heads_per_group - 1) / job->heads_per_group;
}

gboolean
umedpt_cpu_window_attention_backward (UmedptBackend *backend,
    const UmedptWindowAttentionBackwardArgs *args, GError **error)
{
  const UmedptWindowAttentionArgs *forward = &args->forward;
  BackwardJob job = { .args = args,
    .element = umedpt_dtype_size (forward->qkv->dtype),
    .heads = forward->heads,
    .L = forward->window * forward->window };
  g_autofree gpointer padding = NULL;
  g_autofree float *sums = NULL;
  gsize heads;

  if (!umedpt_windows_check (forward,
          umedpt_train_kernels_get ()->attention_bf16 != NULL, error))
    return FALSE;
  if (args->diff_dst->n_elements == 0)
    return TRUE;
  job.windows = umedpt_windows_new (forward);
  if (!umedpt_bias_range (forward, &job.range, error))
    return FALSE;
  cut (&job);
  job.padding = padding = umedpt_window_padding (forward, job.windows.C);
  heads = (gsize) (job.slots * job.heads);
  sums = g_try_malloc_n (heads * (job.L * job.L + UMEDPT_HEAD_DIM + 1),
      sizeof *sums);
  if (!sums) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "out of memory for the gradients of %" G_GSIZE_FORMAT
        " tables of position bias.",
        heads);
    return FALSE;
  }
  job.diff_bias = sums;
  job.diff_padding = job.diff_bias + heads * job.L * job.L;
  job.diff_scale = job.diff_padding + heads * UMEDPT_HEAD_DIM;
  return umedpt_cpu_run ((guint) (job.slots * job.groups), backward_chunk, &job,
             &job.failed, error) &&
      umedpt_cpu_run ((guint) job.heads, reduce_chunk, &job, NULL, error);
}
