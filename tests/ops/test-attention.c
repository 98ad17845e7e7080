/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Window attention of the reference against a second implementation that
 * follows the other road: where ref gathers tokens by index, this one pads,
 * rolls, partitions, masks, and undoes it all step by step with whole arrays,
 * as the authors' description and torchvision do. Position bias against
 * numbers from the formula by hand.
 */
#include <math.h>
#include <string.h>

#include "autograd/ops.h"
#include "fill.h"

typedef struct
{
  gint64 n, h, w, heads, d, window, shift;
  float scale;
} Geometry;

static UmedptContext *context;

/* A map [n, h, w, c] of floats. */
typedef struct
{
  gint64 n, h, w, c;
  float *data;
} Map;

static Map
map_new (gint64 n, gint64 h, gint64 w, gint64 c)
{
  return (Map){ n, h, w, c, g_new0 (float, n *h *w *c) };
}

static float *
map_at (const Map *map, gint64 n, gint64 y, gint64 x)
{
  return map->data + ((n * map->h + y) * map->w + x) * map->c;
}

/* The map, padded right and bottom with the qkv of a zero pixel. */
static Map
pad (const UmedptTensor *qkv, const UmedptTensor *bias, gint64 window)
{
  gint64 h = qkv->shape[1], w = qkv->shape[2], c = qkv->shape[3];
  Map map = map_new (qkv->shape[0], (h + window - 1) / window * window,
      (w + window - 1) / window * window, c);

  for (gint64 n = 0; n < map.n; n++)
    for (gint64 y = 0; y < map.h; y++)
      for (gint64 x = 0; x < map.w; x++)
        memcpy (map_at (&map, n, y, x),
            y < h && x < w ? UMEDPT_F32 (qkv) + ((n * h + y) * w + x) * c
                           : UMEDPT_F32 (bias),
            c * sizeof (float));
  return map;
}

/* result[y, x] = map[(y - dy) mod h, (x - dx) mod w], as torch.roll. */
static Map
roll (const Map *map, gint64 dy, gint64 dx)
{
  Map result = map_new (map->n, map->h, map->w, map->c);

  for (gint64 n = 0; n < map->n; n++)
    for (gint64 y = 0; y < map->h; y++)
      for (gint64 x = 0; x < map->w; x++)
        memcpy (map_at (&result, n, (y + dy + map->h) % map->h,
                    (x + dx + map->w) % map->w),
            map_at (map, n, y, x), map->c * sizeof (float));
  return result;
}

/* The regions, painted one slice over the other: a Python slice [a:b] whose
 * ends count from the end, where b = 0 stands for "to the end". */
static Map
paint_regions (gint64 h, gint64 w, gint64 window, gint64 shift_y,
    gint64 shift_x)
{
  Map map = map_new (1, h, w, 1);
  gint64 begin_y[3] = { 0, h - window, shift_y ? h - shift_y : 0 };
  gint64 end_y[3] = { h - window, shift_y ? h - shift_y : 0, h };
  gint64 begin_x[3] = { 0, w - window, shift_x ? w - shift_x : 0 };
  gint64 end_x[3] = { w - window, shift_x ? w - shift_x : 0, w };

  for (gint i = 0; i < 9; i++)
    for (gint64 y = begin_y[i / 3]; y < end_y[i / 3]; y++)
      for (gint64 x = begin_x[i % 3]; x < end_x[i % 3]; x++)
        *map_at (&map, 0, y, x) = i;
  return map;
}

