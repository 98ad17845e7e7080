# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The losses of docs/losses.md in PyTorch, as plainly as possible, for
# comparisons: Dice and focal loss of masks, FCOS's assignment of points to boxes
# as its authors compute it, and the three parts of the detection loss.

import math

import numpy as np
import torch
import torch.nn.functional as F

LEVELS = 5
RANGES = [(-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8)]


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
