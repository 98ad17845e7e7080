/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Convolutions by cuDNN's graph API, through its C interface ("backend").
 * A plan is made as NVIDIA's cuDNN developer guide, "Graph API", describes:
 * descriptors of tensors and operations make an operation graph, a heuristic
 * lists engines that may run it, best first, and the first that is finalised
 * as an execution plan and has no forbidden property is taken:
 *
 * - results that depend on timing are never wanted;
 * - f32 means f32: no tensor cores (which round operands to tf32), transforms
 *   of Winograd or Fourier lose digits; f32 sums for bf16 likewise.
 *
 * Engines that are compiled when they are first asked for cost about half a
 * second per shape and are not taken either. What is left has results of the
 * operands' type: f32 for bf16 operands, as well as a bias for them, are only
 * to be had from compiled ones.
 */
#include <stdbool.h>
#include <string.h>

#include "conv-plan.h"

#define MAX_DESCRIPTORS 16
#define MAX_CONFIGS 128
#define MAX_WORKSPACE ((gint64) 1 << 30)

struct _UmedptCudaConvPlan
{
  UmedptCudaConvShape shape;
  /* What the plan was made of, and the plan itself at the end. */
  cudnnBackendDescriptor_t descriptors[MAX_DESCRIPTORS];
  guint n_descriptors;
  cudnnBackendDescriptor_t plan;
  gint64 workspace;
  /* While it is made: the first failure; nothing is called after it. */
  cudnnStatus_t status;
  const char *step;
};

/* Tensors of the graph by their numbers in it. */
enum
{
  ID_X = 1,
  ID_W,
  ID_Y,
  ID_BIAS,
  ID_SUM, /* y without the bias; not in memory */
};

static void
note (UmedptCudaConvPlan *self, cudnnStatus_t status, const char *step)
{
  if (self->status == CUDNN_STATUS_SUCCESS && status != CUDNN_STATUS_SUCCESS) {
    self->status = status;
    self->step = step;
  }
}

static cudnnBackendDescriptor_t
make (UmedptCudaConvPlan *self, cudnnBackendDescriptorType_t type)
{
  cudnnBackendDescriptor_t descriptor = NULL;

  g_assert (self->n_descriptors < MAX_DESCRIPTORS);
  if (self->status != CUDNN_STATUS_SUCCESS)
    return NULL;
  note (self, cudnnBackendCreateDescriptor (type, &descriptor),
      "creating a descriptor");
  if (descriptor)
    self->descriptors[self->n_descriptors++] = descriptor;
  return descriptor;
}

static void
set (UmedptCudaConvPlan *self, cudnnBackendDescriptor_t descriptor,
    cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
    gint64 count, const void *values)
{
  if (self->status == CUDNN_STATUS_SUCCESS)
    note (self,
        cudnnBackendSetAttribute (descriptor, name, type, count, values),
        "setting an attribute");
}

static void
set_int (UmedptCudaConvPlan *self, cudnnBackendDescriptor_t descriptor,
    cudnnBackendAttributeName_t name, gint64 value)
{
  set (self, descriptor, name, CUDNN_TYPE_INT64, 1, &value);
}

static void
set_pair (UmedptCudaConvPlan *self, cudnnBackendDescriptor_t descriptor,
    cudnnBackendAttributeName_t name, gint64 value)
{
  const gint64 values[] = { value, value };

  set (self, descriptor, name, CUDNN_TYPE_INT64, 2, values);
}

static void
set_type (UmedptCudaConvPlan *self, cudnnBackendDescriptor_t descriptor,
    cudnnBackendAttributeName_t name, cudnnDataType_t value)
{
  set (self, descriptor, name, CUDNN_TYPE_DATA_TYPE, 1, &value);
}

