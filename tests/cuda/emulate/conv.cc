/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A stand-in for cuDNN: the functions of cuda/conv-plan.h as plain loops. It
 * asks for a workspace, so that there is one to be given.
 */
#include "emulate-private.h"
#include "product.h"

#include <vector>

#include "conv-plan.h"

#define WORKSPACE 4096

struct _UmedptCudaConvPlan
{
  UmedptCudaConvShape shape;
};

namespace {

typedef UmedptCudaConvShape Shape;

/* All elements as f32. */
std::vector<float>
read (const void *data, UmedptDtype dtype, int64_t n)
{
  std::vector<float> result ((size_t) n);

  for (int64_t i = 0; i < n; i++)
    result[(size_t) i] = product_get (data, dtype == UMEDPT_DTYPE_BF16, i);
  return result;
}

void
write (void *data, UmedptDtype dtype, const std::vector<float> &values)
{
  for (size_t i = 0; i < values.size (); i++)
    product_put (data, dtype == UMEDPT_DTYPE_BF16, (int64_t) i, values[i]);
}

/* Calls @tap for each pixel of y and each tap of the filter that meets a
 * pixel of x, with the offsets of their channels. */
template <typename F>
void
for_each_tap (const Shape &s, F tap)
{
  for (int64_t n = 0; n < s.n; n++)
    for (int64_t y = 0; y < s.oh; y++)
      for (int64_t x = 0; x < s.ow; x++)
        for (int64_t i = 0; i < s.kh; i++)
          for (int64_t j = 0; j < s.kw; j++) {
            int64_t row = y * s.stride - s.padding + i;
            int64_t column = x * s.stride - s.padding + j;

            if (row >= 0 && row < s.h && column >= 0 && column < s.w)
              tap (((n * s.h + row) * s.w + column) * s.c, i * s.kw + j,
                  ((n * s.oh + y) * s.ow + x) * s.o);
          }
}

int64_t
x_size (const Shape &s)
{
  return s.n * s.h * s.w * s.c;
}

int64_t
w_size (const Shape &s)
{
  return s.o * s.kh * s.kw * s.c;
}

int64_t
y_size (const Shape &s)
{
  return s.n * s.oh * s.ow * s.o;
}

void
run_forward (const Shape &s, const void *px, const void *pw, void *py,
    const float *bias)
{
  std::vector<float> x = read (px, s.dtype, x_size (s));
  std::vector<float> w = read (pw, s.dtype, w_size (s));
  std::vector<float> y ((size_t) y_size (s));
  int64_t taps = s.kh * s.kw;

  for_each_tap (s, [&] (int64_t at_x, int64_t tap, int64_t at_y) {
    for (int64_t o = 0; o < s.o; o++)
      y[(size_t) (at_y + o)] += product_dot (&x[(size_t) at_x],
          &w[(size_t) ((o * taps + tap) * s.c)], s.c);
  });
  for (size_t i = 0; s.bias && i < y.size (); i++)
    y[i] += bias[i % (size_t) s.o];
  write (py, s.dtype, y);
}

void
run_data (const Shape &s, void *px, const void *pw, const void *py)
{
  std::vector<float> x ((size_t) x_size (s));
  std::vector<float> w = read (pw, s.dtype, w_size (s));
  std::vector<float> y = read (py, s.dtype, y_size (s));
  int64_t taps = s.kh * s.kw;

  for_each_tap (s, [&] (int64_t at_x, int64_t tap, int64_t at_y) {
    for (int64_t o = 0; o < s.o; o++)
      for (int64_t c = 0; c < s.c; c++)
        x[(size_t) (at_x + c)] +=
            y[(size_t) (at_y + o)] * w[(size_t) ((o * taps + tap) * s.c + c)];
  });
  write (px, s.dtype, x);
}

void
run_weight (const Shape &s, const void *px, void *pw, const void *py)
{
  std::vector<float> x = read (px, s.dtype, x_size (s));
  std::vector<float> w ((size_t) w_size (s));
  std::vector<float> y = read (py, s.dtype, y_size (s));
  int64_t taps = s.kh * s.kw;

  for_each_tap (s, [&] (int64_t at_x, int64_t tap, int64_t at_y) {
    for (int64_t o = 0; o < s.o; o++)
      for (int64_t c = 0; c < s.c; c++)
        w[(size_t) ((o * taps + tap) * s.c + c)] +=
            y[(size_t) (at_y + o)] * x[(size_t) (at_x + c)];
  });
  write (pw, s.dtype, w);
}

size_t
bytes (int64_t n, UmedptDtype dtype)
{
  return (size_t) n * (dtype == UMEDPT_DTYPE_BF16 ? 2 : 4);
}

/* Memory of the device, as long as the shape says, and aligned. */
void
check (const char *name, const void *data, int64_t n, UmedptDtype dtype)
{
  if (!emulate_is_device (data, bytes (n, dtype)))
    emulate_fail ("a convolution's %s is not device memory of its size", name);
  if ((uintptr_t) data % 16)
    emulate_fail ("a convolution's %s is not aligned to 16 bytes", name);
}

} // namespace

UmedptCudaConvPlan *
umedpt_cuda_conv_plan_new (UmedptCuda *, const char *, const Shape *shape,
    GError **)
{
  return new UmedptCudaConvPlan{ *shape };
}

void
umedpt_cuda_conv_plan_free (UmedptCudaConvPlan *plan)
{
  delete plan;
}

gsize
umedpt_cuda_conv_plan_workspace (const UmedptCudaConvPlan *)
{
  return WORKSPACE;
}

gboolean
umedpt_cuda_conv_plan_run (UmedptCuda *cuda, const UmedptCudaConvPlan *plan,
    void *x, void *w, void *y, const float *bias, void *workspace, GError **)
{
  std::lock_guard<std::recursive_mutex> guard (emulate_lock);
  Shape s = plan->shape;

  check ("x", x, x_size (s), s.dtype);
  check ("w", w, w_size (s), s.dtype);
  check ("y", y, y_size (s), s.dtype);
  check ("workspace", workspace, WORKSPACE / 4, UMEDPT_DTYPE_F32);
  if (s.bias)
    check ("bias", bias, s.o, UMEDPT_DTYPE_F32);
  emulate_submit (cuda->stream, [=] {
    if (s.kind == UMEDPT_CUDA_CONV_FORWARD)
      run_forward (s, x, w, y, bias);
    else if (s.kind == UMEDPT_CUDA_CONV_DATA)
      run_data (s, x, w, y);
    else
      run_weight (s, x, w, y);
  });
  return TRUE;
}

extern "C" size_t
cudnnGetVersion (void)
{
  return CUDNN_VERSION;
}
