/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A stand-in for cuBLASLt: matrix products as plain loops, with layouts and
 * epilogues as its documentation defines them. It is stricter than the
 * library: a call must give the alignment and the workspace that the
 * heuristics were asked with, and memory must be the device's, all of it.
 */
#include "emulate-private.h"
#include "product.h"

#include <cublasLt.h>

#include <vector>

namespace {

struct Desc
{
  cublasComputeType_t compute;
  cudaDataType_t scale;
  int32_t transa, transb;
  uint32_t epilogue;
  const void *bias;
  void *aux;
  int64_t aux_ld, aux_stride, bias_stride;
  int32_t bias_type, aux_type; /* -1: that of D */
};
static_assert (sizeof (Desc) <= sizeof (cublasLtMatmulDescOpaque_t), "");

struct Layout
{
  uint32_t type;
  int32_t order;
  uint64_t rows, cols;
  int64_t ld;
  int32_t batch;
  int64_t stride;
};
static_assert (sizeof (Layout) <= sizeof (cublasLtMatrixLayoutOpaque_t), "");

struct Preference
{
  uint64_t workspace;
  uint32_t alignment[4]; /* of A, B, C, D */
};
static_assert (sizeof (Preference) <= sizeof (cublasLtMatmulPreferenceOpaque_t),
    "");

/* What the heuristics put into an algorithm. */
struct Algo
{
  uint64_t magic, workspace;
  uint32_t alignment[4];
};
static_assert (sizeof (Algo) <= sizeof (cublasLtMatmulAlgo_t), "");

const uint64_t magic = 0x756d65647074ull;

/* A product with everything that its execution needs. */
struct Product
{
  Desc desc;
  Layout a, b, c, d;
  float alpha, beta;
  const void *pa, *pb, *pc;
  void *pd;
};

bool
is_half (int type)
{
  return type == CUDA_R_16BF;
}

int64_t
m_of (const Product &p)
{
  return (int64_t) p.d.rows;
}

int64_t
n_of (const Product &p)
{
  return (int64_t) p.d.cols;
}

int64_t
k_of (const Product &p)
{
  return (int64_t) (p.desc.transa == CUBLAS_OP_N ? p.a.cols : p.a.rows);
}

int64_t
at (const Layout &layout, int64_t row, int64_t column)
{
  return layout.order == CUBLASLT_ORDER_COL ? row + column * layout.ld
                                            : row * layout.ld + column;
}

bool
wants (const Desc &desc, uint32_t bits)
{
  return (desc.epilogue & bits) == bits;
}

bool
is_backward (const Desc &desc)
{
  return wants (desc, CUBLASLT_EPILOGUE_DGELU) ||
      wants (desc, CUBLASLT_EPILOGUE_DRELU);
}

/* The tanh approximation (Hendrycks and Gimpel 2016), and its derivative. */
float
gelu (float x)
{
  return 0.5f * x * (1 + tanhf (0.7978845608f * (x + 0.044715f * x * x * x)));
}

float
gelu_slope (float x)
{
  float u = 0.7978845608f * (x + 0.044715f * x * x * x), t = tanhf (u);

  return 0.5f * (1 + t) +
      0.5f * x * (1 - t * t) * 0.7978845608f * (1 + 3 * 0.044715f * x * x);
}

/* ---- What is possible ---- */

bool
is_layout (const Layout &layout)
{
  bool by_columns = layout.order == CUBLASLT_ORDER_COL;

  return (layout.type == CUDA_R_32F || layout.type == CUDA_R_16BF) &&
      (by_columns || layout.order == CUBLASLT_ORDER_ROW) && layout.rows > 0 &&
      layout.cols > 0 && layout.batch > 0 &&
      layout.ld >= (int64_t) (by_columns ? layout.rows : layout.cols);
}

bool
fits (const Product &p)
{
  const Layout &a = p.a, &b = p.b;
  bool ta = p.desc.transa != CUBLAS_OP_N, tb = p.desc.transb != CUBLAS_OP_N;

  return is_layout (a) && is_layout (b) && is_layout (p.c) && is_layout (p.d) &&
      (ta ? a.cols : a.rows) == p.d.rows &&
      (tb ? b.rows : b.cols) == p.d.cols &&
      (ta ? a.rows : a.cols) == (tb ? b.cols : b.rows) &&
      p.c.rows == p.d.rows && p.c.cols == p.d.cols;
}

/* Types that the library lists; f32 results of bf16 operands are, bf16
 * results of f32 ones are not. */
bool
is_supported (const Product &p)
{
  const Desc &desc = p.desc;
  bool aux = desc.epilogue & 128;

  if (p.a.type != p.b.type || p.c.type != p.d.type ||
      (p.a.type == CUDA_R_32F && p.d.type != CUDA_R_32F) ||
      desc.scale != CUDA_R_32F)
    return false;
  if (desc.compute != CUBLAS_COMPUTE_32F &&
      desc.compute != CUBLAS_COMPUTE_32F_FAST_TF32 &&
      desc.compute != CUBLAS_COMPUTE_32F_PEDANTIC)
    return false;
  return !aux || (desc.aux_ld >= m_of (p) && desc.aux_ld % 8 == 0);
}

bool
is_device (const void *data, const Layout &layout)
{
  size_t size = layout.type == CUDA_R_16BF ? 2 : 4;
  int64_t last =
      at (layout, (int64_t) layout.rows - 1, (int64_t) layout.cols - 1) +
      (layout.batch - 1) * layout.stride;

  return emulate_is_device (data, (size_t) (last + 1) * size);
}

bool
is_vector (const void *data, int64_t n, bool half)
{
  return data && emulate_is_device (data, (size_t) n * (half ? 2 : 4));
}

bool
has_pointers (const Product &p)
{
  const Desc &desc = p.desc;
  bool bias = desc.epilogue & (CUBLASLT_EPILOGUE_BIAS | 16 | 256 | 512);
  bool half = is_half (desc.bias_type < 0 ? (int) p.d.type : desc.bias_type);
  int64_t n = desc.epilogue & 512 ? n_of (p) : m_of (p);

  return is_device (p.pa, p.a) && is_device (p.pb, p.b) &&
      (p.beta == 0 || is_device (p.pc, p.c)) && is_device (p.pd, p.d) &&
      (!bias || is_vector (desc.bias, n, half)) &&
      (!(desc.epilogue & 128) ||
          ((uintptr_t) desc.aux % 16 == 0 &&
              is_vector (desc.aux, desc.aux_ld * (n_of (p) - 1) + m_of (p),
                  is_half (p.d.type))));
}

/* ---- Computing ---- */

/* op (A)'s rows, or op (B)'s columns, each [k]. */
std::vector<float>
unpack (const void *data, const Layout &layout, int64_t offset, bool rows,
    int64_t n, int64_t k)
{
  std::vector<float> result ((size_t) (n * k));

  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < k; j++)
      result[(size_t) (i * k + j)] = product_get (data, is_half (layout.type),
          offset + (rows ? at (layout, i, j) : at (layout, j, i)));
  return result;
}

