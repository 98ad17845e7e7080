#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Gradients against PyTorch's: a whole Swin V2 block against torchvision's, the
# losses against their formulas written out in torch, optimisers against
# torch.optim. Exits 77 where torch or torchvision is missing.
#
#   compare-torch.py RUN_GRADIENTS REFERENCE_DIR

import math
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torchvision.models.swin_transformer import SwinTransformerBlockV2
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

PROGRAM, REFERENCE_DIR = sys.argv[1:3]
sys.path.insert(0, REFERENCE_DIR)
import safetensors_io  # noqa: E402

failures = 0


def run(mode, tensors, *numbers):
    """What RUN_GRADIENTS makes of the tensors."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "in"), os.path.join(folder, "out")
        arrays = {name: value.detach().numpy() for name, value in tensors.items()}
        safetensors_io.save(source, arrays)
        command = [PROGRAM, mode, source, target, *map(str, numbers)]
        subprocess.run(command, check=True)
        found, _ = safetensors_io.load(target)
    return found


def compare(name, found, expected, tolerance):
    """Relative L2 error of one tensor."""
    global failures
    expected = expected.detach().numpy().astype(np.float64).reshape(found.shape)
    error = np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-12)
    fine = error <= tolerance
    failures += not fine
    print(f"{'ok' if fine else 'NOT OK'}: {name}: {error:.2e} of {tolerance:.0e}")


def compare_block(size, heads, window, shift, precision, tolerance):
    """All gradients of a block, of a batch of two."""
    torch.manual_seed(hash((size, heads, shift)) % 1000)
    dim = 32 * heads
    block = SwinTransformerBlockV2(dim, heads, [window, window], [shift, shift])
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x = torch.randn(2, *size, dim, requires_grad=True)
    diff = torch.randn(2, *size, dim)
    y = block(x)
    y.backward(diff)
    tensors = {**dict(block.named_parameters()), "x": x, "diff": diff}
    found = run("block", tensors, heads, window, shift, precision)
    case = f"block {size[0]}x{size[1]} shift {shift} {precision}"
    compare(f"{case} y", found["y"], y, tolerance)
    compare(f"{case} x", found["x"], x.grad, tolerance)
    for name, parameter in block.named_parameters():
        compare(f"{case} {name}", found[name], parameter.grad, tolerance)


def focal(logits, targets, alpha=None):
    """Sigmoid focal loss with gamma 2 of every entry."""
    bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    loss = (1 - torch.exp(-bce)) ** 2 * bce
    if alpha is not None:
        loss = loss * (alpha * targets + (1 - alpha) * (1 - targets))
    return loss


def dice(p, y):
    """Over all but the last dimension; absent classes give 0, and count."""
    axes = tuple(range(p.ndim - 1))
    score = 2 * (p * y).sum(axes) / (p + y).sum(axes).clamp_min(1e-7)
    return ((1 - score) * (y.sum(axes) > 0)).mean()


def segmentation(logits, labels):
    classes = logits.shape[-1]
    valid = (labels != 255)[..., None]
    y = F.one_hot(labels.long().clamp_max(classes - 1), classes) * valid
    p = logits.softmax(-1) * valid
    terms = focal(logits, y.float()) * valid
    return dice(p, y), 0.75 * terms.sum() / valid.sum()


def multilabel(logits, labels):
    valid = labels != 255
    y = torch.where(valid, labels, torch.zeros_like(labels)).float()
    p = logits.sigmoid() * valid
    terms = focal(logits, y) * valid
    return dice(p, y), 0.75 * terms.sum() / valid.sum()


def detection(classes, boxes, centerness, target_classes, target_boxes):
    counted, positive = target_classes != -2, target_classes >= 0
    y = F.one_hot(target_classes.long().clamp_min(0), classes.shape[-1])
    y = (y * positive[..., None]).float()
    class_loss = (focal(classes, y, 0.25) * counted[..., None]).sum() * 0.9 / 11
    b, t = boxes[positive], target_boxes[positive]
    sides = torch.minimum(b, t)
    inner = (sides[:, 0] + sides[:, 2]) * (sides[:, 1] + sides[:, 3])
    area = (b[:, 0] + b[:, 2]) * (b[:, 1] + b[:, 3])
    other = (t[:, 0] + t[:, 2]) * (t[:, 1] + t[:, 3])
    iou = inner / (area + other - inner)
    target = torch.sqrt(
        torch.minimum(t[:, 0], t[:, 2])
        / torch.maximum(t[:, 0], t[:, 2])
        * torch.minimum(t[:, 1], t[:, 3])
        / torch.maximum(t[:, 1], t[:, 3])
    )
    box_loss = (-iou.clamp_min(1e-6).log() * target).sum() / 4
    center = F.binary_cross_entropy_with_logits(
        centerness[..., 0][positive], target, reduction="sum"
    )
    return class_loss, box_loss, 0.2 * center / 11


def check_loss(name, found, losses, inputs):
    """@inputs: what differentiates, by the name of its gradient."""
    torch.stack(losses).sum().backward()
    compare(f"{name} loss", found[f"{name}.loss"], torch.stack(losses), 1e-5)
    for key, tensor in inputs.items():
        compare(f"{name} {key}", found[f"{name}.{key}"], tensor.grad, 1e-4)
        tensor.grad = None


def leaf(*shape, scale=2.0):
    return (scale * torch.randn(*shape)).requires_grad_()


def loss_tensors():
    torch.manual_seed(7)
    labels = torch.randint(0, 4, (2, 7, 5), dtype=torch.uint8)
    labels[0, 0] = 255
    several = torch.randint(0, 2, (2, 7, 5, 3), dtype=torch.uint8)
    several[..., 2] = 0
    several[1, 2:4, 1] = 255
    points = torch.randint(-2, 3, (2, 6, 5), dtype=torch.int32)
    targets = torch.randint(-1, 5, (9,), dtype=torch.int32)
    return {
        "ce.logits": leaf(9, 5),
        "ce.targets": targets,
        "bce.logits": leaf(6, 4),
        "bce.targets": torch.rand(6, 4),
        "bce.weights": torch.rand(6, 4),
        "mse.src": leaf(11),
        "mse.targets": torch.randn(11),
        "seg.logits": leaf(2, 7, 5, 6),
        "seg.labels": labels,
        "multi.logits": leaf(2, 7, 5, 3),
        "multi.labels": several,
        "det.classes": leaf(2, 6, 5, 3),
        "det.boxes": (5 * torch.rand(2, 6, 5, 4) + 0.1).requires_grad_(),
        "det.centerness": leaf(2, 6, 5, 1),
        "det.target_classes": points,
        "det.target_boxes": 5 * torch.rand(2, 6, 5, 4) + 0.1,
    }


def compare_losses():
    t = loss_tensors()
    found = run("losses", t)
    logits, targets = t["ce.logits"], t["ce.targets"].long()
    ce = F.cross_entropy(logits, targets, ignore_index=-1, reduction="none")
    for name, terms in (("ce", ce), ("focal", (1 - torch.exp(-ce)) ** 2 * ce)):
        loss = terms.sum() / math.log(5) / 9
        loss.backward(retain_graph=True)
        compare(f"{name} loss", found[f"{name}.loss"], loss, 1e-5)
        compare(f"{name} diff", found[f"{name}.diff"], logits.grad, 1e-4)
        logits.grad = None
    bce = F.binary_cross_entropy_with_logits(
        t["bce.logits"], t["bce.targets"], t["bce.weights"], reduction="sum"
    )
    check_loss("bce", found, [bce * 1.5 / 7], {"diff": t["bce.logits"]})
    mse = ((t["mse.src"] - t["mse.targets"]) ** 2).sum() * 2 / 3
    check_loss("mse", found, [mse], {"diff": t["mse.src"]})
    terms = segmentation(t["seg.logits"], t["seg.labels"])
    check_loss("seg", found, terms, {"diff": t["seg.logits"]})
    terms = multilabel(t["multi.logits"], t["multi.labels"])
    check_loss("multi", found, terms, {"diff": t["multi.logits"]})
    inputs = {f"diff_{key}": t[f"det.{key}"] for key in ("classes", "boxes", "centerness")}
    terms = detection(*inputs.values(), t["det.target_classes"], t["det.target_boxes"])
    check_loss("det", found, terms, inputs)


def compare_steps():
    torch.manual_seed(9)
    p, gradients = torch.randn(33), torch.randn(5, 33)
    found = run("steps", {"p": p, "gradients": gradients})
    for name, make in (
        ("adamw", lambda q: torch.optim.AdamW([q], 0.01, weight_decay=0.1)),
        ("sgd", lambda q: torch.optim.SGD([q], 0.01, 0.9, weight_decay=0.1)),
        (
            "nesterov",
            lambda q: torch.optim.SGD([q], 0.01, 0.9, weight_decay=0.1, nesterov=True),
        ),
    ):
        parameter = torch.nn.Parameter(p.clone())
        optimizer = make(parameter)
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
        compare(name, found[name], parameter, 1e-6)


def main():
    torch.set_num_threads(1)
    for size, shift in (((16, 16), 0), ((16, 16), 4), ((13, 18), 4), ((7, 7), 4)):
        compare_block(size, 3, 8, shift, "f32", 1e-3)
    compare_losses()
    compare_steps()
    return failures > 0


sys.exit(main())
