#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Ten rounds of three tasks (classification, segmentation, detection) by
# umedpt-train and by PyTorch, with the same weights, images and AdamW: each
# task's loss of each round must agree to 1e-3, and the trained weights by their
# changes. In PyTorch everything is written out: heads step at once, shared
# blocks once per round with the sum of the gradients, clipped. Exit code 77
# without torch.
#
# check-trajectory.py UMEDPT-TRAIN FOLDER-OF-torch_umedpt.py [ARCH]
import json
import math
import os
import random
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    sys.path.insert(0, sys.argv[2])
    import torch_umedpt
    torch_umedpt.tv.PatchMergingV2
except (ImportError, AttributeError) as problem:
    print(f"skipped: torch and torchvision >= 0.14 are needed: {problem}")
    sys.exit(77)

import safetensors_io  # noqa: E402
import synthetic  # noqa: E402
import torch_losses  # noqa: E402

TRAIN = sys.argv[1]
ARCH = sys.argv[3] if len(sys.argv) > 3 else "swinv2-nano"
ROUNDS, SIZE, N = 10, 64, 4
KINDS = ["classification", "segmentation", "detection"]
LR, DECAY, CLIP = 1e-4, 0.05, 1.0
CONFIG = f"""[train]
epochs={ROUNDS}
precision=f32
dropout=false
validate-every=0
[optimizer]
lr={LR}
weight-decay={DECAY}
decay-all=true
clip={CLIP}
"""


def scenes(kind):
    """The images of synthetic.py once more, from the same seeds."""
    rng = random.Random(f"1/{kind}")
    shapes = synthetic.SHAPES
    for i in range(N):
        if kind == "classification":
            yield synthetic.Scene(rng, [shapes[i % 3]])
        elif kind == "segmentation":
            yield synthetic.Scene(rng, [shapes[i % 3], shapes[(i + 1) % 3]])
        else:
            yield synthetic.Scene(rng, [shapes[i % 3], shapes[(i + 2) % 3]], side=24)


def images_of(kind):
    pixels = np.stack([np.frombuffer(s.pixels, np.uint8).reshape(SIZE, SIZE, 3)
                       for s in scenes(kind)])
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).permute(0, 3, 1, 2)


def classification_loss():
    labels = sorted(synthetic.SHAPES)
    y = torch.tensor([labels.index(synthetic.SHAPES[i % 3]) for i in range(N)])
    return lambda out: F.cross_entropy(out[0], y) / math.log(len(labels))


def segmentation_loss():
    k = len(synthetic.SHAPES) + 1
    masks = np.stack([np.frombuffer(bytes(s.mask), np.uint8).reshape(SIZE, SIZE)
                      for s in scenes("segmentation")])
    labels = torch.from_numpy(masks[:, ::2, ::2].astype(np.int64)).reshape(-1)
    y = torch.stack([labels == c for c in range(k)], 1).double()
    keep = torch.ones_like(y, dtype=torch.bool)
    return lambda out: sum(torch_losses.dice_and_focal(
        out[0].reshape(-1, k).double(), y, keep, False))


def detection_loss():
    k = len(synthetic.SHAPES)
    boxes = [np.array([[*box, synthetic.SHAPES.index(shape)] for shape, box in s.objects],
                      np.float64) for s in scenes("detection")]
    classes, targets = [], []
    for level, size in enumerate(torch_losses.sizes_of(SIZE, SIZE)):
        each = [torch_losses.assign(b, size, level) for b in boxes]
        classes.append(np.concatenate([e[0] for e in each]))
        targets.append(np.concatenate([e[1] for e in each]))
    on = np.concatenate(classes) >= 0
    total = float(torch_losses.centerness(torch.tensor(np.concatenate(targets)[on])).sum())
    formula = torch_losses.detection_formula(k, classes, targets, (on.sum(), total))

    def loss(out):
        named = {}
        for level in range(torch_losses.LEVELS):
            for i, part in enumerate(("classes", "boxes", "centerness")):
                named[f"{part}{level}"] = out[3 * level + i].double()
        return sum(formula(named))
    return loss


