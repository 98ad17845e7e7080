/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Swin V2's MLP branch and its backward pass: two products with GELU between
 * them, a norm, and the residual (core/backend/ref/linear.c and
 * linear-backward.c have the formulas).
 */
#include "kernels/row-ends.h"
#include "ops/rows.h"

/* The rows are done in parts whose hidden layer, the widest of all that is
 * written, stays in the device's cache (50 MB on an H100) until it is read
 * again. In training it is kept whole in the forward pass; the backward pass
 * has two matrices of that size. */
#define HIDDEN_BYTES ((gint64) 32 << 20)

typedef struct
{
  UmedptCuda *cuda;
  const UmedptMlpNormArgs *args;
  UmedptCudaMap first, second; /* of all rows */
  gint64 part; /* rows at a time */
  const guint8 *src; /* operands [m, c] */
  void *hidden; /* operands [part, hidden]: after the GELU */
  UmedptCudaNorm norm;
} Mlp;

static gboolean
run_first (const Mlp *self, gint64 begin, gint64 rows, GError **error)
{
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptMlpNormArgs *args = self->args;
  const gsize size = umedpt_cuda_element_size (args->compute);
  const gboolean half = args->compute == UMEDPT_DTYPE_BF16;
  UmedptCudaGemm gemm = { .m = rows,
    .n = self->first.n,
    .k = self->first.k,
    .a = self->src + (gsize) (begin * self->first.k) * size,
    .half = half,
    .b_transposed = TRUE,
    .c = self->hidden,
    .c_half = half,
    .bias = args->fc1_bias,
    .activation = UMEDPT_ACTIVATION_GELU,
    .saved = umedpt_cuda_output (self->cuda, args->saved_hidden) };

  gemm.b = umedpt_cuda_operand (self->cuda, args->fc1_weight, args->compute,
      &scratch, error);
  return gemm.b && umedpt_cuda_gemm (self->cuda, &gemm, error) &&
      (!args->saved_hidden ||
          umedpt_cuda_check (umedpt_cuda_clear_rows (args->saved_hidden->data,
                                 rows, self->first.n * (gint64) size,
                                 self->norm.branch_scale, begin,
                                 self->norm.rows_per_sample,
                                 self->cuda->stream),
              "clearing rows", error));
}

static gboolean
run_second (Mlp *self, gint64 begin, gint64 rows, GError **error)
{
  const UmedptMlpNormArgs *args = self->args;
  UmedptCudaMap map = self->second;
  UmedptCudaNorm norm = self->norm;

  map.m = rows;
  norm.rows = rows;
  norm.first_row = begin;
  norm.residual = UMEDPT_F32 (args->src) + begin * map.n;
  if (self->part < self->second.m) {
    norm.dst += begin * map.n;
    if (norm.shadow)
      norm.shadow += begin * map.n;
  }
  return umedpt_cuda_map_and_norm (self->cuda, &map, self->hidden,
      args->fc2_weight, args->fc2_bias, &norm, args->saved_product, args->dst,
      error);
}

gboolean
umedpt_cuda_mlp_norm (UmedptBackend *backend, const UmedptMlpNormArgs *args,
    GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_auto (UmedptCudaScratch) hidden = UMEDPT_CUDA_NO_SCRATCH;
  const gint64 m = umedpt_cuda_rows (args->src);
  const gint64 n = args->fc1_weight->shape[0], c = args->fc1_weight->shape[1];
  Mlp mlp = { .cuda = cuda,
    .args = args,
    .first = { m, n, c, args->compute },
    .second = { m, c, n, args->compute },
    .part = m,
    .norm =
        umedpt_cuda_norm_of (m, c, args->gamma, args->beta, args->epsilon) };

  cuda->half = args->compute == UMEDPT_DTYPE_BF16;
  if (args->dst->n_elements == 0)
    return TRUE;
  if (!args->saved_hidden && args->dst->data != args->src->data)
    mlp.part = umedpt_cuda_rows_per_part (m,
        n * (gint64) umedpt_cuda_element_size (args->compute), HIDDEN_BYTES);
  umedpt_cuda_norm_set_branch (&mlp.norm, args->branch_scale);
  /* src is f32: no scratch */
  mlp.src = umedpt_cuda_operand (cuda, args->src, args->compute, NULL, error);
  mlp.hidden = mlp.src ? umedpt_cuda_scratch (cuda,
                             (gsize) mlp.part * (gsize) n *
                                 umedpt_cuda_element_size (args->compute),
                             &hidden, error)
                       : NULL;
  if (!mlp.hidden)
    return FALSE;
  /* one part: after the products, for dst may be src, whose bf16 form they
   * read */
  if (mlp.part < m &&
      !umedpt_cuda_norm_set_dst (cuda, &mlp.norm, args->dst, args->compute,
          error))
    return FALSE;
  for (gint64 begin = 0; begin < m; begin += mlp.part) {
    const gint64 rows = MIN (mlp.part, m - begin);

    if (!run_first (&mlp, begin, rows, error) ||
        !run_second (&mlp, begin, rows, error))
      return FALSE;
  }
  return TRUE;
}

