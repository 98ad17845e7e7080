#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Losses and their gradients against docs/losses.md written with torch in double
# precision; the assignment of points to boxes against the whole table of points
# and boxes, as FCOS's authors compute it. Losses at chance: about 1. Exit code
# 77 without torch.
#
# check-losses.py COMPUTE-LOSS FOLDER-OF-safetensors_io.py
import math
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
except ImportError:
    print("skipped: torch is not installed (Debian: python3-torch)")
    sys.exit(77)
sys.path.insert(0, sys.argv[2])
import safetensors_io  # noqa: E402
from torch_losses import (  # noqa: E402
    LEVELS, assign, binary_focal, centerness, detection_formula, dice_and_focal, sizes_of)

failures = 0


def compute(kind, tensors, **metadata):
    with tempfile.TemporaryDirectory() as folder:
        source, result = os.path.join(folder, "in"), os.path.join(folder, "out")
        metadata = {key: repr(value) for key, value in metadata.items()}
        safetensors_io.save(source, tensors, metadata)
        subprocess.run([sys.argv[1], kind, source, result], check=True)
        return safetensors_io.load(result)[0]


def check(what, ours, theirs, tolerance=2e-6):
    global failures
    theirs = np.asarray(theirs, np.float64)
    error = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-3)
    if not error <= tolerance:
        print(f"{what}: differs by {error:.3g}")
        failures += 1


def compare(name, kind, tensors, formula, **metadata):
    """`formula` makes the parts of the loss from tensors in double."""
    got = compute(kind, tensors, **metadata)
    names = [key[5:] for key in got if key.startswith("diff_")]
    leaves = {
        key: torch.tensor(np.float64(tensors[key]), requires_grad=True) for key in names
    }
    assert leaves
    parts = formula(leaves)
    sum(parts).backward()
    check(f"{name} loss", got["loss"][0], float(sum(parts)))
    for i in range(1, len(got["loss"])):
        check(f"{name} part {i}", got["loss"][i], float(parts[i - 1]))
    for key, leaf in leaves.items():
        grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        check(f"{name} gradient of {key}", got["diff_" + key], grad.numpy())
    return got["loss"]


def logits_of(random, *shape):
    return (3 * random.normal(size=shape)).astype(np.float32)


def check_classification(random):
    for k in (1, 2, 7):
        targets = random.integers(-1, k, 33).astype(np.int32)
        targets[0] = 0
        tensors = {"logits": logits_of(random, 33, k), "targets": targets}
        t = torch.tensor(targets.astype(np.int64))
        for gamma in (0.0, 2.0):

            def formula(x):
                ce = F.cross_entropy(x["logits"], t, ignore_index=-1, reduction="none")
                loss = (1 - torch.exp(-ce)) ** gamma * ce if gamma else ce
                return [loss[t >= 0].mean() / math.log(max(k, 2))]

            name = f"classification of {k}, gamma {gamma}"
            compare(name, "classification", tensors, formula, gamma=gamma)
    tensors["logits"] = np.zeros((33, 7), np.float32)
    check("classification at chance", compute("classification", tensors)["loss"], [1])


def check_multilabel(random):
    targets = random.random((20, 6)).astype(np.float32)
    weights = random.random((20, 6)).astype(np.float32)
    weights[random.random((20, 6)) < 0.3] = 0
    t, w = torch.tensor(np.float64(targets)), torch.tensor(np.float64(weights))
    tensors = {"logits": logits_of(random, 20, 6), "targets": targets}

    def plain(x):
        return [F.binary_cross_entropy_with_logits(x["logits"], t) / math.log(2)]

    def weighted(x):
        bce = F.binary_cross_entropy_with_logits(x["logits"], t, reduction="none")
        return [(w * bce).sum() / w.sum() / math.log(2)]

    compare("multilabel", "multilabel", tensors, plain)
    tensors["weights"] = weights
    compare("multilabel, weighted", "multilabel", tensors, weighted)
    tensors["logits"] = np.zeros((20, 6), np.float32)
    check("multilabel at chance", compute("multilabel", tensors)["loss"], [1])


def check_regression(random):
    targets = (40 * random.random(15)).astype(np.float32)
    tensors = {"logits": 10 * logits_of(random, 15, 1), "targets": targets}
    t = torch.tensor(np.float64(targets))

    def formula(x):
        return [F.mse_loss(x["logits"][:, 0] / 40, t / 40)]

    compare("regression", "regression", tensors, formula, range=40.0)


