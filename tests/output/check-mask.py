#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Opens masks with the readers that others use, OpenSlide and tifffile: sizes,
# number of levels, pixels of all levels, colours, resolution, and what the
# description says. The contents follow from the formula in write-mask.c. A
# reader that is not installed is skipped, in words; exit code 77 if none is.
#
# check-mask.py WRITE-MASK
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

try:
    import numpy as np
except ImportError:
    print("skipped: NumPy is not installed (Debian: python3-numpy)")
    sys.exit(77)
try:
    import openslide
except ImportError:
    openslide = None
    print("skipped: OpenSlide is not installed (Debian: python3-openslide)")
try:
    import tifffile
except ImportError:
    tifffile = None
    print("skipped: tifffile is not installed (Debian: python3-tifffile)")

# (width, height, mpp): a pyramid, one level, small and unknown scale, sides
# that no level's tile divides, much wider than high.
CASES = [(3000, 2100, 1.0), (500, 400, 2.0), (700, 300, 0), (1601, 1103, 0.503),
         (5000, 40, 4.0)]
NAMES = ["background", "tumour & <stroma>", "ödema \"2\"", "class 3"]
COLORS = [0x000000, 0x56b4e9, 0xe69f00, 0x123456]
OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


def expected(width, height):
    x = np.arange(width, dtype="i8")[None]
    y = np.arange(height, dtype="i8")[:, None]
    value = (x * x // 1000 + y * 7 // 100 + (x ^ y) // 64) % 4
    return np.where((x // 97 + y // 61) % 3 == 0, 255, value).astype("u1")


def halve(a):
    """The most frequent of four; of those the first, but 255 last."""
    a = a[:a.shape[0] // 2 * 2, :a.shape[1] // 2 * 2]
    four = np.stack([a[::2, ::2], a[::2, 1::2], a[1::2, ::2], a[1::2, 1::2]])
    votes = (four[:, None] == four[None]).sum(1) * 10
    votes[four != 255] += 5
    votes -= np.arange(4)[:, None, None]
    return np.take_along_axis(four, votes.argmax(0)[None], 0)[0]


def pyramid(a):
    levels = [a]
    while max(a.shape) > 512 and min(a.shape) // 2 >= 16:
        a = halve(a)
        levels.append(a)
    return levels


def palette():
    table = np.zeros((256, 3), "u1")
    for i, color in enumerate(COLORS):
        table[i] = color >> 16, color >> 8 & 255, color & 255
    table[255] = 255
    return table


def same(found, wanted):
    assert found.dtype == wanted.dtype, (found.dtype, wanted.dtype)
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    assert np.array_equal(found, wanted), np.argwhere(found != wanted)[:3]


def check_openslide(path, levels, mpp, ome):
    slide = openslide.OpenSlide(path)
    # it does not see sub-directories: an OME-TIFF is its first level
    seen = levels[:1] if ome else levels
    assert slide.level_count == len(seen), slide.level_count
    assert slide.properties["openslide.vendor"] == "generic-tiff"
    for k, level in enumerate(seen):
        height, width = level.shape
        assert slide.level_dimensions[k] == (width, height)
        found = np.asarray(slide.read_region((0, 0), k, (width, height)))
        same(found[..., :3], palette()[level])
        assert (found[..., 3] == 255).all()
    if mpp:
        assert slide.properties["tiff.ResolutionUnit"] == "centimeter"
        found = float(slide.properties["tiff.XResolution"])
        assert abs(found * mpp / 1e4 - 1) < 1e-6, found


def check_page(page, level, k, mpp):
    same(page.asarray(), level)
    assert page.photometric == tifffile.PHOTOMETRIC.PALETTE
    assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    assert page.subfiletype == (1 if k else 0), page.subfiletype
    same((page.colormap.T // 257).astype("u1"), palette())
    # every tile is there, and no tile is larger than its level
    assert all(page.databytecounts) and all(page.dataoffsets)
    for side, tile in zip(level.shape, (page.tilelength, page.tilewidth)):
        assert tile == min(512, side // 16 * 16), (side, tile)
    if not mpp:
        assert "XResolution" not in page.tags
        return
    assert page.tags["ResolutionUnit"].value == 3  # cm
    for name in ("XResolution", "YResolution"):
        over, under = page.tags[name].value
        assert abs(over / under * mpp * 2**k / 1e4 - 1) < 1e-6, (over, under)


def check_json(text, mpp):
    found = json.loads(text)
    assert found["classes"] == [
        {"value": i, "name": name, "color": f"#{color:06x}"}
        for i, (name, color) in enumerate(zip(NAMES, COLORS))], found
    assert found["undecided"] == 255
    assert found["slide"] == "släide \"1\" <a&b>\1", found["slide"]
    assert found["model_hash"] == "0123abcd"
    assert found["config_hash"] == "89ef4567"
    assert found.get("mpp", 0) == mpp


def check_ome(text, shape, mpp):
    root = ElementTree.fromstring(text)
    image = root.find(OME + "Image")
    assert image.get("Name") == "släide \"1\" <a&b> ", image.get("Name")
    pixels = image.find(OME + "Pixels")
    assert (int(pixels.get("SizeY")), int(pixels.get("SizeX"))) == shape
    assert pixels.get("Type") == "uint8"
    for axis in "XY":
        assert float(pixels.get(f"PhysicalSize{axis}", 0)) == mpp
        assert pixels.get(f"PhysicalSize{axis}Unit") == ("µm" if mpp else None)
    maps = {a.get("Namespace"): {m.get("K"): m.text for m in a.iter(OME + "M")}
            for a in root.iter(OME + "MapAnnotation")}
    assert maps["umedpt/classes"] == {str(i): n for i, n in enumerate(NAMES)}
    assert maps["umedpt/colors"] == {
        str(i): f"#{c:06x}" for i, c in enumerate(COLORS)}
    assert maps["umedpt/mask"] == {
        "undecided": "255", "model_hash": "0123abcd", "config_hash": "89ef4567"}
    ids = {a.get("ID") for a in root.iter(OME + "MapAnnotation")}
    refs = {a.get("ID") for a in image.iter(OME + "AnnotationRef")}
    assert ids == refs and len(ids) == 3, (ids, refs)


def check_tifffile(path, levels, mpp, ome):
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff and bool(tiff.is_ome) == ome
        text = tiff.pages[0].description
        if ome:
            check_ome(text, levels[0].shape, mpp)
            assert len(tiff.pages) == 1
            pages = [tiff.pages[0], *(tiff.pages[0].pages or [])]
        else:
            check_json(text, mpp)
            pages = list(tiff.pages)
        assert len(pages) == len(levels), len(pages)
        for k, (page, level) in enumerate(zip(pages, levels)):
            check_page(page, level, k, mpp)
        assert len(tiff.series) == 1, tiff.series
        series = tiff.series[0]
        assert len(series.levels) == len(levels), series.levels
        assert series.kind == ("ome" if ome else "generic"), series.kind
        for found, level in zip(series.levels, levels):
            same(found.asarray(), level)


def check_case(program, folder, case, suffix):
    width, height, mpp = case
    ome = suffix.startswith(".ome")
    path = os.path.join(folder, f"{width}x{height}{suffix}")
    subprocess.run([program, path, str(width), str(height), str(mpp)],
                   check=True)
    levels = pyramid(expected(width, height))
    if openslide:
        check_openslide(path, levels, mpp, ome)
    if tifffile:
        check_tifffile(path, levels, mpp, ome)
    print(f"{width} x {height}{suffix}: {len(levels)} levels")


if not openslide and not tifffile:
    sys.exit(77)
with tempfile.TemporaryDirectory() as folder:
    for case in CASES:
        for suffix in (".tif", ".ome.tiff"):
            check_case(sys.argv[1], folder, case, suffix)