def parameters(model):
    found = {torch_umedpt.PREFIX + name: value
             for name, value in model.encoder.named_parameters()
             if not name.startswith("head.")}
    found.update(model.p)
    return found


def reference(description, tensors):
    """Losses by round and task, and the parameters at the end."""
    model = torch_umedpt.Model(description, tensors)
    everything = parameters(model)
    groups = {"shared": [p for n, p in everything.items() if not n.startswith("tasks.")]}
    for kind in KINDS:
        groups[kind] = [p for n, p in everything.items() if n.startswith(f"tasks.{kind}.")]
    optimizers = {name: torch.optim.AdamW(group, lr=LR, weight_decay=DECAY)
                  for name, group in groups.items()}
    images = {kind: images_of(kind) for kind in KINDS}
    losses = {"classification": classification_loss(), "segmentation": segmentation_loss(),
              "detection": detection_loss()}

    def step(name):
        torch.nn.utils.clip_grad_norm_(groups[name], CLIP)
        optimizers[name].step()
        optimizers[name].zero_grad(set_to_none=True)

    history = []
    for _ in range(ROUNDS):
        row = {}
        for kind in KINDS:
            loss = losses[kind](model.forward(images[kind], None)[kind])
            loss.backward()
            row[kind] = loss.item()
            step(kind)
        step("shared")
        history.append(row)
    return history, {n: p.detach().numpy() for n, p in everything.items()}


def configure(folder, name, model):
    return synthetic.config(folder, KINDS, CONFIG, n=N, model=f"[model]\n{model}\nsize={SIZE}",
                            keys=f"batch={N}\n", name=name)


def make_start(folder):
    """Initial values: a round without a learning rate leaves them."""
    out = os.path.join(folder, "first")
    subprocess.run([TRAIN, "run", configure(folder, "first.ini", f"arch={ARCH}"), "-o", out,
                    "-q", "--set", "optimizer.lr=0", "--set", "train.rounds=1"], check=True)
    return os.path.join(out, "model.safetensors")


def train(folder):
    """Initial model, losses by round and task, trained model."""
    start, second = make_start(folder), os.path.join(folder, "second")
    path = configure(folder, "second.ini", f"start={start}")
    subprocess.run([TRAIN, "run", path, "-o", second, "-q"], check=True)
    with open(os.path.join(second, "log.jsonl")) as file:
        events = [json.loads(line) for line in file]
    history = [e["losses"] for e in events if e["type"] == "round"]
    return (safetensors_io.load(start), history,
            safetensors_io.load(os.path.join(second, "model.safetensors"))[0])


def compare(history, expected):
    worst = 0
    for i, (ours, theirs) in enumerate(zip(history, expected), 1):
        print(f"round {i:2}: " + "  ".join(
            f"{kind} {ours[kind]:.6f} {theirs[kind]:.6f}" for kind in KINDS))
        worst = max([worst] + [abs(ours[k] - theirs[k]) / abs(theirs[k]) for k in KINDS])
    print(f"largest relative difference of a loss: {worst:.2g}")
    return worst < 1e-3 and len(history) == ROUNDS


def compare_changes(start, ours, theirs):
    """AdamW divides by the gradient's size: where a gradient is 0 but for
    rounding its step is noise, so changes are compared as a whole."""
    a = np.concatenate([(ours[n].reshape(start[n].shape) - start[n]).ravel() for n in theirs])
    b = np.concatenate([(theirs[n].reshape(start[n].shape) - start[n]).ravel()
                        for n in theirs])
    cosine = float(np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))
    print(f"cosine of all changes of weights: {cosine:.6f}")
    return cosine > 0.99


def main():
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        (start, metadata), history, trained = train(folder)
    description = json.loads(metadata["umedpt"])
    expected, parameters_there = reference(description, start)
    good = compare(history, expected)
    return 0 if compare_changes(start, trained, parameters_there) and good else 1


sys.exit(main())
