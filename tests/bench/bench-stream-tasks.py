#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Metrics of a trained model through the elements, beside those of
# "umedpt-train eval" on the same part of the same data. Three tables:
#
#   same pixels      the pictures that eval saw (cut where it cuts), as PNG: what
#                    differs is a mistake, or a rounding
#   as users play it the files as they are, decoded by GStreamer: JPEG and H.264
#                    come out a few grey levels different
#   whole pictures   of data sets that eval cuts: stretched to the network's
#                    input, and in tiles of it, both against all of the truth
#
# bench-stream-tasks.py BUILD MODEL CONFIG DATA [--split test] [--task NAME]
#   [--precision f32]
# CONFIG is one of umedpt-train; DATA the folder of its data sets. Needs NumPy
# and Pillow. Ends with 1 if a metric of the first table is not eval's.
import argparse
import json
import pathlib
import re
import sys
import tempfile

import numpy as np
from PIL import Image

from benchlib import HERE, print_table
from library import Dataset, Library

sys.path.insert(0, str(HERE.parent / "gst"))
import task_metrics as metrics  # noqa: E402
from launch_lines import Build  # noqa: E402

MOST = 1000
SHOWN = {"classification": ["f1", "accuracy", "auc"],
         "multilabel": ["auc", "f1"], "regression": ["mae", "r2"],
         "segmentation": ["dice", "iou", "image_dice"],
         "multilabel-segmentation": ["dice", "iou", "image_dice"],
         "detection": ["ap50", "ap", "ar"]}


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("config", type=pathlib.Path)
    p.add_argument("data", type=pathlib.Path)
    p.add_argument("--split", default="test")
    p.add_argument("--task", action="append")
    p.add_argument("--precision", default="f32")
    return p.parse_args()


def evaluate(args, build, folder):
    """eval's JSON, and its predictions by task."""
    path = folder / "predictions.jsonl"
    tasks = [word for name in args.task or [] for word in ("--task", name)]
    done = build.execute(
        ["umedpt-train", "eval", str(args.model), str(args.config), "--json",
         "--split", args.split, "--precision", args.precision, "--set",
         f"train.folder={args.data.resolve()}", "--predictions", str(path),
         *tasks], timeout=3000)
    by_task = {}
    for line in metrics.read_lines(path):
        by_task.setdefault(line["task"], []).append(line)
    said = json.loads(done.output[done.output.index("{"):])
    return said["tasks"], by_task


def lost(a, b):
    """How many boxes of @b are not in @a, or another score's."""
    apart = np.abs(a[:, None] - b[None]).max(axis=2, initial=0, where=[
        True, True, True, True, False, True])
    score = np.abs(a[:, None, 4] - b[None, :, 4])
    return int((~((apart < 0.01) & (score < 1e-4)).any(axis=0)).sum())


