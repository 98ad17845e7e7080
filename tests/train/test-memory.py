#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The promise of the method: what a training step adds to memory is that of one
# task, the most expensive, whatever their number. Runs with 1 to 8 tasks, of
# one kind and of mixed kinds, must report the same peak to 1 %. The images are
# small, so that the test is quick.
# Prints TAP; standard library only. Usage: test-memory.py UMEDPT-TRAIN
import json
import os
import subprocess
import sys
import tempfile

import synthetic

TRAIN = sys.argv[1]
# the most expensive first: whole cases of several images are in memory at once
MIXED = ["cases", "classification", "segmentation", "multilabel", "regression",
         "detection"]
MODEL = "[model]\narch=swinv2-nano\nsize=64\n"
CONFIG = "[train]\nepochs=2\nrounds=4\nprecision=f32\nvalidate-every=0\n"


def group_as(text, number):
    """The group of a task once more, under another name."""
    head, rest = text.split("]", 1)
    return f"{head}-{number}]{rest}"


def peak(folder, groups):
    """The most that a round reports; what loaders make is not counted."""
    name = os.path.join(folder, f"config-{len(os.listdir(folder))}.ini")
    with open(name, "w") as file:
        file.write(f"{MODEL}{CONFIG}" + "".join(groups))
    out = name + ".run"
    subprocess.run([TRAIN, "run", name, "-o", out, "-q", "-p", "0"], check=True,
                   timeout=120)
    with open(os.path.join(out, "log.jsonl")) as file:
        events = [json.loads(line) for line in file]
    return max(e["activations"] for e in events if e["type"] == "round")


def check(folder, name, groups, counts):
    peaks = {n: peak(folder, groups[:n]) for n in counts}
    ok = max(peaks.values()) <= 1.01 * min(peaks.values())
    print(f"# {name}: " + ", ".join(
        f"{n} tasks {v / 1e6:.2f} MB" for n, v in peaks.items()))
    return ok


def main():
    failed = 0
    print("1..3")
    with tempfile.TemporaryDirectory() as folder:
        keys = "batch=4\n"
        # all cases are in every batch, so that each is as large as the other
        groups = {kind: synthetic.make(folder, [kind],
                                       4 if kind == "cases" else 8, 1, keys)
                  for kind in MIXED}
        mixed = [group_as(groups[MIXED[i % len(MIXED)]], i) for i in range(8)]
        for i, (name, tasks) in enumerate([
                ("detection", [group_as(groups["detection"], i)
                               for i in range(8)]),
                ("segmentation", [group_as(groups["segmentation"], i)
                                  for i in range(8)]),
                ("mixed", mixed)], 1):
            ok = check(folder, name, tasks, (1, 2, 4, 8))
            failed += not ok
            print(f"{'ok' if ok else 'not ok'} {i} {name}")
            sys.stdout.flush()
    return failed > 0


sys.exit(main())
