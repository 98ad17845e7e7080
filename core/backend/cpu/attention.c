/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Shifted-window attention over a map: which pixel belongs to which window,
 * by tables of row pointers. Roll, padding, window cut and their reverse thus
 * cost nothing; the arithmetic is in attention-kernel.h. A chunk is one window
 * and some of its heads, so that even a map of one window keeps every worker
 * busy.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"

#define MAX_TOKENS 256 /* window 16 */
#define WANTED_CHUNKS 16
/* Logits of one row that lie closer together than this need no maximum: masked
 * ones (another 100 below) still vanish beside them in f32. */
#define MAX_SPREAD 60

typedef struct
{
  const UmedptWindowAttentionArgs *args;
  gint64 H, W, C;
  gint64 rows, cols; /* windows down and across */
  gint64 shift_y, shift_x; /* after suppression */
  gint64 heads_per_chunk, chunks_per_window;
  gconstpointer padding; /* a pixel's 3C values for pixels beyond the map */
  const float *largest, *smallest; /* bias of each head */
  gsize element;
  atomic_int failed;
} AttentionJob;

/* Which of the slices [0,-window) [-window,-shift) [-shift,end) holds @pos. */
static gint
slice_of (gint64 pos, gint64 size, gint64 window, gint64 shift)
{
  if (shift == 0)
    return 0;
  return pos < size - window ? 0 : pos < size - shift ? 1 : 2;
}

typedef struct
{
  const void *rows[MAX_TOKENS]; /* q of the chunk's first head */
  void *dst[MAX_TOKENS];
  gint32 region[MAX_TOKENS];
  gboolean mixed; /* has more than one region */
} WindowTable;

static void
fill_table (const AttentionJob *job, gint64 n, gint64 wy, gint64 wx,
    WindowTable *table)
{
  const UmedptWindowAttentionArgs *args = job->args;
  const gint64 window = args->window;
  const gint64 padded_h = job->rows * window, padded_w = job->cols * window;

  table->mixed = FALSE;
  for (gint64 i = 0; i < window * window; i++) {
    gint64 y = wy * window + i / window, x = wx * window + i % window;
    gint64 sy = (y + job->shift_y) % padded_h;
    gint64 sx = (x + job->shift_x) % padded_w;
    gint64 pixel = (n * job->H + sy) * job->W + sx;
    gboolean inside = sy < job->H && sx < job->W;

    table->rows[i] = inside ? (const char *) args->qkv->data +
            (gsize) (pixel * 3 * job->C) * job->element
                            : job->padding;
    table->dst[i] = inside
        ? (char *) args->dst->data + (gsize) (pixel * job->C) * job->element
        : NULL;
    table->region[i] = slice_of (y, padded_h, window, job->shift_y) * 3 +
        slice_of (x, padded_w, window, job->shift_x);
    table->mixed = table->mixed || table->region[i] != table->region[0];
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
  gint64 window = chunk / job->chunks_per_window;
  gint64 first = chunk % job->chunks_per_window * job->heads_per_chunk;
  gint64 end = MIN (first + job->heads_per_chunk, args->heads);
  gint64 per_image = job->rows * job->cols;
  WindowTable table;
  UmedptAttentionHead head = { .tokens = L,
    .rows = table.rows,
    .channels = job->C,
    .dst = table.dst,
    .scratch = umedpt_cpu_scratch (worker,
        UMEDPT_ATTENTION_SCRATCH (L) * sizeof (float)) };

  if (!head.scratch) {
    atomic_store (&job->failed, 1);
    return;
  }
  fill_table (job, window / per_image, window % per_image / job->cols,
      window % job->cols, &table);
  head.region = table.mixed ? table.region : NULL;
  advance (&table, L, first * UMEDPT_HEAD_DIM * job->element);
  for (gint64 h = first; h < end; h++) {
    head.bias = UMEDPT_F32 (args->position_bias) + h * L * L;
    head.scale = UMEDPT_F32 (args->scale)[h];
    head.bound = fabsf (head.scale) + job->largest[h];
    head.exact = 2 * fabsf (head.scale) + job->largest[h] - job->smallest[h] >
        MAX_SPREAD;
    if (job->element == 2)
      kernels->attention_bf16 (&head);
    else
      kernels->attention_f32 (&head);
    advance (&table, L, UMEDPT_HEAD_DIM * job->element);
  }
}

/* The range of each head's bias, from which the kernel bounds its logits:
 * the largest of all heads, then the smallest. Prepared once per tensor. */
static gpointer
measure_bias (UmedptTensor *position_bias, gpointer user_data, GError **error)
{
  const gint64 heads = position_bias->shape[0];
  const gint64 n = (gint64) position_bias->n_elements / heads;
  float *range = g_new (float, 2 * heads);

  for (gint64 h = 0; h < heads; h++) {
    const float *bias = UMEDPT_F32 (position_bias) + h * n;
    float largest = bias[0], smallest = bias[0];
    for (gint64 i = 1; i < n; i++) {
      largest = MAX (largest, bias[i]);
      smallest = MIN (smallest, bias[i]);
    }
    range[h] = largest;
    range[heads + h] = smallest;
  }
  return range;
}

static gboolean
check_supported (const UmedptWindowAttentionArgs *args, gint64 C,
    GError **error)
{
  gint64 L = args->window * args->window;

  if (C != args->heads * UMEDPT_HEAD_DIM || L % 64 != 0 || L > MAX_TOKENS) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "window attention has kernels for head dimension %d and windows of 8 "
        "or 16 pixels; here they are %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT
        ".",
        UMEDPT_HEAD_DIM, C / MAX (args->heads, 1), args->window);
    return FALSE;
  }
  if (args->qkv->dtype == UMEDPT_DTYPE_BF16 &&
      !umedpt_kernels_get ()->attention_bf16) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "window attention in bf16 needs AVX512_BF16; this processor (or "
        "UMEDPT_CPU) offers %s.",
        umedpt_isa_name (umedpt_cpu_isa ()));
    return FALSE;
  }
  return TRUE;
}

