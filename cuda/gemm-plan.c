/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Matrix products by cuBLASLt. Which of its kernels is best for a shape is
 * asked once and kept as a plan; after that a product costs one call.
 *
 * cuBLASLt is column-major: what is stored as row-major c [m, n] is its
 * c^T [n, m], so c = a b becomes c^T = b^T a^T, with the factors exchanged and
 * nothing moved. A bias runs along its rows, which are our columns.
 *
 * By default the plan is the first that the library's heuristics propose: it
 * is the same in every process, and so are the results. UMEDPT_CUDA_TUNE=1
 * times all proposals for large products instead and keeps the fastest, which
 * may give other last bits in another process. Sums that are split over the
 * device are joined in a fixed order in either case.
 */
#include "gemm.h"

#include <string.h>

#define WORKSPACE_SIZE ((gsize) 64 << 20)
#define MAX_CANDIDATES 8
#define N_TIMINGS 4
/* Smaller products are over before a better kernel would tell. */
#define TUNE_MIN_PRODUCTS 1e8

/* Compared byte by byte: set up from zeros. */
typedef struct
{
  gint64 m, n, k;
  gint half, c_half, a_transposed, b_transposed;
  gint epilogue, adds;
  guint32 a_alignment, b_alignment, c_alignment, d_alignment; /* bytes */
} Key;

typedef struct
{
  Key key;
  gboolean refused;
  cublasLtMatmulDesc_t desc;
  cublasLtMatrixLayout_t a, b, d; /* a and b as cuBLASLt has them */
  cublasLtMatmulAlgo_t algo;
  gsize workspace;
} Plan;

typedef struct
{
  GHashTable *plans; /* Key * -> Plan, which holds it */
  gpointer workspace;
  gboolean tune;
} Plans;

/* ---- Plans ---- */

static guint
key_hash (gconstpointer key)
{
  const guint32 *words = key;
  guint hash = 2166136261u; /* Fowler, Noll and Vo, by words */

  for (gsize i = 0; i < sizeof (Key) / sizeof *words; i++)
    hash = (hash ^ words[i]) * 16777619u;
  return hash;
}

static gboolean
key_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, sizeof (Key)) == 0;
}

static void
plan_free (gpointer data)
{
  Plan *self = data;

  if (self->desc)
    cublasLtMatmulDescDestroy (self->desc);
  if (self->a)
    cublasLtMatrixLayoutDestroy (self->a);
  if (self->b)
    cublasLtMatrixLayoutDestroy (self->b);
  if (self->d)
    cublasLtMatrixLayoutDestroy (self->d);
  g_free (self);
}

static Plans *
get_plans (UmedptCuda *cuda, GError **error)
{
  Plans *self = cuda->gemm_plans;
  gpointer workspace = NULL;

  if (self)
    return self;
  if (!umedpt_cuda_check (cudaMalloc (&workspace, WORKSPACE_SIZE),
          "taking memory for matrix products", error))
    return NULL;
  self = g_new0 (Plans, 1);
  self->workspace = workspace;
  self->plans = g_hash_table_new_full (key_hash, key_equal, NULL, plan_free);
  self->tune = g_strcmp0 (g_getenv ("UMEDPT_CUDA_TUNE"), "1") == 0;
  cuda->gemm_plans = self;
  return self;
}

/* The largest power of two, up to 256, that divides an address. */
static guint32
alignment_of (const void *data)
{
  const guintptr low = (guintptr) data | 256;

  return (guint32) (low & (~low + 1));
}

static Key
make_key (const UmedptCudaGemm *gemm, cublasLtEpilogue_t epilogue)
{
  Key key;

  memset (&key, 0, sizeof key);
  key.m = gemm->m;
  key.n = gemm->n;
  key.k = gemm->k;
  key.half = gemm->half != FALSE;
  key.c_half = gemm->c_half != FALSE;
  key.a_transposed = gemm->a_transposed != FALSE;
  key.b_transposed = gemm->b_transposed != FALSE;
  key.epilogue = (gint) epilogue;
  key.adds = gemm->add != NULL;
  key.a_alignment = alignment_of (gemm->a);
  key.b_alignment = alignment_of (gemm->b);
  key.d_alignment = alignment_of (gemm->c);
  key.c_alignment = gemm->add ? alignment_of (gemm->add) : key.d_alignment;
  return key;
}

#define SET(desc, attribute, value) \
  (cublasLtMatmulDescSetAttribute (desc, attribute, &(value), \
       sizeof (value)) == CUBLAS_STATUS_SUCCESS)
#define PREFER(preference, attribute, value) \
  (cublasLtMatmulPreferenceSetAttribute (preference, attribute, &(value), \
       sizeof (value)) == CUBLAS_STATUS_SUCCESS)

static cublasComputeType_t
compute_of (const UmedptCuda *cuda, const Key *key)
{
  return !key->half && cuda->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                  : CUBLAS_COMPUTE_32F;
}

