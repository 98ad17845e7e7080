#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A whole slide through gst-launch on a GPU, beside its parts alone: the source
# (decoding, all threads) into nothing, and the encoder. A pipeline cannot be
# faster than the slower of the two; the share of that is what counts. Starts
# are left out: each line runs for the whole slide and for its last batch, and
# the difference counts.
#
# bench-slide-gpu.py BUILD [--archs tiny,base] [--batch 128] [--rounds 3]
#   [--paced MICROSECONDS]
#
# BUILD is a build folder, or the one that tests/cuda/bundle.sh packs. --paced
# needs no GPU: in its place is a device that does nothing and takes so long for
# each image (tests/bench/paced). What is lost then is the pipeline's.
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time


def median(values):
    return sorted(values)[len(values) // 2]


def call(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, **options)


class Bench:
    def __init__(self, args, folder):
        self.build = pathlib.Path(args.build).resolve()
        self.folder = pathlib.Path(folder)
        self.batch = args.batch
        self.environment = dict(
            os.environ, GST_PLUGIN_PATH=str(self.build / "gst"),
            GST_REGISTRY_FORK="no",
            GST_REGISTRY_1_0=str(self.folder / "registry.bin"))
        if self.packed():
            self.environment["GST_PLUGIN_SYSTEM_PATH"] = "/nonexistent"
        if args.paced:
            self.environment.update(
                UMEDPT_PACED_US=str(args.paced), LD_LIBRARY_PATH=self.driver(),
                UMEDPT_BACKEND_PATH=str(self.build / "tests/bench/paced"))
        self.slide = self.folder / "slide.tiff"
        call(self.program("umedpt-synth"), "-o", self.slide,
             stdout=subprocess.DEVNULL)

    def packed(self):
        return (self.build / "bin").exists()

    def program(self, name):
        folder = "bin" if self.packed() else \
            "tests/bench" if name.startswith("bench-") else "pipelines"
        return self.build / folder / name

    def driver(self):
        """A library that has a driver's name, as the module is not tried
        without."""
        return str(self.build / "tests/ops/driver")

    def source(self, first):
        return (f"umedptslidesrc location={self.slide} tile-size=256 mpp=0.25 "
                f"tissue=none start-index={first}")

    def seconds(self, line):
        begin = time.perf_counter()
        launch = self.program("gst-launch-1.0") if self.packed() else \
            "gst-launch-1.0"
        call(launch, "-q", *line.split(),
             env=self.environment, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begin

    def rate(self, rest, n):
        """Tiles per second of the source with @rest behind it."""
        tail = n - self.batch
        whole = self.seconds(f"{self.source(0)} ! queue ! {rest}")
        part = self.seconds(f"{self.source(tail)} ! queue ! {rest}")
        return tail / (whole - part)

    def encoder(self, model):
        found = call(self.program("bench-encoder"), model, "--device", "cuda",
                     "--batch", self.batch, "--seconds", 1, "--json",
                     env=self.environment, stdout=subprocess.PIPE)
        return 1000 / median(json.loads(found.stdout)["times_ms"])


def count_tiles():
    # of umedpt-synth's default slide, without leaving out background
    return -(-20000 // 256) * -(-15000 // 256)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--archs", default="tiny,base")
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--paced", type=float, metavar="MICROSECONDS")
    args = p.parse_args()
    n = count_tiles()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, folder)
        print("| net | source alone | encoder alone | pipeline | of the slower |")
        print("| --- | --- | --- | --- | --- |")
        for arch in args.archs.split(","):
            model = bench.folder / f"{arch}.safetensors"
            call(bench.program("umedpt-train"), "init", "--arch", f"swinv2-{arch}", "-o", model,
                 stdout=subprocess.DEVNULL)
            rows = []
            for _ in range(args.rounds):
                alone = bench.rate("fakesink", n)
                encoder = bench.encoder(model)
                whole = bench.rate(
                    f"umedptembed model-file={model} device=cuda batch-size={args.batch} "
                    "! queue ! umedptslidesink overwrite=true features-location="
                    f"{bench.folder / 'out.npy'}", n)
                rows.append((alone, encoder, whole, whole / min(alone, encoder)))
            middle = [median(column) for column in zip(*rows)]
            print("| %s | %.0f | %.0f | %.0f | %.2f |" % (arch, *middle))
            sys.stdout.flush()


main()
