# SPDX-License-Identifier: LGPL-2.1-or-later
#
# UMedPT in PyTorch, as plainly as possible, for comparisons: torchvision's Swin
# V2, a U-Net decoder as segmentation-models builds it, an FPN with FCOS towers
# and head as MMDetection builds them, groupers and heads as the paper's library
# has them. Parameters come from a dictionary with the names of the model file.

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import swin_transformer as tv

PREFIX = "encoder.model.wrapped_model."
CLASSIFICATION, DETECTION = ("classification", "multilabel"), "detection"
# Of a map's root mean square. Both sides' f32 leaves errors of 2e-6 to 4e-6 in
# a map before a ReLU, and more in single values.
NEAR_BEND = 2e-5


def encoder(description):
    """torchvision's modules without stochastic depth."""
    affine = description["encoder_norm"] != "layernorm"
    return tv.SwinTransformer(
        patch_size=[4, 4], embed_dim=description["embed_dim"], depths=description["depths"],
        num_heads=description["heads"], window_size=[description["window"]] * 2,
        norm_layer=partial(nn.LayerNorm, eps=1e-5, elementwise_affine=affine),
        block=tv.SwinTransformerBlockV2, downsample_layer=tv.PatchMergingV2, num_classes=1)


class Model:
    """crossed: bends (see self.bends) at which the other side is taken."""

    def __init__(self, description, tensors, crossed=()):
        self.d = description
        self.crossed = crossed
        self.n_relus = 0
        # Values near a bend of the pixel decoder: (distance, ReLU, index)
        self.bends = []
        self.encoder = encoder(description).eval()
        state = self.encoder.state_dict()
        ours = {name[len(PREFIX):]: torch.from_numpy(value)
                for name, value in tensors.items() if name.startswith(PREFIX)}
        strange = set(ours) - set(state)
        missing = {name for name in set(state) - set(ours)
                   if ".relative_" not in name and not name.startswith("head.")}
        if strange or missing:
            raise KeyError(f"we alone {sorted(strange)[:5]}, torch alone {sorted(missing)[:5]}")
        self.encoder.load_state_dict({**state, **ours})
        self.p = {name: torch.from_numpy(value.copy()).requires_grad_()
                  for name, value in tensors.items() if not name.startswith(PREFIX)}
        self.used = set()

    def gradients(self):
        """By name; parameters without a gradient are left out."""
        found = {PREFIX + name: value for name, value in self.encoder.named_parameters()
                 if not name.startswith("head.")}
        found.update(self.p)
        return {name: value.grad.numpy() for name, value in found.items()
                if value.grad is not None}

    def get(self, name):
        self.used.add(name)
        return self.p.get(name)

    def conv(self, name, x, stride=1):
        weight = self.get(name + ".weight")
        return F.conv2d(x, weight, self.get(name + ".bias"), stride, weight.shape[2] // 2)

    def linear(self, name, x):
        return F.linear(x, self.get(name + ".weight"), self.get(name + ".bias"))

    def norm(self, policy, name, x):
        """What became of a BatchNorm."""
        if policy == "nonorm":
            return x
        if policy == "instancenorm":
            return F.instance_norm(x, eps=1e-5)
        return F.group_norm(x, 1, self.get(name + ".weight"), self.get(name + ".bias"), 1e-5)

    def relu(self, x):
        values = x.detach().flatten()
        distances = values.abs() / values.square().mean().sqrt()
        near = torch.nonzero(distances < NEAR_BEND).flatten().tolist()
        self.bends += [(float(distances[i]), self.n_relus, i) for i in near]
        passes = (values > 0).to(x.dtype)
        for _, relu, i in self.crossed:
            if relu == self.n_relus:
                passes[i] = 1 - passes[i]
        self.n_relus += 1
        return x * passes.reshape(x.shape)

    def pyramid(self, images):
        x, levels = images, []
        for i, layer in enumerate(self.encoder.features):
            x = layer(x)
            if i % 2 == 1:
                levels.append(x.permute(0, 3, 1, 2))
        return levels

    def squeeze(self, x):
        if self.d["squeezer_channels"]:
            x = self.conv("squeezer.conv", x)
        return F.gelu(self.norm(self.d["squeezer_norm"], "squeezer.norm", x))

    def vector(self, f4):
        average = partial(F.adaptive_avg_pool2d, output_size=1)
        largest = partial(F.adaptive_max_pool2d, output_size=1)
        pool = {"average": average, "max": largest,
                "combined": lambda x: average(x) + largest(x)}[self.d["pooling"]]
        if self.d["pool_order"] == "before":
            return self.squeeze(pool(f4)).flatten(1)
        return pool(self.squeeze(f4)).flatten(1)

    def pixels(self, levels, dense):
        policy, x = self.d["decoder_norm"], dense
        skips = [levels[2], levels[1], levels[0], None]
        for i, skip in enumerate(skips):
            name = f"decoder.model.decoder.blocks.{i}.conv"
            size = skip.shape[2:] if skip is not None else [2 * n for n in x.shape[2:]]
            x = F.interpolate(x, size=tuple(size), mode="nearest")
            if skip is not None:
                x = torch.cat([x, skip], 1)
            for j in (1, 2):
                x = self.relu(self.norm(policy, f"{name}{j}.1", self.conv(f"{name}{j}.0", x)))
        x = self.conv("decoder.model.final_conv", x)
        return F.gelu(self.norm(policy, "decoder.model.norm", x))

    def detection(self, levels, dense):
        """Features for classes and for boxes of each level."""
        maps = [self.conv(f"fcosfpn.fpn.lateral_convs.{i}.conv", x)
                for i, x in enumerate([levels[1], levels[2], dense])]
        for i in (1, 0):
            maps[i] = maps[i] + F.interpolate(maps[i + 1], size=maps[i].shape[2:], mode="nearest")
        outs = [self.conv(f"fcosfpn.fpn.fpn_convs.{i}.conv", x) for i, x in enumerate(maps)]
        outs.append(self.conv("fcosfpn.fpn.fpn_convs.3.conv", outs[-1], 2))
        outs.append(self.conv("fcosfpn.fpn.fpn_convs.4.conv", F.relu(outs[-1]), 2))
        return [(self.tower("clf", x), self.tower("reg", x)) for x in outs]

    def tower(self, kind, x):
        for i in range(4):
            name = f"fcosfpn.{kind}_convs.{i}"
            x = F.group_norm(self.conv(name + ".conv", x), 32, self.get(name + ".gn.weight"),
                             self.get(name + ".gn.bias"), 1e-5)
            x = F.gelu(x)
        return x

    def group(self, x, groups):
        kind, cases = self.d["grouper"], []
        if kind == "weighted":
            weight = torch.sigmoid(self.linear("grouper.reducer.weightgiver", x))
        elif kind == "attention":
            hidden = torch.tanh(self.linear("grouper.reducer.attention.0", x))
            weight = self.linear("grouper.reducer.attention.2", hidden)
        else:
            hidden = torch.tanh(self.linear("grouper.reducer.attention_v.0", x))
            hidden = hidden * torch.sigmoid(self.linear("grouper.reducer.attention_u.0", x))
            weight = self.linear("grouper.reducer.attention", hidden)
        for g in range(int(groups.max()) + 1):
            of = groups == g
            if kind == "weighted":
                cases.append((weight[of] * x[of]).sum(0) / of.sum())
            else:
                attention = torch.softmax(weight[of], 0).clamp(min=1e-5)
                cases.append((attention * x[of]).sum(0))
        cases = torch.stack(cases)
        return cases if kind == "weighted" else self.linear("grouper.reducer.mapper", cases)

    def head(self, task, shared, groups):
        """The outputs of a task, as the library orders them."""
        name = f"tasks.{task['name']}.task_modules."
        kind = task["kind"]
        if kind == DETECTION:
            outs = []
            for i, (classes, boxes) in enumerate(shared["detection"]):
                outs.append(self.conv(name + "head.conv_cls", classes))
                scale = self.get(f"{name}head.scales.{i}.scale")
                outs.append(F.relu(self.conv(name + "head.conv_reg", boxes) * scale))
                outs.append(self.conv(name + "head.conv_centerness", boxes))
            return [x.permute(0, 2, 3, 1) for x in outs]
        if kind.endswith("segmentation"):
            logits = self.conv(name + "segmentation_head", shared["pixels"])
            return [logits.permute(0, 2, 3, 1)]
        x = shared["vector"]
        if task.get("grouped"):
            x = self.group(x, groups)
        head = "classification_head.2" if kind in CLASSIFICATION else "regression_head.2"
        logits = self.linear(name + head, F.relu(x))
        if kind == "regression":
            low, high = task.get("range", [0, 1])
            logits = low + (high - low) * logits
        return [logits]

    def forward(self, images, groups):
        """images: [N, 3, H, W] -> outputs by task."""
        levels = self.pyramid(images)
        dense = self.squeeze(levels[3]) if self.d["squeeze_dense"] else levels[3]
        shared = {"vector": self.vector(levels[3])}
        if self.d.get("pixel_decoder"):
            shared["pixels"] = self.pixels(levels, dense)
        if self.d.get("detection_decoder"):
            shared["detection"] = self.detection(levels, dense)
        return {task["name"]: self.head(task, shared, groups) for task in self.d["tasks"]}