float
forward (const Product &p, float x, int64_t row, int64_t column, int64_t batch)
{
  const Desc &desc = p.desc;
  bool half = is_half (desc.aux_type < 0 ? (int) p.d.type : desc.aux_type);

  if (desc.epilogue & CUBLASLT_EPILOGUE_BIAS)
    x += product_get (desc.bias,
        is_half (desc.bias_type < 0 ? (int) p.d.type : desc.bias_type),
        row + batch * desc.bias_stride);
  if (wants (desc, CUBLASLT_EPILOGUE_GELU_AUX))
    product_put (desc.aux, half,
        row + column * desc.aux_ld + batch * desc.aux_stride, x);
  if (desc.epilogue & CUBLASLT_EPILOGUE_GELU)
    x = gelu (x);
  if (desc.epilogue & CUBLASLT_EPILOGUE_RELU)
    x = x > 0 ? x : 0;
  return x;
}

float
backward (const Product &p, float x, int64_t row, int64_t column, int64_t batch)
{
  const Desc &desc = p.desc;
  bool half = is_half (desc.aux_type < 0 ? (int) p.d.type : desc.aux_type);
  int64_t i = row + column * desc.aux_ld + batch * desc.aux_stride;

  return x * gelu_slope (product_get (desc.aux, half, i));
}

/* Gradients of a bias: sums over D's columns, or over k. */
void
run_sums (const Product &p, const std::vector<float> &a,
    const std::vector<float> &b, const std::vector<float> &sums)
{
  const Desc &desc = p.desc;
  bool half = is_half (desc.bias_type < 0 ? (int) p.d.type : desc.bias_type);
  int64_t m = m_of (p), n = n_of (p), k = k_of (p);
  const std::vector<float> &from = desc.epilogue & 512 ? b : a;

  for (int64_t i = 0; i < (desc.epilogue & 512 ? n : m); i++) {
    float sum = 0;

    for (int64_t j = 0; j < k; j++)
      sum += from[(size_t) (i * k + j)];
    product_put ((void *) desc.bias, half, i,
        desc.epilogue & 16 ? sums[(size_t) i] : sum);
  }
}

