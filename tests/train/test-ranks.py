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
import array
import json
import os
import shutil
import subprocess
import sys
import tempfile

import synthetic

TRAIN, MODULE = sys.argv[1], sys.argv[2]
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
if not shutil.which("mpirun"):
    print("skipped: there is no mpirun (openmpi-bin)")
    sys.exit(77)
if not os.path.exists(os.path.join(MODULE, "libumedpt-mpi.so")):
    print("skipped: the MPI module was not built")
    sys.exit(77)


# Open MPI keeps what its threads have made when a process ends, and unloads the
# code that made it: no suppression could name it.
SANITIZER = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"),
                                   "detect_leaks=0"]))


def run(n, *args, status=0):
    """By @n processes; returns standard error."""
    command = [TRAIN, *args, "-q", "-p", "0"]
    if n > 1:
        command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n",
                   str(n), "--mca", "btl", "self,tcp", *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE, timeout=100, env=dict(
                              os.environ, UMEDPT_THREADS="1", ASAN_OPTIONS=SANITIZER,
                              OMPI_MCA_rmaps_base_oversubscribe="1",
                              UMEDPT_BACKEND_PATH=MODULE))
    if (done.returncode != 0) != (status != 0):
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n"
                 f"{done.stdout}{done.stderr}")
    return done.stderr


def log(out, kind):
    with open(os.path.join(out, "log.jsonl")) as file:
        return [e for e in map(json.loads, file) if e["type"] == kind]


def weights(out):
    with open(os.path.join(out, "model.safetensors"), "rb") as file:
        data = file.read()
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        first, last = entry["data_offsets"]
        tensors[name] = array.array("f", data[8 + size + first:8 + size + last])
    return tensors


def close(what, a, b, limit):
    found = max(abs(x - y) / max(abs(x), abs(y), 1) for x, y in zip(a, b))
    print(f"{what}: {found:.2g}")
    assert len(a) == len(b) and found <= limit, (what, found)


def compare(what, one, many, limit):
    rounds = [log(out, "round") for out in (one, many)]
    assert [list(e["losses"]) for e in rounds[0]] == [
        list(e["losses"]) for e in rounds[1]], what
    assert [{k: list(p) for k, p in e["parts"].items()} for e in rounds[0]] == [
        {k: list(p) for k, p in e["parts"].items()} for e in rounds[1]], what
    close(what + ", losses", *[[x for e in r for x in e["losses"].values()]
                               for r in rounds], limit)
    close(what + ", validations", *[
        [t["loss"] for e in log(out, "validation")
         for t in e["tasks"].values()] for out in (one, many)], limit)
    a, b = weights(one), weights(many)
    assert list(a) == list(b)
    close(what + ", weights", [x for t in a.values() for x in t],
          [x for t in b.values() for x in t], limit)


def resume(out, n):
    config = os.path.join(out, "config.ini")
    with open(config) as file:
        text = file.read()
    with open(config, "w") as file:
        file.write(text.replace("epochs=1", "epochs=2"))
    os.remove(os.path.join(out, "model.safetensors"))
    run(n, "resume", out)


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
    message = run(4, "run", config_path, "-o", os.path.join(directory, "many"),
                  status=1)
    assert message.count("4 processes cannot share 3 tasks") == 1, message
    fails(directory, config_path)