gboolean
umedpt_cpu_window_attention (UmedptBackend *backend,
    const UmedptWindowAttentionArgs *args, GError **error)
{
  const gint64 *shape = args->qkv->shape;
  const gint64 window = args->window, C = shape[3] / 3;
  AttentionJob job = { .args = args,
    .H = shape[1],
    .W = shape[2],
    .C = C,
    .rows = (shape[1] + window - 1) / window,
    .cols = (shape[2] + window - 1) / window,
    .element = umedpt_dtype_size (args->qkv->dtype) };
  g_autofree char *padding = NULL;
  static const char bias_key;
  const float *bias_range;
  gint64 windows = shape[0] * job.rows * job.cols;

  if (!check_supported (args, C, error))
    return FALSE;
  if (args->dst->n_elements == 0)
    return TRUE;
  job.shift_y = job.rows > 1 ? args->shift : 0;
  job.shift_x = job.cols > 1 ? args->shift : 0;
  padding = g_malloc (3 * C * job.element);
  if (job.element == 2)
    umedpt_kernels_get ()->f32_to_bf16 (UMEDPT_F32 (args->qkv_bias),
        (guint16 *) padding, 3 * C);
  else
    memcpy (padding, args->qkv_bias->data, 3 * C * sizeof (float));
  job.padding = padding;
  bias_range = umedpt_tensor_attach (args->position_bias, &bias_key,
      measure_bias, NULL, g_free, error);
  if (!bias_range)
    return FALSE;
  job.largest = bias_range;
  job.smallest = bias_range + args->heads;
  job.chunks_per_window =
      CLAMP ((WANTED_CHUNKS + windows - 1) / windows, 1, args->heads);
  job.heads_per_chunk =
      (args->heads + job.chunks_per_window - 1) / job.chunks_per_window;
  job.chunks_per_window =
      (args->heads + job.heads_per_chunk - 1) / job.heads_per_chunk;
  return umedpt_cpu_run ((guint) (windows * job.chunks_per_window),
      attention_chunk, &job, &job.failed, error);
}
