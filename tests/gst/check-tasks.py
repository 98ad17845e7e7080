#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What streams through the elements is what "umedpt-train eval" measures, number
# for number. A tiny network learns a task of each kind on shapes; then the same
# pictures, of many sizes, go through all heads in one launch line. Three ways:
#
#   results     of every picture beside those of eval --predictions
#   truth       that eval compared with, beside the files of the data sets
#   metrics     computed by task_metrics.py from what the pipeline said and from
#               the files, beside eval's
#
# The network's two ways to bring a picture to size (core/infer/preprocess.c and
# core/data/augment-resample.c) differ by roundings, which may turn the class of a
# pixel whose two best are equally probable.
#
# check-tasks.py BUILD: prints TAP. Needs NumPy.
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from launch_lines import HERE, Build, house

try:
    import numpy as np
except ImportError as problem:
    print(f"1..0 # SKIP {problem} (Debian: python3-numpy)")
    sys.exit(0)

import task_metrics as metrics

sys.path.insert(0, str(HERE.parent / "train"))
import synthetic  # noqa: E402

SHAPES = synthetic.SHAPES
SIZES = [(64, 64), (96, 64), (48, 80), (128, 128), (150, 70), (64, 100),
         (40, 40), (128, 64)]  # width, height of the pictures
CONFIG = """[train]
epochs=120
precision=f32
validate-every=0
[schedule]
kind=cosine
warmup=10
[optimizer]
lr=3e-3
weight-decay=0
"""
# the masks' own size is not the model's
SCALED = ["--set", "task segmentation.size=96", "--set", "task organs.size=96"]
COUNT = 12  # pictures of each task


# --- data ----------------------------------------------------------------------

def read_png(path):
    """What synthetic.write_png() wrote: [height, width, channels]."""
    data = Path(path).read_bytes()
    width, height, _, kind = struct.unpack(">IIBB", data[16:26])
    channels = 3 if kind == 2 else 1
    begin = data.index(b"IDAT")
    size = struct.unpack(">I", data[begin - 4:begin])[0]
    rows = np.frombuffer(zlib.decompress(data[begin + 4:begin + 4 + size]),
                         np.uint8).reshape(height, 1 + width * channels)
    return rows[:, 1:].reshape(height, width, channels)


def stretch(path, index):
    """Gives the picture a size of its own."""
    image = read_png(path)
    width, height = SIZES[index % len(SIZES)]
    image = metrics.nearest(image, width, height)
    synthetic.write_png(path, width, height, image.tobytes(), image.shape[2])
    return width, height


def number(path):
    return int(path.stem)


def organs(folder, rng, n):
    """Masks that overlap: the shapes, and what is bright."""
    names = ["shape", "right"]
    lines = ["file,split"]
    for name in ["images"] + [f"masks/{name}" for name in names]:
        os.makedirs(os.path.join(folder, name))
    for i in range(n):
        scene = synthetic.Scene(rng, [SHAPES[i % 3], SHAPES[(i + 1) % 3]])
        scene.save(os.path.join(folder, "images", f"{i:03}.png"))
        mask = np.frombuffer(bytes(scene.mask), np.uint8).reshape(64, 64) > 0
        right = mask & (np.arange(64) >= 32)
        for name, plane in zip(names, (mask, right)):
            synthetic.write_png(
                os.path.join(folder, "masks", name, f"{i:03}.png"), 64, 64,
                (plane * np.uint8(255)).tobytes(), 1)
        lines.append(f"{i:03}.png,{synthetic.split_of(i, n)}")
    synthetic.write_lines(os.path.join(folder, "split.csv"), lines)
    synthetic.write_lines(os.path.join(folder, "classes.txt"), names)
    return "kind=multilabel-segmentation\nformat=class-masks\n"


synthetic.MAKERS["organs"] = organs
KINDS = ["classification", "multilabel", "regression", "segmentation", "organs",
         "detection"]


def make_data(folder):
    path = synthetic.config(folder, KINDS, CONFIG, n=COUNT, keys="batch=8\n")
    sizes = {}
    for kind in KINDS:
        for png in sorted(Path(folder, kind).rglob("*.png")):
            size = stretch(png, number(png))
            if "masks" not in png.parts:
                sizes[kind, number(png)] = size
    # boxes go with their pictures
    coco = Path(folder, "detection", "coco.json")
    data = json.loads(coco.read_text())
    for image in data["images"]:
        width, height = sizes["detection", int(image["file_name"][:-4])]
        for box in data["annotations"]:
            if box["image_id"] == image["id"]:
                x, y, w, h = box["bbox"]
                box["bbox"] = [x * width / 64, y * height / 64, w * width / 64,
                               h * height / 64]
        image["width"], image["height"] = width, height
    coco.write_text(json.dumps(data))
    return path