/* One query, one head, in the window whose corner is (y0, x0). */
static void
attend (const Map *map, const Map *regions, const Geometry *g,
    const float *bias, gint64 n, gint64 y0, gint64 x0, gint64 i, gint64 h,
    float *out)
{
  gint64 l = g->window * g->window, c = g->heads * g->d;
  gint64 qy = y0 + i / g->window, qx = x0 + i % g->window;
  const float *q = map_at (map, n, qy, qx) + h * g->d;
  g_autofree double *p = g_new (double, l);
  double sum = 0;

  for (gint64 j = 0; j < l; j++) {
    gint64 ky = y0 + j / g->window, kx = x0 + j % g->window;
    const float *k = map_at (map, n, ky, kx) + c + h * g->d;
    double qq = 0, kk = 0, qk = 0;

    for (gint64 e = 0; e < g->d; e++) {
      qq += q[e] * q[e];
      kk += k[e] * k[e];
      qk += q[e] * k[e];
    }
    p[j] = qk / (fmax (sqrt (qq), 1e-12) * fmax (sqrt (kk), 1e-12)) * g->scale +
        bias[(h * l + i) * l + j];
    if (*map_at (regions, 0, qy, qx) != *map_at (regions, 0, ky, kx))
      p[j] -= 100;
    p[j] = exp (p[j]); /* the test's logits are small: no maximum needed */
    sum += p[j];
  }
  for (gint64 e = 0; e < g->d; e++) {
    double value = 0;

    for (gint64 j = 0; j < l; j++)
      value += p[j] / sum *
          map_at (map, n, y0 + j / g->window,
              x0 + j % g->window)[2 * c + h * g->d + e];
    out[e] = value;
  }
}

static Map
attend_all (const Map *map, const Map *regions, const Geometry *g,
    const float *bias)
{
  Map out = map_new (map->n, map->h, map->w, g->heads * g->d);

  for (gint64 n = 0; n < map->n; n++)
    for (gint64 y0 = 0; y0 < map->h; y0 += g->window)
      for (gint64 x0 = 0; x0 < map->w; x0 += g->window)
        for (gint64 i = 0; i < g->window * g->window; i++)
          for (gint64 h = 0; h < g->heads; h++)
            attend (map, regions, g, bias, n, y0, x0, i, h,
                map_at (&out, n, y0 + i / g->window, x0 + i % g->window) +
                    h * g->d);
  return out;
}

/* The other implementation, whole. */
static Map
explicit_attention (const UmedptTensor *qkv, const UmedptTensor *qkv_bias,
    const UmedptTensor *bias, const Geometry *g)
{
  Map padded = pad (qkv, qkv_bias, g->window);
  gint64 shift_y = g->window >= padded.h ? 0 : g->shift;
  gint64 shift_x = g->window >= padded.w ? 0 : g->shift;
  Map rolled = roll (&padded, -shift_y, -shift_x);
  Map regions = shift_y || shift_x
      ? paint_regions (padded.h, padded.w, g->window, shift_y, shift_x)
      : map_new (1, padded.h, padded.w, 1);
  Map out = attend_all (&rolled, &regions, g, UMEDPT_F32 (bias));
  Map back = roll (&out, shift_y, shift_x);

  g_free (padded.data);
  g_free (rolled.data);
  g_free (regions.data);
  g_free (out.data);
  return back;
}

typedef struct
{
  UmedptTensor *qkv, *qkv_bias, *scale, *bias;
} Inputs;

static Inputs
make_inputs (const Geometry *g)
{
  Lcg lcg = { 7 };
  gint64 c = g->heads * g->d, l = g->window * g->window;
  Inputs in = {
    fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0.2f,
        SHAPE (g->n, g->h, g->w, 3 * c)),
    fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (3 * c)),
    fill_random (&lcg, UMEDPT_DTYPE_F32, 0, g->scale, SHAPE (g->heads)),
    fill_random (&lcg, UMEDPT_DTYPE_F32, 8, 8, SHAPE (g->heads, l, l)),
  };

  for (gint64 i = c; i < 2 * c; i++)
    UMEDPT_F32 (in.qkv_bias)[i] = 0;
  return in;
}

static UmedptTensor *
run (const Inputs *in, const Geometry *g)
{
  g_autoptr (GError) error = NULL;
  UmedptTensor *dst = umedpt_op_window_attention (context, in->qkv,
      in->qkv_bias, in->scale, in->bias, g->heads, g->window, g->shift, &error);

  g_assert_no_error (error);
  return dst;
}

static void
clear_inputs (Inputs *in)
{
  umedpt_tensor_unref (in->qkv);
  umedpt_tensor_unref (in->qkv_bias);
  umedpt_tensor_unref (in->scale);
  umedpt_tensor_unref (in->bias);
}

/* The formula's hand-computed extremes are in the op table; here each way in
 * which axes can be padded, shifted, or spared from the shift. */