class Task:
    def __init__(self, args, build, library, name, said, predictions):
        self.args, self.build, self.name = args, build, name
        self.predictions, self.said = predictions, said
        self.kind = predictions[0]["kind"]
        self.labels = len(said.get("labels", [0]))
        self.dataset = Dataset(library, args.config, name, args.data.resolve())
        self.samples = self.dataset.split(args.split)
        assert [f for _, f in self.samples] == [p["file"] for p in predictions]
        self.own = [metrics.of_prediction(p, self.labels) for p in predictions]

    def is_cut(self):
        return any((c["x"], c["y"]) != (0, 0) or (c["width"], c["height"]) !=
                   picture.shape[1::-1] for c, picture in
                   ((p["covers"], self.dataset.read(i)[0])
                    for p, (i, _) in zip(self.predictions, self.samples)))

    def element(self, more=""):
        which = {"detection": "umedptdetect threshold=0 task=",
                 "segmentation": "umedptsegment task=",
                 "multilabel-segmentation": "umedptsegment task="}
        return (which.get(self.kind, "umedptembed embedding=false tasks=") +
                f"{self.name} model-file={self.args.model} "
                f"precision={self.args.precision} {more}")

    def play(self, folder, source, more=""):
        """The lines of umedptjson."""
        out = folder / "stream.jsonl"
        self.build.launch(f"{source} ! queue ! {self.element(more)} ! umedptjson "
                          f"masks=full location={out} ! fakesink", timeout=3000)
        return metrics.read_lines(out)

    def play_pictures(self, folder, pictures, more=""):
        for i, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / f"{i:05}.png",
                                          compress_level=1)
        return self.play(folder, f"multifilesrc location={folder}/%05d.png "
                         "caps=image/png,framerate=1/1 ! pngdec", more)

    def measure(self, results, truths, most=100):
        found = metrics.compute(self.kind, list(zip(results, truths)),
                                self.labels, most=most)
        return {name: found[name] for name in SHOWN[self.kind]}

    def in_input(self, lines):
        """Results in pixels of the network's input."""
        return [metrics.of_stream(line, self.name, p["width"], p["height"],
                                  self.labels)
                for line, p in zip(lines, self.predictions)]

    # --- the three tables ---------------------------------------------------

    def same_pixels(self):
        def cut(picture, covers):
            x, y, w, h = (int(covers[k]) for k in ("x", "y", "width", "height"))
            return picture[max(y, 0):y + h, max(x, 0):x + w]

        with tempfile.TemporaryDirectory() as folder:
            lines = self.play_pictures(pathlib.Path(folder), (
                cut(self.dataset.read(i)[0], p["covers"])
                for p, (i, _) in zip(self.predictions, self.samples)))
        assert len(lines) == len(self.predictions), len(lines)
        found = self.in_input(lines)
        return (self.measure(found, [t for _, t in self.own]),
                self.compare(found))

    def compare(self, found):
        """What differs most, in words."""
        pairs = [(a, b) for a, (b, _) in zip(found, self.own)]
        if "mask" in found[0]:
            n = sum((a["mask"] != b["mask"]).sum() for a, b in pairs)
            return f"{n} of {sum(b['mask'].size for _, b in pairs)} pixels"
        if "values" in found[0]:
            return "values by %.1g" % max(
                np.abs(a["values"] - b["values"]).max() for a, b in pairs)
        n = sum(lost(a["boxes"], b["boxes"]) for a, b in pairs)
        return f"{n} of {sum(len(b['boxes']) for _, b in pairs)} boxes"

    def as_played(self):
        """The files themselves; frames of clips by playing the clips."""
        root = self.args.data / re.search(
            rf"\[task {self.name}\][^[]*\npath *= *(\S+)",
            self.args.config.read_text()).group(1)
        lines = {}
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            files = [f for _, f in self.samples]
            if "#" in files[0]:
                for clip in sorted({f.split("#")[0] for f in files}):
                    played = self.play(folder, f"filesrc location={root / clip} "
                                       "! decodebin ! videoconvert")
                    lines.update({f"{clip}#{line['frame']}": line
                                  for line in played})
            else:
                lines.update(self.play_files(folder, root, files))
        found = self.in_input([lines[f] for _, f in self.samples])
        return self.measure(found, [t for _, t in self.own])

    def play_files(self, folder, root, files):
        kinds = {".jpg": ("image/jpeg", "jpegdec"), ".png": ("image/png",
                                                             "pngdec")}
        caps, decoder = kinds[pathlib.Path(files[0]).suffix]
        for i, file in enumerate(files):
            (folder / f"{i:05}").symlink_to((root / file).resolve())
        played = self.play(folder, f"multifilesrc location={folder}/%05d caps="
                           f"{caps},framerate=1/1 ! {decoder} ! videoconvert")
        return zip(files, played)

    def whole(self, more):
        """Against all of the truth, in pixels of the pictures. Of boxes up to
        MOST count, since a large picture may show more than COCO's 100."""
        truths = []
        if self.kind == "detection":
            more += f" max-detections={MOST}"

        def pictures():
            for i, _ in self.samples:
                picture, truth = self.dataset.read(i)
                truths.append(truth)
                yield picture

        with tempfile.TemporaryDirectory() as folder:
            lines = self.play_pictures(pathlib.Path(folder), pictures(), more)
        found = [metrics.of_picture(line, self.name, self.labels)
                 for line in lines]
        return self.measure(found, truths, MOST)


def main():
    args = parse()
    same, played, whole, worst = [], [], [], 0
    with tempfile.TemporaryDirectory() as shared:
        build = Build(args.build, shared)
        library = Library(args.build)
        said, predictions = evaluate(args, build, pathlib.Path(shared))
        for name, lines in predictions.items():
            task = Task(args, build, library, name, said[name], lines)
            cut = task.is_cut()
            expected = said[name]["metrics"]
            found, differs = task.same_pixels()
            for metric, value in found.items():
                worst = max(worst, abs(value - expected[metric]))
                same.append([name, len(lines), metric, f"{expected[metric]:.6f}",
                             f"{value:.6f}",
                             f"{abs(value - expected[metric]):.1g}", differs])
            if not cut:
                for metric, value in task.as_played().items():
                    played.append([name, metric, f"{expected[metric]:.4f}",
                                   f"{value:.4f}"])
                continue
            stretched = task.whole("inference-region=full-frame")
            tiled = task.whole("inference-region=tiles")
            for metric in found:
                whole.append([name, metric, f"{expected[metric]:.4f}",
                              f"{stretched[metric]:.4f}",
                              f"{tiled[metric]:.4f}"])
    print_table(["task", "pictures", "metric", "eval", "pipeline", "difference",
                 "results that differ"], same)
    if played:
        print_table(["task", "metric", "eval", "files decoded by GStreamer"],
                    played)
    if whole:
        print_table(["task", "metric", "eval: centre only",
                     "whole, stretched", "whole, in tiles"], whole)
    return int(worst > 1e-6)


sys.exit(main())
