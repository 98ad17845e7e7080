/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What this processor can do, and how many of its cores we may use.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

/* Instruction sets for which kernels exist, weakest first. */
typedef enum
{
  UMEDPT_ISA_PORTABLE, /* plain C */
  UMEDPT_ISA_AVX2, /* AVX2 + FMA */
  UMEDPT_ISA_AVX512, /* AVX-512 F, BW, DQ, VL */
  UMEDPT_ISA_AVX512_BF16, /* and VDPBF16PS */
} UmedptIsa;

UmedptIsa umedpt_cpu_isa (void);
const char *umedpt_isa_name (UmedptIsa isa);
guint umedpt_cpu_count (void);
char *umedpt_cpu_describe (void);

G_END_DECLS
