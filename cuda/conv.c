/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Who computes a convolution. cuDNN has the fastest engines for large ones,
 * but rounds results for bf16 operands to bf16, cannot do everything, and
 * needs a second pass for what comes after the product; the kernels of
 * kernels/conv.cu do any shape in one pass with f32 sums, and those of
 * kernels/conv-split.cu small maps in bf16. So:
 *
 * - bf16: small maps by conv-split.cu, all else by cuDNN;
 * - f32: small convolutions by conv.cu, all else by cuDNN;
 * - channels that do not fill 16 bytes, and what cuDNN has no engine for:
 *   conv.cu.
 *
 * A filter's gradient for bf16 operands is rounded to bf16 by cuDNN, as that of
 * mixed precision training with PyTorch is, and then added to the f32 one.
 * UMEDPT_CUDA_CONV=own leaves cuDNN out, UMEDPT_CUDA_CONV=cudnn the small maps.
 *
 * Filters are turned into the order and type that products read once, and hang
 * on the parameter in that form until its values change. Plans of cuDNN are
 * kept for ever: a network has a few dozen shapes.
 */
#include "conv.h"

#include <string.h>

#include "conv-plan.h"
#include "kernels/conv.h"
#include "kernels/elements.h"
#include "pool.h"

/* Multiplications and additions from which cuDNN is worth its second pass. */
#define LARGE_F32 3e7

typedef struct
{
  UmedptCuda *cuda;
  UmedptCudaConvSizes sizes;
  gint64 taps;
  gboolean bf16; /* operands */
} Conv;

static Conv
describe (UmedptCuda *cuda, const UmedptConv2dArgs *args,
    const UmedptTensor *result)
{
  const gint64 *src = args->src->shape, *weight = args->weight->shape;
  const gint64 *dst = result->shape;

  return (Conv){ .cuda = cuda,
    .sizes = { .n = src[0],
        .h = src[1],
        .w = src[2],
        .c = src[3],
        .oh = dst[1],
        .ow = dst[2],
        .o = dst[3],
        .kh = weight[2],
        .kw = weight[3],
        .stride = args->stride,
        .padding = args->padding },
    .taps = weight[2] * weight[3],
    .bf16 = args->compute == UMEDPT_DTYPE_BF16 };
}

static gint64
result_rows (const Conv *self)
{
  return self->sizes.n * self->sizes.oh * self->sizes.ow;
}

static gint64
source_rows (const Conv *self)
{
  return self->sizes.n * self->sizes.h * self->sizes.w;
}

static gsize
operand_size (const Conv *self)
{
  return self->bf16 ? sizeof (guint16) : sizeof (float);
}

static gboolean
check (cudaError_t status, GError **error)
{
  return umedpt_cuda_check (status, "a convolution", error);
}

/* FALSE, before anything is written, for sizes that no network has. */
static gboolean
check_sizes (const Conv *self, GError **error)
{
  if (umedpt_cuda_conv_fits (&self->sizes))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
      "a convolution of more than 2^30 pixels or 2^21 channels.");
  return FALSE;
}

/* The values of a map as operands; @scratch holds them if need be. */
static const void *
get_operand (const Conv *self, UmedptTensor *tensor, UmedptCudaScratch *scratch,
    GError **error)
{
  float *converted;

  if (self->bf16)
    return umedpt_cuda_bf16 (self->cuda, tensor, error);
  if (!umedpt_cuda_is_bf16 (tensor))
    return tensor->data;
  converted = umedpt_cuda_scratch (self->cuda,
      tensor->n_elements * sizeof (float), scratch, error);
  if (!converted ||
      !check (umedpt_cuda_bf16_to_f32 (UMEDPT_BF16 (tensor), converted,
                  tensor->n_elements, self->cuda->stream),
          error))
    return NULL;
  return converted;
}

/* ---- Filters ---- */

typedef struct
{
  UmedptCuda *cuda;
  gpointer data;
} Filter;

typedef struct
{
  const Conv *conv;
  gboolean swapped;
} FilterRequest;

static void
filter_free (gpointer data)
{
  Filter *self = data;

  umedpt_cuda_pool_give (self->cuda->pool, self->data);
  g_free (self);
}

static gpointer
filter_make (UmedptTensor *weight, gpointer user_data, GError **error)
{
  const FilterRequest *request = user_data;
  const Conv *conv = request->conv;
  Filter *self = g_new0 (Filter, 1);

  self->cuda = conv->cuda;
  self->data = umedpt_cuda_pool_take (conv->cuda->pool,
      MAX (weight->n_elements, 1) * operand_size (conv), error);
  if (!self->data) {
    g_free (self);
    return NULL;
  }
  if (check (umedpt_cuda_conv_weights (UMEDPT_F32 (weight), self->data,
                 conv->bf16, request->swapped, weight->shape[0],
                 weight->shape[1], conv->taps, conv->cuda->stream),
          error))
    return self;
  filter_free (self);
  return NULL;
}

