/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Matrix products, whoever does them. cuBLASLt has bias and GELU in the end of
 * its kernels for some types and alignments; what it refuses is done by a
 * kernel of ours after the product, and products that it refuses altogether by
 * a plain kernel. UMEDPT_CUDA_GEMM=plain does all of them so.
 *
 * cuBLASLt's GELU is the tanh approximation, off by up to 5e-4, which is less
 * than the rounding of a result of that size to bf16: it is for results in
 * bf16 only. Its relu turns a NaN into 0 and is not used.
 */
#include "gemm.h"

#include "kernels/plain-gemm.h"
#include "kernels/row-ends.h"

static gboolean
is_plain (void)
{
  static gsize state;

  if (g_once_init_enter (&state))
    g_once_init_leave (&state,
        g_strcmp0 (g_getenv ("UMEDPT_CUDA_GEMM"), "plain") == 0 ? 2 : 1);
  return state == 2;
}

/* What cuBLASLt can do along; FALSE: not the whole end. */
static gboolean
find_epilogue (const UmedptCudaGemm *gemm, cublasLtEpilogue_t *epilogue)
{
  guint bits;

  if (gemm->c_half && !gemm->half)
    return FALSE;
  switch (gemm->activation) {
    case UMEDPT_ACTIVATION_NONE:
      bits = gemm->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
      break;
    case UMEDPT_ACTIVATION_GELU:
      if (!gemm->c_half || (gemm->saved && gemm->n % 8 != 0))
        return FALSE;
      bits = gemm->saved ? CUBLASLT_EPILOGUE_GELU_AUX : CUBLASLT_EPILOGUE_GELU;
      if (gemm->bias)
        bits |= CUBLASLT_EPILOGUE_BIAS;
      break;
    default:
      return FALSE;
  }
  *epilogue = (cublasLtEpilogue_t) bits;
  return TRUE;
}

/* The product alone, into f32 or bf16. */
static gboolean
run_product (UmedptCuda *cuda, const UmedptCudaGemm *gemm, GError **error)
{
  const UmedptCudaPlainGemm plain = { .m = gemm->m,
    .n = gemm->n,
    .k = gemm->k,
    .a = gemm->a,
    .b = gemm->b,
    .half = gemm->half,
    .a_transposed = gemm->a_transposed,
    .b_transposed = gemm->b_transposed,
    .c = gemm->c,
    .c_half = gemm->c_half,
    .add = gemm->add };
  UmedptCudaGemmResult result = UMEDPT_CUDA_GEMM_REFUSED;

  /* cuBLASLt has no bf16 results of f32 products */
  if (!is_plain () && (gemm->half || !gemm->c_half))
    result = umedpt_cuda_gemm_lt (cuda, gemm, CUBLASLT_EPILOGUE_DEFAULT, error);
  if (result != UMEDPT_CUDA_GEMM_REFUSED)
    return result == UMEDPT_CUDA_GEMM_QUEUED;
  return umedpt_cuda_check (umedpt_cuda_plain_gemm (&plain, cuda->stream),
      "a matrix product", error);
}

/* The product in f32, then its end. */
static gboolean
run_in_steps (UmedptCuda *cuda, const UmedptCudaGemm *gemm, GError **error)
{
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  UmedptCudaGemm product = *gemm;
  UmedptCudaRowEnd end = { .rows = gemm->m,
    .columns = gemm->n,
    .bias = umedpt_cuda_data (gemm->bias),
    .activation = (int) gemm->activation,
    .dst = gemm->c,
    .dst_half = gemm->c_half,
    .accumulate = gemm->add != NULL,
    .saved = gemm->saved };

  if (gemm->c_half) {
    product.c = umedpt_cuda_scratch (cuda,
        (gsize) gemm->m * (gsize) gemm->n * sizeof (float), &scratch, error);
    product.c_half = FALSE;
    if (!product.c)
      return FALSE;
    product.add = NULL;
    end.src = product.c;
    return run_product (cuda, &product, error) &&
        (!gemm->add || gemm->add == gemm->c ||
            umedpt_cuda_check (cudaMemcpyAsync (gemm->c, gemm->add,
                                   (gsize) gemm->m * (gsize) gemm->n * 2,
                                   cudaMemcpyDeviceToDevice, cuda->stream),
                "copying", error)) &&
        umedpt_cuda_check (umedpt_cuda_row_end (&end, cuda->stream),
            "the end of a matrix product", error);
  }
  if (!run_product (cuda, &product, error))
    return FALSE;
  end.src = gemm->c;
  end.accumulate = FALSE; /* it is done */
  if (!gemm->bias && gemm->activation == UMEDPT_ACTIVATION_NONE)
    return TRUE;
  return umedpt_cuda_check (umedpt_cuda_row_end (&end, cuda->stream),
      "the end of a matrix product", error);
}

gboolean
umedpt_cuda_gemm (UmedptCuda *cuda, const UmedptCudaGemm *gemm, GError **error)
{
  UmedptCudaGemmResult result = UMEDPT_CUDA_GEMM_REFUSED;
  cublasLtEpilogue_t epilogue;

  if (gemm->m <= 0 || gemm->n <= 0)
    return TRUE;
  if (!is_plain () && find_epilogue (gemm, &epilogue))
    result = umedpt_cuda_gemm_lt (cuda, gemm, epilogue, error);
  if (result != UMEDPT_CUDA_GEMM_REFUSED)
    return result == UMEDPT_CUDA_GEMM_QUEUED;
  return run_in_steps (cuda, gemm, error);
}
