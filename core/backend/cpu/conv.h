/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the convolution shares with its backward pass: bands of rows, and maps
 * in the type that oneDNN takes.
 */
#pragma once

#include "backend/cpu/cpu.h"

G_BEGIN_DECLS

/* src [N, H, W, C] to dst [N, OH, OW, O], both of types that oneDNN takes. */
typedef struct
{
  UmedptTensor *src, *dst;
  gint64 kh, kw, stride;
  gint64 above, left; /* zero padding; below and right follow from the sizes */
} UmedptConvGeometry;

UmedptBand umedpt_conv_describe_band (const UmedptConvGeometry *geometry,
    gint64 first_row, gint64 n_rows, gint64 *first_src_row);
/* dst = activation (conv (src) + bias) */
gboolean umedpt_conv_run (const UmedptConvGeometry *geometry,
    UmedptTensor *weight, UmedptWeightsLayout layout, UmedptTensor *bias,
    UmedptActivation activation, UmedptDtype compute, GError **error);
/* (transfer full): @tensor itself where it is of that type */
UmedptTensor *umedpt_conv_as_type (UmedptBackend *backend, UmedptTensor *tensor,
    UmedptDtype dtype, GError **error);

G_END_DECLS
