#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a task costs in memory: short training runs with 1, 2, 4 … tasks of
# mixed kinds on one encoder, and the same in PyTorch with naively summed
# losses (peers-tasks.py). Only one task's activations are in memory at a
# time, so their peak must not depend on the number of tasks, and the process
# must not grow by more than what a task brings: its head, the head's two
# moments, and the batches that its loader makes ahead.
#
# The data sets of UMEDPT_TEST_DATA are used in turn. The task that needs the
# most activations comes first, so it is in every run. Peak RSS is what the
# kernel says of the finished process; memory figures do not depend on what
# else the machine does, and two rounds show all there is.
#
# bench-tasks.py BUILD [--tasks 1,2,4] [--rounds 2] [--batch 4]
#   [--arch swinv2-tiny] [--size 256] [--precision f32] [--limit-gb 12]
#   [--peers VENV | --no-peers] [--json FILE]
# Ends with 1 if activations differ by more than 1 % or the growth by more
# than 10 % from what is explained.
import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

from benchlib import HERE, machine, peers_python, print_table

MB = 1 << 20

# name, keys of the data set; the one with the most activations first
TASKS = [
    ("bacteria", "kind=segmentation\nformat=masks\npath=bacteria\n"
     "augment=weak\n"),
    ("frames", "kind=classification\nformat=csv\npath=bleeding\n"
     "annotations=classification.csv\naugment=endoscopy\n"),
    ("cells", "kind=detection\nformat=voc\npath=blood-cells\n"
     "augment=histology\n"),
    ("findings", "kind=multilabel\nformat=csv\npath=chest-xray\n"
     "annotations=multilabel.csv\naugment=x-ray\n"),
    ("coverage", "kind=regression\nformat=csv\npath=red-cells\n"
     "annotations=split.csv\nvalue-column=coverage\naugment=histology\n"),
    ("organs", "kind=multilabel-segmentation\nformat=class-masks\n"
     "path=chest-xray\naugment=x-ray\n"),
    ("crops", "kind=classification\nformat=imagefolder\n"
     "path=colon-nuclei-crops\naugment=histology\n"),
    ("bleeding", "kind=detection\nformat=yolo\npath=bleeding\n"
     "augment=endoscopy\n"),
]


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--tasks", default="1,2,4,8,16,32,64")
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--arch", default="swinv2-tiny")
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--precision", default="f32", choices=["f32", "bf16"])
    p.add_argument("--limit-gb", type=float, default=12,
                   help="where PyTorch is stopped")
    p.add_argument("--peers",
                   default=os.environ.get("UMEDPT_PEERS", "/tmp/peers"))
    p.add_argument("--no-peers", action="store_true")
    p.add_argument("--json")
    return p.parse_args()