/* @weight in the order [o, kh, kw, c], or [c, kh, kw, o] if @swapped. */
static const void *
get_filter (const Conv *self, UmedptTensor *weight, gboolean swapped,
    GError **error)
{
  static const char keys[2][2];
  FilterRequest request = { self, swapped };
  const Filter *filter = self->cuda->host->attach (weight,
      &keys[self->bf16 ? 1 : 0][swapped ? 1 : 0], filter_make, &request,
      filter_free, error);

  return filter ? filter->data : NULL;
}

/* ---- Plans ---- */

static guint
shape_hash (gconstpointer key)
{
  const guint8 *bytes = key;
  guint hash = 5381;

  for (gsize i = 0; i < sizeof (UmedptCudaConvShape); i++)
    hash = hash * 33 + bytes[i];
  return hash;
}

static gboolean
shape_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, sizeof (UmedptCudaConvShape)) == 0;
}

static void
plan_free (gpointer plan)
{
  umedpt_cuda_conv_plan_free (plan);
}

static gboolean
is_vector (gint64 channels, gboolean bf16)
{
  return channels % (bf16 ? 8 : 4) == 0;
}

static gboolean
is_aligned (const void *data)
{
  return GPOINTER_TO_SIZE (data) % 16 == 0;
}

typedef enum
{
  CHOICE_FAST, /* whoever is expected to be faster */
  CHOICE_OWN,
  CHOICE_CUDNN, /* wherever it can */
} Choice;

static Choice
get_choice (void)
{
  static gsize state;

  if (g_once_init_enter (&state)) {
    const char *name = g_getenv ("UMEDPT_CUDA_CONV");
    Choice choice = g_strcmp0 (name, "own") == 0 ? CHOICE_OWN
        : g_strcmp0 (name, "cudnn") == 0         ? CHOICE_CUDNN
                                                 : CHOICE_FAST;
    g_once_init_leave (&state, (gsize) choice + 1);
  }
  return (Choice) (state - 1);
}

/* Whether cuDNN should do it, as far as that can be told from the sizes. */
static gboolean
suits_cudnn (const Conv *self)
{
  const UmedptCudaConvSizes *s = &self->sizes;
  const double work = 2.0 * result_rows (self) * self->taps * s->c * s->o;

  if (!is_vector (s->c, self->bf16) || !is_vector (s->o, self->bf16))
    return FALSE;
  return get_choice () == CHOICE_CUDNN ||
      (get_choice () == CHOICE_FAST && (self->bf16 || work >= LARGE_F32));
}

/* Whether it is for conv-split.cu. Filters are aligned, as the pool's memory is;
 * @map may not be. */
static gboolean
suits_split (const Conv *self, UmedptCudaConvKind kind, const void *map)
{
  if (!self->bf16 || !is_aligned (map) ||
      (get_choice () == CHOICE_CUDNN && suits_cudnn (self)))
    return FALSE;
  return kind == UMEDPT_CUDA_CONV_WEIGHT
      ? umedpt_cuda_conv_split_suits_gradient (&self->sizes)
      : umedpt_cuda_conv_split_suits (&self->sizes,
            kind == UMEDPT_CUDA_CONV_DATA);
}

/* The plan for a convolution; NULL: it is for the own kernels. */
static const UmedptCudaConvPlan *
get_plan (const Conv *self, UmedptCudaConvKind kind, gboolean bias)
{
  UmedptCuda *cuda = self->cuda;
  const UmedptCudaConvSizes *s = &self->sizes;
  UmedptCudaConvShape shape;
  gpointer plan = NULL;

  if (!suits_cudnn (self))
    return NULL;
  memset (&shape, 0, sizeof shape); /* with what is between the fields */
  shape.kind = kind;
  shape.dtype = self->bf16 ? UMEDPT_DTYPE_BF16 : UMEDPT_DTYPE_F32;
  shape.bias = bias ? 1 : 0;
  shape.tf32 = cuda->tf32 && !self->bf16 ? 1 : 0;
  shape.n = s->n;
  shape.h = s->h;
  shape.w = s->w;
  shape.c = s->c;
  shape.oh = s->oh;
  shape.ow = s->ow;
  shape.o = s->o;
  shape.kh = s->kh;
  shape.kw = s->kw;
  shape.stride = s->stride;
  shape.padding = s->padding;
  if (!cuda->conv_plans)
    cuda->conv_plans =
        g_hash_table_new_full (shape_hash, shape_equal, g_free, plan_free);
  if (!g_hash_table_lookup_extended (cuda->conv_plans, &shape, NULL, &plan)) {
    plan = umedpt_cuda_conv_plan_new (cuda, NULL, &shape, NULL);
    g_hash_table_insert (cuda->conv_plans, g_memdup2 (&shape, sizeof shape),
        plan);
  }
  return plan;
}

