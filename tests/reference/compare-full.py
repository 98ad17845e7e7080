#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Compares the full encoders with torchvision's swin_v2_t, _s and _b, per stage,
# at 224x224, 256x256 and 192x320, in f32 and bf16, with the same random weights:
# the library's initialised model file is spread out (as formula.py does it),
# completed by torchvision's own buffers, and read back by the library. The image
# vector is compared with PyTorch's formulas, pooled first.
#
#   compare-full.py DUMP-PYRAMID ARCH [SIZE...]     exit 77 without torch
#
# Passes if ||a - b|| / ||b|| < 1e-4 in f32, < 2e-2 and cosine > 0.999 in bf16.

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torchvision import models
    models.swin_v2_t
except (ImportError, AttributeError) as problem:
    print(f"skipped: torch and torchvision >= 0.14 are needed: {problem}")
    sys.exit(77)

import formula
import safetensors_io

PREFIX = "encoder.model.wrapped_model."
BUILDERS = {"swinv2-tiny": "swin_v2_t", "swinv2-small": "swin_v2_s", "swinv2-base": "swin_v2_b"}
LIMITS = {"f32": 1e-4, "bf16": 2e-2}


def make_model(dump, arch, path):
    """The model file, spread out; its tensors."""
    subprocess.run([dump, "init", arch, "1", path], check=True)
    tensors, metadata = safetensors_io.load(path)
    tensors = {name: formula.parameter(name, value.shape) for name, value in tensors.items()}
    return tensors, metadata


def make_torch(arch, tensors):
    model = getattr(models, BUILDERS[arch])(weights=None)
    state = model.state_dict()
    ours = {name[len(PREFIX):]: torch.from_numpy(value)
            for name, value in tensors.items() if name.startswith(PREFIX)}
    buffers = {name: value for name, value in state.items() if ".relative_" in name}
    missing = set(state) - set(ours) - set(buffers) - {"head.weight", "head.bias"}
    unknown = set(ours) - set(state)
    if missing or unknown:
        sys.exit(f"names differ: torchvision alone {sorted(missing)[:5]}, "
                 f"we alone {sorted(unknown)[:5]}")
    state.update(ours)
    model.load_state_dict(state)
    return model.eval(), {PREFIX + name: value.numpy() for name, value in buffers.items()}


def reference(model, tensors, image):
    """F1..F4 as [1, H, W, C], and z [1, D]."""
    x = torch.from_numpy(image).float().div(255).permute(0, 3, 1, 2)
    result = {}
    for i, layer in enumerate(model.features):
        x = layer(x)
        if i % 2 == 1:
            result[f"F{(i + 1) // 2}"] = x.numpy()
    pooled = F.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), 1)
    weight = torch.from_numpy(tensors["squeezer.norm.weight"])
    bias = torch.from_numpy(tensors["squeezer.norm.bias"])
    z = F.gelu(F.group_norm(pooled, 1, weight, bias, eps=1e-5))
    result["z"] = z.flatten(1).numpy()
    return result


def compare(found, expected, precision, label):
    good = True
    for key, b in expected.items():
        a = found[key].astype(np.float64)
        b = b.astype(np.float64)
        if a.shape != b.shape:
            print(f"not ok {label} {key}: shape {a.shape} instead of {b.shape}")
            return False
        error = np.linalg.norm(a - b) / np.linalg.norm(b)
        cosine = float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))
        fine = bool(error < LIMITS[precision]) and cosine > 0.999
        good = good and fine
        print(f"{'ok' if fine else 'not ok'} {label} {key}: relative error {error:.2g}, "
              f"1 - cosine {1 - cosine:.2g}")
    return good


def main():
    dump, arch = sys.argv[1:3]
    sizes = sys.argv[3:] or ["224x224", "256x256", "192x320"]
    torch.set_grad_enabled(False)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        path, source, target = (os.path.join(folder, name) for name in ("model", "in", "out"))
        tensors, metadata = make_model(dump, arch, path)
        model, buffers = make_torch(arch, tensors)
        safetensors_io.save(path, {**tensors, **buffers}, metadata)
        for i, size in enumerate(sizes):
            height, width = map(int, size.split("x"))
            image = formula.image(i, height, width)[None]
            safetensors_io.save(source, {"image": image})
            expected = reference(model, tensors, image)
            for precision in LIMITS:
                subprocess.run([dump, "run", path, precision, source, target], check=True)
                found, _ = safetensors_io.load(target)
                good = compare(found, expected, precision, f"{arch} {size} {precision}") and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
