/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The CPU backend's table, and the two things all its ops do: cut rows into
 * chunks, and run chunks on the pool with OpenMP held to one thread.
 *
 * logit_scale, mask_key_bias and group_reduce are nothing beside what makes
 * their inputs, and are left to ref.
 */
#define G_LOG_DOMAIN "Umedpt"
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels-rows.h"
#include "backend/cpu/kernels-train.h"

#define MAX_CHUNK 128 /* rows; at 64 oneDNN is at its peak, at 32 near it */
#define MIN_CHUNK 32
#define CHUNKS_PER_WORKER 2
#define ASSUMED_WORKERS 32

/* oneDNN's kernels for AVX-512 give a row the same bits in a chunk of any size.
 * Those for AVX2 choose their blocks by the number of rows, and the order of a
 * row's sum with them; so without AVX-512 rows are cut for a fixed number of
 * workers, which costs two workers up to 3 % of a product. */
static guint
count_workers (void)
{
  return umedpt_cpu_isa () < UMEDPT_ISA_AVX512
      ? ASSUMED_WORKERS
      : umedpt_pool_get_n_workers (umedpt_pool_get_default ());
}

/* As large as leaves every worker CHUNKS_PER_WORKER, within the limits: each
 * chunk reads all weights once. */
UmedptRows
umedpt_rows_split (gint64 rows)
{
  guint workers = count_workers ();
  gint64 wanted = workers == 1 ? 1 : workers * CHUNKS_PER_WORKER;
  gint64 size = CLAMP (rows / wanted, MIN_CHUNK, MAX_CHUNK);
  gint64 n = MAX ((rows + size - 1) / size, 1);

  size = MAX ((rows + n - 1) / n, 1);
  return (UmedptRows){ rows, size, (guint) ((rows + size - 1) / size) };
}

UmedptRows
umedpt_rows_split_groups (gint64 rows)
{
  UmedptRows split = umedpt_rows_split (rows);

  split.chunk = (split.chunk + UMEDPT_GROUP - 1) / UMEDPT_GROUP * UMEDPT_GROUP;
  split.n_chunks = (guint) ((rows + split.chunk - 1) / split.chunk);
  return split;
}

gboolean
umedpt_linear_map_init (UmedptLinearMap *map, UmedptTensor *weight,
    UmedptTensor *bias, UmedptWeightsLayout layout, UmedptDtype compute,
    UmedptDtype dst_dtype, const UmedptRows *rows, GError **error)
{
  UmedptPacked *packed = umedpt_packed_get (weight, layout, compute, error);
  gint64 last = umedpt_rows_count (rows, rows->n_chunks - 1);

  if (!packed)
    return FALSE;
  map->N = weight->shape[0];
  map->K = (gint64) weight->n_elements / MAX (map->N, 1);
  if (layout == UMEDPT_WEIGHTS_TRANSPOSED) {
    gint64 outputs = map->N;
    map->N = map->K;
    map->K = outputs;
  }
  map->bias = umedpt_f32_or_null (bias);
  return umedpt_packed_get_linear (packed, rows->chunk, bias != NULL, dst_dtype,
             &map->whole, error) &&
      umedpt_packed_get_linear (packed, last, bias != NULL, dst_dtype,
          &map->last, error);
}

void
umedpt_linear_map_clear (UmedptLinearMap *map)
{
  umedpt_product_clear (&map->whole);
  umedpt_product_clear (&map->last);
}

gboolean
umedpt_linear_map_run (const UmedptLinearMap *map, const UmedptRows *rows,
    guint chunk, guint worker, gconstpointer src, gpointer dst)
{
  return umedpt_product_run (chunk + 1 == rows->n_chunks ? &map->last
                                                         : &map->whole,
      worker, src, map->bias, dst);
}

gboolean
umedpt_cpu_run (guint n_chunks, UmedptPoolFunc func, gpointer job,
    atomic_int *failed, GError **error)
{
  int saved = umedpt_onednn_enter ();

  umedpt_pool_run (umedpt_pool_get_default (), n_chunks, func, job);
  umedpt_onednn_leave (saved);
  if (failed && atomic_load (failed)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "A part of a computation failed on the CPU: out of memory, or oneDNN "
        "could not run. Use a smaller image.");
    return FALSE;
  }
  return TRUE;
}

gboolean
umedpt_cpu_check_compute (UmedptDtype compute, GError **error)
{
  if (umedpt_onednn_supports (compute))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
      "%s matrix products need AVX512_BF16; this processor (or UMEDPT_CPU) "
      "offers %s.",
      umedpt_dtype_name (compute), umedpt_isa_name (umedpt_cpu_isa ()));
  return FALSE;
}

