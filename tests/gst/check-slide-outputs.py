#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# All files that umedptslidesink writes in one pass, against the truth and with
# other people's readers: a synthetic slide goes through the pipeline with its
# own nuclei in the place of a network's results (truth-slide.c), cut by the
# tiles' borders. In the end each nucleus is there once, at its place, in the
# objects, the table, the mask, its outlines, at any scale and overlap.
#
# check-slide-outputs.py BUILD. Prints TAP.
import csv
import gzip
import json
import sys
import tempfile
from pathlib import Path

from launch_lines import Build, house, truth

try:
    import h5py
    import numpy as np
    import openslide
    import tifffile
    from PIL import Image
except ImportError as problem:
    print(f"1..0 # SKIP {problem} (Debian: python3-h5py, python3-openslide, "
          "python3-tifffile)")
    sys.exit(0)

SLIDE = (6000, 4500, 0.25)
CLASSES = ["a", "b", "c"]
WRONG = 0.01  # the share of nuclei that may be missing or counted twice
# source, pixels of a tile, of its mask, overlap, downsample, bounds, region,
# number of a bad tile
CASES = {
    "with overlap": dict(source="mpp=0.5 tile-size=256 overlap=64",
                         tile=256, mask=128, overlap=64, scale=2.0),
    "without overlap": dict(source="level=0 tile-size=224", tile=224,
                            mask=112, overlap=0, scale=1.0),
    "between pixels": dict(source="mpp=0.37 tile-size=193 overlap=47 "
                           "order=serpentine", tile=193, mask=97, overlap=47,
                           scale=0.37 / 0.25, bounds=(1234, 567)),
    "a region": dict(
        source="mpp=0.5 tile-size=256 overlap=64 region=1501,903,2600,1900",
        tile=256, mask=128, overlap=64, scale=2.0,
        region=(1501, 903, 2600, 1900)),
    "in columns, with a bad tile": dict(
        source="mpp=0.6 tile-size=256 overlap=80 order=columns", tile=256,
        mask=256, overlap=80, scale=2.4, bad=39),
}


class Run:
    """One pass over the slide; what it wrote."""

    def __init__(self, build, slide, case, folder):
        self.case, self.folder = case, folder
        self.nuclei = np.array(truth(slide)["nuclei"])
        discs = folder / "discs.txt"
        np.savetxt(discs, self.nuclei, fmt="%.2f %.2f %.2f %d")
        names = dict(features="s.h5", detections="s.geojson", mask="s.tif",
                     regions="s.regions.geojson.gz", table="s.csv",
                     heatmap="s.png")
        sink = " ".join(f"{key}-location={folder / name}"
                        for key, name in names.items())
        self.bounds = case.get("bounds", (0, 0))
        result = build.execute(
            [str(Path(sys.argv[1]) / "tests" / "gst" / "truth-slide"),
             str(discs), str(case["mask"]), *map(str, self.bounds),
             str(case.get("bad", -1)),
             f"location={slide} tissue=none {case['source']}",
             f"{sink} instances=tissue"], timeout=300)
        assert "umedpt-slide-written" in result.output, result.output
        assert "warning" not in result.output, result.output
        self.output = result.output

    def features(self, name):
        path = self.folder / name
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
            return json.load(file)["features"]


def outline(feature):
    """Rings as arrays [n, 2] of a polygon, the outer one first; a ring each of
    what has several parts."""
    geometry = feature["geometry"]
    parts = geometry["coordinates"]
    if geometry["type"] == "Polygon":
        parts = [parts]
    return [np.array(ring, float) for part in parts for ring in part]


def area_and_centre(ring):
    x, y = (ring - ring[0]).T
    cross = x[:-1] * y[1:] - x[1:] * y[:-1]
    area = cross.sum() / 2
    centre = np.array([((x[:-1] + x[1:]) * cross).sum(),
                       ((y[:-1] + y[1:]) * cross).sum()]) / (6 * area)
    return abs(area), centre + ring[0]


def tiles_area(run):
    """What the tiles cover, and the place of the one that was unreadable."""
    with h5py.File(run.folder / "s.h5") as file:
        coords, bad = file["coords"][:], file["bad_tiles"][:]
    side = run.case["tile"] * run.case["scale"]
    x, y = coords.T
    return (x.min(), y.min(), x.max() + side, y.max() + side), \
        bad[0, 1:3].tolist() if len(bad) else None