def check_segmentation(random):
    h, w = 6, 10
    for name, k, several, absent in (
        ("segmentation", 4, False, False),
        ("segmentation, absent class", 3, False, True),
        ("one label", 1, True, False),
        ("multilabel segmentation", 3, True, False),
    ):
        kind = "multilabel-segmentation" if several and k > 1 else "segmentation"
        shape = (2, 2 * h, 2 * w, k) if several and k > 1 else (2, 2 * h, 2 * w)
        mask = random.integers(0, 2 if several else k, shape).astype(np.uint8)
        if absent:
            mask[mask == 1] = 2
        mask[random.random(shape) < 0.2] = 255
        tensors = {"logits": logits_of(random, 2, h, w, k), "targets": mask}
        small = torch.tensor(mask[:, ::2, ::2].astype(np.int64))  # pixels 2i

        def formula(x):
            z = x["logits"].reshape(-1, k)
            if several:
                labels = small.reshape(-1, k)
                return dice_and_focal(z, (labels == 1).double(), labels != 255, True)
            labels = small.reshape(-1)
            y = torch.stack([labels == c for c in range(k)], 1).double()
            keep = (labels != 255)[:, None].expand(-1, k)
            return dice_and_focal(z, y, keep, False)

        compare(name, kind, tensors, formula, height=2 * h, width=2 * w)
    # balanced and uniform: Dice and focal are 1/2 each with two classes
    mask = np.indices((1, 8, 8)).sum(0).astype(np.uint8) // 2 % 2
    tensors = {"logits": np.zeros((1, 4, 4, 2), np.float32), "targets": mask}
    loss = compute("segmentation", tensors, height=8, width=8)["loss"]
    check("segmentation at chance", loss, [1, 0.5, 0.5])


def check_detection(random, name, k, rows, height=224, width=320):
    """rows: [image, x1, y1, x2, y2, label] of three images."""
    sizes = sizes_of(height, width)
    rows = np.asarray(rows, np.float32).reshape(-1, 6)
    tensors = {"boxes": rows if len(rows) else np.zeros((0, 6), np.float32)}
    classes, targets = [], []
    for level, (h, w) in enumerate(sizes):
        tensors[f"classes{level}"] = logits_of(random, 3, h, w, k)
        tensors[f"boxes{level}"] = (4 * random.random((3, h, w, 4))).astype(np.float32)
        tensors[f"centerness{level}"] = logits_of(random, 3, h, w, 1)
        each = [
            assign(rows[rows[:, 0] == i, 1:].astype(np.float64), (h, w), level)
            for i in range(3)
        ]
        classes.append(np.concatenate([e[0] for e in each]))
        targets.append(np.concatenate([e[1] for e in each]))
    on = np.concatenate(classes) >= 0
    t = torch.tensor(np.concatenate(targets)[on])
    normalizers = (on.sum(), float(centerness(t).sum()))
    print(f"{name}: {on.sum()} points are positive")
    compare(
        name,
        "detection",
        tensors,
        detection_formula(k, classes, targets, normalizers),
        height=height,
        width=width,
    )
    return on.sum()


def random_rows(random, n, k, regions, height=224, width=320):
    a = random.random((n, 2)) * (width, height)
    b = random.random((n, 2)) * (width, height)
    label = random.integers(0, k, (n, 1)).astype(float)
    label[random.random((n, 1)) < regions] = -1
    image = random.integers(0, 3, (n, 1))
    return np.column_stack([image, np.minimum(a, b), np.maximum(a, b), label])


def main():
    random = np.random.default_rng(11)
    check_classification(random)
    check_multilabel(random)
    check_regression(random)
    check_segmentation(random)
    assert check_detection(random, "boxes", 3, random_rows(random, 25, 3, 0)) > 100
    check_detection(random, "one class", 1, random_rows(random, 9, 1, 0))
    check_detection(random, "regions", 2, random_rows(random, 20, 2, 0.5))
    check_detection(random, "no boxes", 2, [])
    check_detection(
        random,
        "degenerate",
        2,
        [[0, 10, 10, 10, 90, 0], [1, 50, 60, 40, 70, 1], [1, 20, 20, 20, 20, -1]],
    )
    # a range's ends belong to both levels; of equal boxes the first counts
    ends = [[0, 4, 4, 132, 132, 1], [0, 4, 4, 132, 132, 0], [2, 0, 0, 320, 224, 0]]
    check_detection(random, "ends", 2, ends)
    if failures:
        print(f"{failures} numbers differ")
    return 1 if failures else 0


sys.exit(main())