void
run_batch (const Product &p, int64_t batch)
{
  int64_t m = m_of (p), n = n_of (p), k = k_of (p);
  std::vector<float> a = unpack (p.pa, p.a, batch * p.a.stride,
      p.desc.transa == CUBLAS_OP_N, m, k);
  std::vector<float> b = unpack (p.pb, p.b, batch * p.b.stride,
      p.desc.transb != CUBLAS_OP_N, n, k);
  std::vector<float> sums ((size_t) m);
  bool half = is_half (p.d.type);

  for (int64_t column = 0; column < n; column++)
    for (int64_t row = 0; row < m; row++) {
      float x = p.alpha *
          product_dot (&a[(size_t) (row * k)], &b[(size_t) (column * k)], k);

      if (p.beta != 0)
        x += p.beta *
            product_get (p.pc, half,
                batch * p.c.stride + at (p.c, row, column));
      x = is_backward (p.desc) ? backward (p, x, row, column, batch)
                               : forward (p, x, row, column, batch);
      sums[(size_t) row] += x;
      product_put (p.pd, half, batch * p.d.stride + at (p.d, row, column), x);
    }
  if (p.desc.epilogue & (16 | 256 | 512))
    run_sums (p, a, b, sums);
}

template <typename T>
T &
inside (const void *opaque)
{
  return *(T *) opaque;
}

/* Copies a value in either direction if it is of the right size. */
template <typename T>
cublasStatus_t
copy (T *field, const void *value, size_t size)
{
  if (size != sizeof *field || !value)
    return CUBLAS_STATUS_INVALID_VALUE;
  memcpy (field, value, size);
  return CUBLAS_STATUS_SUCCESS;
}

} // namespace

/* ---- The interface ---- */

