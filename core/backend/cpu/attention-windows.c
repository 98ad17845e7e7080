/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The geometry of shifted windows (Liu et al. 2021, arXiv:2103.14030, section
 * 3.2), and what else attention and its backward pass have in common: which
 * shapes they have kernels for, a padded pixel's q, k, v, and a bound of the
 * logits that spares softmax the search for a maximum.
 */
#include "backend/cpu/attention-windows.h"

#include <math.h>
#include <string.h>

/* Logits of one row that lie closer together than this need no maximum: masked
 * ones (another 100 below) still vanish beside them in f32. */
#define MAX_SPREAD 60

UmedptWindows
umedpt_windows_new (const UmedptWindowAttentionArgs *args)
{
  const gint64 *shape = args->qkv->shape;
  const gint64 window = args->window;
  UmedptWindows self = { .H = shape[1],
    .W = shape[2],
    .C = shape[3] / 3,
    .window = window,
    .rows = (shape[1] + window - 1) / window,
    .cols = (shape[2] + window - 1) / window };

  self.shift_y = self.rows > 1 ? args->shift : 0;
  self.shift_x = self.cols > 1 ? args->shift : 0;
  self.n_windows = shape[0] * self.rows * self.cols;
  return self;
}

/* Which of the slices [0,-window) [-window,-shift) [-shift,end) holds @pos. */
static gint
slice_of (gint64 pos, gint64 size, gint64 window, gint64 shift)
{
  if (shift == 0)
    return 0;
  return pos < size - window ? 0 : pos < size - shift ? 1 : 2;
}

/* @window counts over images, then rows, then columns. */
void
umedpt_windows_get (const UmedptWindows *self, gint64 window,
    UmedptWindowTokens *tokens)
{
  const gint64 w = self->window, per_image = self->rows * self->cols;
  const gint64 height = self->rows * w, width = self->cols * w;
  gint64 n = window / per_image, rest = window % per_image;
  gint64 top = rest / self->cols * w, left = rest % self->cols * w;

  tokens->mixed = FALSE;
  for (gint64 i = 0; i < w; i++) {
    gint64 y = top + i, sy = y + self->shift_y;
    gint row_slice = slice_of (y, height, w, self->shift_y) * 3;

    sy -= sy >= height ? height : 0;
    for (gint64 j = 0; j < w; j++) {
      gint64 x = left + j, sx = x + self->shift_x, token = i * w + j;
      sx -= sx >= width ? width : 0;
      tokens->pixel[token] =
          sy < self->H && sx < self->W ? (n * self->H + sy) * self->W + sx : -1;
      tokens->region[token] = row_slice + slice_of (x, width, w, self->shift_x);
      tokens->mixed =
          tokens->mixed || tokens->region[token] != tokens->region[0];
    }
  }
}

gboolean
umedpt_windows_check (const UmedptWindowAttentionArgs *args, gboolean has_bf16,
    GError **error)
{
  gint64 L = args->window * args->window, C = args->qkv->shape[3] / 3;

  if (C != args->heads * UMEDPT_HEAD_DIM || L % 64 != 0 ||
      L > UMEDPT_MAX_TOKENS) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "window attention has kernels for head dimension %d and windows of 8 "
        "or 16 pixels; here they are %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT
        ".",
        UMEDPT_HEAD_DIM, C / MAX (args->heads, 1), args->window);
    return FALSE;
  }
  if (args->qkv->dtype == UMEDPT_DTYPE_BF16 && !has_bf16) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "window attention in bf16 needs AVX512_BF16; this processor (or "
        "UMEDPT_CPU) offers %s.",
        umedpt_isa_name (umedpt_cpu_isa ()));
    return FALSE;
  }
  return TRUE;
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

gboolean
umedpt_bias_range (const UmedptWindowAttentionArgs *args,
    UmedptBiasRange *range, GError **error)
{
  static const char key;

  range->largest = umedpt_tensor_attach (args->position_bias, &key,
      measure_bias, NULL, g_free, error);
  if (!range->largest)
    return FALSE;
  range->smallest = range->largest + args->heads;
  return TRUE;
}

/* Sets bound and exact of @head, whose scale is set, for head number @h. */
void
umedpt_bias_bound (const UmedptBiasRange *range, gint64 h,
    UmedptAttentionHead *head)
{
  float scale = fabsf (head->scale);

  head->bound = scale + range->largest[h];
  head->exact = 2 * scale + range->largest[h] - range->smallest[h] > MAX_SPREAD;
}

/* The 3C values of a pixel beyond the map, in qkv's type. */
gpointer
umedpt_window_padding (const UmedptWindowAttentionArgs *args, gint64 C)
{
  gsize element = umedpt_dtype_size (args->qkv->dtype);
  gpointer padding = g_malloc_n (3 * C, element);

  if (element == 2)
    umedpt_kernels_get ()->f32_to_bf16 (UMEDPT_F32 (args->qkv_bias), padding,
        3 * C);
  else
    memcpy (padding, args->qkv_bias->data, 3 * C * sizeof (float));
  return padding;
}
