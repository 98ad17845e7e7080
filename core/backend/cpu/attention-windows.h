/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How a map is cut into shifted windows: which pixel is which token of which
 * window. Shared by attention and its backward pass, which thereby see
 * padding, roll and regions alike. The rules: backend/backend.h.
 */
#pragma once

#include "backend/cpu/cpu.h"

G_BEGIN_DECLS

#define UMEDPT_MAX_TOKENS 256 /* window 16 */

typedef struct
{
  gint64 H, W, C;
  gint64 window;
  gint64 rows, cols; /* windows down and across */
  gint64 shift_y, shift_x; /* after suppression */
  gint64 n_windows; /* of all images */
} UmedptWindows;

typedef struct
{
  gint64 pixel[UMEDPT_MAX_TOKENS]; /* of all images' pixels; -1: padding */
  gint32 region[UMEDPT_MAX_TOKENS];
  gboolean mixed; /* has more than one region */
} UmedptWindowTokens;

/* What bounds the logits: each head's scale and the range of its bias. */
typedef struct
{
  const float *largest, *smallest; /* of each head's bias */
} UmedptBiasRange;

UmedptWindows umedpt_windows_new (const UmedptWindowAttentionArgs *args);
void umedpt_windows_get (const UmedptWindows *self, gint64 window,
    UmedptWindowTokens *tokens);
gboolean umedpt_windows_check (const UmedptWindowAttentionArgs *args,
    gboolean has_bf16, GError **error);
gboolean umedpt_bias_range (const UmedptWindowAttentionArgs *args,
    UmedptBiasRange *range, GError **error);
void umedpt_bias_bound (const UmedptBiasRange *range, gint64 h,
    UmedptAttentionHead *head);
gpointer umedpt_window_padding (const UmedptWindowAttentionArgs *args,
    gint64 C);

G_END_DECLS
