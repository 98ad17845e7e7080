#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Metrics against scikit-learn's (classification, multilabel, regression), a few
# lines of NumPy (segmentation) and pycocotools' (detection), on random data with
# ties, weights, missing classes and what else is degenerate. A library that is
# not installed is skipped, in words; exit code 77 if only NumPy was there.
#
# check-metrics.py COMPUTE-METRICS
import contextlib
import io
import json
import math
import subprocess
import sys
import warnings

warnings.filterwarnings("ignore")

try:
    import numpy as np
except ImportError:
    print("skipped: NumPy is not installed (Debian: python3-numpy)")
    sys.exit(77)
try:
    from sklearn import metrics as sk
except ImportError:
    sk = None
    print("skipped: scikit-learn is not installed (Debian: python3-sklearn)")
try:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ImportError:
    COCO = None
    print("skipped: pycocotools is not installed (PyPI: pycocotools)")

PROGRAM = sys.argv[1]
failures = 0


def compute(kind, k, rows):
    text = "\n".join(" ".join(repr(float(x)) for x in row) for row in rows)
    done = subprocess.run(
        [PROGRAM, kind, str(k)], input=text, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def same(what, ours, theirs, tolerance=1e-9):
    """NaN and None are "not defined"."""
    global failures
    a = math.nan if ours is None else ours
    b = math.nan if theirs is None else float(theirs)
    if (math.isnan(a) and math.isnan(b)) or abs(a - b) <= tolerance:
        return
    print(f"{what}: {ours} instead of {theirs}")
    failures += 1


def check_classification(random, name, k, n, classes, digits):
    classes = np.array(classes)
    p = random.dirichlet(np.ones(k), n)
    best = classes[p[:, classes].argmax(1)]
    truth = np.where(random.random(n) < 0.5, best, random.choice(classes, n))
    if digits:
        p = np.round(p, digits)  # ties
    p = p.astype(np.float32)
    got = compute("classification", k, np.column_stack([truth, p]))
    ours, predicted = got["metrics"], p.argmax(1)
    assert got["n"] == n
    same(f"{name} accuracy", ours["accuracy"], sk.accuracy_score(truth, predicted))
    for metric, function in (
        ("f1", sk.f1_score),
        ("precision", sk.precision_score),
        ("recall", sk.recall_score),
    ):
        each = function(truth, predicted, labels=range(k), average=None, zero_division=0)
        occurs = [c for c in range(k) if c in truth or c in predicted]
        same(
            f"{name} {metric}",
            ours[metric],
            function(truth, predicted, average="macro", zero_division=0),
        )
        for c in range(k):
            same(
                f"{name} {metric} of {c}",
                got["per_class"][str(c)][metric],
                each[c] if c in occurs else None,
            )
    same(
        f"{name} balanced",
        ours["balanced_accuracy"],
        sk.balanced_accuracy_score(truth, predicted),
    )
    confusion = sk.confusion_matrix(truth, predicted, labels=range(k))
    if got["confusion"] != confusion.tolist():
        same(f"{name} confusion", 1, 0)
    if k > 25:
        same(
            f"{name} top5",
            ours["top5"],
            sk.top_k_accuracy_score(truth, p, k=5, labels=range(k)),
        )
        assert "auc" not in ours
        return
    aucs = [
        sk.roc_auc_score(truth == c, p[:, c]) if 0 < (truth == c).sum() < n else math.nan
        for c in range(k)
    ]
    for c in range(k):
        same(f"{name} auc of {c}", got["per_class"][str(c)]["auc"], aucs[c])
    if k == 2:
        expected = aucs[1]
    elif len(set(truth)) == k > 1 and not digits:
        expected = sk.roc_auc_score(truth, p, multi_class="ovr", average="macro")
    else:
        expected = np.nanmean(aucs) if not np.all(np.isnan(aucs)) else math.nan
    same(f"{name} auc", ours["auc"], expected)


def check_multilabel(random, name, k, n, rates, zero_weights):
    y = (random.random((n, k)) < rates).astype(np.float32)
    p = np.round(np.clip(0.3 * y + 0.7 * random.random((n, k)), 0, 1), 2)
    p = p.astype(np.float32)
    w = random.random((n, k)).astype(np.float32)
    w[random.random((n, k)) < zero_weights] = 0
    got = compute("multilabel", k, np.column_stack([np.zeros(n), p, y, w]))
    table = {"auc": [], "ap": [], "f1": [], "accuracy": []}
    for c in range(k):
        keep = w[:, c] > 0
        a, b, v = y[keep, c], p[keep, c], w[keep, c]
        said = b > 0.5
        table["auc"].append(
            sk.roc_auc_score(a, b, sample_weight=v) if len(set(a)) == 2 else math.nan
        )
        table["ap"].append(
            sk.average_precision_score(a, b, sample_weight=v) if a.any() else math.nan
        )
        table["f1"].append(
            sk.f1_score(a, said, sample_weight=v) if a.any() or said.any() else math.nan
        )
        table["accuracy"].append(
            sk.accuracy_score(a, said, sample_weight=v) if len(a) else math.nan
        )
    for metric, values in table.items():
        for c in range(k):
            same(
                f"{name} {metric} of {c}",
                got["per_class"][str(c)][metric],
                values[c],
                1e-6,
            )
        mean = math.nan if np.all(np.isnan(values)) else np.nanmean(values)
        same(f"{name} {metric}", got["metrics"][metric], mean, 1e-6)


def check_regression(name, value, target):
    value, target = np.float64(value), np.float64(target)
    ours = compute("regression", 1, np.column_stack([value, target]))["metrics"]
    same(f"{name} mae", ours["mae"], sk.mean_absolute_error(target, value))
    same(f"{name} rmse", ours["rmse"], math.sqrt(sk.mean_squared_error(target, value)))
    r2 = sk.r2_score(target, value) if len(target) > 1 else math.nan
    same(f"{name} r2", ours["r2"], r2, 1e-7 * max(1, abs(r2)))
    same(f"{name} max", ours["max_error"], sk.max_error(target, value))


def mean_of_defined(values):
    values = [x for x in values if not math.isnan(x)]
    return sum(values) / len(values) if values else math.nan


def check_masks(random, name, kind, k, images, absent=()):
    """Straight from the definitions, class by class."""
    several = kind != "segmentation"
    rows, masks = [], []
    for i in range(images):
        n = int(random.integers(1, 60))
        shape = (n, k) if several else (n,)
        truth = random.integers(0, 2 if several else k, shape)
        for c in absent:
            truth[truth == c] = (c + 1) % k
        right = random.random(shape) < 0.6
        other = random.integers(0, 2 if several else k, shape)
        prediction = np.where(right, truth, other)
        if not several:
            prediction[random.random(shape) < 0.1] = 255
        truth[random.random(shape) < 0.2] = 255
        if i == 1:
            truth[:] = 255  # counts nowhere
        rows.append([n, *prediction.ravel(), *truth.ravel()])
        masks.append((prediction, truth))
    got = compute(kind, k, rows)
    table = {"dice": [], "iou": [], "image_dice": [], "image_iou": []}
    right = entries = 0
    for c in range(k):
        total = np.zeros(3)
        dice, iou = [], []
        for prediction, truth in masks:
            a, b = (truth[:, c], prediction[:, c]) if several else (truth, prediction)
            keep = a != 255
            if not keep.any():
                continue
            a = a[keep] == (1 if several else c)
            b = b[keep] == (1 if several else c)
            counts = np.array([(a & b).sum(), a.sum(), b.sum()])
            total += counts
            both, size = counts[0], counts[1] + counts[2]
            dice.append(2 * both / size if size else 1)
            iou.append(both / (size - both) if size else 1)
            right += (a == b).sum() if several else both
            entries += len(a) if several else counts[1]
        both, size = total[0], total[1] + total[2]
        table["dice"].append(2 * both / size if size else math.nan)
        table["iou"].append(both / (size - both) if size else math.nan)
        table["image_dice"].append(np.mean(dice) if dice else math.nan)
        table["image_iou"].append(np.mean(iou) if iou else math.nan)
    for metric, values in table.items():
        same(f"{name} {metric}", got["metrics"][metric], mean_of_defined(values))
        for c in range(k):
            same(f"{name} {metric} of {c}", got["per_class"][str(c)][metric], values[c])
    same(f"{name} accuracy", got["metrics"]["pixel_accuracy"], right / entries)
    if not several:
        p = np.concatenate([m[0] for m in masks])
        t = np.concatenate([m[1] for m in masks])
        confusion = [[int(((t == i) & (p == j)).sum()) for j in range(k)] for i in range(k)]
        if got["confusion"] != confusion:
            same(f"{name} confusion", 1, 0)


def random_boxes(random, n, k, regions, size=200):
    corner = random.random((n, 2)) * size
    extent = 5 + random.random((n, 2)) * 60
    label = random.integers(0, k, (n, 1)).astype(float)
    label[random.random((n, 1)) < regions] = -1
    return np.column_stack([corner, corner + extent, label]).astype(np.float32)


def random_detections(random, truth, k, n_false):
    """The true boxes, shaken, some of another class, and false ones."""
    boxes = truth.copy()
    boxes[:, :4] += random.normal(0, 4, boxes[:, :4].shape)
    boxes[:, 2:4] = np.maximum(boxes[:, 2:4], boxes[:, :2] + 1)
    wrong = (random.random(len(boxes)) < 0.2) | (boxes[:, 4] < 0)
    boxes[wrong, 4] = random.integers(0, k, wrong.sum())
    boxes = np.concatenate([boxes, random_boxes(random, n_false, k, 0)])
    score = np.round(random.random(len(boxes)), 2)  # with ties
    return np.column_stack([boxes, score]).astype(np.float32)


def coco_numbers(images, k):
    """pycocotools, with each region a crowd of every class."""
    annotations, results = [], []
    for image, (found, truth) in enumerate(images):
        for x1, y1, x2, y2, label in truth.astype(np.float64):
            for c in range(k) if label < 0 else [int(label)]:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image,
                        "category_id": c,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": (x2 - x1) * (y2 - y1),
                        "iscrowd": int(label < 0),
                    }
                )
        for x1, y1, x2, y2, label, score in found.astype(np.float64):
            results.append(
                {
                    "image_id": image,
                    "category_id": int(label),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": score,
                }
            )
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": i} for i in range(len(images))],
        "categories": [{"id": c, "name": str(c)} for c in range(k)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 2]  # [T, R, K], 100 boxes
    recall = evaluation.eval["recall"][:, :, 0, 2]  # [T, K]

    def mean(values):
        values = values[values > -1]
        return values.mean() if values.size else math.nan

    def numbers(c):
        return {
            "ap50": mean(precision[0][:, c]),
            "ap": mean(precision[:, :, c]),
            "ap75": mean(precision[5][:, c]),
            "ar": mean(recall[:, c]),
        }

    return numbers(slice(None)), [numbers(c) for c in range(k)]