#if defined(__x86_64__)
#define CHOOSE(table) \
  switch (umedpt_cpu_isa ()) { \
    case UMEDPT_ISA_AVX512_BF16: \
      return &table##_avx512_bf16; \
    case UMEDPT_ISA_AVX512: \
      return &table##_avx512; \
    case UMEDPT_ISA_AVX2: \
      return &table##_avx2; \
    case UMEDPT_ISA_PORTABLE: \
    default: \
      return &table##_portable; \
  }
#else
#define CHOOSE(table) return &table##_portable;
#endif

const UmedptKernels *
umedpt_kernels_get (void)
{
  CHOOSE (umedpt_kernels)
}

const UmedptTrainKernels *
umedpt_train_kernels_get (void)
{
  CHOOSE (umedpt_train_kernels)
}

const UmedptRowKernels *
umedpt_row_kernels_get (void){ CHOOSE (umedpt_row_kernels) }

/* The backend; never freed. */
UmedptBackend *umedpt_backend_cpu (void)
{
  static gsize made;

  if (g_once_init_enter (&made)) {
    UmedptBackend *backend = g_new0 (UmedptBackend, 1);
    g_autofree char *onednn = umedpt_onednn_version ();
    g_autofree char *cpu = umedpt_cpu_describe ();
    backend->api_version = UMEDPT_BACKEND_API_VERSION;
    backend->name = "cpu";
    backend->description = g_strdup_printf ("%s, oneDNN %s", cpu, onednn);
    backend->host_memory = TRUE;
    backend->convert = umedpt_cpu_convert;
    backend->activate = umedpt_cpu_activate;
    backend->layer_norm = umedpt_cpu_layer_norm;
    backend->group_norm = umedpt_cpu_group_norm;
    backend->global_pool = umedpt_cpu_global_pool;
    backend->linear = umedpt_cpu_linear;
    backend->linear_norm = umedpt_cpu_linear_norm;
    backend->mlp_norm = umedpt_cpu_mlp_norm;
    backend->patch_embed = umedpt_cpu_patch_embed;
    backend->patch_merge = umedpt_cpu_patch_merge;
    backend->window_attention = umedpt_cpu_window_attention;
    backend->conv2d = umedpt_cpu_conv2d;
    backend->linear_backward = umedpt_cpu_linear_backward;
    backend->linear_norm_backward = umedpt_cpu_linear_norm_backward;
    backend->mlp_norm_backward = umedpt_cpu_mlp_norm_backward;
    backend->patch_embed_backward = umedpt_cpu_patch_embed_backward;
    backend->patch_merge_backward = umedpt_cpu_patch_merge_backward;
    backend->conv2d_backward = umedpt_cpu_conv2d_backward;
    backend->adamw = umedpt_cpu_adamw;
    backend->sgd = umedpt_cpu_sgd;
    backend->square_sum = umedpt_cpu_square_sum;
    backend->activate_backward = umedpt_cpu_activate_backward;
    backend->layer_norm_backward = umedpt_cpu_layer_norm_backward;
    backend->group_norm_backward = umedpt_cpu_group_norm_backward;
    backend->global_pool_backward = umedpt_cpu_global_pool_backward;
    backend->add = umedpt_cpu_add;
    backend->multiply = umedpt_cpu_multiply;
    backend->multiply_backward = umedpt_cpu_multiply_backward;
    backend->position_bias = umedpt_cpu_position_bias;
    backend->upsample_concat = umedpt_cpu_upsample_concat;
    backend->upsample_add = umedpt_cpu_upsample_add;
    backend->position_bias_backward = umedpt_cpu_position_bias_backward;
    backend->upsample_concat_backward = umedpt_cpu_upsample_concat_backward;
    backend->upsample_add_backward = umedpt_cpu_upsample_add_backward;
    backend->cross_entropy = umedpt_cpu_cross_entropy;
    backend->binary_cross_entropy = umedpt_cpu_binary_cross_entropy;
    backend->squared_error = umedpt_cpu_squared_error;
    backend->segmentation_loss = umedpt_cpu_segmentation_loss;
    backend->detection_loss = umedpt_cpu_detection_loss;
    backend->window_attention_backward = umedpt_cpu_window_attention_backward;
    g_once_init_leave (&made, (gsize) backend);
  }
  return (UmedptBackend *) made;
}
