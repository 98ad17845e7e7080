/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Activations and their slopes on vectors, for kernels.c and kernels-train.c.
 *
 * GELU is exact in f32: Phi (x) - 1/2 = x P (x^2) / Q (x^2) on |x| <= 5.5,
 * absolute error of GELU below 1.1e-6 for |x| <= 12. For bf16 an odd
 * polynomial of seven terms on |x| <= 3.8 is enough (below 6e-4 there). Both
 * were fitted by weighted least squares (tests/reference/fit-gelu.py).
 */
#pragma once

#include "backend/backend.h"
#include "backend/cpu/simd.h"

/* Phi, the normal distribution. Exact to single precision. */
static inline vf
normal_cdf (vf x)
{
  const vf limit = vf_set (5.5f);
  vf c = vf_max (vf_min (x, limit), -limit);
  vf q = c * c;
  vf p = vf_set (1.116141207235799e-10f);
  vf d = vf_set (7.467129034921527e-05f);

  p = p * q + vf_set (-2.3251335079521596e-08f);
  p = p * q + vf_set (3.6995061236666515e-06f);
  p = p * q + vf_set (0.00020503427367657423f);
  p = p * q + vf_set (0.004717825446277857f);
  p = p * q + vf_set (0.03909090906381607f);
  p = p * q + vf_set (0.3989415466785431f);
  d = d * q + vf_set (0.002023242646828294f);
  d = d * q + vf_set (0.030944785103201866f);
  d = d * q + vf_set (0.26464512944221497f);
  d = d * q + vf_set (1.0f);
  return p * c / d + vf_set (0.5f);
}

/* Good to bf16. */
static inline vf
normal_cdf_coarse (vf x)
{
  const vf limit = vf_set (3.8f);
  vf c = vf_max (vf_min (x, limit), -limit);
  vf q = c * c;
  vf p = vf_set (3.025252581778659e-08f);

  p = p * q + vf_set (-1.9569013147702208e-06f);
  p = p * q + vf_set (5.462112676468678e-05f);
  p = p * q + vf_set (-0.0008744171354919672f);
  p = p * q + vf_set (0.009045688435435295f);
  p = p * q + vf_set (-0.06513256579637527f);
  p = p * q + vf_set (0.3982565701007843f);
  return p * c + vf_set (0.5f);
}

static inline vf
gelu (vf x)
{
  return x * normal_cdf (x);
}

static inline vf
gelu_coarse (vf x)
{
  return x * normal_cdf_coarse (x);
}

static inline vf
sigmoid (vf x)
{
  return vf_select (x != x, x, vf_set (1) / (vf_set (1) + vf_exp (-x)));
}

/* By exp (-2 |x|), which loses the digits of small x: there a Taylor series,
 * to 1e-8 of x. */
static inline vf
hyperbolic_tangent (vf x)
{
  vf a = vf_abs (x), q = x * x;
  vf e = vf_exp (vf_set (-2) * a);
  vf large = (vf_set (1) - e) / (vf_set (1) + e);
  vf small = vf_set (62.0f / 2835);

  small = small * q + vf_set (-17.0f / 315);
  small = small * q + vf_set (2.0f / 15);
  small = small * q + vf_set (-1.0f / 3);
  small = small * q * x + x;
  large = vf_select (x < 0, -large, large);
  large = vf_select (x != x, x, large);
  return vf_select (a < vf_set (0.25f), small, large);
}

/* A NaN stays one. The processor's maximum gives its second operand then. */
static inline vf
activate (vf x, UmedptActivation activation)
{
  switch (activation) {
    case UMEDPT_ACTIVATION_RELU:
      return vf_max (vf_set (0), x);
    case UMEDPT_ACTIVATION_GELU:
      return gelu (x);
    case UMEDPT_ACTIVATION_SIGMOID:
      return sigmoid (x);
    case UMEDPT_ACTIVATION_TANH:
      return hyperbolic_tangent (x);
    case UMEDPT_ACTIVATION_NONE:
    default:
      return x;
  }
}

/* Phi (x) + x phi (x); beyond |x| = 13 the second term is nothing. */
static inline vf
gelu_slope (vf x, gboolean coarse)
{
  const vf limit = vf_set (13);
  vf c = vf_max (vf_min (x, limit), -limit);
  vf density = vf_exp_below (c * c * vf_set (-0.5f), coarse);
  vf slope = coarse ? normal_cdf_coarse (x) : normal_cdf (x);

  slope = c * density * vf_set (0.3989422804f) + slope;
  return vf_select (x != x, x, slope);
}

/* d activation / d x. For both below with e = exp (-|z|), which cannot
 * overflow: sigmoid' (z) = e / (1 + e)^2, tanh' (x) = 4 sigmoid' (2 x). */
static inline vf
activation_slope (vf x, UmedptActivation activation, gboolean coarse)
{
  const vf one = vf_set (1);
  vf e, slope;

  switch (activation) {
    case UMEDPT_ACTIVATION_RELU:
      return vf_select (x > vf_set (0), one, vf_select (x != x, x, vf_set (0)));
    case UMEDPT_ACTIVATION_GELU:
      return gelu_slope (x, coarse);
    case UMEDPT_ACTIVATION_SIGMOID:
    case UMEDPT_ACTIVATION_TANH:
      e = vf_abs (activation == UMEDPT_ACTIVATION_TANH ? x + x : x);
      e = vf_select (e < vf_set (87), vf_exp (-e), vf_set (0));
      slope = e / ((one + e) * (one + e));
      if (activation == UMEDPT_ACTIVATION_TANH)
        slope = slope * vf_set (4);
      return vf_select (x != x, x, slope);
    case UMEDPT_ACTIVATION_NONE:
    default:
      return one;
  }
}
