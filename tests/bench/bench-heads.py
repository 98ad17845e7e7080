#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What three heads cost beside one: umedptembed tasks=…, umedptsegment and
# umedptdetect in a row share one pass of the encoder, so a frame should cost the
# encoder and each head once. The same frame goes through each of these in turn,
# in one process where all share one loaded model:
#
#   embed     umedptembed, which needs no more than the encoder
#   class     umedptembed with a classification task
#   segment   umedptsegment alone
#   detect    umedptdetect alone
#   three     all three in a row
#
# A ratio is the median of the rounds' ratios. "time" is wall time from a frame
# going in to its coming out, "best" its minimum; "work" is what the processors
# did meanwhile for this process, which neighbours disturb least. "one" is the
# dearer of segment and detect.
#
# bench-heads.py BUILD [--arch nano,tiny] [--precision f32,auto] [--size 256]
#   [--rounds 40] [--limit 1.35] [--json FILE]
# Needs PyGObject. Ends with 1 if three / one is above --limit.
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from benchlib import machine, median, print_table

TASKS = ["view:classification:a,b,c", "tissue:segmentation:ground,a,b,c",
         "cells:detection:a,b,c"]
HEADS = {"class": "umedptembed tasks=view", "segment": "umedptsegment",
         "detect": "umedptdetect"}
LINES = {"embed": ["umedptembed"], **{k: [v] for k, v in HEADS.items()},
         "three": list(HEADS.values())}


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--arch", default="nano,tiny")
    p.add_argument("--precision", default="f32,auto")
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--rounds", type=int, default=40)
    p.add_argument("--limit", type=float, default=1.35)
    p.add_argument("--json")
    return p.parse_args()


def model_file(args, arch, folder):
    path = folder / f"{arch}.safetensors"
    tasks = [word for task in TASKS for word in ("--task", task)]
    subprocess.run([pathlib.Path(args.build, "pipelines", "umedpt-train"),
                    "init", "--arch", "swinv2-" + arch, "-o", path, *tasks],
                   check=True, stdout=subprocess.DEVNULL)
    return path


def load_gstreamer(build, folder):
    os.environ["GST_PLUGIN_PATH"] = str(pathlib.Path(build, "gst").resolve())
    os.environ["GST_REGISTRY"] = str(folder / "registry.bin")
    try:
        import gi
    except ImportError:
        print("skipped: PyGObject is not installed (Debian: python3-gi)")
        sys.exit(77)
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
    Gst.init(None)
    return Gst


class Line:
    """A pipeline that takes a frame when it is its turn."""

    def __init__(self, gst, elements, settings, size):
        self.gst = gst
        caps = f"video/x-raw,format=RGB,width={size},height={size},framerate=1/1"
        self.pipeline = gst.parse_launch(
            f"appsrc name=in caps={caps} format=time ! " +
            " ! ".join(f"{e} {settings}" for e in elements) +
            " ! appsink name=out sync=false")
        self.source = self.pipeline.get_by_name("in")
        self.sink = self.pipeline.get_by_name("out")
        self.pipeline.set_state(gst.State.PLAYING)
        self.count = 0

    def run(self, pixels):
        """Milliseconds of time and of work."""
        frame = self.gst.Buffer.new_wrapped(pixels)
        frame.pts = self.count * self.gst.SECOND
        frame.duration = self.gst.SECOND
        self.count += 1
        begin, work = time.perf_counter(), time.process_time()
        self.source.emit("push-buffer", frame)
        sample = self.sink.emit("try-pull-sample", 60 * self.gst.SECOND)
        end, done = time.perf_counter(), time.process_time()
        if sample is None:
            message = self.pipeline.get_bus().pop_filtered(
                self.gst.MessageType.ERROR)
            sys.exit(f"bench-heads.py: {message.parse_error() if message else 0}")
        return 1000 * (end - begin), 1000 * (done - work)

    def close(self):
        self.pipeline.set_state(self.gst.State.NULL)


def measure(args, gst, model, precision):
    """{line: [(time, work)]}, one of each per round."""
    settings = f"model-file={model} precision={precision}"
    lines = {name: Line(gst, elements, settings, args.size)
             for name, elements in LINES.items()}
    rng = random.Random(1)
    times = {name: [] for name in lines}
    for i in range(args.rounds + 2):
        pixels = rng.randbytes(args.size * args.size * 3)
        order = list(lines)
        rng.shuffle(order)
        for name in order:
            found = lines[name].run(pixels)
            if i >= 2:  # the first ones prepare weights
                times[name].append(found)
    for line in lines.values():
        line.close()
    return times


def ratio(a, b, best):
    return min(a) / min(b) if best else median([x / y for x, y in zip(a, b)])


def summary(times, what):
    """Medians, and ratios within rounds; or minima, and theirs."""
    columns = {name: [t[what == "work"] for t in values]
               for name, values in times.items()}
    best = what == "best"
    found = {name: min(values) if best else median(values)
             for name, values in columns.items()}
    one = max(("segment", "detect"), key=found.get)
    apart = [sum(row) for row in zip(*(columns[name] for name in HEADS))]
    found["one"] = one
    found["three / one"] = ratio(columns["three"], columns[one], best)
    found["three / embed"] = ratio(columns["three"], columns["embed"], best)
    found["apart / three"] = ratio(apart, columns["three"], best)
    return found


def main():
    args = parse()
    result, rows, worst = {"machine": machine(), "runs": {}}, [], 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        gst = load_gstreamer(args.build, folder)
        for arch in args.arch.split(","):
            model = model_file(args, arch, folder)
            for precision in args.precision.split(","):
                times = measure(args, gst, model, precision)
                result["runs"][f"{arch} {precision}"] = times
                for name in ("time", "best", "work"):
                    found = summary(times, name)
                    if name == "work":
                        worst = max(worst, found["three / one"])
                    rows.append([f"{arch} {precision}", name] + [
                        f"{found[line]:.1f}" for line in LINES] + [
                        f"{found['three / one']:.2f} ({found['one']})",
                        f"{found['three / embed']:.2f}",
                        f"{found['apart / three']:.2f}"])
    print(f"swinv2, {args.size} px frames, one by one, "
          f"{result['machine']['processors']} processors: medians of "
          f"{args.rounds} rounds, milliseconds\n")
    print_table(["", "", *LINES, "three / one", "three / embed",
                 "apart / three"], rows)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    return int(worst > args.limit)


sys.exit(main())
