#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Does joint training learn? learn.ini trains one small network on several data
# sets from random values; beside it the same heads learn on the features of
# the same network when its shared blocks stay as they were drawn (frozen).
# Both are measured on the validation parts, task by task.
#
# UMEDPT_TEST_DATA=DATA bench-learn.py BUILD [--output FOLDER] [--set G.K=V ...]
# A folder that holds the runs already is evaluated only.
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

from benchlib import HERE, machine, print_table

FROZEN = "model.freeze=encoder;squeezer;decoder;fcosfpn"


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--output", default="learn-runs")
    p.add_argument("--set", action="append", default=[])
    args = p.parse_args()
    if not os.environ.get("UMEDPT_TEST_DATA"):
        sys.exit("Set UMEDPT_TEST_DATA to the folder of the data sets.")
    return args


def options(args, more=()):
    keys = ["train.folder=" + os.environ["UMEDPT_TEST_DATA"], *args.set, *more]
    return [word for key in keys for word in ("--set", key)]


def train(args, program, name, more=()):
    """The run's folder; minutes are those of the rounds in its log."""
    folder = pathlib.Path(args.output, name)
    if not (folder / "model.safetensors").exists():
        start = time.monotonic()
        subprocess.run([program, "run", HERE / "learn.ini", "--output", folder,
                        "--quiet", *options(args, more)], check=True)
        print("%s: %.1f minutes" % (name, (time.monotonic() - start) / 60),
              file=sys.stderr)
    return folder


def evaluate(args, program, folder):
    done = subprocess.run(
        [program, "eval", folder / "model.safetensors", HERE / "learn.ini",
         "--json", *options(args)], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def log_of(folder):
    with open(folder / "log.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main():
    args = parse()
    machine()
    program = pathlib.Path(args.build, "pipelines", "umedpt-train")
    joint = train(args, program, "joint")
    frozen = train(args, program, "frozen", [FROZEN])
    tasks = {name: (ours, evaluate_of) for (name, ours), evaluate_of in zip(
        tasks_of(evaluate(args, program, joint)).items(),
        tasks_of(evaluate(args, program, frozen)).values())}
    rows = []
    for name, (ours, theirs) in tasks.items():
        metric = next(iter(ours["metrics"]))
        rows.append((name, ours["n"], metric,
                     "%.3f" % (theirs["metrics"][metric] or 0),
                     "%.3f" % (ours["metrics"][metric] or 0)))
    print_table(["task", "validation images", "metric", "heads on random "
                 "features", "joint training"], rows)
    rounds = [e for e in log_of(joint) if e["type"] == "round"]
    seconds = sum(e["seconds"] for e in rounds)
    print("%d rounds, %.1f minutes, %.1f images/s, %.1f %% of the time waiting "
          "for data, peak %d MB" % (
              len(rounds), seconds / 60,
              sum(e["images_per_second"] * e["seconds"] for e in rounds) /
              seconds, 100 * sum(e["loader_wait"] for e in rounds) / seconds,
              max(e["rss"] for e in rounds) / 2**20))


def tasks_of(evaluation):
    return evaluation.get("tasks", evaluation)


main()