def write_config(args, path, data, n):
    text = "[model]\narch=%s\nsize=%d\n[train]\nfolder=%s\nprecision=%s\n" \
        "rounds=%d\nvalidate-every=0\n" % (args.arch, args.size, data,
                                           args.precision, args.rounds)
    for i in range(n):
        name, keys = TASKS[i % len(TASKS)]
        text += "[task %s-%d]\n%sbatch=%d\nsize=%d\n" % (
            name, i // len(TASKS), keys, args.batch, args.size)
    pathlib.Path(path).write_text(text, encoding="utf-8")


def run(argv):
    """Peak RSS of a program that must succeed, in bytes."""
    process = subprocess.Popen([str(a) for a in argv],
                               stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("failed: " + " ".join(map(str, argv)))
    return usage.ru_maxrss * 1024


def count_parameters(path):
    """Of the shared blocks and of all heads."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
    counts = [0, 0]
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            counts[name.startswith("tasks.")] += (end - begin) // 4
    return counts


def loader_bytes(args, kind, n_labels):
    """Two batches ahead, as f32 pixels, with masks of bytes."""
    pixels = args.batch * args.size * args.size
    masks = {"segmentation": 1, "multilabel-segmentation": n_labels}
    return 2 * pixels * (3 * 4 + masks.get(kind, 0))


def explain(args, model, tasks):
    """Bytes that do not depend on the depth of the network: parameters and
    their two moments, gradients of the shared ones, loaders. No samples are
    kept decoded."""
    shared, heads = count_parameters(model)
    loaders = sum(loader_bytes(args, t["kind"], len(t["labels"]))
                  for t in tasks)
    return {"shared": shared * 16, "heads": heads * 12, "loaders": loaders}


def measure(args, data, n):
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "tasks.ini")
        out = os.path.join(folder, "run")
        write_config(args, config, data, n)
        peak = run([pathlib.Path(args.build, "pipelines", "umedpt-train"),
                    "run", config, "-o", out, "-q", "-p", "0"])
        with open(os.path.join(out, "log.jsonl"), encoding="utf-8") as file:
            events = [json.loads(line) for line in file]
        rounds = [e for e in events if e["type"] == "round"]
        assert len(rounds) == args.rounds and len(rounds[-1]["losses"]) == n
        parts = explain(args, os.path.join(out, "model.safetensors"),
                        events[0]["tasks"])
    return {"tasks": n, "rss": peak, **parts,
            "activations": max(r["activations"] for r in rounds),
            "logged_rss": max(r["rss"] for r in rounds)}


def measure_peer(args, n):
    """Peak RSS, or None beyond the limit."""
    done = subprocess.run(
        [str(peers_python(args.peers)), str(HERE / "peers-tasks.py"),
         "--tasks", str(n), "--batch", str(args.batch), "--size",
         str(args.size), "--precision", args.precision,
         "--limit-gb", str(args.limit_gb),
         "--kinds", ",".join(keys.split("\n")[0].split("=")[1]
                             for _, keys in TASKS)],
        stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)["rss"]


def grown(before, now):
    """Per task: what was measured, and what is explained."""
    n = now["tasks"] - before["tasks"]
    expected = sum(now[k] - before[k] for k in ("shared", "heads", "loaders"))
    return (now["rss"] - before["rss"]) / n, expected / n


def megabytes(value, digits=0):
    return "%.*f" % (digits, value / MB)


def report(args, results, peers):
    rows, before = [], None
    for result in results:
        row = [result["tasks"], megabytes(result["activations"], 1),
               megabytes(result["rss"])]
        row += [megabytes(x, 2) for x in grown(before, result)] \
            if before else ["", ""]
        if peers:
            peak = peers[result["tasks"]]
            row.append(megabytes(peak) if peak else
                       "over %g, stopped" % (args.limit_gb * 1024))
        rows.append(row)
        before = result
    print_table(["tasks", "activations MB", "peak RSS MB", "growth per task MB",
                 "explained MB"] + (["PyTorch, summed losses MB"]
                                    if peers else []), rows)


def judge(results):
    """Growth is judged from when every kind is there to the end."""
    ok = True
    activations = [r["activations"] for r in results]
    spread = max(activations) / min(activations) - 1
    print("activations differ by %.2f %%" % (100 * spread))
    ok &= spread <= 0.01
    full = [r for r in results if r["tasks"] >= len(TASKS)]
    if len(full) > 1:
        found, expected = grown(full[0], full[-1])
        one = {k: (full[-1][k] - full[0][k]) / MB /
               (full[-1]["tasks"] - full[0]["tasks"])
               for k in ("heads", "loaders")}
        print("growth from %d to %d tasks: %.2f MB per task, explained %.2f "
              "(heads and moments %.2f, loaders %.2f): %+.1f %%" % (
                  full[0]["tasks"], full[-1]["tasks"], found / MB,
                  expected / MB, one["heads"], one["loaders"],
                  100 * (found / expected - 1)))
        ok &= abs(found / expected - 1) <= 0.1
    return ok


def main():
    args = parse()
    data = os.environ.get("UMEDPT_TEST_DATA")
    if not data:
        sys.exit("bench-tasks.py: UMEDPT_TEST_DATA must name the folder with "
                 "the data sets")
    about, results, peers, fits = machine(), [], {}, True
    for n in map(int, args.tasks.split(",")):
        results.append(measure(args, data, n))
        print(json.dumps(results[-1]), file=sys.stderr)
        if not args.no_peers:
            peers[n] = measure_peer(args, n) if fits else None
            fits = peers[n] is not None
    report(args, results, peers)
    ok = judge(results)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"machine": about, "results": results, "peers": peers},
                      file, indent=1)
    return not ok


sys.exit(main())
