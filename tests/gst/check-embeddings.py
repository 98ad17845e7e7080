#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The whole way from a slide to features against other people's software: tiles
# read by openslide-python at a level's own scale, embedded by torchvision's
# swin_v2_t and the squeezer's formula in PyTorch, with the weights of our model
# file, compared with the file that the pipeline writes. The weights are spread
# out (tests/reference/formula.py): with initial values all tiles look alike,
# and nothing could be told apart.
#
# check-embeddings.py BUILD: skipped without torch, torchvision or openslide.
# Passes if every tile's cosine is above 0.9999 in f32 and above 0.999 in bf16,
# and every tile is nearest to itself. Prints TAP.
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from launch_lines import HERE, Build, house

try:
    import h5py
    import numpy as np
    import openslide
    import torch
    import torchvision
    torchvision.models.swin_v2_t
except (ImportError, AttributeError) as problem:
    print(f"1..0 # SKIP {problem} (Debian: python3-torchvision, "
          "python3-openslide, python3-h5py)")
    sys.exit(0)

REFERENCE = HERE.parent / "reference"
sys.path.insert(0, str(REFERENCE))
import formula  # noqa: E402
import safetensors_io  # noqa: E402

_spec = importlib.util.spec_from_file_location(
    "compare_full", REFERENCE / "compare-full.py")
compare_full = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(compare_full)

LIMITS = {"f32": 0.9999, "bf16": 0.999}
TILE = 256


def spread_model(build):
    """A tiny model with spread weights; its path, and its tensors."""
    path = build.model("init.safetensors", "--arch", "swinv2-tiny")
    tensors, metadata = safetensors_io.load(path)
    tensors = {name: formula.parameter(name, value.shape)
               for name, value in tensors.items()}
    path = build.shared / "tiny.safetensors"
    safetensors_io.save(path, tensors, metadata)
    return path, tensors


def read_tile(slide, x, y, level):
    """RGB, uint8 [1, height, width, 3]; white where the slide ends."""
    tile = slide.read_region((x, y), level, (TILE, TILE))
    pixels = np.asarray(tile).astype(np.float64)
    alpha = pixels[..., 3:] / 255
    mixed = np.rint(pixels[..., :3] * alpha + 255 * (1 - alpha))
    return mixed.astype(np.uint8)[None]


def cosines(a, b):
    """All pairs, [rows of a, rows of b]."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    return a @ b.T


def compare(features, expected, limit):
    pairs = cosines(features, expected)
    own = np.diag(pairs)
    others = pairs - 2 * np.eye(len(pairs))
    print(f"# cosine of a tile with itself at least {own.min():.7f}, with "
          f"another at most {others.max():.4f}")
    if own.min() <= limit:
        yield f"cosine {own.min():.7f} of tile {own.argmin()}; > {limit} wanted"
    if (others.max(axis=1) >= own).any():
        yield f"tile {(own - others.max(axis=1)).argmin()} is like another one"


def check_slide(build, name, location, level, region, model, encoder, tensors):
    slide = openslide.OpenSlide(str(location))
    expected, places = None, None
    for precision, limit in LIMITS.items():
        path = build.shared / f"{name}-{precision}.h5"
        done = build.launch(
            f"-e umedptslidesrc location={location} level={level} "
            f"tile-size={TILE} region={region} tissue=none ! queue ! "
            f"umedptembed model-file={model} batch-size=4 "
            f"precision={precision} ! umedptslidesink features-location={path}")
        assert "WARNING" not in done.output, done.output
        with h5py.File(path, "r") as file:
            features, coords = file["features"][:], file["coords"][:].tolist()
        if expected is None:
            places = coords
            expected = np.concatenate([
                compare_full.reference(encoder, tensors,
                                       read_tile(slide, x, y, level))["z"]
                for x, y in coords])
        assert coords == places and len(coords) > 3
        house.case(f"{name}: {len(coords)} tiles of level {level}, {precision}",
                   compare(features, expected, limit))


def main():
    torch.set_grad_enabled(False)
    data = os.environ.get("UMEDPT_TEST_DATA")
    with tempfile.TemporaryDirectory() as shared:
        build = Build(sys.argv[1], shared)
        build.check()
        model, tensors = spread_model(build)
        encoder, _ = compare_full.make_torch("swinv2-tiny", tensors)
        # halves exactly, so that OpenSlide does not resample
        location = build.slide("synthetic.tiff", 4096, 3072, 0.25)
        for level, region in ((0, "1500,1200,1024,512"),
                              (1, "2560,2048,1536,1024")):
            check_slide(build, f"synthetic-{level}", location, level, region,
                        model, encoder, tensors)
        location = Path(data or "", "slides", "cmu-1-small-region.svs")
        if data and location.exists():
            # over the corner
            check_slide(build, "cmu-1", location, 0, "1500,2400,720,567",
                        model, encoder, tensors)
        else:
            house.skip("cmu-1", "UMEDPT_TEST_DATA has no such slide")
    house.done()


if __name__ == "__main__":
    main()
