#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Training by several processes (mpirun on this machine) against training by
# one: the same losses, validations and weights up to the order of sums; a run
# of two goes on as one and the other way round; a process that fails ends all.
# That shared blocks have the same bits on all ranks the trainer itself checks
# before each checkpoint.
#
# test-ranks.py UMEDPT-TRAIN FOLDER-OF-libumedpt-mpi.so
# Exit status 77 (skipped) without mpirun or the module. Standard library only.
import os
import tempfile

from ranks import compare, log, resume, run
import synthetic

KINDS = ["classification", "segmentation", "detection"]
SETTINGS = """[train]
epochs=2
precision=f32
device=cpu
average=0.9
[optimizer]
lr=1e-3
"""
# Adam's first steps turn the rounding of a gradient near 0 into a whole step.
OPTIMIZERS = {"sgd": 1e-5, "adamw": 1e-3}


def fails(folder, path):
    """An image that one process cannot read."""
    image = os.path.join(folder, "segmentation", "images", "000.png")
    for name in sorted(os.listdir(os.path.dirname(image))):
        with open(os.path.join(os.path.dirname(image), name), "r+b") as file:
            file.truncate(60)
    text = run(2, "run", path, "-o", os.path.join(folder, "bad"), status=1)
    said = [line for line in text.splitlines() if "umedpt-train" in line and
            ".png" in line]
    print("\n".join(said))
    assert len(said) == 1, text


def compare_all(folder, path, kind):
    """The whole run by 1, 2 and 3; then halves by 2 and 1."""
    change = ["--set", f"optimizer.kind={kind}"]
    outs = {n: os.path.join(folder, f"{kind}-{n}") for n in (1, 2, 3)}
    for n, out in outs.items():
        run(n, "run", path, "-o", out, *change)
    assert len(log(outs[1], "round")) >= 4
    assert log(outs[2], "start")[0]["processes"] == 2
    for n in (2, 3):
        compare(f"{kind}, {n} processes", outs[1], outs[n], OPTIMIZERS[kind])
    for before, after in ((2, 1), (1, 2)):
        out = os.path.join(folder, f"{kind}-{before}-{after}")
        run(before, "run", path, "-o", out, "--set", "train.epochs=1", *change)
        resume(out, after)
        compare(f"{kind}, {before} processes, then {after}", outs[1], out,
                OPTIMIZERS[kind])


with tempfile.TemporaryDirectory() as directory:
    config_path = synthetic.config(directory, KINDS, SETTINGS, n=12,
                                   keys="batch=4\n")
    for optimizer in OPTIMIZERS:
        compare_all(directory, config_path, optimizer)
    fails(directory, config_path)
