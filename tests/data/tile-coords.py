#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The coordinates of a plan's tiles, computed from the formula in
# core/data/tiles.h and from nothing of ours, and compared with the library's.
# As a module it serves other tests: plan() returns what the library must.
# Run: tile-coords.py PRINT-PLAN UMEDPT-SYNTH
"""Independent re-implementation of umedpt_tile_plan_new() without a mask."""

import math
import os
import subprocess
import sys
import tempfile


def downsample(level_sizes, mpp=0.0, magnification=0.0, level=-1,
               slide_mpp=0.0, file_mpp=0.0, objective=0.0):
    """Level-0 pixels per output pixel. level_sizes: [(width, height), ...]."""
    scale = slide_mpp or file_mpp
    if level >= 0:
        (w0, h0), (w, h) = level_sizes[0], level_sizes[level]
        return (w0 / w + h0 / h) / 2 if level > 0 else 1.0
    if magnification > 0 and objective > 0 and not slide_mpp:
        return objective / magnification
    return (mpp or 10.0 / magnification) / scale


def plan(size, ds, tile=256, overlap=0, region=None, order=0):
    """The tiles as (x, y, width, height, valid), in order."""
    x0, y0, w, h = region or (0, 0) + tuple(size)
    w, h = min(w, size[0] - x0), min(h, size[1] - y0)
    step, side = (tile - overlap) * ds, tile * ds

    def count(length):
        return max(1, math.ceil((length - overlap * ds) / step - 1e-6))

    def place(start, i):
        return start + math.floor(i * step + 0.5)

    def inside(start, full):
        return min(max((min(start + side, full) - start) / side, 0.0), 1.0)

    columns, rows = count(w), count(h)
    if order == 1:
        cells = [(c, r) for c in range(columns) for r in range(rows)]
    else:
        cells = [(columns - 1 - c if order == 2 and r % 2 else c, r)
                 for r in range(rows) for c in range(columns)]
    covered = math.floor(side + 0.5)
    tiles = []
    for c, r in cells:
        x, y = place(x0, c), place(y0, r)
        tiles.append((x, y, covered, covered,
                      inside(x, size[0]) * inside(y, size[1])))
    return tiles


CASES = [
    dict(level=0),
    dict(level=0, tile=224, overlap=31),
    dict(level=1),
    dict(level=2, tile=64, overlap=63),
    dict(mpp=0.5),
    dict(mpp=0.7, overlap=32),
    dict(mpp=0.33333333, tile=97, overlap=13, order=1),
    dict(mpp=1.1, slide_mpp=0.499),
    dict(mpp=8.0),
    dict(magnification=20),
    dict(magnification=7.3, order=2, tile=100),
    dict(level=0, r0=100, r1=50, r2=512, r3=513),
    dict(mpp=0.61, r0=1999, r1=1, r2=5, r3=99999, overlap=100),
]


def check(program, slide, sizes, case):
    """One case; returns the number of tiles compared."""
    out = subprocess.run([program, slide] + [f"{k}={v!r}" for k, v in
                                             case.items()],
                         check=True, capture_output=True, text=True).stdout
    lines = out.splitlines()
    scale = {k: case[k] for k in ("mpp", "magnification", "level", "slide_mpp")
             if k in case}
    ds = downsample(sizes, file_mpp=0.5, **scale)
    assert abs(float(lines[0]) / ds - 1) < 1e-12, (case, lines[0], ds)
    region = tuple(case[f"r{i}"] for i in range(4)) if "r2" in case else None
    want = plan(sizes[0], ds, region=region,
                **{k: case[k] for k in ("tile", "overlap", "order")
                   if k in case})
    assert len(lines) - 1 == len(want), (case, len(lines) - 1, len(want))
    for line, tile in zip(lines[1:], want):
        found = line.split()
        assert [int(v) for v in found[:4]] == list(tile[:4]), (case, line, tile)
        assert abs(float(found[4]) - tile[4]) < 1e-9, (case, line, tile)
    return len(want)


def main():
    program, synth = sys.argv[1:3]
    print(f"1..{len(CASES)}")
    with tempfile.TemporaryDirectory() as folder:
        slide = os.path.join(folder, "slide.tiff")
        subprocess.run([synth, "-o", slide, "--width", "2003", "--height",
                        "1499", "--mpp", "0.5"], check=True,
                       stdout=subprocess.DEVNULL)
        sizes = [(2003, 1499), (1001, 749), (500, 374)]
        for i, case in enumerate(CASES):
            n = check(program, slide, sizes, case)
            print(f"ok {i + 1} - {n} tiles of {case}")


if __name__ == "__main__":
    main()
