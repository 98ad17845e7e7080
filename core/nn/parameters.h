/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The parameters of a model, by name. A layer declares each of its parameters
 * once, with name, shape and initial distribution, and gives the place where
 * the tensor shall appear; then the store fills all of them, from a file or
 * from random numbers, and knows enough to say everything that is wrong with
 * a file in one message. The layers only hold what the store owns.
 */
#pragma once

#include "tensor/safetensors.h"
#include "tensor/tensor-private.h"

G_BEGIN_DECLS

typedef struct _UmedptParameters UmedptParameters;

/* Initial values. */
typedef enum
{
  UMEDPT_INIT_ZERO,
  UMEDPT_INIT_ONE,
  UMEDPT_INIT_LINEAR, /* normal, deviation 0.02, cut at +-2: timm, Swin */
  UMEDPT_INIT_CONV, /* U(-b, b), b = 1 / sqrt (fan_in): PyTorch's default */
  UMEDPT_INIT_LOGIT_SCALE, /* ln 10: Swin V2, section 3.2 */
  UMEDPT_INIT_NORMAL, /* normal, deviation 0.01: FCOS's convolutions */
  UMEDPT_INIT_KAIMING, /* normal, deviation sqrt (2 / fan_out); spec.fan_in
                          holds the fan out */
  UMEDPT_INIT_FOCAL_PRIOR, /* -ln 99: Lin et al. 2017, section 4.1 */
  UMEDPT_INIT_BOX_PRIOR, /* 2: half a box's side, in strides */
} UmedptInit;

typedef enum
{
  UMEDPT_PARAMETER_PLAIN = 0,
  /* Kept for other programs, without effect on any result: may be missing
   * from a file, and is not counted. */
  UMEDPT_PARAMETER_UNUSED = 1 << 0,
  /* Held as [rows, rest] whatever its shape in files: a 1x1 convolution that
   * is computed as a matrix product. */
  UMEDPT_PARAMETER_MATRIX = 1 << 1,
} UmedptParameterFlags;

/* What a layer says of a parameter. */
typedef struct
{
  UmedptInit init;
  UmedptParameterFlags flags;
  gint64 fan_in; /* for UMEDPT_INIT_CONV: inputs of one output */
  guint n_dims;
  gint64 shape[UMEDPT_MAX_DIMS]; /* in files; f32 */
} UmedptParameterSpec;

UmedptParameters *umedpt_parameters_new (void);
void umedpt_parameters_free (UmedptParameters *self);

void umedpt_parameters_add (UmedptParameters *self, UmedptTensor **slot,
    const UmedptParameterSpec *spec, const char *prefix, const char *name);
void umedpt_parameters_add_buffer (UmedptParameters *self,
    UmedptTensor *expected, const char *prefix, const char *name);

gboolean umedpt_parameters_initialise (UmedptParameters *self, guint64 seed,
    GError **error);
gboolean umedpt_parameters_load (UmedptParameters *self,
    UmedptSafetensors *file, const char *file_name, GError **error);
gboolean umedpt_parameters_store (UmedptParameters *self,
    UmedptSafetensorsWriter *writer, GError **error);

/* To be called when values were changed in place (an optimiser's step):
 * whoever has computed something from them compares the generation. */
void umedpt_parameters_changed (UmedptParameters *self);
guint64 umedpt_parameters_get_generation (UmedptParameters *self);

/* Moves all values to @memory (NULL: the host's), where the backend that is to
 * compute with them looks for them; buffers, which only files have, stay. If
 * there is no room, all are where they were. Nobody may use them meanwhile. */
gboolean umedpt_parameters_move (UmedptParameters *self, UmedptMemory *memory,
    GError **error);

/* Training: parameters whose name begins with @prefix (NULL: all) and that are
 * used want a gradient, or no longer do (what has gathered is dropped). Those
 * that still lie in a mapped file are copied to memory of their own. */
gboolean umedpt_parameters_set_requires_grad (UmedptParameters *self,
    const char *prefix, gboolean requires_grad, GError **error);
/* Whether any of them does. */
gboolean umedpt_parameters_requires_grad (UmedptParameters *self,
    const char *prefix);
/* Takes values over from @other, where it has the same name and shape; all
 * others, and those of layers without a match, stay. Returns how many; 0 with
 * @error set when memory runs out. */
guint umedpt_parameters_copy_from (UmedptParameters *self,
    UmedptParameters *other, GError **error);

/* Parameters whose name begins with @prefix (NULL: all), and that are used. */
guint64 umedpt_parameters_count (UmedptParameters *self, const char *prefix);
/* Sorted by name; NULL where a file lacks an unused one. */
guint umedpt_parameters_get_n (UmedptParameters *self);
const char *umedpt_parameters_get_name (UmedptParameters *self, guint index);
UmedptTensor *umedpt_parameters_get_tensor (UmedptParameters *self,
    guint index);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptParameters, umedpt_parameters_free)

G_END_DECLS