# --- truth, from the files -----------------------------------------------------

def table(path, columns):
    lines = [line.split(",") for line in Path(path).read_text().splitlines()]
    at = [lines[0].index(c) for c in columns]
    return {line[0]: np.array([float(line[i]) for i in at], np.float32)
            for line in lines[1:]}


def masks_of(folder, name, width, height):
    return metrics.nearest(read_png(Path(folder, name)), width, height)[..., 0]


def truth_of(folder, kind, file, width, height):
    """In the network's input of @width x @height pixels."""
    name = Path(file).name
    folder = Path(folder, kind)
    if kind == "classification":
        return {"class": sorted(SHAPES).index(Path(file).parent.name)}
    if kind == "multilabel":
        return {"values": table(folder / "labels.csv", SHAPES)[name]}
    if kind == "regression":
        return {"values": table(folder / "values.csv", ["value"])[name]}
    if kind == "segmentation":
        return {"mask": masks_of(folder, f"masks/{name}", width, height)}
    if kind == "organs":
        planes = [masks_of(folder, f"masks/{plane}/{name}", width, height)
                  for plane in ("shape", "right")]
        return {"mask": np.stack(planes, axis=-1) // 255}
    data = json.loads((folder / "coco.json").read_text())
    image, = [i for i in data["images"] if i["file_name"] == name]
    by = width / image["width"], height / image["height"]
    boxes = [dict(zip(("x", "y", "width", "height"), b["bbox"]),
                  **{"class": b["category_id"] - 1})
             for b in data["annotations"] if b["image_id"] == image["id"]]
    return {"boxes": metrics.corners(boxes, by)}


# --- both ways -----------------------------------------------------------------

def train_and_evaluate(folder):
    """The model, eval's JSON, and its predictions."""
    path = make_data(folder)
    out = Path(folder, "run")
    predictions = Path(folder, "predictions.jsonl")
    model = out / "model.safetensors"
    BUILD.execute(["umedpt-train", "run", path, "-o", str(out), "-q", "-p", "0",
                   *SCALED], timeout=300)
    done = BUILD.execute(["umedpt-train", "eval", str(model), path, "--split",
                          "all", "--json", "--precision", "f32",
                          "--predictions", str(predictions), *SCALED])
    said = json.loads(done.output)["tasks"]
    return model, said, metrics.read_lines(predictions)


def stream(folder, model, files, elements, more="", pixels="RGB"):
    """The lines of umedptjson for @files, one after the other."""
    links = Path(folder, "links")
    links.mkdir(exist_ok=True)
    for i, file in enumerate(files):
        link = links / f"{i:04}.png"
        link.unlink(missing_ok=True)
        link.symlink_to(file)
    for link in sorted(links.iterdir())[len(files):]:
        link.unlink()
    out = Path(folder, "stream.jsonl")
    heads = [f"{e} model-file={model} precision=f32 {more}" for e in elements]
    BUILD.launch(
        f"multifilesrc location={links}/%04d.png caps=image/png,framerate=1/1 "
        f"! pngdec ! videoconvert ! video/x-raw,format={pixels} ! " +
        " ! ".join(heads) +
        f" ! umedptjson masks=full location={out} ! fakesink")
    lines = metrics.read_lines(out)
    assert len(lines) == len(files), f"{len(lines)} lines, {len(files)} files"
    return lines


ALL = ["umedptembed tasks=all", "umedptsegment task=segmentation",
       "umedptsegment task=organs", "umedptdetect threshold=0"]


def other_ways(folder, model, files, streamed):
    """Whether heads share a pass of the encoder, and how many pictures go
    through at once, changes nothing."""
    results = [line["results"] for line in streamed]
    ways = {"in another order": ([ALL[3], ALL[2], ALL[0], ALL[1]],),
            "in batches": (ALL, "batch-size=5"),
            "with bytes in another order": (ALL, "", "BGRx")}
    for element in ALL:
        ways[f"{element} alone"] = [element],
    for name, how in ways.items():
        lines = stream(folder, model, files, *how)
        found = Comparison()
        for i, (line, expected) in enumerate(zip(lines, results)):
            found.add(files[i], alike(line["results"], expected))
        house.case(f"{name}; differences: {found}", found.problems)


def alike(results, expected):
    """The same boxes and pixels, and values but for roundings."""
    assert results, "a line without results"
    for task, result in results.items():
        other = expected[task]
        for what in {"boxes", "mask"} & set(result):
            yield what, result[what] != other[what], 0
        if "values" in result:
            a, b = (metrics.numbers(r["values"]) for r in (result, other))
            yield "values", np.abs(a - b).max() / max(1, np.abs(b).max()), 1e-6


# --- comparison ----------------------------------------------------------------

def differences(kind, ours, eval_said):
    """(what, largest difference, its limit) of two results of a picture."""
    if "values" in ours:
        a, b = ours["values"], eval_said["values"]
        yield "values", np.abs(a - b).max() / max(1, np.abs(b).max()), 1e-5
    elif "mask" in ours:
        a, b = ours["mask"], eval_said["mask"]
        assert a.shape == b.shape, (a.shape, b.shape)
        yield "pixels", (a != b).mean(), 1e-3
    else:
        a, b = ours["boxes"], eval_said["boxes"]
        yield "numbers of boxes", abs(len(a) - len(b)), 0
        if len(a) == len(b) > 0:
            yield "corners", np.abs(a[:, :4] - b[:, :4]).max(), 1e-3
            yield "scores", np.abs(a[:, 4] - b[:, 4]).max(), 1e-5
            yield "classes", (a[:, 5] != b[:, 5]).max(), 0


class Comparison:
    """The largest difference of each sort, and what is over its limit."""

    def __init__(self):
        self.worst, self.problems = {}, []

    def add(self, where, found):
        for what, difference, limit in found:
            self.worst[what] = max(self.worst.get(what, 0), float(difference))
            if not difference <= limit:
                self.problems.append(f"{where}: {what} differ by {difference:g}")

    def __str__(self):
        return ", ".join(f"{k} {v:.2g}" for k, v in self.worst.items())


def compare(folder, kind, predictions, streamed, said):
    labels = len(said["labels"]) if "labels" in said else 1
    results, truths = Comparison(), Comparison()
    pairs, own = [], []
    for line, other in zip(predictions, streamed):
        width, height = line["width"], line["height"]
        ours = metrics.of_stream(other, kind, width, height, labels)
        result, truth = metrics.of_prediction(line, labels)
        expected = truth_of(folder, kind, line["file"], width, height)
        results.add(line["file"], differences(kind, ours, result))
        truths.add(line["file"], [
            (name, np.abs(np.asarray(truth[name], float) -
                          np.asarray(expected[name], float)).max(), 1e-3)
            for name in expected])
        pairs.append((ours, expected))
        own.append((result, truth))
    task = predictions[0]["kind"]
    house.case(f"{kind}: {len(pairs)} results; differences: {results}",
               results.problems)
    house.case(f"{kind}: truth", truths.problems)
    for name, data in (("eval's own results", own), ("the stream", pairs)):
        found = metrics.compute(task, data, labels)
        text = ", ".join(f"{k} {v:.4f}" for k, v in found.items())
        turned = name == "the stream" and results.worst.get("pixels", 0) > 0
        house.case(f"{kind}: metrics of {name}: {text}", [
            f"{metric}: {value!r} instead of {said['metrics'][metric]!r}"
            for metric, value in found.items()
            if not same(value, said["metrics"][metric],
                        1e-3 if turned else 1e-6)])


def same(a, b, tolerance):
    b = math.nan if b is None else b
    return (math.isnan(a) and math.isnan(b)) or \
        abs(a - b) <= tolerance * max(1, abs(b))


def main():
    with tempfile.TemporaryDirectory() as folder:
        model, said, predictions = train_and_evaluate(folder)
        files = [Path(folder, p["task"], p["file"]) for p in predictions]
        streamed = stream(folder, model, files, ALL)
        for kind in KINDS:
            mine = [i for i, p in enumerate(predictions) if p["task"] == kind]
            compare(folder, kind, [predictions[i] for i in mine],
                    [streamed[i] for i in mine], said[kind])
        other_ways(folder, model, files[::5], streamed[::5])
    house.done()


with tempfile.TemporaryDirectory() as shared:
    BUILD = Build(sys.argv[1], shared)
    BUILD.check()
    main()
