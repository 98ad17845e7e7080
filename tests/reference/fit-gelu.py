#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fits the coefficients of GELU in core/backend/cpu/kernels.c.

Phi(x) - 1/2 = x P(x^2) / Q(x^2) on |x| <= limit, by least squares that are
reweighted until the error of GELU, x times the error of Phi, is nearly even
(Lawson's method; the denominator is linearised around the last one). Prints
coefficients, lowest power first, and the largest error on [-12, 12] when
evaluated in single precision as the kernel does.
"""
import math

import numpy as np

NODES = 4000
erf = np.vectorize(math.erf)


def fit(limit, numerator, denominator, rounds=80):
    x = np.abs(limit * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES))
    s = x * x / limit**2
    f = 0.5 * erf(x / math.sqrt(2))
    weight, q = np.ones_like(x), np.ones_like(x)
    for _ in range(rounds):
        powers = s[:, None] ** np.arange(max(numerator, denominator))
        columns = [x[:, None] * powers[:, :numerator],
                   -f[:, None] * powers[:, 1:denominator]]
        scale = x / q * weight
        c = np.linalg.lstsq(np.hstack(columns) * scale[:, None], f * scale,
                            rcond=None)[0]
        q = 1 + powers[:, 1:denominator] @ c[numerator:]
        error = np.abs(x * (powers[:, :numerator] @ c[:numerator]) / q - f) * x
        weight *= (error / error.max() + 0.05) ** 0.3
        weight /= weight.max()
    unscale = limit ** (-2.0 * np.arange(max(numerator, denominator)))
    return (c[:numerator] * unscale[:numerator],
            np.r_[1, c[numerator:]] * unscale[:denominator])


def horner(coefficients, q):
    value = np.zeros_like(q)
    for c in coefficients[::-1]:
        value = (value * q + np.float32(c)).astype(np.float32)
    return value


def error_of(p, q, limit):
    x = np.linspace(-12, 12, 400001).astype(np.float32)
    c = np.clip(x, -limit, limit).astype(np.float32)
    gelu = x * (horner(p, c * c) * c / horner(q, c * c) + np.float32(0.5))
    exact = x.astype(np.float64) * 0.5 * (1 + erf(x / math.sqrt(2)))
    return np.abs(gelu - exact).max()


def main():
    for name, limit, n, d in [("f32", 5.5, 7, 5), ("bf16", 3.8, 7, 1)]:
        p, q = fit(limit, n, d)
        print(f"{name}: |x| <= {limit}, error {error_of(p, q, limit):.2e}")
        print("  P", [float(np.float32(v)) for v in p])
        print("  Q", [float(np.float32(v)) for v in q])


if __name__ == "__main__":
    main()
