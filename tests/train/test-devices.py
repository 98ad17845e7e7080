#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Ten rounds of three tasks (classification, segmentation, detection) on two
# devices, from the same weights and images: a table of the losses, which must
# agree. Then what else a run does on a device: it is stopped and resumed, with
# a moving average and random parts; the model file is evaluated and embedded on
# both devices, with the same numbers; a head is added to it.
#
# test-devices.py UMEDPT-TRAIN [DEVICE DEVICE] [--tolerance X] [--precision P]
#                 [--rounds N] [--curve]
#
# The devices are cpu and cuda by default, the tolerance 1e-3, relative, the
# precision f32; --curve leaves it at the losses. UMEDPT_BACKEND_PATH says where
# the module for cuda is, so that the same script runs on a GPU and on what
# stands in for one. Standard library only.
import argparse
import array
import json
import math
import os
import subprocess
import sys
import tempfile

import synthetic

parser = argparse.ArgumentParser()
parser.add_argument("train")
parser.add_argument("devices", nargs="*", default=["cpu", "cuda"])
parser.add_argument("--tolerance", type=float, default=1e-3)
parser.add_argument("--precision", default="f32")
parser.add_argument("--rounds", type=int, default=10)
parser.add_argument("--curve", action="store_true")
options = parser.parse_args()

TRAIN, DEVICES = options.train, options.devices
TOLERANCE, PRECISION = options.tolerance, options.precision
ROUNDS, N = options.rounds, 4
KINDS = ["classification", "segmentation", "detection"]
CURVE = f"""[train]
epochs={ROUNDS}
precision={PRECISION}
micro-batch=0
dropout=false
validate-every=0
[optimizer]
lr=1e-4
"""
ALL = f"""[train]
epochs=2
precision={PRECISION}
micro-batch=0
average=0.9
checkpoint-activations=true
[optimizer]
kind=sgd
lr=1e-3
"""
problems = []


def run(*args, status=0):
    done = subprocess.run([TRAIN, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != status:
        sys.exit(f"umedpt-train {' '.join(args)}: status {done.returncode}\n"
                 f"{done.stdout}{done.stderr}")
    return done.stdout


def log(out, kind):
    with open(os.path.join(out, "log.jsonl")) as file:
        return [e for e in map(json.loads, file) if e["type"] == kind]


def on(device):
    return ["--set", f"train.device={device}"]


def difference(a, b):
    """Relative; of everything in two values of JSON."""
    if isinstance(a, dict):
        assert set(a) == set(b), (a, b)
        return max([0] + [difference(a[k], b[k]) for k in a])
    if isinstance(a, list):
        assert len(a) == len(b), (a, b)
        return max([0] + [difference(x, y) for x, y in zip(a, b)])
    if not isinstance(a, float) or not isinstance(b, float):
        return 0 if a == b or isinstance(a, (int, float)) and isinstance(
            b, (int, float)) and abs(a - b) < 1e-6 else math.inf
    return abs(a - b) / max(abs(a), abs(b), 1e-3)


def check(what, found, limit=TOLERANCE):
    good = found <= limit
    print(f"{what}: {found:.2g}{'' if good else f' is more than {limit:g}'}")
    if not good:
        problems.append(what)


def compare_curves(folder):
    """Both runs begin with the model that the first device has made."""
    path = synthetic.config(folder, KINDS, CURVE, n=N, keys=f"batch={N}\n")
    histories = []
    for device in DEVICES:
        out = os.path.join(folder, "curve-" + device)
        run("run", path, "-o", out, "-q", "-p", "0", *on(device))
        start = log(out, "start")[0]
        print(f"{device}: {start['device']}, {start['hardware']}, "
              f"{start['precision']}")
        assert device.startswith(start["device"]), start
        histories.append([e["losses"] for e in log(out, "round")])
    print("round" + "".join(f"{kind:>24}" for kind in KINDS))
    print(" " * 5 + "".join(f"{d:>12}" for d in DEVICES) * len(KINDS))
    for i, (a, b) in enumerate(zip(*histories), 1):
        print(f"{i:5}" + "".join(
            f"{a[kind]:12.6f}{b[kind]:12.6f}" for kind in KINDS))
    assert len(histories[0]) == len(histories[1]) == ROUNDS
    check("largest relative difference of a loss", difference(*histories))


def compare_models(folder):
    """A run of all kinds on the second device, stopped and resumed; its model
    on both."""
    kinds = list(synthetic.MAKERS)
    path = synthetic.config(folder, kinds, ALL, keys="batch=4\n",
                            name="all.ini")
    whole, parts = (os.path.join(folder, x) for x in ("whole", "parts"))
    run("run", path, "-o", whole, "-q", "-p", "1", *on(DEVICES[1]))
    run("run", path, "-o", parts, "-q", "-p", "0", "--set", "train.epochs=1",
        *on(DEVICES[1]))
    config = os.path.join(parts, "config.ini")
    with open(config) as file:
        text = file.read()
    with open(config, "w") as file:
        file.write(text.replace("epochs=1", "epochs=2"))
    os.remove(os.path.join(parts, "model.safetensors"))
    run("resume", parts, "-q", "-p", "0")
    models = [os.path.join(x, "model.safetensors") for x in (whole, parts)]
    with open(models[0], "rb") as a, open(models[1], "rb") as b:
        check("differs when stopped and resumed", int(a.read() != b.read()), 0)
    results = [json.loads(run("eval", models[0], path, "--json", "-d", device,
                              "--precision", PRECISION)) for device in DEVICES]
    losses = [{k: t["loss"] for k, t in r["tasks"].items()} for r in results]
    check("evaluation of the trained model", difference(*losses))
    vectors = []
    for device in DEVICES:
        out = os.path.join(folder, f"vectors-{device}.npy")
        run("embed", models[0], path, "-t", "classification", "-o", out, "-d",
            device, "--precision", PRECISION)
        vectors.append(read_npy(out))
    scale = max(map(abs, vectors[0]))
    check("image vectors", max(abs(a - b) for a, b in zip(*vectors)) / scale)
    adapt(folder, models[0])


def adapt(folder, model):
    """The old tasks stay as they are."""
    new = synthetic.config(folder, ["multilabel"], "[train]\nepochs=1\n"
                           f"precision={PRECISION}\n", name="new.ini")
    with open(new) as file:
        text = file.read().replace("[task multilabel]", "[task again]")
    with open(new, "w") as file:
        file.write(text)
    out = os.path.join(folder, "adapted")
    run("adapt", model, new, "-o", out, "-q", *on(DEVICES[1]))
    text = run("eval", os.path.join(out, "model.safetensors"), new, "--json",
               "-d", DEVICES[1])
    assert json.loads(text)["tasks"]["again"]["loss"] > 0


def read_npy(path):
    """The values of a version 1 file of little-endian f32."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:6] == b"\x93NUMPY" and b"<f4" in data[:128]
    values = array.array("f")
    values.frombytes(data[10 + int.from_bytes(data[8:10], "little"):])
    return values


with tempfile.TemporaryDirectory() as directory:
    compare_curves(directory)
    if not options.curve:
        compare_models(directory)
sys.exit(f"Too different: {', '.join(problems)}" if problems else 0)