/* ---- Backward ---- */

typedef struct
{
  UmedptCuda *cuda;
  const UmedptMlpNormBackwardArgs *args;
  UmedptCudaMap first, second; /* of the rows of a part */
  gint64 begin; /* of the part */
  const guint8 *diff; /* operands [all rows, c]: of fc2's product */
  void *diff_hidden; /* operands [part, hidden] */
  void *act; /* (nullable) operands [part, hidden]: after the GELU */
} MlpBackward;

/* A part's rows of a matrix of operands. */
static const void *
rows_at (const MlpBackward *self, const void *data, gint64 columns)
{
  const gsize size = umedpt_cuda_element_size (self->first.compute);

  return (const guint8 *) data + (gsize) (self->begin * columns) * size;
}

/* Through the norm: all rows. */
static gboolean
run_norm (MlpBackward *self, UmedptCudaScratch *scratch, GError **error)
{
  const UmedptMlpNormBackwardArgs *args = self->args;
  const UmedptMlpNormArgs *f = &args->forward;
  UmedptCudaNorm norm = umedpt_cuda_norm_of (umedpt_cuda_rows (f->src),
      self->second.n, f->gamma, f->beta, f->epsilon);

  umedpt_cuda_norm_set_branch (&norm, f->branch_scale);
  norm.product = f->saved_product->data;
  norm.diff_dst = UMEDPT_F32 (args->diff_dst);
  norm.diff_gamma = umedpt_cuda_output (self->cuda, args->diff_gamma);
  norm.diff_beta = umedpt_cuda_output (self->cuda, args->diff_beta);
  norm.diff_bias = umedpt_cuda_output (self->cuda, args->diff_fc2_bias);
  self->diff =
      umedpt_cuda_norm_diff (self->cuda, &norm, f->compute, scratch, error);
  return self->diff != NULL;
}

/* Through fc2 and the GELU. */
static gboolean
run_hidden (const MlpBackward *self, GError **error)
{
  g_auto (UmedptCudaScratch) weight = UMEDPT_CUDA_NO_SCRATCH;
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptMlpNormBackwardArgs *args = self->args;
  const UmedptMlpNormArgs *f = &args->forward;
  const gboolean half = f->compute == UMEDPT_DTYPE_BF16;
  const gint64 m = self->first.m, n = self->first.n;
  UmedptCudaGemm gemm = { .m = m,
    .n = n,
    .k = self->second.n,
    .a = rows_at (self, self->diff, self->second.n),
    .half = half,
    .c = self->diff_hidden,
    .c_half = half };
  const UmedptCudaGeluBackward gelu = { .rows = m,
    .columns = n,
    .hidden = rows_at (self, f->saved_hidden->data, n),
    .diff = self->diff_hidden,
    .act = self->act,
    .half = half,
    .diff_bias = umedpt_cuda_output (self->cuda, args->diff_fc1_bias) };
  float *parts = umedpt_cuda_scratch (self->cuda,
      (gsize) umedpt_cuda_column_scratch (m, n), &scratch, error);

  gemm.b = parts ? umedpt_cuda_operand (self->cuda, f->fc2_weight, f->compute,
                       &weight, error)
                 : NULL;
  return gemm.b && umedpt_cuda_gemm (self->cuda, &gemm, error) &&
      umedpt_cuda_check (umedpt_cuda_gelu_backward (&gelu, parts,
                             self->cuda->stream),
          "the backward pass of a GELU", error);
}

