/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The bridge to oneDNN: its engine, one stream per worker of the pool, and the
 * hold on OpenMP. Primitives take their number of OpenMP threads when they are
 * made, so they are made and run under omp_set_num_threads (1), and the
 * caller's setting is put back afterwards.
 */
#define G_LOG_DOMAIN "Umedpt"
#include "backend/cpu/onednn-private.h"

#include "base/cpu.h"
#include "base/error.h"
#include "base/pool.h"

#ifdef HAVE_OPENMP_RUNTIME
extern int omp_get_max_threads (void);
extern void omp_set_num_threads (int n);
#endif

int
umedpt_onednn_enter (void)
{
#ifdef HAVE_OPENMP_RUNTIME
  int saved = omp_get_max_threads ();
  omp_set_num_threads (1);
  return saved;
#else
  return 1;
#endif
}

void
umedpt_onednn_leave (int saved)
{
#ifdef HAVE_OPENMP_RUNTIME
  omp_set_num_threads (saved);
#endif
}

/* A status as an error that says what was tried. */
gboolean
umedpt_onednn_check (dnnl_status_t status, const char *what, GError **error)
{
  if (status == dnnl_success)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR,
      status == dnnl_unimplemented       ? UMEDPT_ERROR_UNSUPPORTED
          : status == dnnl_out_of_memory ? UMEDPT_ERROR_NO_MEMORY
                                         : UMEDPT_ERROR_BACKEND,
      "oneDNN could not %s: status %d (%s).", what, (int) status,
      status == dnnl_unimplemented ? "not offered for this processor or shape"
          : status == dnnl_out_of_memory ? "out of memory"
                                         : "internal error");
  return FALSE;
}

/* oneDNN must not use instructions that UMEDPT_CPU has ruled out. */
static void
limit_isa (void)
{
  switch (umedpt_cpu_isa ()) {
    case UMEDPT_ISA_PORTABLE:
      dnnl_set_max_cpu_isa (dnnl_cpu_isa_sse41);
      break;
    case UMEDPT_ISA_AVX2:
      dnnl_set_max_cpu_isa (dnnl_cpu_isa_avx2);
      break;
    case UMEDPT_ISA_AVX512:
      dnnl_set_max_cpu_isa (dnnl_cpu_isa_avx512_core_vnni);
      break;
    case UMEDPT_ISA_AVX512_BF16:
      break;
  }
}

/* The engine and the workers' streams, made once. */
UmedptOnednnRuntime *
umedpt_onednn_get_runtime (void)
{
  static gsize runtime;

  if (g_once_init_enter (&runtime)) {
    UmedptOnednnRuntime *made = g_new0 (UmedptOnednnRuntime, 1);
    limit_isa ();
    made->n_workers = umedpt_pool_get_n_workers (umedpt_pool_get_default ());
    made->workers = g_new0 (UmedptOnednnWorker, made->n_workers);
    if (dnnl_engine_create (&made->engine, dnnl_cpu, 0) != dnnl_success)
      made->engine = NULL;
    for (guint i = 0; made->engine && i < made->n_workers; i++)
      if (dnnl_stream_create (&made->workers[i].stream, made->engine,
              dnnl_stream_default_flags) != dnnl_success)
        made->engine = NULL;
    g_once_init_leave (&runtime, (gsize) made);
  }
  return (UmedptOnednnRuntime *) runtime;
}

/* bf16 is emulated (slowly) or refused by oneDNN without native support. */
gboolean
umedpt_onednn_supports (UmedptDtype compute)
{
  return compute == UMEDPT_DTYPE_F32 ||
      umedpt_cpu_isa () >= UMEDPT_ISA_AVX512_BF16;
}

char *
umedpt_onednn_version (void)
{
  const dnnl_version_t *version = dnnl_version ();

  return g_strdup_printf ("%d.%d.%d", version->major, version->minor,
      version->patch);
}
