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

LEVELS = 5
RANGES = [(-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8)]
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


def binary_focal(z, y):
    bce = F.binary_cross_entropy_with_logits(z, y, reduction="none")
    return (1 - torch.exp(-bce)) ** 2 * bce


def dice_and_focal(z, y, keep, several):
    """z, y: [pixels, K]; keep: [pixels, K] booleans."""
    k = z.shape[1]
    p = torch.sigmoid(z) if several else torch.softmax(z, 1)
    p, y = p * keep, y * keep
    both, size = (p * y).sum(0), (p + y).sum(0)
    dice = (1 - 2 * both / size.clamp(min=1e-7)) * (y.sum(0) > 0)
    focal = binary_focal(z, y)
    if several:
        focal = focal[keep].mean() / math.log(2)
    else:
        focal = sum(focal[keep[:, c], c].mean() for c in range(k)) / math.log(k)
    return [dice.mean(), focal]


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


def sizes_of(height, width):
    """P3 is the encoder's stride 8; each further level half of that."""
    sizes = []
    h, w = height // 8, width // 8
    for _ in range(LEVELS):
        sizes.append((h, w))
        h, w = (h + 1) // 2, (w + 1) // 2
    return sizes


def assign(boxes, size, level):
    """All points against all boxes: classes [P], l t r b in strides [P, 4]."""
    (h, w), stride = size, 8 << level
    y, x = np.mgrid[0:h, 0:w]
    px, py = ((x + 0.5) * stride).ravel(), ((y + 0.5) * stride).ravel()
    classes = np.full(h * w, -1)
    targets = np.zeros((h * w, 4))
    real, regions = boxes[boxes[:, 4] >= 0], boxes[boxes[:, 4] < 0]
    if len(real):
        x1, y1, x2, y2 = (real[:, i][None] for i in range(4))
        distances = np.stack(
            [px[:, None] - x1, py[:, None] - y1, x2 - px[:, None], y2 - py[:, None]], 2
        )
        low, high = RANGES[level]
        largest = distances.max(2)
        good = (distances.min(2) > 0) & (largest >= low) & (largest <= high)
        area = np.where(good, (x2 - x1) * (y2 - y1), np.inf)
        best = area.argmin(1)
        positive = good.any(1)
        classes[positive] = real[best[positive], 4]
        targets[positive] = distances[positive, best[positive]] / stride
    for x1, y1, x2, y2, _ in regions:
        inside = (px > x1) & (px < x2) & (py > y1) & (py < y2)
        classes[inside & (classes == -1)] = -2
    return classes, targets


def detection_formula(k, classes, targets, normalizers):
    positives, total = max(normalizers[0], 1), max(normalizers[1], 1e-6)

    def formula(x):
        parts = [torch.zeros((), dtype=torch.float64) for _ in range(3)]
        for level in range(LEVELS):
            label = torch.tensor(classes[level])
            z = x[f"classes{level}"].reshape(-1, k)
            y = torch.stack([label == c for c in range(k)], 1).double()
            alpha = torch.where(y > 0, 0.25, 0.75).double()
            keep = label != -2
            parts[0] = parts[0] + (alpha * binary_focal(z, y))[keep].sum()
            on = label >= 0
            t = torch.tensor(targets[level])[on]
            box = x[f"boxes{level}"].reshape(-1, 4)[on]
            center = centerness(t)
            inner = torch.minimum(box, t)
            both = (inner[:, 0] + inner[:, 2]) * (inner[:, 1] + inner[:, 3])
            a = (box[:, 0] + box[:, 2]) * (box[:, 1] + box[:, 3])
            b = (t[:, 0] + t[:, 2]) * (t[:, 1] + t[:, 3])
            iou = both / (a + b - both).clamp(min=1e-6)
            parts[1] = parts[1] + (center * -torch.log(iou.clamp(min=1e-6))).sum()
            z = x[f"centerness{level}"].reshape(-1)[on]
            parts[2] = parts[2] + F.binary_cross_entropy_with_logits(
                z, center, reduction="sum"
            )
        return [
            parts[0] / positives / math.log(max(k, 2)),
            parts[1] / total,
            parts[2] * 0.2 / positives,
        ]

    return formula


def centerness(t):
    across = torch.minimum(t[:, 0], t[:, 2]) / torch.maximum(t[:, 0], t[:, 2])
    along = torch.minimum(t[:, 1], t[:, 3]) / torch.maximum(t[:, 1], t[:, 3])
    return torch.sqrt(across * along)


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
