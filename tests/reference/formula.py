# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Parameters and images that C (tests/net/formula.c) and Python compute alike
# from names and indices, so that reference vectors need not store them. The
# ranges are wide where a defect would otherwise hide: position biases that
# span the sigmoid, logit scales from 4 to 27, affine norms away from the
# identity, a key bias that must have no effect. (Scales at the cap of 100 have
# vectors of their own: they amplify bf16's rounding, so that PyTorch's own bf16
# is 24 % off in F4 then, and are compared in f32 alone.)

import numpy as np


def fnv1a(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def mix(x):
    """murmur3's finaliser, on a uint32 array."""
    x = x.copy()
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return x


def uniform(name, n):
    """n floats in [-1, 1), exact in single precision."""
    i = np.arange(n, dtype=np.uint32)
    x = mix(i * np.uint32(0x9E3779B9) + np.uint32(fnv1a(name)))
    return (x >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def value_range(name, shape):
    """Centre and half width of a parameter's values."""
    if name.endswith("logit_scale"):
        return 2.3, 1.0
    if name.endswith("cpb_mlp.0.weight"):
        return 0.0, 1.5
    if name.endswith("cpb_mlp.0.bias"):
        return 0.0, 1.0
    if name.endswith("cpb_mlp.2.weight"):
        return 0.0, 0.25
    if name.endswith("bias"):
        return 0.0, 0.3
    if len(shape) <= 1:
        return 1.0, 0.5  # a norm's gain, a level's scale
    fan_in = int(np.prod(shape[1:]))
    return 0.0, np.sqrt(3.0 / fan_in)


def parameter(name, shape):
    centre, width = value_range(name, shape)
    n = int(np.prod(shape))
    values = np.float32(centre) + np.float32(width) * uniform(name, n)
    return values.astype(np.float32).reshape(shape)


def image(index, height, width):
    """uint8 [height, width, 3]: slopes that wrap, and noise."""
    n = height * width * 3
    noise = (mix(np.arange(n, dtype=np.uint32) + np.uint32(1000003 * index)) >> np.uint32(26))
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    slope = 3 * x + 5 * y + 40 * c
    return ((slope + noise.reshape(height, width, 3)) & 255).astype(np.uint8)
