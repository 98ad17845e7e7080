#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The whole chain against other people's software: the features that the pipeline
# writes for a slide are compared with those of torchvision's swin_v2_t, with the
# weights of the same model file, on tiles that openslide-python reads at the file's
# coordinates. Level 0, so that no resampling takes part, with tiles that reach over
# the edge. A real slide with UMEDPT_TEST_DATA, else a synthetic one.
#
#   check-embeddings.py SOURCE_ROOT MAKE_MODEL UMEDPT_SYNTH     exit 77 without torch
#
# Passes if every tile's cosine is > 0.9999 in f32.
"""Pipeline features against PyTorch's."""

import importlib.util
import os
import subprocess
import sys
import tempfile

ROOT, MAKE_MODEL, SYNTH = sys.argv[1:4]
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "reference")]
from launch import Launcher

try:
    import h5py
    import numpy as np
    import openslide
    import torch
    from PIL import Image
    from torchvision import models
    models.swin_v2_t
except (ImportError, AttributeError) as problem:
    print(f"skipped: h5py, openslide, torch, torchvision >= 0.14: {problem}")
    sys.exit(77)

import formula
import safetensors_io

LIMIT = 0.9999


def compare_full():
    """tests/reference/compare-full.py, which knows how to fill torchvision's model."""
    path = os.path.join(ROOT, "tests", "reference", "compare-full.py")
    spec = importlib.util.spec_from_file_location("compare_full", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_model(path):
    """An initialised model file with its parameters spread out, as a trained one's are."""
    subprocess.run([MAKE_MODEL, "swinv2-tiny", "256", path], check=True)
    tensors, metadata = safetensors_io.load(path)
    tensors = {name: formula.parameter(name, value.shape) for name, value in tensors.items()}
    safetensors_io.save(path, tensors, metadata)
    return tensors


def read_tile(slide, x, y, size=256):
    """RGB, white where the slide has nothing."""
    picture = slide.read_region((int(x), int(y)), 0, (size, size))
    white = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(white, picture).convert("RGB"))[None]


def main():
    reference = compare_full()
    data = os.environ.get("UMEDPT_TEST_DATA")
    torch.set_grad_enabled(False)
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        launcher = Launcher(folder)
        slide_path = launcher.path("slide.tiff")
        region = "900,1000,1103,499"
        if data:
            slide_path = os.path.join(data, "slides", "cmu-1-small-region.svs")
            region = "1300,2200,920,767"
        else:
            subprocess.run([SYNTH, "-o", slide_path, "--width", "2003", "--height", "1499"],
                           check=True, stdout=subprocess.DEVNULL)
        tensors = make_model(launcher.path("model.safetensors"))
        launcher.run(f"gst-launch-1.0 umedptslidesrc location={slide_path} level=0 tissue=none "
                     f"region={region} ! queue ! umedptembed model-file=model.safetensors "
                     "precision=f32 batch-size=5 ! umedptslidesink features-location=f.h5")
        model, _ = reference.make_torch("swinv2-tiny", tensors)
        slide = openslide.OpenSlide(slide_path)
        worst = 1.0
        with h5py.File(launcher.path("f.h5"), "r") as file:
            coords, features = file["coords"][:], file["features"][:].astype(np.float64)
        for (x, y), found in zip(coords, features):
            wanted = reference.reference(model, tensors, read_tile(slide, x, y))["z"][0]
            wanted = wanted.astype(np.float64)
            cosine = found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted)
            worst = min(worst, cosine)
        # a comparison in which all tiles give the same would prove little
        spread = np.corrcoef(features).min()
        print(f"{len(coords)} tiles of {os.path.basename(slide_path)}: worst cosine {worst:.7f}, "
              f"least correlation between two tiles {spread:.3f}")
        sys.exit(0 if len(coords) > 5 and worst > LIMIT and spread < LIMIT else 1)


if __name__ == "__main__":
    main()