static gboolean
has_bias (gint epilogue)
{
  return (epilogue & CUBLASLT_EPILOGUE_BIAS) != 0;
}

static gboolean
has_aux (gint epilogue)
{
  return (epilogue & ~CUBLASLT_EPILOGUE_BIAS) == CUBLASLT_EPILOGUE_GELU_AUX;
}

/* Pointers of a call; the heuristics look at their alignment, too. */
static gboolean
set_pointers (Plan *self, const void *bias, void *aux)
{
  const gint epilogue = self->key.epilogue;

  return (!has_bias (epilogue) ||
             SET (self->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias)) &&
      (!has_aux (epilogue) ||
          SET (self->desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux));
}

/* FALSE: something of it is not supported. */
static gboolean
describe (Plan *self, const UmedptCuda *cuda)
{
  const Key *key = &self->key;
  const cudaDataType_t in = key->half ? CUDA_R_16BF : CUDA_R_32F;
  const cudaDataType_t out = key->c_half ? CUDA_R_16BF : CUDA_R_32F;
  /* the factors change places, see the head */
  const cublasOperation_t a = key->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t b = key->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  const gint64 m = key->m, n = key->n, k = key->k;
  const cublasLtEpilogue_t epilogue = (cublasLtEpilogue_t) key->epilogue;

  return cublasLtMatmulDescCreate (&self->desc, compute_of (cuda, key),
             CUDA_R_32F) == CUBLAS_STATUS_SUCCESS &&
      SET (self->desc, CUBLASLT_MATMUL_DESC_TRANSA, a) &&
      SET (self->desc, CUBLASLT_MATMUL_DESC_TRANSB, b) &&
      SET (self->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue) &&
      (!has_aux (key->epilogue) ||
          SET (self->desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, n)) &&
      cublasLtMatrixLayoutCreate (&self->a, in,
          (guint64) (key->b_transposed ? k : n),
          (guint64) (key->b_transposed ? n : k),
          key->b_transposed ? k : n) == CUBLAS_STATUS_SUCCESS &&
      cublasLtMatrixLayoutCreate (&self->b, in,
          (guint64) (key->a_transposed ? m : k),
          (guint64) (key->a_transposed ? k : m),
          key->a_transposed ? m : k) == CUBLAS_STATUS_SUCCESS &&
      cublasLtMatrixLayoutCreate (&self->d, out, (guint64) n, (guint64) m, n) ==
      CUBLAS_STATUS_SUCCESS;
}

static gboolean
set_preferences (cublasLtMatmulPreference_t preference, const Key *key)
{
  const guint64 workspace = WORKSPACE_SIZE;
  const guint32 schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;

  return PREFER (preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
             workspace) &&
      PREFER (preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
          schemes) &&
      PREFER (preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
          key->b_alignment) &&
      PREFER (preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          key->a_alignment) &&
      PREFER (preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
          key->c_alignment) &&
      PREFER (preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
          key->d_alignment);
}

/* What the library proposes, best first; the number of proposals. */
static int
ask_candidates (Plan *self, UmedptCuda *cuda,
    cublasLtMatmulHeuristicResult_t *results)
{
  cublasLtMatmulPreference_t preference = NULL;
  int found = 0;

  if (cublasLtMatmulPreferenceCreate (&preference) != CUBLAS_STATUS_SUCCESS)
    return 0;
  if (!set_preferences (preference, &self->key) ||
      cublasLtMatmulAlgoGetHeuristic (cuda->lt, self->desc, self->a, self->b,
          self->d, self->d, preference, MAX_CANDIDATES, results,
          &found) != CUBLAS_STATUS_SUCCESS)
    found = 0;
  cublasLtMatmulPreferenceDestroy (preference);
  /* those that cannot be used are last */
  while (found > 0 && results[found - 1].state != CUBLAS_STATUS_SUCCESS)
    found--;
  return found;
}

/* ---- Running ---- */

static cublasStatus_t
queue (const Plan *self, UmedptCuda *cuda, const UmedptCudaGemm *gemm)
{
  const float one = 1, beta = gemm->add ? 1 : 0;
  const Plans *plans = cuda->gemm_plans;

  return cublasLtMatmul (cuda->lt, self->desc, &one, gemm->b, self->a, gemm->a,
      self->b, &beta, gemm->add ? gemm->add : gemm->c, self->d, gemm->c,
      self->d, &self->algo, plans->workspace, WORKSPACE_SIZE, cuda->stream);
}

/* Milliseconds of one run; negative: it does not run. */
static float
time_run (const Plan *self, UmedptCuda *cuda, const UmedptCudaGemm *gemm,
    cudaEvent_t begin, cudaEvent_t end)
{
  float time = -1;

  if (cudaEventRecord (begin, cuda->stream) != cudaSuccess ||
      queue (self, cuda, gemm) != CUBLAS_STATUS_SUCCESS ||
      cudaEventRecord (end, cuda->stream) != cudaSuccess ||
      cudaEventSynchronize (end) != cudaSuccess ||
      cudaEventElapsedTime (&time, begin, end) != cudaSuccess)
    return -1;
  return time;
}

