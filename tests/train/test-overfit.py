#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A network that cannot learn eight images by heart has a mistake somewhere:
# a gradient, a loss, a label that does not follow its image. One run of four
# kinds of tasks together, measured on what it was trained on. The masks are
# learnt at twice their size, since the pixel decoder works at half of it.
# Prints TAP. Usage: test-overfit.py UMEDPT-TRAIN [PRECISION]
import json
import os
import subprocess
import sys
import tempfile

import synthetic

TRAIN = sys.argv[1]
PRECISION = sys.argv[2] if len(sys.argv) > 2 else "f32"
# task -> what must be above 0.99
GOALS = {"classification": ("f1", "accuracy"), "multilabel": ("auc", "f1"),
         "segmentation": ("dice", "iou"), "detection": ("ap50", "ap75")}
CONFIG = f"""[train]
epochs=300
precision={PRECISION}
validate-every=0
[schedule]
kind=cosine
warmup=10
[optimizer]
lr=3e-3
weight-decay=0
"""


def main():
    print(f"1..{len(GOALS)}")
    with tempfile.TemporaryDirectory() as folder:
        path = synthetic.config(folder, list(GOALS), CONFIG, n=8,
                                keys="batch=8\n")
        out = os.path.join(folder, "run")
        scaled = "task segmentation.size=128"
        subprocess.run([TRAIN, "run", path, "-o", out, "-q", "-p", "0", "--set",
                        scaled], check=True, timeout=280)
        result = json.loads(subprocess.run(
            [TRAIN, "eval", os.path.join(out, "model.safetensors"), path,
             "--split", "train", "--json", "--set", scaled], check=True,
            stdout=subprocess.PIPE, timeout=60).stdout)
    failed = 0
    for i, (task, names) in enumerate(GOALS.items(), 1):
        metrics = result["tasks"][task]["metrics"]
        ok = all(metrics[name] > 0.99 for name in names)
        failed += not ok
        print(f"{'ok' if ok else 'not ok'} {i} {task}: " + ", ".join(
            f"{name} {metrics[name]:.4f}" for name in names))
    return failed > 0


sys.exit(main())