static void
set_descriptor (UmedptCudaConvPlan *self, cudnnBackendDescriptor_t descriptor,
    cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value)
{
  set (self, descriptor, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void
finalize (UmedptCudaConvPlan *self, cudnnBackendDescriptor_t descriptor,
    const char *step)
{
  if (self->status == CUDNN_STATUS_SUCCESS)
    note (self, cudnnBackendFinalize (descriptor), step);
}

/* ---- The graph ---- */

static cudnnDataType_t
data_type (UmedptDtype dtype)
{
  return dtype == UMEDPT_DTYPE_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* [n, h, w, c], dense; cuDNN names the dimensions in the order n, c, h, w. */
static cudnnBackendDescriptor_t
make_tensor (UmedptCudaConvPlan *self, gint64 id, gint64 n, gint64 h, gint64 w,
    gint64 c, cudnnDataType_t type)
{
  const gint64 shape[] = { n, c, h, w };
  const gint64 strides[] = { h * w * c, 1, w * c, c };
  const bool in_registers = id == ID_SUM;
  cudnnBackendDescriptor_t tensor =
      make (self, CUDNN_BACKEND_TENSOR_DESCRIPTOR);

  set_int (self, tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
  set_type (self, tensor, CUDNN_ATTR_TENSOR_DATA_TYPE, type);
  set (self, tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, shape);
  set (self, tensor, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
  set_int (self, tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 16);
  set (self, tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1,
      &in_registers);
  finalize (self, tensor, "describing a tensor");
  return tensor;
}

static cudnnBackendDescriptor_t
make_convolution (UmedptCudaConvPlan *self)
{
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const UmedptCudaConvShape *s = &self->shape;
  cudnnBackendDescriptor_t conv =
      make (self, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);

  set_int (self, conv, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
  set_type (self, conv, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  set (self, conv, CUDNN_ATTR_CONVOLUTION_CONV_MODE,
      CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  set_pair (self, conv, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, s->padding);
  set_pair (self, conv, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, s->padding);
  set_pair (self, conv, CUDNN_ATTR_CONVOLUTION_DILATIONS, 1);
  set_pair (self, conv, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, s->stride);
  finalize (self, conv, "describing a convolution");
  return conv;
}

/* The names of one kind of convolution's attributes. */
typedef struct
{
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, w, y, conv, alpha, beta;
} Names;

/* clang-format off */
#define NAMES(type, kind, x, w, y) \
  { CUDNN_BACKEND_OPERATION_CONVOLUTION_##type##_DESCRIPTOR, \
    CUDNN_ATTR_OPERATION_CONVOLUTION_##kind##_##x, \
    CUDNN_ATTR_OPERATION_CONVOLUTION_##kind##_##w, \
    CUDNN_ATTR_OPERATION_CONVOLUTION_##kind##_##y, \
    CUDNN_ATTR_OPERATION_CONVOLUTION_##kind##_CONV_DESC, \
    CUDNN_ATTR_OPERATION_CONVOLUTION_##kind##_ALPHA, \
    CUDNN_ATTR_OPERATION_CONVOLUTION_##kind##_BETA }

static const Names names[] = {
  [UMEDPT_CUDA_CONV_FORWARD] = NAMES (FORWARD, FORWARD, X, W, Y),
  [UMEDPT_CUDA_CONV_DATA] = NAMES (BACKWARD_DATA, BWD_DATA, DX, W, DY),
  [UMEDPT_CUDA_CONV_WEIGHT] = NAMES (BACKWARD_FILTER, BWD_FILTER, X, DW, DY),
};
/* clang-format on */

/* @result: receives y. */
static cudnnBackendDescriptor_t
make_operation (UmedptCudaConvPlan *self, cudnnBackendDescriptor_t *result)
{
  const UmedptCudaConvShape *s = &self->shape;
  const Names *n = &names[s->kind];
  const cudnnDataType_t type = data_type (s->dtype);
  const float one = 1, zero = 0;
  cudnnBackendDescriptor_t x =
      make_tensor (self, ID_X, s->n, s->h, s->w, s->c, type);
  cudnnBackendDescriptor_t w =
      make_tensor (self, ID_W, s->o, s->kh, s->kw, s->c, type);
  cudnnBackendDescriptor_t y = s->bias
      ? make_tensor (self, ID_SUM, s->n, s->oh, s->ow, s->o, CUDNN_DATA_FLOAT)
      : make_tensor (self, ID_Y, s->n, s->oh, s->ow, s->o, type);
  cudnnBackendDescriptor_t conv = make_convolution (self);
  cudnnBackendDescriptor_t operation = make (self, n->type);

  set_descriptor (self, operation, n->x, x);
  set_descriptor (self, operation, n->w, w);
  set_descriptor (self, operation, n->y, y);
  set_descriptor (self, operation, n->conv, conv);
  set (self, operation, n->alpha, CUDNN_TYPE_FLOAT, 1, &one);
  set (self, operation, n->beta, CUDNN_TYPE_FLOAT, 1, &zero);
  finalize (self, operation, "describing a convolution's tensors");
  *result = y;
  return operation;
}

/* y = sum + bias, for each pixel. */
static cudnnBackendDescriptor_t
make_bias (UmedptCudaConvPlan *self, cudnnBackendDescriptor_t sum)
{
  const UmedptCudaConvShape *s = &self->shape;
  const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
  cudnnBackendDescriptor_t bias =
      make_tensor (self, ID_BIAS, 1, 1, 1, s->o, CUDNN_DATA_FLOAT);
  cudnnBackendDescriptor_t y =
      make_tensor (self, ID_Y, s->n, s->oh, s->ow, s->o, data_type (s->dtype));
  cudnnBackendDescriptor_t add =
      make (self, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  cudnnBackendDescriptor_t operation;

  set (self, add, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1,
      &mode);
  set_type (self, add, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  finalize (self, add, "describing an addition");
  operation = make (self, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  set_descriptor (self, operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
      add);
  set_descriptor (self, operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, sum);
  set_descriptor (self, operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, bias);
  set_descriptor (self, operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  finalize (self, operation, "describing an addition's tensors");
  return operation;
}

static cudnnBackendDescriptor_t
make_graph (UmedptCudaConvPlan *self, cudnnHandle_t handle)
{
  cudnnBackendDescriptor_t operations[2], y = NULL, graph;
  guint n = 0;

  operations[n++] = make_operation (self, &y);
  if (self->shape.bias)
    operations[n++] = make_bias (self, y);
  graph = make (self, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  if (handle)
    set (self, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
        &handle);
  set (self, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS,
      CUDNN_TYPE_BACKEND_DESCRIPTOR, n, operations);
  finalize (self, graph, "making a graph");
  return graph;
}

/* ---- Engines ---- */

/* What an engine says of itself: a set of bits, numerical notes from 0,
 * behavior notes from BEHAVIOR. */
#define BEHAVIOR 32
#define NUMERICAL(note) ((guint64) 1 << CUDNN_NUMERICAL_NOTE_##note)
#define COMPILED \
  ((guint64) 1 << (BEHAVIOR + CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION))

static guint64
get_notes (cudnnBackendDescriptor_t engine)
{
  cudnnBackendNumericalNote_t numerical[BEHAVIOR];
  cudnnBackendBehaviorNote_t behavior[BEHAVIOR];
  gint64 count = 0;
  guint64 notes = 0;

  if (cudnnBackendGetAttribute (engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
          CUDNN_TYPE_NUMERICAL_NOTE, BEHAVIOR, &count, numerical) != 0)
    return G_MAXUINT64;
  for (gint64 i = 0; i < MIN (count, BEHAVIOR); i++)
    notes |= (guint64) 1 << numerical[i];
  if (cudnnBackendGetAttribute (engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
          CUDNN_TYPE_BEHAVIOR_NOTE, BEHAVIOR, &count, behavior) != 0)
    return G_MAXUINT64;
  for (gint64 i = 0; i < MIN (count, BEHAVIOR); i++)
    notes |= (guint64) 1 << (BEHAVIOR + behavior[i]);
  return notes;
}

/* Whether an engine with these notes computes what is asked for. */
static gboolean
is_allowed (const UmedptCudaConvShape *shape, guint64 notes)
{
  guint64 forbidden = NUMERICAL (NONDETERMINISTIC) |
      NUMERICAL (REDUCED_PRECISION_REDUCTION) | NUMERICAL (FFT) |
      NUMERICAL (WINOGRAD) | COMPILED;

  if (shape->dtype == UMEDPT_DTYPE_F32 && !shape->tf32)
    forbidden |= NUMERICAL (TENSOR_CORE) | NUMERICAL (DOWN_CONVERT_INPUTS);
  return (notes & forbidden) == 0;
}

static gboolean
is_config_allowed (const UmedptCudaConvShape *shape,
    cudnnBackendDescriptor_t config)
{
  cudnnBackendDescriptor_t engine = NULL;
  gint64 count = 0;
  gboolean allowed = FALSE;

  if (cudnnBackendCreateDescriptor (CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) !=
      CUDNN_STATUS_SUCCESS)
    return FALSE;
  if (cudnnBackendGetAttribute (config, CUDNN_ATTR_ENGINECFG_ENGINE,
          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
          &engine) == CUDNN_STATUS_SUCCESS)
    allowed = is_allowed (shape, get_notes (engine));
  cudnnBackendDestroyDescriptor (engine);
  return allowed;
}

/* The plan of one engine in one configuration; FALSE: cuDNN refuses it. */
static gboolean
try_config (UmedptCudaConvPlan *self, cudnnHandle_t handle,
    cudnnBackendDescriptor_t device, cudnnBackendDescriptor_t config)
{
  cudnnBackendDescriptor_t plan = NULL;
  gint64 count = 0;
  gboolean ok;

  if (cudnnBackendCreateDescriptor (CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR,
          &plan) != CUDNN_STATUS_SUCCESS)
    return FALSE;
  ok = (handle ? cudnnBackendSetAttribute (plan,
                     CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                     &handle)
               : cudnnBackendSetAttribute (plan,
                     CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device)) ==
          CUDNN_STATUS_SUCCESS &&
      cudnnBackendSetAttribute (plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config) == CUDNN_STATUS_SUCCESS &&
      cudnnBackendFinalize (plan) == CUDNN_STATUS_SUCCESS &&
      cudnnBackendGetAttribute (plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
          CUDNN_TYPE_INT64, 1, &count,
          &self->workspace) == CUDNN_STATUS_SUCCESS &&
      self->workspace >= 0 && self->workspace <= MAX_WORKSPACE;
  if (!ok) {
    cudnnBackendDestroyDescriptor (plan);
    return FALSE;
  }
  g_assert (self->n_descriptors + 2 <= MAX_DESCRIPTORS);
  self->descriptors[self->n_descriptors++] = config;
  self->descriptors[self->n_descriptors++] = self->plan = plan;
  return TRUE;
}

/* The engines that a heuristic proposes, best first. Returns their number. */
static guint
list_configs (UmedptCudaConvPlan *self, cudnnBackendDescriptor_t graph,
    cudnnBackendDescriptor_t device, cudnnBackendHeurMode_t mode,
    cudnnBackendDescriptor_t *configs)
{
  cudnnBackendDescriptor_t heuristic =
      make (self, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  gint64 count = 0;

  set_descriptor (self, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
      graph);
  set (self, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1,
      &mode);
  if (device)
    set_descriptor (self, heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device);
  finalize (self, heuristic, "asking for engines");
  if (self->status != CUDNN_STATUS_SUCCESS)
    return 0;
  for (guint i = 0; i < MAX_CONFIGS; i++)
    if (cudnnBackendCreateDescriptor (CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
            &configs[i]) != CUDNN_STATUS_SUCCESS)
      configs[i] = NULL;
  note (self,
      cudnnBackendGetAttribute (heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
          CUDNN_TYPE_BACKEND_DESCRIPTOR, MAX_CONFIGS, &count, configs),
      "listing engines");
  return self->status == CUDNN_STATUS_SUCCESS
      ? (guint) CLAMP (count, 0, MAX_CONFIGS)
      : 0;
}

/* Sets self->plan to the first that is allowed and possible, if any. */
static void
choose (UmedptCudaConvPlan *self, cudnnHandle_t handle,
    cudnnBackendDescriptor_t device, cudnnBackendDescriptor_t graph)
{
  static const cudnnBackendHeurMode_t modes[] = { CUDNN_HEUR_MODE_A,
    CUDNN_HEUR_MODE_FALLBACK };

  for (guint m = 0; m < G_N_ELEMENTS (modes) && !self->plan; m++) {
    cudnnBackendDescriptor_t configs[MAX_CONFIGS] = { NULL };
    guint count = list_configs (self, graph, device, modes[m], configs);

    for (guint i = 0; i < MAX_CONFIGS; i++)
      if (configs[i] &&
          (i >= count || self->plan ||
              !is_config_allowed (&self->shape, configs[i]) ||
              !try_config (self, handle, device, configs[i])))
        cudnnBackendDestroyDescriptor (configs[i]);
    /* one heuristic that knows nothing is no failure */
    self->status = CUDNN_STATUS_SUCCESS;
  }
}

/* ---- Plans ---- */

static cudnnBackendDescriptor_t
make_device (UmedptCudaConvPlan *self, const char *json)
{
  cudnnBackendDescriptor_t device =
      make (self, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);

  set (self, device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
      (gint64) strlen (json), json);
  finalize (self, device, "describing a device");
  return device;
}

static void
set_error (const UmedptCudaConvPlan *self, GError **error)
{
  char message[256] = "";

  if (self->status == CUDNN_STATUS_SUCCESS) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "cuDNN has no engine for this convolution that is exact enough.");
    return;
  }
  cudnnGetLastErrorString (message, sizeof message);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
      "cuDNN: %s failed: %s. %s", self->step,
      cudnnGetErrorString (self->status), message);
}

/* cuDNN loads code when a plan is made, which a stream that is captured
 * allows in the relaxed mode alone. */
UmedptCudaConvPlan *
umedpt_cuda_conv_plan_new (UmedptCuda *cuda, const char *device_json,
    const UmedptCudaConvShape *shape, GError **error)
{
  enum cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  UmedptCudaConvPlan *self = g_new0 (UmedptCudaConvPlan, 1);
  cudnnBackendDescriptor_t device = NULL, graph;

  self->shape = *shape;
  if (cuda) {
    cudaThreadExchangeStreamCaptureMode (&mode);
    if (!cuda->dnn) {
      note (self, cudnnCreate (&cuda->dnn), "starting");
      if (cuda->dnn)
        note (self, cudnnSetStream (cuda->dnn, cuda->stream),
            "choosing a stream");
    }
  } else
    device = make_device (self, device_json);
  graph = make_graph (self, cuda ? cuda->dnn : NULL);
  if (self->status == CUDNN_STATUS_SUCCESS)
    choose (self, cuda ? cuda->dnn : NULL, device, graph);
  if (cuda)
    cudaThreadExchangeStreamCaptureMode (&mode);
  if (self->plan)
    return self;
  set_error (self, error);
  umedpt_cuda_conv_plan_free (self);
  return NULL;
}

void
umedpt_cuda_conv_plan_free (UmedptCudaConvPlan *self)
{
  if (!self)
    return;
  while (self->n_descriptors > 0)
    cudnnBackendDestroyDescriptor (self->descriptors[--self->n_descriptors]);
  g_free (self);
}

gsize
umedpt_cuda_conv_plan_workspace (const UmedptCudaConvPlan *self)
{
  return (gsize) self->workspace;
}

/* The tensors' numbers and addresses. */
static cudnnStatus_t
set_pointers (const UmedptCudaConvPlan *self, cudnnBackendDescriptor_t pack,
    void *x, void *w, void *y, const float *bias, void *workspace)
{
  const gint64 ids[] = { ID_X, ID_W, ID_Y, ID_BIAS };
  void *pointers[] = { x, w, y, (void *) bias };
  const gint64 count = self->shape.bias ? 4 : 3;
  cudnnStatus_t status = cudnnBackendSetAttribute (pack,
      CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids);

  if (status == CUDNN_STATUS_SUCCESS)
    status =
        cudnnBackendSetAttribute (pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
            CUDNN_TYPE_VOID_PTR, count, pointers);
  if (status == CUDNN_STATUS_SUCCESS)
    status = cudnnBackendSetAttribute (pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
        CUDNN_TYPE_VOID_PTR, 1, &workspace);
  return status == CUDNN_STATUS_SUCCESS ? cudnnBackendFinalize (pack) : status;
}

gboolean
umedpt_cuda_conv_plan_run (UmedptCuda *cuda, const UmedptCudaConvPlan *self,
    void *x, void *w, void *y, const float *bias, void *workspace,
    GError **error)
{
  cudnnBackendDescriptor_t pack = NULL;
  cudnnStatus_t status =
      cudnnBackendCreateDescriptor (CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR,
          &pack);
  char message[256] = "";

  if (status == CUDNN_STATUS_SUCCESS)
    status = set_pointers (self, pack, x, w, y, bias, workspace);
  if (status == CUDNN_STATUS_SUCCESS)
    status = cudnnBackendExecute (cuda->dnn, self->plan, pack);
  if (status != CUDNN_STATUS_SUCCESS)
    cudnnGetLastErrorString (message, sizeof message);
  if (pack)
    cudnnBackendDestroyDescriptor (pack);
  if (status == CUDNN_STATUS_SUCCESS)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "A convolution by cuDNN failed: %s. %s", cudnnGetErrorString (status),
      message);
  return FALSE;
}
