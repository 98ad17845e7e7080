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
# Passes if every tile's cosine is above 0.9999 in f32 and above 0.999 in bf16.
# Prints TAP.
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from launch_lines import HERE, Build, house, truth

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
    a = a / np.linalg.norm(a, axis=1, keepdims=True)
    b = b / np.linalg.norm(b, axis=1, keepdims=True)
    return a @ b.T


def compare(features, expected, precision):
    """Problems. What all tiles have in common hides what they have not, so
    in f32 the cosines without their mean must be as good."""
    a, b = features.astype(np.float64), expected.astype(np.float64)
    own = np.diag(cosines(a, b))
    pairs = cosines(a - b.mean(axis=0), b - b.mean(axis=0))
    apart = np.diag(pairs)
    others = (pairs - 3 * np.eye(len(pairs))).max()
    print(f"# cosine {own.min():.7f} at least; without the mean {apart.min():.5f} "
          f"at least, with another tile {others:.3f} at most")
    limit = LIMITS[precision]
    if own.min() <= limit:
        yield f"cosine {own.min():.7f} of tile {own.argmin()}; > {limit} wanted"
    if precision == "f32" and apart.min() <= limit:
        yield f"cosine {apart.min():.7f} of tile {apart.argmin()} without the " \
            f"mean; > {limit} wanted"
    if precision == "f32" and others > 0.99:
        yield "two tiles are alike, so that this test says too little"


def check_slide(build, name, location, level, region, model, encoder, tensors):
    slide = openslide.OpenSlide(str(location))
    expected, places = None, None
    for precision in LIMITS:
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
                   compare(features, expected, precision))


def main():
    torch.set_grad_enabled(False)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    data = os.environ.get("UMEDPT_TEST_DATA")
    with tempfile.TemporaryDirectory() as shared:
        build = Build(sys.argv[1], shared)
        build.check()
        model, tensors = spread_model(build)
        encoder, _ = compare_full.make_torch("swinv2-tiny", tensors)
        # halves exactly, so that OpenSlide does not resample
        location = build.slide("synthetic.tiff", 4096, 3072, 0.25)
        x, y = (int(v) // 2 * 2 for v in truth(location)["tissue"][0]["centre"])
        for level, half in ((0, TILE), (1, 2 * TILE)):
            region = f"{x - half},{y - half},{2 * half},{2 * half}"
            check_slide(build, f"synthetic-{level}", location, level, region,
                        model, encoder, tensors)
        location = Path(data or "", "slides", "cmu-1-small-region.svs")
        if data and location.exists():
            # over the corner
            check_slide(build, "cmu-1", location, 0, "1750,2600,470,367",
                        model, encoder, tensors)
        else:
            house.skip("cmu-1", "UMEDPT_TEST_DATA has no such slide")
    house.done()


if __name__ == "__main__":
    main()
