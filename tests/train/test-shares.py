#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# More processes than tasks: several share a task, each with a part of every
# batch. For each kind of task whose loss is a sum over images, losses, weights
# and averages are those of one process up to the order of sums, whatever the
# sampler; also where a part of a batch is empty, or nothing in it counts. Twice
# the same number of processes gives the same bits. A run goes on with another
# number. Segmentation and cases keep one owner, and too many processes are an
# error.
#
# test-shares.py UMEDPT-TRAIN FOLDER-OF-libumedpt-mpi.so
# Exit status 77 (skipped) without mpirun or the module. Standard library only.
import os
import re
import tempfile

from ranks import compare, log, model, resume, run
import synthetic

# 9 images to train with: batches of 4, 4 and 1
SETTINGS = """[train]
epochs=2
precision=f32
device=cpu
average=0.9
[optimizer]
kind=sgd
lr=1e-2
clip=0.1
"""
LIMIT = 1e-5


def make(folder, name, kinds, keys="batch=4\n"):
    path = os.path.join(folder, name)
    os.makedirs(path)
    return synthetic.config(path, kinds, SETTINGS, n=12, keys=keys)


def forget(folder):
    """Of a third of the images nothing is known, of a third not all."""
    path = os.path.join(folder, "multilabel", "labels.csv")
    with open(path) as file:
        lines = file.read().split("\n")
    for i, line in enumerate(lines[1:], 1):
        known = re.sub(r"[01]$" if i % 3 else r"[01]", "", line.split(",", 2)[-1])
        if line and i % 3 != 2:
            lines[i] = ",".join(line.split(",", 2)[:2]) + "," + known
    with open(path, "w") as file:
        file.write("\n".join(lines))


def owners(out):
    return {t["name"]: t.get("processes", 1)
            for t in log(out, "start")[0]["tasks"]}


def check(folder, name, path, numbers, expected, *change):
    """@expected: owners per task of the last of @numbers."""
    one = os.path.join(folder, name + "-1")
    run(1, "run", path, "-o", one, *change)
    for n in numbers:
        out = os.path.join(folder, f"{name}-{n}")
        run(n, "run", path, "-o", out, *change)
        compare(f"{name}, {n} processes", one, out, LIMIT)
    assert owners(out) == expected, owners(out)
    return one, out


def check_kinds(folder):
    path = make(folder, "a", ["classification", "detection"])
    _, out = check(folder, "a", path, [3, 4],
                   {"classification": 2, "detection": 2})
    again = os.path.join(folder, "a-again")
    run(4, "run", path, "-o", again)
    assert model(out) == model(again), "4 processes, other bits"
    assert [e["losses"] for e in log(out, "round")] == [
        e["losses"] for e in log(again, "round")]
    path = make(folder, "b", ["regression", "multilabel"])
    forget(os.path.join(folder, "b"))
    check(folder, "b", path, [8], {"regression": 4, "multilabel": 4})
    message = run(9, "run", path, "-o", os.path.join(folder, "b-9"), status=1)
    assert message.count("9 processes cannot share 2 tasks: start at most 8"
                         ) == 1, message
    assert not os.path.exists(os.path.join(folder, "b-9")), "a folder is left"


def check_samplers(folder):
    """Rounds that see a task several times: its head steps in between."""
    path = make(folder, "c", {"classification": 40, "regression": 12})
    for sampler in ("concat", "balanced"):
        check(folder, f"c-{sampler}", path, [4],
              {"classification": 3, "regression": 1}, "--set",
              f"train.sampler={sampler}", "--set", "train.round-tasks=3")
    check(folder, "c-whole", path, [3], {"classification": 2, "regression": 1},
          "--set", "train.micro-batch=0", "--set", "train.dropout=false",
          "--set", "optimizer.kind=adamw", "--set", "optimizer.epsilon=1e-3")


def check_one_owner(folder):
    path = make(folder, "d", ["segmentation", "cases"])
    message = run(3, "run", path, "-o", os.path.join(folder, "d-3"), status=1)
    assert message.count("3 processes cannot share 2 tasks: start at most 2"
                         ) == 1, message
    path = make(folder, "e", ["segmentation", "cases", "regression"])
    check(folder, "e", path, [5],
          {"segmentation": 1, "cases": 1, "regression": 3})


def check_resume(folder):
    path = make(folder, "f", ["classification", "detection"])
    one, out = (os.path.join(folder, f"f-{n}") for n in (1, "several"))
    run(1, "run", path, "-o", one, "--set", "train.epochs=3")
    run(4, "run", path, "-o", out, "--set", "train.epochs=1")
    resume(out, 1)
    resume(out, 2, "epochs=2", "epochs=3")
    compare("4 processes, then 1, then 2", one, out, LIMIT)
    out = os.path.join(folder, "f-more")
    run(1, "run", path, "-o", out, "--set", "train.epochs=1")
    resume(out, 5, "epochs=1", "epochs=3")
    compare("1 process, then 5", one, out, LIMIT)


def check_failure(folder):
    """What one owner cannot read ends all, with one message."""
    path = make(folder, "g", ["classification", "regression"])
    images = os.path.join(folder, "g", "regression", "images")
    for name in os.listdir(images):
        with open(os.path.join(images, name), "r+b") as file:
            file.truncate(60)
    text = run(4, "run", path, "-o", os.path.join(folder, "g-4"), status=1)
    said = [x for x in text.splitlines() if "umedpt-train" in x and ".png" in x]
    print("\n".join(said))
    assert len(said) == 1 and said[0].count("Process 1 of 4: ") == 1, text


with tempfile.TemporaryDirectory() as directory:
    check_kinds(directory)
    check_samplers(directory)
    check_one_owner(directory)
    check_resume(directory)
    check_failure(directory)