static gboolean
run_plan (const Conv *self, const UmedptCudaConvPlan *plan, const void *x,
    const void *w, const void *y, const float *bias, GError **error)
{
  const gsize size = umedpt_cuda_conv_plan_workspace (plan);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  void *workspace = NULL;

  if (size) {
    workspace = umedpt_cuda_scratch (self->cuda, size, &scratch, error);
    if (!workspace)
      return FALSE;
  }
  return umedpt_cuda_conv_plan_run (self->cuda, plan, (void *) x, (void *) w,
      (void *) y, bias, workspace, error);
}

/* ---- Forward ---- */

/* Whether a product's results go through umedpt_cuda_conv_finish(). */
static gboolean
needs_finish (const Conv *self, const UmedptCudaConvOutput *output)
{
  return output->bias || output->activation != UMEDPT_CUDA_ACTIVATE_NONE ||
      output->accumulate || !!output->dst_bf16 != !!self->bf16 ||
      !is_aligned (output->dst);
}

/* A plan's result, [rows, columns], to where it shall be: @x or @y, whichever
 * is NULL, is what the plan writes. */
static gboolean
run_plan_to (const Conv *self, const UmedptCudaConvPlan *plan, const void *x,
    const void *w, const void *y, gint64 rows, gint64 columns,
    const UmedptCudaConvOutput *output, GError **error)
{
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  void *result = output->dst;

  if (needs_finish (self, output)) {
    result = umedpt_cuda_scratch (self->cuda,
        (gsize) rows * columns * operand_size (self), &scratch, error);
    if (!result)
      return FALSE;
  }
  if (!run_plan (self, plan, x ? x : result, w, y ? y : result, NULL, error))
    return FALSE;
  return result == output->dst ||
      check (umedpt_cuda_conv_finish (result, self->bf16, rows, columns, output,
                 self->cuda->stream),
          error);
}

gboolean
umedpt_cuda_conv_run (UmedptCuda *cuda, const UmedptConv2dArgs *args,
    GError **error)
{
  const Conv conv = describe (cuda, args, args->dst);
  const UmedptCudaConvOutput output = { .bias = umedpt_cuda_data (args->bias),
    .activation = (int) args->activation,
    .dst = args->dst->data,
    .dst_bf16 = umedpt_cuda_is_bf16 (args->dst) };
  const gboolean fused = output.bias && !conv.bf16 && !output.dst_bf16 &&
      output.activation == UMEDPT_CUDA_ACTIVATE_NONE &&
      is_aligned (output.dst) && is_aligned (output.bias);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const void *src = check_sizes (&conv, error)
      ? get_operand (&conv, args->src, &scratch, error)
      : NULL;
  const void *weight =
      src ? get_filter (&conv, args->weight, FALSE, error) : NULL;
  const UmedptCudaConvPlan *plan;

  if (!weight)
    return FALSE;
  if (suits_split (&conv, UMEDPT_CUDA_CONV_FORWARD, src))
    return check (umedpt_cuda_conv_split_forward (&conv.sizes, src, weight,
                      &output, cuda->stream),
        error);
  plan = is_aligned (src) ? get_plan (&conv, UMEDPT_CUDA_CONV_FORWARD, fused)
                          : NULL;
  if (plan && fused)
    return run_plan (&conv, plan, src, weight, output.dst, output.bias, error);
  if (plan)
    return run_plan_to (&conv, plan, src, weight, NULL, result_rows (&conv),
        conv.sizes.o, &output, error);
  return check (umedpt_cuda_conv_forward (&conv.sizes, src, weight, conv.bf16,
                    &output, cuda->stream),
      error);
}

/* ---- Backward ---- */

