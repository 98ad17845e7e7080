#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A whole slide through gst-launch on a GPU, beside its parts alone: the source
# (decoding, all threads) into nothing, and the encoder. A pipeline cannot be
# faster than the slower of the two; the share of that is what counts. Starts
# are left out: each line runs for the whole slide and for its last batch, and
# the difference counts. Runs in the folder that tests/cuda/bundle.sh packs.
#
# bench-slide-gpu.py BUNDLE [--archs tiny,base] [--batch 128] [--rounds 3]
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


# A queue of GStreamer's own size holds 10 MB, 53 tiles: the source would wait
# while a larger batch is computed.
QUEUE = "queue max-size-buffers=256 max-size-bytes=0"


class Bench:
    def __init__(self, args, folder):
        self.bin = pathlib.Path(args.bundle, "bin")
        self.folder = pathlib.Path(folder)
        self.batch = args.batch
        self.environment = dict(
            os.environ, GST_PLUGIN_PATH=str(pathlib.Path(args.bundle, "gst")),
            GST_PLUGIN_SYSTEM_PATH="/nonexistent", GST_REGISTRY_FORK="no",
            GST_REGISTRY_1_0=str(self.folder / "registry.bin"))
        self.slide = self.folder / "slide.tiff"
        call(self.bin / "umedpt-synth", "-o", self.slide, stdout=subprocess.DEVNULL)

    def source(self, first):
        return (f"umedptslidesrc location={self.slide} tile-size=256 mpp=0.25 "
                f"tissue=none start-index={first}")

    def seconds(self, line):
        begin = time.perf_counter()
        call(self.bin / "gst-launch-1.0", "-q", *line.split(),
             env=self.environment, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begin

    def rate(self, rest, n):
        """Tiles per second of the source with @rest behind it."""
        tail = n - self.batch
        whole = self.seconds(f"{self.source(0)} ! {QUEUE} ! {rest}")
        part = self.seconds(f"{self.source(tail)} ! {QUEUE} ! {rest}")
        return tail / (whole - part)

    def encoder(self, model):
        found = call(self.bin / "bench-encoder", model, "--device", "cuda", "--batch",
                     self.batch, "--seconds", 1, "--json", stdout=subprocess.PIPE)
        return 1000 / median(json.loads(found.stdout)["times_ms"])


def count_tiles():
    # of umedpt-synth's default slide, without leaving out background
    return -(-20000 // 256) * -(-15000 // 256)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("bundle")
    p.add_argument("--archs", default="tiny,base")
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--rounds", type=int, default=3)
    args = p.parse_args()
    n = count_tiles()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, folder)
        print("| net | source alone | encoder alone | pipeline | of the slower |")
        print("| --- | --- | --- | --- | --- |")
        for arch in args.archs.split(","):
            model = bench.folder / f"{arch}.safetensors"
            call(bench.bin / "umedpt-train", "init", "--arch", f"swinv2-{arch}", "-o", model,
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
