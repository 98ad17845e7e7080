# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What heads found, as umedptjson and "umedpt-train eval --predictions" write it,
# brought to one form, and the metrics of docs/metrics.md computed from it by a
# few lines of NumPy that share nothing with ours but the definitions.
#
# The form: of a picture and a task {"values": [K]}, {"boxes": [n, 6]: x1, y1,
# x2, y2, score, class} or {"mask": [height, width] or [height, width, K]}, in
# pixels of the network's input. Truth: {"class"}, {"values"}, {"boxes": [n, 5]}
# or {"mask"}.
import json
import math

import numpy as np

IGNORED = 255


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# --- one form ------------------------------------------------------------------

def numbers(values):
    return np.array([math.nan if v is None else v for v in values.values()],
                    np.float32)


def corners(boxes, by=(1, 1)):
    """[n, 6]; what has no score has 1. @by: pixels of the network per pixel."""
    rows = [(b["x"] * by[0], b["y"] * by[1], (b["x"] + b["width"]) * by[0],
             (b["y"] + b["height"]) * by[1], b.get("score", 1), b["class"])
            for b in boxes]
    return np.array(rows, np.float64).reshape(-1, 6)


def pixels(mask, planes):
    """[height, width], or [height, width, K] with @planes."""
    shape = mask["height"], mask["width"]
    found = [np.repeat(np.array(runs[0::2], np.uint8), runs[1::2]).reshape(shape)
             for runs in mask["runs"]]
    return np.stack(found, axis=-1) if planes else found[0]


def nearest(mask, width, height):
    """The pixel under the centre of each of the new ones."""
    rows = np.floor((np.arange(height) + 0.5) * (mask.shape[0] / height))
    columns = np.floor((np.arange(width) + 0.5) * (mask.shape[1] / width))
    return mask[rows.astype(int)][:, columns.astype(int)]


def has_planes(kind, labels):
    return kind == "multilabel-segmentation" or labels == 1


def of_prediction(line, labels):
    """(result, truth) of a line of eval --predictions; @labels: how many."""
    planes = has_planes(line["kind"], labels)

    def read(what):
        if "mask" in what:
            return {"mask": pixels(what["mask"], planes)}
        if "boxes" in what:
            return {"boxes": corners(what["boxes"])}
        if "values" in what:
            return {"values": numbers(what["values"])}
        return {"class": what["class"]}

    return read(line), read(line["truth"])


def of_stream(line, task, width, height, labels):
    """The result of @task in a line of umedptjson, in a network's input of
    @width x @height pixels."""
    result = line["results"][task]
    assert not result["stale"], f"{task}: held over"
    if "mask" in result:
        mask = pixels(result["mask"], has_planes(result["kind"], labels))
        covers = result["mask"]["covers"]
        assert (covers["x"], covers["y"]) == (0, 0), covers
        assert (covers["width"], covers["height"]) == (
            line["width"], line["height"]), covers
        return {"mask": nearest(mask, width, height)}
    if "boxes" in result:
        return {"boxes": corners(result["boxes"], (width / line["width"],
                                                   height / line["height"]))}
    return {"values": numbers(result["values"])}


def of_picture(line, task, labels):
    """The same in pixels of the picture, whatever part the mask covers."""
    result = line["results"][task]
    if "mask" not in result:
        return of_stream(line, task, line["width"], line["height"], labels)
    mask, covers = result["mask"], result["mask"]["covers"]
    data = pixels(mask, has_planes(result["kind"], labels))
    rows, columns = (
        np.floor((np.arange(line[side]) + 0.5 - covers[at]) *
                 (mask[side] / covers[side])).astype(int)
        for side, at in (("height", "y"), ("width", "x")))
    return {"mask": data[rows][:, columns]}


# --- metrics -------------------------------------------------------------------

def mean(values):
    values = [v for v in values if not math.isnan(v)]
    return sum(values) / len(values) if values else math.nan


def ratio(part, whole):
    return part / whole if whole > 0 else math.nan


def area_under_curve(score, positive):
    """Ties count half."""
    above = score[positive][:, None] > score[~positive][None]
    equal = score[positive][:, None] == score[~positive][None]
    return ratio((above + 0.5 * equal).sum(), above.size)


def of_classes(pairs, k):
    pairs = [(r["values"], t["class"]) for r, t in pairs if t["class"] >= 0]
    score = np.stack([v for v, _ in pairs])
    truth = np.array([c for _, c in pairs])
    said = score.argmax(1)
    f1 = [ratio(2 * ((truth == c) & (said == c)).sum(),
                (truth == c).sum() + (said == c).sum()) for c in range(k)]
    curves = [area_under_curve(score[:, c], truth == c) for c in range(k)]
    return {"f1": mean(f1), "accuracy": (truth == said).mean(),
            "auc": curves[1] if k == 2 else mean(curves)}


def of_labels(pairs, k, threshold=0.5):
    score = np.stack([r["values"] for r, _ in pairs])
    truth = np.stack([t["values"] for _, t in pairs])
    known = ~np.isnan(truth)
    table = {"auc": [], "f1": [], "accuracy": []}
    for c in range(k):
        s, t = score[known[:, c], c], truth[known[:, c], c] > 0.5
        said = s > threshold
        table["auc"].append(area_under_curve(s, t))
        table["f1"].append(ratio(2 * (said & t).sum(), said.sum() + t.sum()))
        table["accuracy"].append(ratio((said == t).sum(), len(t)))
    return {name: mean(values) for name, values in table.items()}


