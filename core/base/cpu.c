/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Run-time choice of kernels. UMEDPT_CPU=portable|avx2|avx512|avx512_bf16
 * lowers the level (it never raises it), so that every path can be tested on
 * one machine. The core count honours the affinity mask (taskset, cgroups'
 * cpusets) and a container's quota, since a pool wider than its cores only waits for itself.
 */
#define _GNU_SOURCE
#include "base/cpu.h"

#include <sched.h>
#include <string.h>

static const char *const isa_names[] = { "portable", "avx2", "avx512",
  "avx512_bf16" };

static UmedptIsa
detect (void)
{
#if defined(__x86_64__)
  __builtin_cpu_init ();
  if (!__builtin_cpu_supports ("avx2") || !__builtin_cpu_supports ("fma"))
    return UMEDPT_ISA_PORTABLE;
  if (!__builtin_cpu_supports ("avx512f") ||
      !__builtin_cpu_supports ("avx512bw") ||
      !__builtin_cpu_supports ("avx512dq") ||
      !__builtin_cpu_supports ("avx512vl"))
    return UMEDPT_ISA_AVX2;
  return __builtin_cpu_supports ("avx512bf16") ? UMEDPT_ISA_AVX512_BF16
                                               : UMEDPT_ISA_AVX512;
#else
  return UMEDPT_ISA_PORTABLE;
#endif
}

static UmedptIsa
apply_limit (UmedptIsa isa, const char *limit)
{
  if (!limit)
    return isa;
  for (gsize i = 0; i < G_N_ELEMENTS (isa_names); i++)
    if (strcmp (limit, isa_names[i]) == 0)
      return MIN (isa, (UmedptIsa) i);
  g_warning ("UMEDPT_CPU is '%s'; it may be portable, avx2, avx512 or "
             "avx512_bf16. It is ignored.",
      limit);
  return isa;
}

/* The best instruction set that processor and UMEDPT_CPU allow. */
UmedptIsa
umedpt_cpu_isa (void)
{
  static gsize isa; /* value + 1 */

  if (g_once_init_enter (&isa)) {
    UmedptIsa found = apply_limit (detect (), g_getenv ("UMEDPT_CPU"));
    g_once_init_leave (&isa, (gsize) found + 1);
  }
  return (UmedptIsa) (isa - 1);
}

const char *
umedpt_isa_name (UmedptIsa isa)
{
  g_return_val_if_fail (isa < G_N_ELEMENTS (isa_names), NULL);
  return isa_names[isa];
}

/* Cores that a container's quota of processor time amounts to, rounded up; 0 =
 * no quota. The file says "max 100000" or "250000 100000": time per period. */
static guint
read_quota (void)
{
  g_autofree char *text = NULL;
  guint64 quota, period;
  char *end;

  if (!g_file_get_contents ("/sys/fs/cgroup/cpu.max", &text, NULL, NULL))
    return 0;
  quota = g_ascii_strtoull (text, &end, 10);
  period = g_ascii_strtoull (end, NULL, 10);
  if (quota == 0 || period == 0)
    return 0;
  return (guint) MIN ((quota + period - 1) / period, G_MAXUINT);
}

/* Cores that this process may use, at least 1: by its affinity mask and by
 * its container's quota. */
guint
umedpt_cpu_count (void)
{
  cpu_set_t set;
  guint n = g_get_num_processors (), quota = read_quota ();

  if (sched_getaffinity (0, sizeof set, &set) == 0 && CPU_COUNT (&set) > 0)
    n = CPU_COUNT (&set);
  if (quota > 0)
    n = MIN (n, quota);
  return MAX (n, 1);
}

/* One line for people, as "2 cores, avx512_bf16". Free with g_free(). */
char *
umedpt_cpu_describe (void)
{
  guint n = umedpt_cpu_count ();

  return g_strdup_printf ("%u core%s, %s", n, n == 1 ? "" : "s",
      umedpt_isa_name (umedpt_cpu_isa ()));
}