static const Geometry geometries[] = {
  { 1, 8, 8, 1, 8, 8, 0, 10 }, /* one window */
  { 1, 8, 8, 2, 8, 8, 4, 10 }, /* one window: the shift does not count */
  { 2, 16, 16, 1, 4, 8, 4, 10 }, /* the plain shifted case */
  { 1, 16, 8, 1, 4, 8, 4, 10 }, /* shift on rows only */
  { 1, 7, 20, 2, 4, 8, 4, 5 }, /* padded rows, shifted columns */
  { 1, 13, 9, 1, 4, 4, 2, 10 }, /* padded and shifted on both */
  { 1, 1, 1, 1, 4, 8, 4, 10 }, /* one pixel in 63 padded ones */
  { 1, 5, 6, 1, 3, 3, 1, 10 }, /* odd window, odd head dimension */
  { 1, 3, 3, 1, 2, 1, 0, 10 }, /* windows of one pixel */
};

static void
test_explicit (gconstpointer data)
{
  const Geometry *g = data;
  Inputs in = make_inputs (g);
  Map expected = explicit_attention (in.qkv, in.qkv_bias, in.bias, g);
  g_autoptr (UmedptTensor) found = run (&in, g);
  gint64 c = g->heads * g->d;

  for (gint64 n = 0; n < g->n; n++)
    for (gint64 y = 0; y < g->h; y++)
      for (gint64 x = 0; x < g->w; x++)
        for (gint64 i = 0; i < c; i++)
          g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (found)
                                              [((n * g->h + y) * g->w + x) * c +
                                                  i],
              map_at (&expected, n, y, x)[i], 2e-6);
  g_free (expected.data);
  clear_inputs (&in);
}

/* Where all values are 1, so is every average of them. */
static void
test_rows_sum_to_one (gconstpointer data)
{
  const Geometry *g = data;
  Inputs in = make_inputs (g);
  gint64 c = g->heads * g->d;
  g_autoptr (UmedptTensor) found = NULL;

  for (gsize i = 0; i < in.qkv->n_elements; i++)
    if (i % (3 * c) >= 2 * c)
      UMEDPT_F32 (in.qkv)[i] = 1;
  for (gint64 i = 2 * c; i < 3 * c; i++)
    UMEDPT_F32 (in.qkv_bias)[i] = 1;
  found = run (&in, g);
  for (gsize i = 0; i < found->n_elements; i++)
    g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (found)[i], 1, 1e-6);
  clear_inputs (&in);
}

/* The length of q and k does not matter: only their direction does. */
static void
test_cosine (void)
{
  const Geometry *g = &geometries[2];
  Inputs in = make_inputs (g);
  gint64 c = g->heads * g->d;
  g_autoptr (UmedptTensor) before = run (&in, g);
  g_autoptr (UmedptTensor) after = NULL;

  for (gsize i = 0; i < in.qkv->n_elements; i++)
    if (i % (3 * c) < 2 * c)
      UMEDPT_F32 (in.qkv)[i] *= 4096;
  after = run (&in, g);
  g_assert_cmpmem (before->data, umedpt_tensor_get_size (before), after->data,
      umedpt_tensor_get_size (after));
  clear_inputs (&in);
}

/* In bf16 the probabilities are operands of the second product. Here they are
 * 0.4 and 0.6, v is 3 and -2: the sum is 0 but for the rounding of 0.4 to
 * 0.400390625 and of 0.6 to 0.6015625. */
static void
test_bf16_probabilities (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) qkv = VALUES (SHAPE (1, 1, 2, 3), 0, 0, 3, 0, 0, -2);
  g_autoptr (UmedptTensor) qkv_bias = VALUES (SHAPE (3), 0, 0, 0);
  g_autoptr (UmedptTensor) scale = VALUES (SHAPE (1), 1);
  g_autoptr (UmedptTensor) bias = NULL;
  g_autoptr (UmedptTensor) half =
      umedpt_op_convert (context, qkv, UMEDPT_DTYPE_BF16, &error);
  g_autoptr (UmedptTensor) exact = NULL, rounded = NULL;
  Lcg lcg = { 8 };

  g_assert_no_error (error);
  bias = fill_random (&lcg, UMEDPT_DTYPE_F32, 0, -1000, SHAPE (1, 4, 4));
  for (guint query = 0; query < 2; query++) { /* the two real pixels */
    UMEDPT_F32 (bias)[query * 4] = 0;
    UMEDPT_F32 (bias)[query * 4 + 1] = logf (1.5f);
  }
  exact = umedpt_op_window_attention (context, qkv, qkv_bias, scale, bias, 1, 2,
      0, &error);
  g_assert_no_error (error);
  rounded = umedpt_op_window_attention (context, half, qkv_bias, scale, bias, 1,
      2, 0, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat_with_epsilon (fill_get (exact, 0), 0, 1e-6);
  g_assert_cmpfloat (fill_get (rounded, 0), ==, -0.001953125f);
}