/* Keeps the fastest of @n candidates. @gemm's results go to scratch memory:
 * what it adds to must not change. */
static void
tune (Plan *self, UmedptCuda *cuda, const UmedptCudaGemm *gemm,
    const cublasLtMatmulHeuristicResult_t *results, int n)
{
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  UmedptCudaGemm trial = *gemm;
  cudaEvent_t begin = NULL, end = NULL;
  float best = G_MAXFLOAT;
  int chosen = 0;

  trial.c = umedpt_cuda_scratch (cuda,
      (gsize) gemm->m * (gsize) gemm->n * (gemm->c_half ? 2 : 4), &scratch,
      NULL);
  if (!trial.c || cudaEventCreate (&begin) != cudaSuccess)
    return;
  for (int i = 0; cudaEventCreate (&end) == cudaSuccess && i < n; i++) {
    self->algo = results[i].algo;
    for (int j = 0; j <= N_TIMINGS; j++) { /* the first run loads the kernel */
      const float time = time_run (self, cuda, &trial, begin, end);

      if (time >= 0 && j > 0 && time < best) {
        best = time;
        chosen = i;
      }
    }
    cudaEventDestroy (end);
    end = NULL;
  }
  if (end)
    cudaEventDestroy (end);
  cudaEventDestroy (begin);
  cudaGetLastError (); /* a candidate that does not run is no error */
  self->algo = results[chosen].algo;
}

static gboolean
may_tune (UmedptCuda *cuda, const Key *key)
{
  const Plans *plans = cuda->gemm_plans;
  enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusActive;

  if (!plans->tune ||
      (double) key->m * (double) key->n * (double) key->k < TUNE_MIN_PRODUCTS)
    return FALSE;
  return cudaStreamIsCapturing (cuda->stream, &status) == cudaSuccess &&
      status == cudaStreamCaptureStatusNone;
}

static Plan *
plan_new (UmedptCuda *cuda, const Key *key, const UmedptCudaGemm *gemm,
    const void *bias)
{
  cublasLtMatmulHeuristicResult_t results[MAX_CANDIDATES];
  Plan *self = g_new0 (Plan, 1);
  int n = 0;

  self->key = *key;
  memset (results, 0, sizeof results);
  if (describe (self, cuda) && set_pointers (self, bias, gemm->saved))
    n = ask_candidates (self, cuda, results);
  self->refused = n == 0;
  if (n == 0)
    return self;
  self->algo = results[0].algo;
  if (n > 1 && may_tune (cuda, key))
    tune (self, cuda, gemm, results, n);
  return self;
}

/* The bias in the type that cuBLASLt wants: that of the result. */
static gboolean
get_bias (UmedptCuda *cuda, const UmedptCudaGemm *gemm,
    cublasLtEpilogue_t epilogue, const void **bias, GError **error)
{
  *bias = NULL;
  if (!has_bias ((gint) epilogue))
    return TRUE;
  *bias = gemm->c_half ? umedpt_cuda_bf16 (cuda, gemm->bias, error)
                       : gemm->bias->data;
  return *bias != NULL;
}

UmedptCudaGemmResult
umedpt_cuda_gemm_lt (UmedptCuda *cuda, const UmedptCudaGemm *gemm,
    cublasLtEpilogue_t epilogue, GError **error)
{
  const Key key = make_key (gemm, epilogue);
  Plans *plans = get_plans (cuda, error);
  const void *bias;
  cublasStatus_t status;
  Plan *plan;

  if (!plans || !get_bias (cuda, gemm, epilogue, &bias, error))
    return UMEDPT_CUDA_GEMM_FAILED;
  if (alignment_of (bias) < 16 ||
      (has_aux ((gint) epilogue) && alignment_of (gemm->saved) < 16))
    return UMEDPT_CUDA_GEMM_REFUSED;
  plan = g_hash_table_lookup (plans->plans, &key);
  if (!plan) {
    plan = plan_new (cuda, &key, gemm, bias);
    g_hash_table_insert (plans->plans, &plan->key, plan);
  }
  if (plan->refused || !set_pointers (plan, bias, gemm->saved))
    return UMEDPT_CUDA_GEMM_REFUSED;
  status = queue (plan, cuda, gemm);
  if (status == CUBLAS_STATUS_SUCCESS)
    return UMEDPT_CUDA_GEMM_QUEUED;
  if (status == CUBLAS_STATUS_NOT_SUPPORTED ||
      status == CUBLAS_STATUS_INVALID_VALUE) {
    plan->refused = TRUE;
    return UMEDPT_CUDA_GEMM_REFUSED;
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "cuBLASLt failed to multiply [%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT
      "] by [%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT "] (status %d).",
      gemm->m, gemm->k, gemm->k, gemm->n, (int) status);
  return UMEDPT_CUDA_GEMM_FAILED;
}
