/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Shifted-window attention over a map: which pixel belongs to which window,
 * by tables of row pointers. Roll, padding, window cut and their reverse thus
 * cost nothing; the arithmetic is in attention-kernel.h. A chunk is one window
 * and some of its heads, so that even a map of one window keeps every worker
 * busy.
 */
#include "backend/cpu/attention-windows.h"

#define WANTED_CHUNKS 16

typedef struct
{
  const UmedptWindowAttentionArgs *args;
  UmedptWindows windows;
  UmedptBiasRange range;
  gint64 heads_per_chunk, chunks_per_window;
  gconstpointer padding; /* a pixel's 3C values for pixels beyond the map */
  gsize element;
  atomic_int failed;
} AttentionJob;

typedef struct
{
  const void *rows[UMEDPT_MAX_TOKENS]; /* q of the chunk's first head */
  void *dst[UMEDPT_MAX_TOKENS];
} WindowTable;

static void
fill_table (const AttentionJob *job, const UmedptWindowTokens *tokens,
    WindowTable *table)
{
  const UmedptWindowAttentionArgs *args = job->args;
  const gsize row = (gsize) job->windows.C * job->element;

  for (gint64 i = 0; i < args->window * args->window; i++) {
    gint64 pixel = tokens->pixel[i];
    gboolean inside = pixel >= 0;

    table->rows[i] = inside
        ? (const char *) args->qkv->data + (gsize) pixel * 3 * row
        : job->padding;
    table->dst[i] =
        inside ? (char *) args->dst->data + (gsize) pixel * row : NULL;
  }
}

/* Moves the table's pointers by @bytes: on to another head. */
static void
advance (WindowTable *table, gint64 tokens, gsize bytes)
{
  for (gint64 i = 0; i < tokens; i++) {
    table->rows[i] = (const char *) table->rows[i] + bytes;
    if (table->dst[i])
      table->dst[i] = (char *) table->dst[i] + bytes;
  }
}

static void
attention_chunk (gpointer data, guint worker, guint chunk)
{
  AttentionJob *job = data;
  const UmedptWindowAttentionArgs *args = job->args;
  const UmedptKernels *kernels = umedpt_kernels_get ();
  const gint64 L = args->window * args->window;
  gint64 first = chunk % job->chunks_per_window * job->heads_per_chunk;
  gint64 end = MIN (first + job->heads_per_chunk, args->heads);
  UmedptWindowTokens tokens;
  WindowTable table;
  UmedptAttentionHead head = { .tokens = L,
    .rows = table.rows,
    .channels = job->windows.C,
    .dst = table.dst,
    .scratch = umedpt_cpu_scratch (worker,
        UMEDPT_ATTENTION_SCRATCH (L) * sizeof (float)) };

  if (!head.scratch) {
    atomic_store (&job->failed, 1);
    return;
  }
  umedpt_windows_get (&job->windows, chunk / job->chunks_per_window, &tokens);
  fill_table (job, &tokens, &table);
  head.region = tokens.mixed ? tokens.region : NULL;
  advance (&table, L, first * UMEDPT_HEAD_DIM * job->element);
  for (gint64 h = first; h < end; h++) {
    head.bias = UMEDPT_F32 (args->position_bias) + h * L * L;
    head.scale = UMEDPT_F32 (args->scale)[h];
    umedpt_bias_bound (&job->range, h, &head);
    if (job->element == 2)
      kernels->attention_bf16 (&head);
    else
      kernels->attention_f32 (&head);
    advance (&table, L, UMEDPT_HEAD_DIM * job->element);
  }
}

gboolean
umedpt_cpu_window_attention (UmedptBackend *backend,
    const UmedptWindowAttentionArgs *args, GError **error)
{
  AttentionJob job = { .args = args,
    .element = umedpt_dtype_size (args->qkv->dtype) };
  g_autofree gpointer padding = NULL;
  gint64 windows;

  if (!umedpt_windows_check (args,
          umedpt_kernels_get ()->attention_bf16 != NULL, error))
    return FALSE;
  if (args->dst->n_elements == 0)
    return TRUE;
  job.windows = umedpt_windows_new (args);
  windows = job.windows.n_windows;
  job.padding = padding = umedpt_window_padding (args, job.windows.C);
  if (!umedpt_bias_range (args, &job.range, error))
    return FALSE;
  job.chunks_per_window =
      CLAMP ((WANTED_CHUNKS + windows - 1) / windows, 1, args->heads);
  job.heads_per_chunk =
      (args->heads + job.chunks_per_window - 1) / job.chunks_per_window;
  job.chunks_per_window =
      (args->heads + job.heads_per_chunk - 1) / job.heads_per_chunk;
  return umedpt_cpu_run ((guint) (windows * job.chunks_per_window),
      attention_chunk, &job, &job.failed, error);
}
