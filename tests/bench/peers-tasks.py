# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What many tasks cost where losses are simply summed: torchvision's swin_v2_t
# with heads of the kinds of bench-tasks.py, one batch of random pixels per
# task, one backward pass at the end, AdamW. The graphs of all tasks are in
# memory until then. Decoders are shared by the tasks, as in UMedPT: a U-Net
# decoder for masks, a pyramid with towers for boxes, of about our size; losses
# are plain ones, which decide nothing about memory.
#
#   peers-tasks.py --tasks N --kinds classification,… [--batch 4] [--size 256]
#     [--precision f32|bf16] [--limit-gb 12]
# Prints {"rss": peak bytes}, or null when it passed the limit after a task's
# forward pass, and stops. Runs in the environment of setup-peers.sh.
import argparse
import json
import os
import resource
import sys

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

WIDTHS = (96, 192, 384, 768)
LABELS = {"classification": 4, "multilabel": 13, "regression": 1,
          "segmentation": 3, "multilabel-segmentation": 6, "detection": 3}


def layer(inputs, outputs, norm):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                         norm(outputs), nn.ReLU(inplace=True))


class PixelDecoder(nn.Module):
    """Four doublings with skips, to half the image's size."""

    def __init__(self, widths=(256, 128, 64, 32)):
        super().__init__()
        inputs, blocks = WIDTHS[3], []
        for width, skip in zip(widths, (384, 192, 96, 0)):
            blocks.append(nn.Sequential(
                layer(inputs + skip, width, nn.BatchNorm2d),
                layer(width, width, nn.BatchNorm2d)))
            inputs = width
        self.blocks = nn.ModuleList(blocks)

    def forward(self, maps):
        x = maps[3]
        for block, skip in zip(self.blocks, (maps[2], maps[1], maps[0], None)):
            x = F.interpolate(x, scale_factor=2)
            x = block(x if skip is None else torch.cat([x, skip], 1))
        return x


class Pyramid(nn.Module):
    """Five levels and two towers, as in FCOS."""

    def __init__(self, channels=256):
        super().__init__()
        def norm(n):
            return nn.GroupNorm(32, n)
        self.fpn = torchvision.ops.FeaturePyramidNetwork(
            WIDTHS[1:], channels, torchvision.ops.feature_pyramid_network
            .LastLevelP6P7(channels, channels))
        self.towers = nn.ModuleList(nn.Sequential(*(
            layer(channels, channels, norm) for _ in range(4)))
            for _ in range(2))

    def forward(self, maps):
        levels = self.fpn({str(i): m for i, m in enumerate(maps[1:])})
        return [[tower(x) for tower in self.towers] for x in levels.values()]


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        swin = torchvision.models.swin_v2_t(weights=None)
        self.features = swin.features
        self.norm = swin.norm
        self.pixel = PixelDecoder()
        self.pyramid = Pyramid()

    def forward(self, x, kind):
        maps = []
        for i, block in enumerate(self.features):
            x = block(x)
            if i % 2:
                maps.append(x)
        maps[3] = self.norm(maps[3])
        if kind in ("classification", "multilabel", "regression"):
            return maps[3].mean((1, 2))
        maps = [m.permute(0, 3, 1, 2).contiguous() for m in maps]
        return self.pyramid(maps) if kind == "detection" else self.pixel(maps)


def make_head(kind):
    n = LABELS[kind]
    if kind == "detection":
        return nn.ModuleList([nn.Conv2d(256, n, 3, padding=1),
                              nn.Conv2d(256, 5, 3, padding=1)])
    if kind.endswith("segmentation"):
        return nn.Conv2d(32, n, 1)
    return nn.Linear(WIDTHS[3], n)


def compute_loss(kind, head, x):
    if kind == "detection":
        return sum(h(t).float().square().mean()
                   for level in x for h, t in zip(head, level))
    x = head(x).float()
    if kind == "classification" or kind == "segmentation":
        return F.cross_entropy(x, torch.zeros(
            (x.shape[0],) + x.shape[2:], dtype=torch.long))
    if kind == "regression":
        return x.square().mean()
    return F.binary_cross_entropy_with_logits(x, torch.zeros_like(x))


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def stop_beyond(limit):
    if resident() > limit:
        print(json.dumps({"rss": None}))
        sys.stdout.flush()
        os._exit(0)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tasks", type=int, required=True)
    p.add_argument("--kinds", required=True)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--precision", default="f32")
    p.add_argument("--limit-gb", type=float, default=12)
    args = p.parse_args()
    torch.manual_seed(1)
    kinds = args.kinds.split(",")
    kinds = [kinds[i % len(kinds)] for i in range(args.tasks)]
    shared = Shared().train()
    heads = nn.ModuleList(make_head(kind) for kind in kinds)
    optimizer = torch.optim.AdamW(
        list(shared.parameters()) + list(heads.parameters()), lr=1e-4)
    for parameter in optimizer.param_groups[0]["params"]:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # now its moments are there, and one step shows all
    optimizer.zero_grad(set_to_none=True)
    total = 0
    for kind, head in zip(kinds, heads):
        x = torch.rand(args.batch, 3, args.size, args.size)
        with torch.autocast("cpu", dtype=torch.bfloat16,
                            enabled=args.precision == "bf16"):
            total = total + compute_loss(kind, head, shared(x, kind))
        stop_beyond(args.limit_gb * (1 << 30))
    total.backward()
    optimizer.step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"rss": peak * 1024}))


main()
