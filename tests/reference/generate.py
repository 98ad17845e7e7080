#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Makes tests/reference/micro.safetensors: what PyTorch and torchvision compute
# for a micro Swin V2 (C0 32, depths 2 2 2 2, heads 1 2 4 8, window 8) and for
# the squeezer in all its forms. Weights and images are those of formula.py and
# are not stored; of F1..F3 every STRIDE-th value is, of F4 all. Made with
# torch 1.13 and torchvision 0.14; run it again only to change the set.
#
#   /usr/bin/python3 tests/reference/generate.py

import os
import sys
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import swin_transformer as tv

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import formula
import safetensors_io

PREFIX = "encoder.model.wrapped_model."
SAMPLES = 2048  # at most, of each of F1..F3
# Height, width: which paths a size takes is told in tests/net/test-swin.c.
SIZES = [(64, 64), (72, 104), (56, 56), (64, 96), (45, 83), (224, 224), (256, 256), (192, 320)]


def micro(affine, window=8):
    norm = partial(nn.LayerNorm, eps=1e-5, elementwise_affine=affine)
    model = tv.SwinTransformer(
        patch_size=[4, 4], embed_dim=32, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8],
        window_size=[window, window], norm_layer=norm, block=tv.SwinTransformerBlockV2,
        downsample_layer=tv.PatchMergingV2, num_classes=1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.from_numpy(formula.parameter(PREFIX + name, tuple(value.shape))))
    return model.eval()


def capped():
    """Logit scales on both sides of the cap, ln 100 = 4.6: 3.8 to 5.8."""
    model = micro(True)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("logit_scale"):
                value.add_(2.5)
    return model


def pyramid(model, image):
    """F1..F4 as [H, W, C] of a uint8 [H, W, 3] image."""
    x = torch.from_numpy(image).float().div(255).permute(2, 0, 1)[None]
    levels = []
    for i, layer in enumerate(model.features):
        x = layer(x)
        if i % 2 == 1:
            levels.append(x[0].numpy())
    return levels


def stride_of(n):
    """Odd, so that samples walk through the channels."""
    return max(1, n // SAMPLES) | 1


def add_pyramid(tensors, key, levels):
    for i, level in enumerate(levels):
        flat = level.reshape(-1)
        if i < 3:
            flat = flat[:: stride_of(flat.size)]
            tensors[f"{key}/F{i + 1}"] = flat.copy()
        else:
            tensors[f"{key}/F4"] = level.copy()


def squeezer_norm(x, policy):
    """x: [1, D, H, W]"""
    d = x.shape[1]
    if policy == "nonorm":
        return x
    if policy == "instancenorm":
        return F.instance_norm(x, eps=1e-5)
    if policy == "layernorm":
        return F.group_norm(x, 1, eps=1e-5)
    weight = torch.from_numpy(formula.parameter("squeezer.norm.weight", (d,)))
    bias = torch.from_numpy(formula.parameter("squeezer.norm.bias", (d,)))
    return F.group_norm(x, 1, weight, bias, eps=1e-5)


def squeeze(x, policy, d):
    if d:
        shape = (d, x.shape[1], 1, 1)
        weight = torch.from_numpy(formula.parameter("squeezer.conv.weight", shape))
        bias = torch.from_numpy(formula.parameter("squeezer.conv.bias", (d,)))
        x = F.conv2d(x, weight, bias)
    return F.gelu(squeezer_norm(x, policy))


def pool(x, kind):
    average = F.adaptive_avg_pool2d(x, 1)
    maximum = F.adaptive_max_pool2d(x, 1)
    return {"average": average, "max": maximum, "combined": average + maximum}[kind]


def add_squeezer(tensors, f4):
    x = torch.from_numpy(f4).permute(2, 0, 1)[None]
    for policy in ("affinelayernorm", "layernorm", "instancenorm", "nonorm"):
        for d in (0, 48):
            for kind in ("average", "max", "combined"):
                key = f"squeezer/{policy}/{kind}/{d}"
                z = pool(squeeze(x, policy, d), kind)
                tensors[f"{key}/after"] = z.flatten().numpy()
                if policy != "instancenorm":
                    z = squeeze(pool(x, kind), policy, d)
                    tensors[f"{key}/before"] = z.flatten().numpy()
        tensors[f"squeezer/{policy}/Z"] = squeeze(x, policy, 48)[0].permute(1, 2, 0).numpy()


def main():
    tensors = {}
    torch.set_grad_enabled(False)
    model = micro(True)
    for i, (height, width) in enumerate(SIZES):
        levels = pyramid(model, formula.image(i, height, width))
        add_pyramid(tensors, f"affine/{height}x{width}", levels)
        if (height, width) == (72, 104):
            add_squeezer(tensors, levels[3])
    levels = pyramid(micro(False), formula.image(3, 64, 96))
    add_pyramid(tensors, "plain/64x96", levels)
    levels = pyramid(micro(True, 16), formula.image(2, 136, 200))
    add_pyramid(tensors, "window16/136x200", levels)
    add_pyramid(tensors, "capped/72x104", pyramid(capped(), formula.image(1, 72, 104)))
    path = os.path.join(HERE, "micro.safetensors")
    safetensors_io.save(path, {key: np.ascontiguousarray(value) for key, value in tensors.items()},
                        {"torch": torch.__version__, "format": "np"})
    print(f"{path}: {len(tensors)} tensors, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
