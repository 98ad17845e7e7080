#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Training steps of the encoder (forward, backward, AdamW) beside PyTorch's, in
# turns: ours and its peers follow each other step by step, and a ratio is the
# median of the rounds' ratios. Same network, image size, batch, optimiser and
# stochastic depth; train mode. PyTorch runs eager in f32 and under bf16
# autocast. Peak memory is that of the whole process; what PyTorch's imports
# alone take is given apart.
#
# bench-train.py BUILD [--arch tiny] [--batch 8] [--micro 1] [--rounds 7]
#   [--steps 2] [--peers VENV] [--json FILE]
import argparse
import json
import os
import pathlib
import subprocess
import sys

from benchlib import (ARCHITECTURES, HERE, Server, machine, median,
                      peers_python, print_table)


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--arch", default="tiny")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--micro", type=int, default=1)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--steps", type=int, default=2, help="per turn")
    p.add_argument("--peers",
                   default=os.environ.get("UMEDPT_PEERS", "/tmp/peers"))
    p.add_argument("--json")
    args = p.parse_args()
    if not peers_python(args.peers).exists():
        sys.exit("No peers in %s: run setup-peers.sh." % args.peers)
    return args


def programs(args):
    ours = [pathlib.Path(args.build, "tests", "bench", "bench-train"),
            "--arch", "swinv2-" + args.arch, "--batch", args.batch,
            "--micro", args.micro, "--serve", "--precision"]
    peer = [peers_python(args.peers), HERE / "peers.py", "train"]
    options = ["--arch", ARCHITECTURES[args.arch][2], "--batch", args.batch,
               "--threads", len(os.sched_getaffinity(0)), "--serve"]
    return {"ours f32": ours + ["f32"], "PyTorch f32": peer + ["torch-f32"]
            + options, "ours bf16": ours + ["bf16"],
            "PyTorch bf16 autocast": peer + ["torch-autocast"] + options}


def imports_kb(args):
    code = ("import resource, torch, torchvision; "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)")
    done = subprocess.run([str(peers_python(args.peers)), "-c", code],
                          stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


def measure(args):
    """All programs loaded, asleep but for the one whose turn it is."""
    servers = {name: Server(argv) for name, argv in programs(args).items()}
    times = {name: [] for name in servers}
    peaks = {}
    for _ in range(args.rounds):
        for name, server in servers.items():
            answer = server.run(args.steps)
            times[name].append(median(answer["times_ms"]))
            peaks[name] = answer["peak_kb"]
    for server in servers.values():
        server.close()
    return times, peaks


def main():
    args = parse()
    info = machine()
    times, peaks = measure(args)

    def ratio(slow, fast):
        return "%.2f" % median([a / b for a, b in
                                zip(times[slow], times[fast])])
    base = imports_kb(args)
    print("%s, batch %d, parts of %d, %s, %d processors\n" % (
        args.arch, args.batch, args.micro, info["cpu"], info["processors"]))
    print_table(["program", "ms per step", "images/s", "peak MB"], [
        (name, "%.0f" % median(t), "%.1f" % (args.batch * 1000 / median(t)),
         "%.0f" % (peaks[name] / 1024)) for name, t in times.items()])
    print("Imports of PyTorch alone: %.0f MB.\n" % (base / 1024))
    print_table(["ratio of times", ""], [
        ("PyTorch f32 / ours f32", ratio("PyTorch f32", "ours f32")),
        ("PyTorch f32 / ours bf16", ratio("PyTorch f32", "ours bf16")),
        ("PyTorch bf16 autocast / ours bf16",
         ratio("PyTorch bf16 autocast", "ours bf16"))])
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"machine": info, "times_ms": times, "peak_kb": peaks,
                       "imports_kb": base}, file, indent=1)


main()