static gboolean
run_weights (const MlpBackward *self, GError **error)
{
  const UmedptMlpNormBackwardArgs *args = self->args;
  const UmedptMlpNormArgs *f = &args->forward;
  const void *src = NULL;

  if (args->diff_fc1_weight &&
      !(src = umedpt_cuda_operand (self->cuda, f->src, f->compute, NULL,
            error)))
    return FALSE;
  return umedpt_cuda_map_backward_weight (self->cuda, &self->second,
             rows_at (self, self->diff, self->second.n), self->act,
             args->diff_fc2_weight, error) &&
      umedpt_cuda_map_backward_weight (self->cuda, &self->first,
          self->diff_hidden, src ? rows_at (self, src, self->first.k) : NULL,
          args->diff_fc1_weight, error);
}

/* diff_src = diff_dst + what came through fc1. */
static gboolean
run_src (const MlpBackward *self, float *diff_src, GError **error)
{
  g_auto (UmedptCudaScratch) weight = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptMlpNormBackwardArgs *args = self->args;
  const UmedptMlpNormArgs *f = &args->forward;
  const gint64 at = self->begin * self->first.k;
  UmedptCudaGemm gemm = { .m = self->first.m,
    .n = self->first.k,
    .k = self->first.n,
    .a = self->diff_hidden,
    .half = f->compute == UMEDPT_DTYPE_BF16,
    .c = diff_src + at,
    .add = UMEDPT_F32 (args->diff_dst) + at };

  gemm.b = umedpt_cuda_operand (self->cuda, f->fc1_weight, f->compute, &weight,
      error);
  return gemm.b && umedpt_cuda_gemm (self->cuda, &gemm, error);
}

static gboolean
run_parts (MlpBackward *self, gint64 part, GError **error)
{
  float *diff_src = umedpt_cuda_output (self->cuda, self->args->diff_src);
  const gint64 m = umedpt_cuda_rows (self->args->forward.src);

  for (self->begin = 0; self->begin < m; self->begin += part) {
    self->first.m = self->second.m = MIN (part, m - self->begin);
    if (!run_hidden (self, error) || !run_weights (self, error) ||
        (diff_src && !run_src (self, diff_src, error)))
      return FALSE;
  }
  return TRUE;
}

gboolean
umedpt_cuda_mlp_norm_backward (UmedptBackend *backend,
    const UmedptMlpNormBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptMlpNormArgs *f = &args->forward;
  g_auto (UmedptCudaScratch) diff = UMEDPT_CUDA_NO_SCRATCH;
  g_auto (UmedptCudaScratch) diff_hidden = UMEDPT_CUDA_NO_SCRATCH;
  g_auto (UmedptCudaScratch) act = UMEDPT_CUDA_NO_SCRATCH;
  const gint64 m = umedpt_cuda_rows (f->src);
  const gint64 n = f->fc1_weight->shape[0], c = f->fc1_weight->shape[1];
  const gint64 row_size = n * (gint64) umedpt_cuda_element_size (f->compute);
  const gint64 part = umedpt_cuda_rows_per_part (m, row_size, HIDDEN_BYTES / 2);
  MlpBackward mlp = { .cuda = cuda,
    .args = args,
    .first = { part, n, c, f->compute },
    .second = { part, c, n, f->compute } };

  if (f->src->n_elements == 0 || n == 0)
    return TRUE;
  mlp.diff_hidden = umedpt_cuda_scratch (cuda, (gsize) (part * row_size),
      &diff_hidden, error);
  if (!mlp.diff_hidden ||
      (args->diff_fc2_weight &&
          !(mlp.act = umedpt_cuda_scratch (cuda, (gsize) (part * row_size),
                &act, error))))
    return FALSE;
  return run_norm (&mlp, &diff, error) && run_parts (&mlp, part, error);
}