def hidden(run):
    """(doubtful, gone): whether a nucleus shows in part only, or not at all:
    outside of the tiles, or in the one that came as unreadable."""
    x, y, r, _ = run.nuclei.T
    (x1, y1, x2, y2), bad = tiles_area(run)
    gone = (x + r <= x1) | (x - r >= x2) | (y + r <= y1) | (y - r >= y2)
    part = ~gone & ((x - r < x1) | (x + r > x2) | (y - r < y1) | (y + r > y2))
    if bad:
        left, top = bad
        side = run.case["tile"] * run.case["scale"]
        inner = run.case["overlap"] * run.case["scale"]
        shows = (x + r > left) & (x - r < left + side) & \
            (y + r > top) & (y - r < top + side)
        only = (x - r > left + inner) & (x + r < left + side - inner) & \
            (y - r > top + inner) & (y + r < top + side - inner)
        gone |= only
        part |= shows & ~only
    return part, gone


def match(run, found, what, tolerance):
    """@found: rows of x, y, radius, class. Problems: nearly each nucleus once,
    in its place, with its size and class, but those of a bad tile."""
    part, gone = hidden(run)
    expected = len(run.nuclei) - gone.sum()
    print(f"# {len(found)} {what} of {expected} nuclei")
    # a border may have left a sliver of a nucleus or none
    doubt = WRONG * expected + part.sum()
    if abs(len(found) - expected) > doubt:
        yield f"{len(found)} {what}; {expected} nuclei are there"
    worst, wrong = 0, []
    for nucleus in run.nuclei[~part & ~gone]:
        distance = np.hypot(*(found[:, :2] - nucleus[:2]).T)
        near = distance < nucleus[2]
        if near.sum() != 1:
            wrong.append(f"{near.sum()} at {nucleus}")
            continue
        x, y, radius, label = found[near][0]
        off = max(abs(x - nucleus[0]), abs(y - nucleus[1]),
                  abs(radius - nucleus[2]))
        worst = max(worst, off)
        if label != nucleus[3]:
            yield f"{what} at {nucleus} have class {label}"
        if off > tolerance:
            yield f"{what} at {nucleus} are {off:.2f} pixels off"
    for text in wrong:
        print(f"# {what}: {text}")
    if len(wrong) > WRONG * len(run.nuclei):
        yield f"{len(wrong)} nuclei do not have one of the {what}"
    print(f"# {what}: off by {worst:.3f} level-0 pixels at most; "
          f"{tolerance:.3f} are allowed")


def check_objects(run):
    boxes, regions = [], []
    pixel = run.case["scale"] * run.case["tile"] / run.case["mask"]
    for feature in run.features("s.geojson"):
        ring = outline(feature)[0] + run.bounds
        label = CLASSES.index(
            feature["properties"]["classification"]["name"])
        low, high = ring.min(axis=0), ring.max(axis=0)
        task = feature["properties"]["metadata"]["task"]
        if task == "cells":
            boxes.append([*(low + high) / 2, (high - low).mean() / 2, label])
        else:
            area, centre = area_and_centre(ring)
            regions.append([*centre, np.sqrt(area / np.pi), label])
        if feature["properties"]["objectType"] != "detection":
            yield f"an object is a {feature['properties']['objectType']}"
    yield from match(run, np.array(boxes), "boxes", 0.05)
    yield from match(run, np.array(regions), "instances", pixel)


def check_regions(run):
    found = []
    for feature in run.features("s.regions.geojson.gz"):
        area, centre = area_and_centre(outline(feature)[0] + run.bounds)
        name = feature["properties"]["classification"]["name"]
        found.append([*centre, np.sqrt(area / np.pi), CLASSES.index(name)])
        if feature["properties"]["objectType"] != "annotation":
            yield f"a region is a {feature['properties']['objectType']}"
    pixel = run.case["scale"] * run.case["tile"] / run.case["mask"]
    yield from match(run, np.array(found), "regions", 1.5 * pixel)


def mask_pixel(run):
    """Level-0 pixels along a pixel of the slide's mask."""
    reduction = max(1, round(run.case["tile"] / run.case["mask"]))
    return run.case["scale"] * reduction