extern "C" cublasStatus_t
cublasLtCreate (cublasLtHandle_t *handle)
{
  static int context;

  *handle = (cublasLtHandle_t) &context;
  return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t
cublasLtDestroy (cublasLtHandle_t)
{
  return CUBLAS_STATUS_SUCCESS;
}

extern "C" size_t
cublasLtGetVersion (void)
{
  return CUBLAS_VERSION;
}

extern "C" cublasStatus_t
cublasLtMatmulDescCreate (cublasLtMatmulDesc_t *desc,
    cublasComputeType_t compute, cudaDataType_t scale)
{
  *desc = new cublasLtMatmulDescOpaque_t ();
  inside<Desc> (*desc) = { compute, scale, CUBLAS_OP_N, CUBLAS_OP_N,
    CUBLASLT_EPILOGUE_DEFAULT, NULL, NULL, 0, 0, 0, -1, -1 };
  return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t
cublasLtMatmulDescDestroy (cublasLtMatmulDesc_t desc)
{
  delete desc;
  return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t
cublasLtMatmulDescSetAttribute (cublasLtMatmulDesc_t desc,
    cublasLtMatmulDescAttributes_t name, const void *value, size_t size)
{
  Desc &self = inside<Desc> (desc);

  switch (name) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
      return copy (&self.compute, value, size);
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return copy (&self.transa, value, size);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return copy (&self.transb, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return copy (&self.epilogue, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return copy (&self.bias, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE:
      return copy (&self.bias_stride, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return copy (&self.bias_type, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return copy (&self.aux, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return copy (&self.aux_ld, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE:
      return copy (&self.aux_stride, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
      return copy (&self.aux_type, value, size);
    default:
      emulate_fail ("cuBLASLt: attribute %d of a product is not emulated",
          (int) name);
  }
}

extern "C" cublasStatus_t
cublasLtMatrixLayoutCreate (cublasLtMatrixLayout_t *layout, cudaDataType type,
    uint64_t rows, uint64_t cols, int64_t ld)
{
  *layout = new cublasLtMatrixLayoutOpaque_t ();
  inside<Layout> (*layout) = { (uint32_t) type, CUBLASLT_ORDER_COL, rows, cols,
    ld, 1, 0 };
  return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t
cublasLtMatrixLayoutDestroy (cublasLtMatrixLayout_t layout)
{
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t
cublasLtMatrixLayoutSetAttribute (cublasLtMatrixLayout_t layout,
    cublasLtMatrixLayoutAttribute_t name, const void *value, size_t size)
{
  Layout &self = inside<Layout> (layout);

  switch (name) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
      return copy (&self.type, value, size);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
      return copy (&self.order, value, size);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
      return copy (&self.rows, value, size);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
      return copy (&self.cols, value, size);
    case CUBLASLT_MATRIX_LAYOUT_LD:
      return copy (&self.ld, value, size);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return copy (&self.batch, value, size);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return copy (&self.stride, value, size);
    default:
      emulate_fail ("cuBLASLt: attribute %d of a layout is not emulated",
          (int) name);
  }
}

extern "C" cublasStatus_t
cublasLtMatmulPreferenceCreate (cublasLtMatmulPreference_t *preference)
{
  *preference = new cublasLtMatmulPreferenceOpaque_t ();
  inside<Preference> (*preference) = { 0, { 256, 256, 256, 256 } };
  return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t
cublasLtMatmulPreferenceDestroy (cublasLtMatmulPreference_t preference)
{
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t
cublasLtMatmulPreferenceSetAttribute (cublasLtMatmulPreference_t preference,
    cublasLtMatmulPreferenceAttributes_t name, const void *value, size_t size)
{
  Preference &self = inside<Preference> (preference);
  uint32_t ignored;

  switch (name) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return copy (&self.workspace, value, size);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return copy (&self.alignment[0], value, size);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return copy (&self.alignment[1], value, size);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return copy (&self.alignment[2], value, size);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return copy (&self.alignment[3], value, size);
    default:
      return copy (&ignored, value, size);
  }
}

/* One that needs a workspace, if there is one, and one that does not. */
extern "C" cublasStatus_t
cublasLtMatmulAlgoGetHeuristic (cublasLtHandle_t, cublasLtMatmulDesc_t desc,
    cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
    cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
    cublasLtMatmulPreference_t preference, int requested,
    cublasLtMatmulHeuristicResult_t *results, int *count)
{
  Product p = { inside<Desc> (desc), inside<Layout> (a), inside<Layout> (b),
    inside<Layout> (c), inside<Layout> (d), 1, 0, NULL, NULL, NULL, NULL };
  const Preference &wanted = inside<Preference> (preference);

  *count = 0;
  if (!fits (p) || requested < 1)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (!is_supported (p))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  for (uint64_t workspace : { (uint64_t) 1 << 20, (uint64_t) 0 }) {
    cublasLtMatmulHeuristicResult_t &result = results[*count];
    Algo &algo = inside<Algo> (&result.algo);

    if (workspace > wanted.workspace || *count == requested)
      continue;
    result = {};
    algo.magic = magic;
    algo.workspace = result.workspaceSize = workspace;
    memcpy (algo.alignment, wanted.alignment, sizeof algo.alignment);
    result.state = CUBLAS_STATUS_SUCCESS;
    ++*count;
  }
  return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t
cublasLtMatmul (cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void *alpha,
    const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
    cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
    cublasLtMatrixLayout_t c_layout, void *d, cublasLtMatrixLayout_t d_layout,
    const cublasLtMatmulAlgo_t *chosen, void *workspace, size_t size,
    cudaStream_t stream)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);
  Product p = { inside<Desc> (desc), inside<Layout> (a_layout),
    inside<Layout> (b_layout), inside<Layout> (c_layout),
    inside<Layout> (d_layout), *(const float *) alpha, *(const float *) beta, a,
    b, c, d };
  const void *pointers[4] = { a, b, c, d };

  if (!fits (p))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (!is_supported (p))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (!has_pointers (p))
    emulate_fail ("cublasLtMatmul: a pointer is not device memory of the size "
                  "that its layout tells");
  if (chosen) {
    const Algo &algo = inside<Algo> (chosen);

    if (algo.magic != magic)
      emulate_fail ("cublasLtMatmul: no algorithm of the heuristics");
    for (int i = 0; i < 4; i++)
      if ((uintptr_t) pointers[i] % algo.alignment[i])
        emulate_fail ("cublasLtMatmul: matrix %c is not aligned to the %u "
                      "bytes that the heuristics were told",
            "ABCD"[i], algo.alignment[i]);
    if (algo.workspace > size ||
        (algo.workspace && !emulate_is_device (workspace, algo.workspace)))
      emulate_fail ("cublasLtMatmul: the workspace has %zu bytes, %zu are "
                    "needed",
          size, (size_t) algo.workspace);
  }
  emulate_submit (stream, [p] {
    for (int64_t batch = 0; batch < p.d.batch; batch++)
      run_batch (p, batch);
  });
  return CUBLAS_STATUS_SUCCESS;
}
