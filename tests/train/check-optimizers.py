#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# 20 steps of AdamW and SGD against torch.optim, with and without clipping by
# torch.nn.utils.clip_grad_norm_, on several parameters of which one has no
# gradient now and then. torch computes in double: its AdamW in single precision
# is off by more than ours. Exit code 77 without torch.
#
# check-optimizers.py RUN-OPTIMIZER FOLDER-OF-safetensors_io.py
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
except ImportError:
    print("skipped: torch is not installed (Debian: python3-torch)")
    sys.exit(77)
sys.path.insert(0, sys.argv[2])
import safetensors_io  # noqa: E402

STEPS = 20
SHAPES = [(7, 5), (33,), (2, 3, 4, 5), (1,)]


def run(settings, parameters, gradients):
    with tempfile.TemporaryDirectory() as folder:
        source, result = os.path.join(folder, "in"), os.path.join(folder, "out")
        tensors = {f"p{i}": p for i, p in enumerate(parameters)}
        for step, row in enumerate(gradients):
            for i, gradient in enumerate(row):
                if gradient is not None:
                    tensors[f"g{step + 1}.{i}"] = gradient
        metadata = {key: repr(value) for key, value in settings.items()}
        metadata.update(n=str(len(parameters)), steps=str(STEPS))
        safetensors_io.save(source, tensors, metadata)
        subprocess.run([sys.argv[1], source, result], check=True)
        found, _ = safetensors_io.load(result)
    return [found[f"p{i}"] for i in range(len(parameters))]


def expected(settings, parameters, gradients):
    tensors = [torch.tensor(np.float64(p), requires_grad=True) for p in parameters]
    if settings.get("sgd"):
        optimizer = torch.optim.SGD(
            tensors,
            lr=settings["lr"],
            momentum=settings["momentum"],
            weight_decay=settings["weight_decay"],
            nesterov=bool(settings["nesterov"]),
        )
    else:
        optimizer = torch.optim.AdamW(
            tensors,
            lr=settings["lr"],
            betas=(settings["beta1"], settings["beta2"]),
            eps=settings["epsilon"],
            weight_decay=settings["weight_decay"],
        )
    for row in gradients:
        for tensor, gradient in zip(tensors, row):
            tensor.grad = None if gradient is None else torch.tensor(np.float64(gradient))
        if settings.get("clip"):
            torch.nn.utils.clip_grad_norm_(tensors, settings["clip"])
        optimizer.step()
    return [tensor.detach().numpy() for tensor in tensors]


def main():
    random = np.random.default_rng(3)
    parameters = [random.normal(size=s).astype(np.float32) for s in SHAPES]
    gradients = []
    for step in range(STEPS):
        row = [random.normal(size=s).astype(np.float32) for s in SHAPES]
        if step % 3 == 0:
            row[2] = None
        gradients.append(row)
    adamw = {"lr": 1e-2, "weight_decay": 0.05, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    sgd = {"sgd": 1, "lr": 1e-2, "weight_decay": 0.01, "momentum": 0.8, "nesterov": 1}
    cases = {
        "adamw": adamw,
        "adamw, clipped": {**adamw, "clip": 1.0},
        "adamw, not clipped": {**adamw, "clip": 1e3},
        "sgd": {**sgd, "momentum": 0.0, "nesterov": 0},
        "sgd with momentum": {**sgd, "nesterov": 0},
        "sgd of Nesterov": sgd,
        "sgd of Nesterov, clipped": {**sgd, "clip": 1.0},
    }
    worst = 0.0
    for name, settings in cases.items():
        ours = run(settings, parameters, gradients)
        theirs = expected(settings, parameters, gradients)
        error = max(np.abs(a - b).max() for a, b in zip(ours, theirs))
        moved = max(np.abs(a - b).max() for a, b in zip(ours, parameters))
        print(f"{name}: moved by {moved:.3g}, differs by {error:.3g}")
        assert moved > 1e-2
        worst = max(worst, error)
    return 0 if worst <= 1e-6 else 1


sys.exit(main())
