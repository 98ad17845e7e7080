#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A whole slide end to end, as the README's gst-launch line does it, against
# the encoder alone and against OpenSlide + PyTorch in Python on the same
# slide and grid, taking turns in one run.
#
# "tiles/s" leaves the start (GStreamer, model, tissue mask) out: the line is
# run for the whole slide and for its last batch only, and the difference of
# the times counts. "with start" is tiles over wall time. For PyTorch, imports
# and building the model are left out.
#
# bench-slide.py BUILD [SLIDE] [--peers VENV | --no-peers] [--rounds N]
#   [--precision bf16,f32] [--mpp 0.5] [--arch tiny] [--quick] [--json FILE]
# Without SLIDE, a synthetic one is made in BUILD.
import argparse
import ast
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

from benchlib import (ARCHITECTURES, HERE, Server, encoder_argv, machine,
                      median, model_file, once, peers_python, print_table)

BATCH = 8


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("slide", nargs="?")
    p.add_argument("--peers",
                   default=os.environ.get("UMEDPT_PEERS", "/tmp/peers"))
    p.add_argument("--no-peers", action="store_true")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=5,
                   help="per turn of the encoder alone")
    p.add_argument("--precision", default="bf16,f32")
    p.add_argument("--mpp", type=float, default=0.5)
    p.add_argument("--slide-mpp", type=float, default=0)
    p.add_argument("--arch", default="tiny")
    p.add_argument("--quick", action="store_true",
                   help="one round, one precision, a corner of the slide")
    p.add_argument("--json")
    args = p.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.precision = 1, 0.5, "bf16"
    args.slide = args.slide or synthetic_slide(args.build)
    return args


def synthetic_slide(build):
    path = pathlib.Path(build, "tests", "bench", "synthetic.tiff")
    if not path.exists():
        subprocess.run([str(pathlib.Path(build, "pipelines", "umedpt-synth")),
                        "-o", str(path), "--width", "12000", "--height",
                        "9000"], check=True)
    return str(path)


def environment(build):
    found = dict(os.environ)
    paths = [str(pathlib.Path(build, "gst").resolve()),
             found.get("GST_PLUGIN_PATH", "")]
    found["GST_PLUGIN_PATH"] = os.pathsep.join(filter(None, paths))
    return found


def pipeline(args, precision, output, start_index=0):
    """Runs the line; wall seconds and peak memory in kB."""
    source = "umedptslidesrc location=%s tile-size=256 mpp=%g " \
        "start-index=%d" % (shlex.quote(args.slide), args.mpp, start_index)
    if args.slide_mpp:
        source += " slide-mpp=%g" % args.slide_mpp
    if args.quick:
        source += " region=0,0,2048,2048 tissue=none"
    line = "gst-launch-1.0 -q -e %s ! queue ! umedptembed model-file=%s " \
        "precision=%s batch-size=%d ! progressreport silent=true ! " \
        "umedptslidesink features-location=%s" % (
            source, shlex.quote(str(model_file(args.build, args.arch))),
            precision, BATCH, shlex.quote(str(output)))
    begin = time.perf_counter()
    process = subprocess.Popen(shlex.split(line), env=environment(args.build),
                               stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not pathlib.Path(output).exists():
        sys.exit("bench-slide.py: this line failed:\n" + line)
    return seconds, usage.ru_maxrss


def count_rows(path):
    """Of an .npy file, whose header is a Python dictionary."""
    with open(path, "rb") as file:
        file.seek(10)
        return ast.literal_eval(file.read(118).decode())["shape"][0]


def one_round(args, precision, server, n, folder, results):
    tail = max(0, n - BATCH)
    whole, part = folder / "whole.h5", folder / "part.h5"
    for path in (whole, part):
        path.unlink(missing_ok=True)
    alone = server.run(args.seconds)["times_ms"]
    seconds, peak = pipeline(args, precision, whole)
    start, _ = pipeline(args, precision, part, tail)
    alone += server.run(args.seconds)["times_ms"]
    # of means: the pipeline's time is a sum too
    encoder = 1000 * len(alone) / sum(alone)
    ours = tail / (seconds - start)
    results["encoder"].append(encoder)
    results["ours"].append(ours)
    results["share"].append(ours / encoder)
    results["gross"].append(n / seconds)
    results["peak_mb"].append(peak / 1024)
    if args.no_peers:
        return
    found = once([peers_python(args.peers), HERE / "peers.py", "slide",
                  "--slide", args.slide, "--grid", whole, "--arch",
                  ARCHITECTURES[args.arch][2], "--batch", BATCH, "--precision",
                  precision])
    results["torch"].append(found["tiles"] / found["seconds"])
    results["ratio"].append(ours * found["seconds"] / found["tiles"])


def measure(args, precision, folder):
    results = {key: [] for key in ("encoder", "ours", "share", "gross",
                                   "peak_mb", "torch", "ratio")}
    warm = folder / ("warm-%s.npy" % precision)
    pipeline(args, precision, warm)
    n = count_rows(warm)
    if n <= BATCH:
        sys.exit("bench-slide.py: only %d tiles; give a larger slide." % n)
    server = Server(encoder_argv(args.build, args.arch, precision, BATCH,
                                 len(os.sched_getaffinity(0))) + ["--serve"])
    for _ in range(args.rounds):
        one_round(args, precision, server, n, folder, results)
    server.close()
    results["tiles"] = n
    return results


def row(precision, r):
    def show(key, form):
        return form % median(r[key]) if r[key] else "–"
    return [precision, r["tiles"], show("ours", "%.1f"),
            show("gross", "%.1f"), show("encoder", "%.1f"),
            show("share", "%.3f"), show("torch", "%.1f"),
            show("ratio", "%.2f×"), show("peak_mb", "%.0f")]


def main():
    args = parse()
    result = {"machine": machine(), "slide": os.path.basename(args.slide),
              "runs": {}}
    with tempfile.TemporaryDirectory() as folder:
        for precision in args.precision.split(","):
            result["runs"][precision] = measure(args, precision,
                                                pathlib.Path(folder))
    print("%s, swinv2-%s, batch %d, %d processors: medians of %d rounds\n" % (
        result["slide"], args.arch, BATCH, result["machine"]["processors"],
        args.rounds))
    print_table(["", "tiles", "tiles/s", "with start", "encoder alone",
                 "share", "OpenSlide + PyTorch", "we are", "peak MB"],
                [row(name, r) for name, r in result["runs"].items()])
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)


main()