def check_detection(random, name, k, n_images, n_truth, n_false, regions=0.0):
    images, rows = [], []
    for _ in range(n_images):
        truth = random_boxes(random, int(random.integers(0, n_truth + 1)), k, regions)
        found = random_detections(random, truth, k, int(random.integers(0, n_false + 1)))
        images.append((found, truth))
        rows.append([len(found), *found.ravel(), len(truth), *truth.ravel()])
    got = compute("detection", k, rows)
    overall, each = coco_numbers(images, k)
    for metric in overall:
        same(f"{name} {metric}", got["metrics"][metric], overall[metric])
        for c in range(k):
            same(f"{name} {metric} of {c}", got["per_class"][str(c)][metric], each[c][metric])


def check_all_sklearn(random):
    for seed in range(3):
        check_classification(random, f"two {seed}", 2, 80, [0, 1], None)
        check_classification(random, f"five {seed}", 5, 120, range(5), None)
        check_classification(random, f"ties {seed}", 3, 60, range(3), 1)
    check_classification(random, "absent", 6, 50, [0, 2, 3], None)
    check_classification(random, "one only", 3, 20, [1], None)
    check_classification(random, "single image", 4, 1, [2], None)
    check_classification(random, "single class", 1, 9, [0], None)
    check_classification(random, "many", 40, 300, range(40), None)
    check_multilabel(random, "multilabel", 5, 90, 0.4, 0)
    check_multilabel(random, "weights", 4, 90, 0.4, 0.3)
    check_multilabel(random, "degenerate", 4, 40, np.array([0, 1, 0.5, 0.1]), 0.1)
    check_multilabel(random, "no weights", 2, 5, 0.5, 1.1)
    target = 1e6 + random.normal(size=70)
    check_regression("regression", target + 0.3 * random.normal(size=70), target)
    check_regression("constant", [1, 2, 3], [2, 2, 2])
    check_regression("exact", [2, 2], [2, 2])
    check_regression("one", [1], [3])


def main():
    random = np.random.default_rng(7)
    if sk:
        check_all_sklearn(random)
    check_masks(random, "masks", "segmentation", 4, 12)
    check_masks(random, "absent class", "segmentation", 5, 8, absent=(3,))
    check_masks(random, "one label", "segmentation", 2, 6)
    check_masks(random, "several", "multilabel-segmentation", 3, 9)
    check_masks(random, "several, one", "multilabel-segmentation", 1, 5)
    if COCO:
        check_detection(random, "boxes", 3, 30, 8, 6)
        check_detection(random, "one class", 1, 20, 10, 10)
        check_detection(random, "regions", 2, 30, 10, 10, regions=0.3)
        check_detection(random, "only regions", 2, 5, 5, 9, regions=1.1)
        check_detection(random, "more than 100", 1, 3, 150, 120, regions=0.05)
        check_detection(random, "few boxes", 6, 6, 2, 4)
        check_detection(random, "all false", 2, 5, 0, 9)
    if failures:
        print(f"{failures} numbers differ")
        return 1
    return 0 if sk or COCO else 77


sys.exit(main())