gboolean
umedpt_cuda_conv_run_source_gradient (UmedptCuda *cuda,
    const UmedptConv2dBackwardArgs *args, GError **error)
{
  const Conv conv = describe (cuda, &args->forward, args->diff_dst);
  const UmedptCudaConvOutput output = { .activation = UMEDPT_CUDA_ACTIVATE_NONE,
    .dst = args->diff_src->data,
    .dst_bf16 = umedpt_cuda_is_bf16 (args->diff_src),
    .accumulate = args->accumulate };
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const void *diff = check_sizes (&conv, error)
      ? get_operand (&conv, args->diff_dst, &scratch, error)
      : NULL;
  const UmedptCudaConvPlan *plan = NULL;
  const void *weight;
  gboolean split;

  if (!diff)
    return FALSE;
  split = suits_split (&conv, UMEDPT_CUDA_CONV_DATA, diff);
  if (!split && is_aligned (diff))
    plan = get_plan (&conv, UMEDPT_CUDA_CONV_DATA, FALSE);
  weight = get_filter (&conv, args->forward.weight, !plan && !split, error);
  if (!weight)
    return FALSE;
  if (plan)
    return run_plan_to (&conv, plan, NULL, weight, diff, source_rows (&conv),
        conv.sizes.c, &output, error);
  if (split)
    return check (umedpt_cuda_conv_split_source_gradient (&conv.sizes, diff,
                      weight, &output, cuda->stream),
        error);
  return check (umedpt_cuda_conv_source_gradient (&conv.sizes, diff, weight,
                    conv.bf16, &output, cuda->stream),
      error);
}

/* diff_weight += what cuDNN or conv.cu find. */
static gboolean
add_weight_gradient (const Conv *self, const void *src, const void *diff,
    UmedptTensor *diff_weight, GError **error)
{
  const UmedptCudaConvSizes *s = &self->sizes;
  const UmedptCudaConvPlan *plan = is_aligned (src) && is_aligned (diff)
      ? get_plan (self, UMEDPT_CUDA_CONV_WEIGHT, FALSE)
      : NULL;
  const gint64 parts = plan ? 1 : umedpt_cuda_conv_weight_gradient_parts (s);
  const gboolean half = plan && self->bf16;
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  /* [parts, o, kh, kw, c] */
  void *sums = umedpt_cuda_scratch (self->cuda,
      (gsize) parts * s->o * self->taps * s->c *
          (half ? sizeof (guint16) : sizeof (float)),
      &scratch, error);

  if (!sums)
    return FALSE;
  if (!(plan ? run_plan (self, plan, src, sums, diff, NULL, error)
             : check (umedpt_cuda_conv_weight_gradient (s, src, diff,
                          self->bf16, parts, sums, self->cuda->stream),
                   error)))
    return FALSE;
  return check (umedpt_cuda_conv_add_weight_gradient (sums, half, parts, s->o,
                    s->c, self->taps, UMEDPT_F32 (diff_weight),
                    self->cuda->stream),
      error);
}

static gboolean
add_bias_gradient (UmedptCuda *cuda, const UmedptConv2dBackwardArgs *args,
    GError **error)
{
  const gint64 rows = umedpt_cuda_rows (args->diff_dst);
  const gint64 columns = umedpt_cuda_columns (args->diff_dst);
  const gint64 parts = umedpt_cuda_conv_bias_gradient_parts (rows, columns);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  float *sums = umedpt_cuda_scratch (cuda,
      (gsize) parts * columns * sizeof (float), &scratch, error);

  return sums &&
      check (umedpt_cuda_conv_bias_gradient (args->diff_dst->data,
                 umedpt_cuda_is_bf16 (args->diff_dst), rows, columns, sums,
                 UMEDPT_F32 (args->diff_bias), cuda->stream),
          error);
}

gboolean
umedpt_cuda_conv_run_parameter_gradients (UmedptCuda *cuda,
    const UmedptConv2dBackwardArgs *args, GError **error)
{
  const Conv conv = describe (cuda, &args->forward, args->diff_dst);
  g_auto (UmedptCudaScratch) src_scratch = UMEDPT_CUDA_NO_SCRATCH;
  g_auto (UmedptCudaScratch) diff_scratch = UMEDPT_CUDA_NO_SCRATCH;
  const void *src = NULL, *diff = NULL;

  if (args->diff_weight) {
    src = check_sizes (&conv, error)
        ? get_operand (&conv, args->forward.src, &src_scratch, error)
        : NULL;
    diff =
        src ? get_operand (&conv, args->diff_dst, &diff_scratch, error) : NULL;
    if (!diff)
      return FALSE;
    if (is_aligned (diff) && suits_split (&conv, UMEDPT_CUDA_CONV_WEIGHT, src))
      return check (umedpt_cuda_conv_split_gradient (&conv.sizes, src, diff,
                        UMEDPT_F32 (args->diff_weight),
                        umedpt_cuda_data (args->diff_bias), cuda->stream),
          error);
    if (!add_weight_gradient (&conv, src, diff, args->diff_weight, error))
      return FALSE;
  }
  return !args->diff_bias || add_bias_gradient (cuda, args, error);
}