static UmedptTensor *
position_bias (gint64 window, float wy, float wx, float b1)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) w1 = VALUES (SHAPE (1, 2), wy, wx);
  g_autoptr (UmedptTensor) b = VALUES (SHAPE (1), b1);
  g_autoptr (UmedptTensor) w2 = VALUES (SHAPE (2, 1), 1, -1);
  UmedptTensor *bias =
      umedpt_op_position_bias (context, w1, b, w2, window, &error);

  g_assert_no_error (error);
  return bias;
}

/* With w1 = (1, 0) and w2 = 1 the bias is 16 sigmoid (max (t (dy), 0)). */
static void
test_position_bias (void)
{
  double far = log2 (9.0) / 3; /* offset 7: d = 8 */
  double near = log2 (8.0 / 7 + 1) / 3; /* offset 1 */
  g_autoptr (UmedptTensor) rows = position_bias (8, 1, 0, 0);
  g_autoptr (UmedptTensor) columns = position_bias (8, 0, 1, 0);
  const float *r = UMEDPT_F32 (rows), *c = UMEDPT_F32 (columns);

  g_assert_cmpint (rows->shape[0], ==, 2);
  g_assert_cmpint (rows->shape[2], ==, 64);
  /* query (7, 0), key (0, 0): dy = 7; and the other way round */
  g_assert_cmpfloat_with_epsilon (r[56 * 64], 16 / (1 + exp (-far)), 1e-5);
  g_assert_cmpfloat_with_epsilon (r[56], 8, 1e-6);
  /* query (1, 5), key (0, 2): only dy = 1 matters */
  g_assert_cmpfloat_with_epsilon (r[13 * 64 + 2], 16 / (1 + exp (-near)), 1e-5);
  /* query (5, 1), key (2, 0): only dx = 1 matters */
  g_assert_cmpfloat_with_epsilon (c[41 * 64 + 16], 16 / (1 + exp (-near)),
      1e-5);
  /* the second head has w2 = -1 */
  g_assert_cmpfloat_with_epsilon (r[4096 + 56 * 64], 16 / (1 + exp (far)),
      1e-5);
}

/* Negative coordinates: a relu bias of 2 lets t (-7) = -far through. A window
 * of one pixel has the one offset 0. */
static void
test_position_bias_negative (void)
{
  double far = log2 (9.0) / 3;
  g_autoptr (UmedptTensor) rows = position_bias (8, 1, 0, 2);
  g_autoptr (UmedptTensor) one = position_bias (1, 1, 1, 0);

  g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (rows)[56],
      16 / (1 + exp (far - 2)), 1e-5);
  g_assert_cmpuint (one->n_elements, ==, 2);
  g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (one)[0], 8, 1e-6);
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  context = umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_F32);
  for (guint i = 0; i < G_N_ELEMENTS (geometries); i++) {
    const Geometry *g = &geometries[i];
    g_autofree char *name = g_strdup_printf ("%dx%d-window%d-shift%d",
        (int) g->h, (int) g->w, (int) g->window, (int) g->shift);
    g_autofree char *same = g_strconcat ("/attention/explicit/", name, NULL);
    g_autofree char *sum = g_strconcat ("/attention/sum/", name, NULL);

    g_test_add_data_func (same, g, test_explicit);
    g_test_add_data_func (sum, g, test_rows_sum_to_one);
  }
  g_test_add_func ("/attention/cosine", test_cosine);
  g_test_add_func ("/attention/bf16", test_bf16_probabilities);
  g_test_add_func ("/position-bias/by-hand", test_position_bias);
  g_test_add_func ("/position-bias/negative", test_position_bias_negative);
  result = g_test_run ();
  umedpt_context_free (context);
  return result;
}