def check_mask(run):
    path = run.folder / "s.tif"
    pixel = mask_pixel(run)
    with tifffile.TiffFile(path) as file:
        mask = file.pages[0].asarray()
    size = tuple(int(np.ceil(side / pixel - 0.5)) for side in SLIDE[:2])
    if mask.shape[::-1] != size:
        yield f"the mask has {mask.shape[::-1]} pixels; {size} are expected"
        return
    slide = openslide.OpenSlide(str(path))
    if slide.dimensions != size or slide.level_count < 2:
        yield f"OpenSlide sees {slide.level_dimensions}"
    (x1, y1, x2, y2), bad = tiles_area(run)
    j, i = np.ogrid[:size[1], :size[0]]
    x, y = (i + 0.5) * pixel, (j + 0.5) * pixel
    inside = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
    if (mask[~inside] != 255).any():
        yield "pixels outside of the tiles are decided"
    undecided = (mask[inside] == 255).sum()
    core = (run.case["tile"] - run.case["overlap"]) * run.case["scale"]
    if abs(np.sqrt(undecided) * pixel - (core if bad else 0)) > \
            (pixel if bad else 0):
        yield f"{undecided} pixels are undecided; a core is {core} wide"
    # what the discs cover; doubt within a pixel and a half of their rims
    wanted = np.zeros_like(mask)
    sure = mask != 255
    for x, y, r, label in run.nuclei:
        i0, i1 = (int(v / pixel) for v in (x - r - 9, x + r + 9))
        j0, j1 = (int(v / pixel) for v in (y - r - 9, y + r + 9))
        i0, j0 = max(i0, 0), max(j0, 0)
        j, i = np.mgrid[j0:min(j1, size[1]), i0:min(i1, size[0])]
        distance = np.hypot((i + 0.5) * pixel - x, (j + 0.5) * pixel - y)
        wanted[j, i] = np.where(distance < r, label + 1, wanted[j, i])
        sure[j, i] &= abs(distance - r) > 1.5 * pixel
    wrong = (mask != wanted) & sure
    if wrong.any():
        at = np.argwhere(wrong)[0]
        yield f"{wrong.sum()} pixels are wrong, the first at {at[::-1]}: " \
            f"{mask[tuple(at)]} instead of {wanted[tuple(at)]}"
    print(f"# {size} pixels of {pixel:.2f}; "
          f"{((mask > 0) & (mask < 255)).mean() * 100:.2f} % "
          f"are nuclei, {(wanted > 0).mean() * 100:.2f} % in truth")


def check_features(run):
    with h5py.File(run.folder / "s.h5") as file:
        coords, features = file["coords"][:], file["features"][:]
    if not np.array_equal(coords.astype(np.float32), features):
        yield "the positions are not those of the tiles: absolute, level 0"
    step = (run.case["tile"] - run.case["overlap"]) * run.case["scale"]
    width = run.case.get("region", SLIDE)[-2 if "region" in run.case else 0]
    columns = int(np.ceil((width - run.case["overlap"] * run.case["scale"])
                          / step - 1e-6))
    if len(set(coords[:, 0].tolist())) != columns:
        yield f"{len(set(coords[:, 0].tolist()))} columns of {columns}"


def check_table(run):
    """Counts are those of the objects, the area is that of the tiles' cores,
    which neither overlap nor leave anything out."""
    with open(run.folder / "s.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    n_objects = len(run.features("s.geojson"))
    total = sum(int(row["count"]) for row in rows if row["class"] in CLASSES)
    if total != n_objects:
        yield f"{total} objects in the table, {n_objects} in GeoJSON"
    (x1, y1, x2, y2), bad = tiles_area(run)
    area = (min(x2, SLIDE[0]) - x1) * (min(y2, SLIDE[1]) - y1)
    if bad:
        area -= ((run.case["tile"] - run.case["overlap"])
                 * run.case["scale"]) ** 2
    area *= SLIDE[2] ** 2 / 1e6
    for row in rows:
        if abs(float(row["area_mm2"]) - area) > 1e-5 * area:
            yield f"{row['area_mm2']} mm² were looked at instead of {area}"


def check_heatmap(run):
    """Dots and the mask have the colours of the classes where nuclei are."""
    with Image.open(run.folder / "s.png") as picture:
        picture = np.asarray(picture.convert("RGB")).astype(int)
    if max(picture.shape) > 4096 or picture.shape[1] < 1000:
        yield f"it has {picture.shape} pixels"
    colours = [c for c in range(3) if
               ((picture[..., c] > 200) &
                (picture[..., (c + 1) % 3] < 100) &
                (picture[..., (c + 2) % 3] < 100)).any()]
    if colours != [0, 1, 2]:
        yield f"of red, green and blue only {colours} are to be seen"


CHECKS = dict(objects=check_objects, regions=check_regions, mask=check_mask,
              features=check_features, table=check_table,
              heatmap=check_heatmap)


def check_bytes(first, second):
    """The same run gives the same files."""
    for name in ("s.geojson", "s.tif", "s.csv", "s.png",
                 "s.regions.geojson.gz"):
        if (first / name).read_bytes() != (second / name).read_bytes():
            yield f"{name} differs"


def main():
    with tempfile.TemporaryDirectory() as shared:
        build = Build(sys.argv[1], shared)
        build.check()
        slide = build.slide("synthetic.tiff", *SLIDE)
        for number, (name, case) in enumerate(CASES.items()):
            folder = Path(shared, str(number))
            folder.mkdir()
            run = Run(build, slide, case, folder)
            for what, check in CHECKS.items():
                house.case(f"{name}: {what}", check(run))
        again = Path(shared, "again")
        again.mkdir()
        Run(build, slide, CASES["with overlap"], again)
        house.case("the same run gives the same bytes",
                   check_bytes(Path(shared, "0"), again))
    house.done()


if __name__ == "__main__":
    main()