def of_values(pairs):
    value = np.array([r["values"][0] for r, _ in pairs], np.float64)
    truth = np.array([t["values"][0] for _, t in pairs], np.float64)
    keep = np.isfinite(truth)
    error = np.abs(value - truth)[keep]
    spread = ((truth[keep] - truth[keep].mean()) ** 2).sum()
    return {"mae": error.mean(), "rmse": math.sqrt((error ** 2).mean()),
            "r2": 1 - (error ** 2).sum() / spread, "max_error": error.max()}


def of_masks(pairs, k):
    """Over all pixels, class by class; an index mask or planes of 0 and 1."""
    counts = np.zeros((k, 3))  # both, truth, predicted
    images = {"image_dice": [[] for _ in range(k)],
              "image_iou": [[] for _ in range(k)]}
    right = total = 0
    for result, truth in pairs:
        for c in range(k):
            if truth["mask"].ndim == 3:
                t, p = truth["mask"][..., c], result["mask"][..., c]
                keep = t != IGNORED
                t, p = t[keep] != 0, p[keep] == 1
            else:
                keep = truth["mask"] < k
                t, p = truth["mask"][keep] == c, result["mask"][keep] == c
            if not keep.any():
                continue
            own = np.array([(t & p).sum(), t.sum(), p.sum()])
            counts[c] += own
            size = own[1] + own[2]
            images["image_dice"][c].append(2 * own[0] / size if size else 1)
            images["image_iou"][c].append(own[0] / (size - own[0]) if size else 1)
            right += (t == p).sum() if truth["mask"].ndim == 3 else own[0]
            total += len(t) if truth["mask"].ndim == 3 else own[1]
    both, size = counts[:, 0], counts[:, 1] + counts[:, 2]
    dice = [ratio(2 * b, s) for b, s in zip(both, size)]
    iou = [ratio(b, s - b) for b, s in zip(both, size)]
    found = {"dice": mean(dice), "iou": mean(iou),
             "pixel_accuracy": right / total}
    for name, classes in images.items():
        found[name] = mean([mean(values) for values in classes])
    return found


def overlaps(boxes, truth, region=False):
    """[boxes, truth]: intersection over union, or over the box."""
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    high = np.minimum(boxes[:, None, 2:4], truth[None, :, 2:4])
    both = np.prod(np.clip(high - low, 0, None), axis=-1)
    area = np.prod(boxes[:, 2:4] - boxes[:, :2], axis=-1)[:, None]
    other = np.prod(truth[:, 2:4] - truth[:, :2], axis=-1)[None]
    return both / (area if region else area + other - both)


def match(boxes, truth, regions, threshold):
    """Of each box, best first: 1 hit, 0 miss, -1 does not count."""
    own, ignore = overlaps(boxes, truth), overlaps(boxes, regions, True)
    taken = np.zeros(len(truth), bool)
    found = np.zeros(len(boxes), int)
    for i in range(len(boxes)):
        best = -1
        for j in range(len(truth)):  # of equals the last one, as COCO's tools
            if not taken[j] and own[i, j] >= (
                    threshold if best < 0 else own[i, best]):
                best = j
        if best >= 0:
            taken[best], found[i] = True, 1
        elif (ignore[i] >= threshold).any():
            found[i] = -1
    return found


def precision_at(hits, n_truth):
    """Average precision of hits (1, 0), best first, and the last recall."""
    recall = np.cumsum(hits) / n_truth
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.arange(101) * 0.01, side="left")
    points = np.append(precision, 0)[at]
    return points.mean(), recall[-1] if len(hits) else 0


def of_boxes(pairs, k, most=100):
    """COCO's: the @most best of an image and class, ten thresholds, 101 points."""
    thresholds = np.linspace(0.5, 0.95, 10)
    table = []
    for c in range(k):
        scores, hits, n_truth = [], [[] for _ in thresholds], 0
        for result, truth in pairs:
            boxes = result["boxes"][result["boxes"][:, 5] == c]
            boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")][:most]
            own = truth["boxes"][truth["boxes"][:, 5] == c]
            regions = truth["boxes"][truth["boxes"][:, 5] < 0]
            n_truth += len(own)
            scores.append(boxes[:, 4])
            for found, threshold in zip(hits, thresholds):
                found.append(match(boxes, own, regions, threshold))
        if not n_truth:
            continue
        order = np.argsort(-np.concatenate(scores), kind="stable")
        rows = []
        for found in hits:
            found = np.concatenate(found)[order]
            rows.append(precision_at(found[found >= 0], n_truth))
        ap, recall = np.array(rows).T
        table.append([ap[0], ap.mean(), ap[5], recall.mean()])
    if not table:
        return dict.fromkeys(("ap50", "ap", "ap75", "ar"), math.nan)
    return dict(zip(("ap50", "ap", "ap75", "ar"), np.mean(table, axis=0)))


def compute(kind, pairs, k, threshold=0.5, most=100):
    """{name: number} of [(result, truth)] of a task with @k outputs; @most: boxes
    of a class that count in a picture."""
    if kind == "classification":
        return of_classes(pairs, k)
    if kind == "multilabel":
        return of_labels(pairs, k, threshold)
    if kind == "regression":
        return of_values(pairs)
    if kind == "detection":
        return of_boxes(pairs, k, most)
    return of_masks(pairs, k)
