#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Whole pipelines as users type them: every launch line of the documents, real
# slides and videos, what is refused and with which words, what is left after
# Ctrl-C, a crash or a full disk, and features files opened with h5py, whose
# coordinates must be those of tests/data/tile-coords.py. Prints TAP.
#
# test-pipelines.py BUILD [GROUP...]: groups are lines, features, errors, video
# (all by default) and memory, which takes a minute. Real slides and videos come
# from the folder UMEDPT_TEST_DATA.
import glob
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import launch_lines
from launch_lines import HERE, Build, Skip, run_tests, test

try:
    import h5py
    import numpy as np
except ImportError as problem:
    print(f"1..0 # SKIP {problem} (Debian: python3-numpy, python3-h5py)")
    sys.exit(0)

_spec = importlib.util.spec_from_file_location(
    "tile_coords", HERE.parent / "data" / "tile-coords.py")
tile_coords = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tile_coords)

DATA = os.environ.get("UMEDPT_TEST_DATA")
LEVELS = [(2003, 1499), (1001, 749), (500, 374)]


def slide():
    """A small slide at 0.5 µm, with the levels above."""
    return BUILD.slide("slide.tiff", *LEVELS[0], 0.5)


# the tasks that the documents speak of
TASKS = ("tissue:segmentation:background,tumour,stroma",
         "nuclei:segmentation:background,nucleus",
         "polyp:segmentation:background,polyp",
         "cells:detection:lymphocyte,tumour", "grade:classification:low,high")


def model():
    """A model with small images; it takes what is not 64 x 64, too."""
    return BUILD.model("model.safetensors", "--arch", "swinv2-nano", "--seed",
                       "1", "--input-size", "64",
                       *(f"--task={task}" for task in TASKS))


def real(name):
    if not DATA:
        raise Skip("UMEDPT_TEST_DATA is not set")
    path = Path(DATA, name)
    if not path.exists():
        raise Skip(f"there is no {name} in UMEDPT_TEST_DATA")
    return path


def embed(path, source="", filters="", sink="", location=None, options="-e",
          **more):
    """The main line with further settings, into @path."""
    return BUILD.launch(
        f"{options} umedptslidesrc location={location or slide()} {source} ! "
        f"queue ! umedptembed model-file={model()} {filters} ! progressreport "
        f"update-freq=1 ! umedptslidesink features-location={path} {sink}",
        **more)


class Features:
    """An .h5 file, read with h5py and checked for what holds of every one."""

    def __init__(self, path):
        with h5py.File(path, "r") as file:
            self.features = file["features"][:]
            self.coords = file["coords"][:]
            self.bad = file["bad_tiles"][:]
            self.coords_attrs = dict(file["coords"].attrs)
            self.features_attrs = dict(file["features"].attrs)
            self.attrs = dict(file.attrs)
        n = len(self.features)
        assert self.features.dtype == np.float32 and self.features.ndim == 2
        assert self.coords.dtype == np.int64 and self.coords.shape == (n, 2)
        assert np.isfinite(self.features).all()
        assert self.features.std(axis=1).min() > 0, "a row of equal features"
        for name in ("patch_size", "patch_size_level0", "overlap",
                     "level0_magnification", "level0_width", "level0_height"):
            value = self.coords_attrs[name]
            assert isinstance(value, np.int64), (name, type(value))
        assert self.coords_attrs["target_magnification"] > 0
        for attrs in (self.coords_attrs, self.features_attrs):
            assert attrs["savetodir"] == str(path.parent), attrs
            assert isinstance(attrs["name"], str)

    def rows(self):
        return [tuple(row) for row in self.coords.tolist()]


def expect(attrs, **wanted):
    for name, value in wanted.items():
        found = attrs[name]
        same = abs(found - value) <= 1e-12 * abs(value) \
            if isinstance(value, float) else found == value
        assert same, f"{name} is {found!r} instead of {value!r}"


# --- lines of the documents ---------------------------------------------------

def input_files(folder):
    """Files under the names that the documents use."""
    video = BUILD.shared / "clip.mp4"
    if not video.exists():
        BUILD.launch("-q videotestsrc num-buffers=10 ! video/x-raw,width=320,"
                     "height=240,framerate=10/1 ! jpegenc ! qtmux ! "
                     f"filesink location={video}")
    for name, path in (("slide.svs", slide()), ("model.safetensors", model()),
                       ("clip.mp4", video), ("video.mp4", video)):
        (folder / name).symlink_to(path)


def check_outputs(line, folder):
    """Every file that the line is to write is there, and whole."""
    names = re.findall(r"features-location=(\S+)", line)
    sinks = re.findall(r"\w*filesink [^!]*\blocation=(\S+)", line)
    for name in names:
        if name.endswith(".h5"):
            found = Features(folder / name)
            assert len(found.features) == found.attrs["n_expected"] > 0
        else:
            read_companions(folder / name)
    for name in sinks:
        found = glob.glob(re.sub(r"%0?\d*d", "*", str(folder / name)))
        assert found, f"{name} is not written"
        assert all(os.path.getsize(path) for path in found)
    launch_lines.check_json_lines(line, folder)
    for name in re.findall(r"(?<!features)-location=(\S+)", line):
        assert (folder / name).stat().st_size, f"{name} is not written"
    extra = [p.name for p in folder.iterdir() if p.name.startswith(".")]
    assert not extra, f"left behind: {extra}"


def main_line():
    """The README's first one."""
    lines, _ = launch_lines.documented()
    return [line for place, line in lines if place.startswith("README.md")][0]


def run_line(line, folder):
    """As a shell does."""
    result = BUILD.execute(["bash", "-c", line], folder=folder)
    assert "WARNING" not in result.output, result.output
    check_outputs(line, folder)
    return result


def without_gpu(line, folder):
    """A line for a GPU, where there is none: it says so, and is otherwise one
    for the processor."""
    info = BUILD.execute(["umedpt-info"])
    if "device=cuda" not in line or "compute capability" in info.output:
        return line
    refusal = BUILD.execute(["bash", "-c", line], folder=folder, status=None)
    assert re.search("NVIDIA driver|CUDA device|cuda module", refusal.output), \
        refusal.output
    return line.replace("device=cuda", "device=cpu")


@test("lines")
def every_documented_line_runs(folder):
    lines, strays = launch_lines.documented()
    assert not strays, "\n".join(strays)
    assert len(lines) >= 7, f"only {len(lines)} lines are found"
    problems = []
    for i, (place, line) in enumerate(lines):
        here = folder / str(i)
        here.mkdir()
        input_files(here)
        try:
            run_line(without_gpu(launch_lines.runnable(line), here), here)
            print(f"# ran {place}")
        except AssertionError as problem:
            problems.append(f"{place}: {problem}")
    assert not problems, "\n".join(problems)


@test("lines")
def the_main_line_shows_progress_and_what_it_wrote(folder):
    input_files(folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(BUILD.model(
        "nano.safetensors", "--arch", "swinv2-nano", "--seed", "1"))
    result = run_line(main_line(), folder)
    found = Features(folder / "slide.h5")
    n = len(found.features)
    progress = re.search(rf"progressreport0 .* / {n} seconds \( ?([\d.]+) %\)",
                         result.output)
    assert progress and float(progress.group(1)) == 100, result.output
    assert f"Features of {n} tiles are written to 'slide.h5'" in result.output
    expect(found.features_attrs, name="slide", encoder="swinv2-nano")
    expect(found.attrs, mpp=0.5, mpp_source="tiff-resolution")


def main_line_on(location, folder, settings, **wanted):
    """The README's line on a slide; its features lie on the grid."""
    input_files(folder)
    (folder / "slide.svs").unlink()
    (folder / "slide.svs").symlink_to(location)
    line = main_line()
    assert "mpp=0.5" in line
    run_line(line.replace("mpp=0.5", settings), folder)
    found = Features(folder / "slide.h5")
    expect(found.attrs, **wanted)
    size = tuple(int(found.coords_attrs[f"level0_{side}"])
                 for side in ("width", "height"))
    grid = [tile[:2] for tile in
            tile_coords.plan(size, 0.5 / wanted["level0_mpp"])]
    rows = found.rows()
    assert len(found.bad) == 0 and len(rows) == found.attrs["n_expected"]
    assert 0 < len(rows) < len(grid), f"{len(rows)} of {len(grid)} tiles"
    assert rows == [place for place in grid if place in set(rows)]
    return found, size


@test("lines")
def the_main_line_on_a_real_slide(folder):
    found, size = main_line_on(
        real("slides/cmu-1-small-region.svs"), folder, "mpp=0.5", mpp=0.5,
        level0_mpp=0.499, mpp_source="vendor", vendor="aperio")
    assert size == (2220, 2967)
    expect(found.coords_attrs, level0_magnification=20, target_magnification=20,
           patch_size=256, patch_size_level0=257, overlap=0)


@test("lines")
def the_main_line_on_jpeg_2000_without_a_scale(folder):
    location = real("slides/tcga-jp2k.svs")
    found, size = main_line_on(location, folder, "mpp=0.5 slide-mpp=0.25",
                               mpp=0.5, level0_mpp=0.25, mpp_source="user",
                               downsample=2.0)
    assert size == (4443, 3567)
    expect(found.coords_attrs, level0_magnification=40, patch_size_level0=512)
    path = folder / "none.h5"
    embed(path, "mpp=0.5", location=location, status=None,
          says=("slide-mpp", "tcga-jp2k.svs", "no usable scale"))
    assert not path.exists()


@test("lines")
def elements_explain_themselves(folder):
    for name in ("umedptslidesrc", "umedptembed", "umedptslidesink"):
        BUILD.execute(["gst-inspect-1.0", name], says=(name, "Properties"))


# --- features files -----------------------------------------------------------

GRIDS = [
    dict(mpp=0.5),
    dict(mpp=0.7, tile_size=224, overlap=31),
    dict(mpp=1 / 3, tile_size=97, overlap=13, order="columns",
         region=(100, 50, 700, 513)),
    dict(level=1, tile_size=100, overlap=20, order="serpentine"),
    dict(magnification=7.3, tile_size=64),
    dict(mpp=1.1, slide_mpp=0.499),
    dict(mpp=0.61, overlap=100, region=(1499, 1, 99999, 300)),
    dict(mpp=8.0),
    dict(),  # level 0
]


def check_grid(path, case):
    settings = " ".join(
        "%s=%s" % (key.replace("_", "-"), ",".join(map(str, value))
                   if key == "region" else value)
        for key, value in case.items())
    embed(path, settings + " tissue=none")
    scale = {key: case[key] for key in
             ("mpp", "magnification", "level", "slide_mpp") if key in case}
    if not set(scale) - {"slide_mpp"}:
        scale["level"] = 0
    ds = tile_coords.downsample(LEVELS, file_mpp=0.5, **scale)
    tile, overlap = case.get("tile_size", 256), case.get("overlap", 0)
    order = ["rows", "columns", "serpentine"].index(case.get("order", "rows"))
    wanted = tile_coords.plan(LEVELS[0], ds, tile, overlap,
                              case.get("region"), order)
    found = Features(path)
    assert found.rows() == [t[:2] for t in wanted], (case, found.rows())
    assert found.features.shape == (len(wanted), 256)
    mpp = case.get("slide_mpp", 0.5)
    expect(found.coords_attrs, patch_size=tile, overlap=overlap,
           patch_size_level0=wanted[0][2], level0_width=2003,
           level0_height=1499, level0_magnification=20, name="slide")
    expect(found.attrs, mpp=mpp * ds, level0_mpp=mpp, downsample=ds,
           mpp_source="user" if "slide_mpp" in case else "tiff-resolution",
           n_expected=len(wanted), slide_path=str(slide()))
    magnification = found.coords_attrs["target_magnification"]
    assert abs(magnification * mpp * ds - 10) < 1e-4, magnification
    return len(wanted)


@test("features")
def coordinates_are_those_of_the_formula(folder):
    for i, case in enumerate(GRIDS):
        n = check_grid(folder / f"{i}.h5", case)
        print(f"# {n} tiles of {case}")


@test("features")
def batches_and_threads_change_no_bit(folder):
    seen = {}
    for i, (batch, decoders, workers) in enumerate(
            ((1, 1, ""), (2, 4, ""), (3, 1, "1"), (8, 2, "2"), (64, 0, ""))):
        path = folder / f"{i}.h5"
        embed(path, f"mpp=0.5 tile-size=128 threads={decoders}",
              f"precision=f32 batch-size={batch}",
              **({"UMEDPT_THREADS": workers} if workers else {}))
        seen[batch, decoders, workers] = Features(path)
    first = seen[1, 1, ""]
    for setting, found in seen.items():
        assert np.array_equal(found.coords, first.coords), setting
        worst = np.abs(found.features - first.features).max()
        assert worst == 0, f"{setting} (batch-size, threads, UMEDPT_THREADS) " \
            f"differs from {next(iter(seen))} by {worst}"
        expect(found.attrs, **{key: first.attrs[key] for key in
                               ("config_hash", "model_hash")})


@test("features")
def the_same_run_gives_the_same_bytes(folder):
    path = folder / "a.h5"
    embed(path, "mpp=1 tile-size=128", "batch-size=8")
    first = path.read_bytes()
    embed(path, "mpp=1 tile-size=128", "batch-size=8", "overwrite=true")
    assert path.read_bytes() == first


def read_companions(path):
    """(features, coords, information) of a .pt or .npy file."""
    stem = str(path.with_suffix(""))
    coords = np.load(stem + ".coords.npy")
    with open(stem + ".info.json", encoding="utf-8") as file:
        information = json.load(file)
    if path.suffix == ".npy":
        return np.load(path), coords, information
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        values = np.frombuffer(archive.read("archive/data/0"), "<f4")
    return values.reshape(len(coords), -1), coords, information


@test("features")
def all_formats_hold_the_same(folder):
    embed(folder / "a.h5", "mpp=1", "batch-size=4")
    h5 = Features(folder / "a.h5")
    for suffix in ("pt", "npy"):
        sub = folder / suffix
        sub.mkdir()
        embed(sub / f"a.{suffix}", "mpp=1", "batch-size=4")
        features, coords, information = read_companions(sub / f"a.{suffix}")
        assert features.dtype == np.float32 and coords.dtype == np.int64
        assert np.array_equal(features, h5.features)
        assert np.array_equal(coords, h5.coords)
        expect(information, **{k: v for k, v in h5.attrs.items()})
        expect(information, **{k: v for k, v in h5.coords_attrs.items()
                               if k != "savetodir"})
        assert len(list(sub.iterdir())) == 3


@test("features")
def nuclei_lie_in_tiles_that_are_kept(folder):
    """The tissue mask may not lose what matters, and must leave out a lot."""
    location = BUILD.slide("deep.tiff", 6000, 4500, 0.25)
    path = folder / "a.h5"
    embed(path, "mpp=0.5 tile-size=64", "batch-size=8", location=location)
    found = Features(path)
    truth = launch_lines.truth(location)
    side = found.attrs["downsample"] * 64
    nuclei = np.array([n[:2] for n in truth["nuclei"]])
    assert len(nuclei) > 1000, len(nuclei)
    kept = {(int(x // side), int(y // side)) for x, y in found.coords}
    inside = np.mean([(int(x // side), int(y // side)) in kept
                      for x, y in nuclei])
    grid = len(tile_coords.plan((6000, 4500), 2.0, 64))
    print(f"# {100 * inside:.2f} % of {len(nuclei)} nuclei in {len(kept)} of "
          f"{grid} tiles")
    assert inside >= 0.99
    assert len(kept) < 0.8 * grid
    area = sum(island["area"] for island in truth["tissue"])
    assert len(kept) * side * side > 0.9 * area


@test("features")
def times_of_ops_are_told_at_the_end(folder):
    (folder / "slide.svs").symlink_to(slide())
    (folder / "model.safetensors").symlink_to(model())
    BUILD.execute(["bash", "-c", main_line()], folder=folder,
                  says=["time in ops", "window_attention"],
                  UMEDPT_DEBUG="timing", G_MESSAGES_DEBUG="all")


@test("features")
def names_with_blanks_and_umlauts(folder):
    here = folder / "Schnitt Nr. 7, µm"
    here.mkdir()
    shutil.copy(slide(), here / "Präparat (1).tiff")
    line = main_line().replace("slide.svs", "'Präparat (1).tiff'") \
        .replace("slide.h5", '"Präparat (1).h5"')
    (here / "model.safetensors").symlink_to(model())
    BUILD.execute(["bash", "-c", line], folder=here)
    found = Features(here / "Präparat (1).h5")
    expect(found.coords_attrs, name="Präparat (1)", savetodir=str(here))


@test("features")
def work_goes_on_at_start_index(folder):
    embed(folder / "all.h5", "mpp=0.5", "precision=f32")
    embed(folder / "rest.h5", "mpp=0.5 start-index=7", "precision=f32")
    whole, rest = Features(folder / "all.h5"), Features(folder / "rest.h5")
    assert np.array_equal(whole.features[7:], rest.features)
    assert whole.rows()[7:] == rest.rows()


# --- what goes wrong ----------------------------------------------------------

def nothing_under(path):
    assert not path.exists(), f"{path} is there"
    seen = [p.name for p in path.parent.iterdir() if
            p.suffix in (".h5", ".pt", ".npy", ".json")]
    assert not seen, f"left behind: {seen}"


def nothing_left(folder):
    assert os.listdir(folder) == [], f"left behind: {os.listdir(folder)}"


@test("errors")
def a_file_that_is_no_slide(folder):
    path = folder / "a.h5"
    embed(path, "mpp=0.5", location=real("slides/broken.svs"), status=None,
          says=("broken.svs",))
    nothing_left(folder)


@test("errors")
def a_missing_slide_and_a_missing_model(folder):
    path = folder / "a.h5"
    embed(path, location=folder / "missing.svs", status=None,
          says=("missing.svs", "No such file"))
    embed(path, filters=f"model-file={folder}/missing.safetensors", status=None,
          says=("missing.safetensors", "No such file"))
    embed(path, filters=f"model-file={slide()}", status=None,
          says=("slide.tiff", "safetensors"))
    nothing_left(folder)


@test("errors")
def a_wrong_scale_region_or_start(folder):
    path = folder / "a.h5"
    for settings, text in (("mpp=0.5 level=1", "mpp"),
                           ("level=9", "level"),
                           ("region=1,2,3", "x,y,width,height"),
                           ("region=5000,0,10,10", "region"),
                           ("start-index=100000", "start-index"),
                           ("tile-size=64 overlap=64", "overlap")):
        embed(path, settings, status=None, says=(text,))
    nothing_left(folder)


@test("errors")
def an_existing_file_is_refused_at_once(folder):
    for suffix in ("h5", "pt", "npy"):
        path = folder / f"a.{suffix}"
        path.write_text("mine")
        result = embed(path, status=None, says=("exists already", str(path)))
        assert "progressreport0" not in result.output, "tiles were read"
        assert path.read_text() == "mine"
    assert len(os.listdir(folder)) == 3, os.listdir(folder)


@test("errors")
def a_place_that_cannot_be_written_to(folder):
    embed(folder / "no" / "a.h5", status=None, says=("No such file", "a.h5"))
    embed(folder / "a.csv", status=None, says=("a.csv", ".h5"))
    if os.path.exists("/proc/version"):
        embed(Path("/proc/a.h5"), status=None, says=("/proc/a.h5",))
    nothing_left(folder)


@test("errors")
def wrong_neighbours_are_told(folder):
    path = folder / "a.h5"
    BUILD.launch(f"-e umedptslidesrc location={slide()} ! umedptslidesink "
                 f"features-location={path}", status=None,
                 says=("umedptembed",))
    BUILD.launch(f"-e videotestsrc num-buffers=3 ! videoconvert ! umedptembed "
                 f"model-file={model()} ! umedptslidesink "
                 f"features-location={path}", status=None,
                 says=("umedptslidesrc",))
    nothing_left(folder)


SLOW = "tissue=none tile-size=64 mpp=0.5"
CRAWL = "! identity sleep-time=20000"
# Tiles beyond the first: gst-launch-1.0 hangs where an interrupt comes before it
# plays.
STARTED = r"progressreport0 .*: [1-9]\d+ / \d+ seconds"


@test("errors")
def ctrl_c_finishes_the_file(folder):
    path = folder / "a.h5"
    result = embed(path, SLOW, f"batch-size=8 {CRAWL}",
                   stop=(STARTED, signal.SIGINT))
    found = Features(path)
    grid = tile_coords.plan(LEVELS[0], 1.0, 64)
    rows = found.rows()
    assert 0 < len(rows) < len(grid), f"{len(rows)} of {len(grid)}"
    assert rows == [t[:2] for t in grid[:len(rows)]]
    expect(found.attrs, n_expected=len(grid))
    assert "is not complete" in result.output, result.output
    assert os.listdir(folder) == ["a.h5"], os.listdir(folder)


@test("errors")
def ctrl_c_without_e_leaves_nothing(folder):
    embed(folder / "a.h5", SLOW, CRAWL, options="",
          stop=(STARTED, signal.SIGINT))
    nothing_left(folder)


@test("errors")
def a_kill_leaves_nothing_under_the_name(folder):
    path = folder / "a.h5"
    embed(path, SLOW, CRAWL, stop=(STARTED, signal.SIGKILL),
          status=-signal.SIGKILL)
    nothing_under(path)
    embed(path, "mpp=1")  # what is left does not disturb
    assert len(Features(path).rows()) > 0


def on_small_disk(folder, before, path, sink=""):
    """The main line where @folder is a disk of 128 kB, which its 768 rows of
    1 kB do not fit on. Returns what it printed and what is left there."""
    script = (f"mount -t tmpfs -o size=128k none {folder} || exit 99\n"
              f"{before}\n"
              f"gst-launch-1.0 -e umedptslidesrc location={slide()} {SLOW} ! "
              f"umedptembed model-file={model()} batch-size=8 ! "
              f"umedptslidesink features-location={path} {sink}\n"
              f"echo \"status $?\"; echo left: $(ls -A {folder})")
    flags = "-m" if os.geteuid() == 0 else "-rm"
    if subprocess.run(["unshare", flags, "mount", "-t", "tmpfs", "none", folder],
                      capture_output=True, check=False).returncode:
        raise Skip("no tmpfs may be mounted here")
    return BUILD.execute(["unshare", flags, "sh", "-c", script]).output


@test("errors")
def a_full_disk_leaves_nothing(folder):
    for suffix in ("h5", "pt", "npy"):
        output = on_small_disk(folder, "", folder / f"a.{suffix}")
        assert "status 0" not in output, output
        assert "No space left on device" in output, output
        assert re.search(r"left: *$", output), output
        output = on_small_disk(folder, f"echo mine > {folder}/a.{suffix}",
                               folder / f"a.{suffix}", "overwrite=true")
        assert "status 0" not in output, output
        assert re.search(rf"left: a.{suffix} *$", output), output


# --- video --------------------------------------------------------------------

CHAIN = re.compile(
    r"(before|after): last-message = chain.*?\((\d+) bytes, (dts: .*?, "
    r"offset_end: \S+), flags: \w+ .*?meta: (.*?)\)")


def raw_frames(clip, inner, options="-q"):
    return BUILD.launch(
        f"{options} filesrc location={clip} ! decodebin ! videoconvert ! "
        f"{inner} ! fdsink fd=PIPE", pipe=True)


def check_clip(clip, batch):
    """Every frame comes out as it went in, with its times; and with its
    features. Returns the number of frames."""
    with_us = raw_frames(clip, "identity name=before silent=false ! "
                         f"umedptembed model-file={model()} "
                         f"batch-size={batch} ! "
                         "identity name=after silent=false", "-v")
    caps = re.search(r"before.GstPad:src: caps = (video/x-raw.*)",
                     with_us.output).group(1)
    form = re.search(r"format=\(string\)(\w+)", caps).group(1)
    without = raw_frames(clip, f"video/x-raw,format={form}")
    before, after = [], []
    for place, size, times, metas in CHAIN.findall(with_us.output):
        (before if place == "before" else after).append((size, times))
        assert ("Umedpt" in metas) == (place == "after"), (place, metas)
    n = len(before)
    assert n > 0 and before == after, f"{n} frames in, {len(after)} out"
    size = len(without.data) // n

    def sums(data):
        return [hashlib.sha256(data[i:i + size]).hexdigest()
                for i in range(0, len(data), size)]
    assert len(without.data) == n * int(before[0][0])
    assert sums(with_us.data) == sums(without.data), \
        [i for i, (a, b) in enumerate(zip(sums(with_us.data),
                                          sums(without.data))) if a != b][:5]
    return n


@test("video")
def frames_pass_untouched(folder):
    input_files(folder)
    assert check_clip(folder / "clip.mp4", 4) == 10


@test("video")
def frames_of_real_clips_pass_untouched(folder):
    real("video")
    clips = sorted(Path(DATA, "video").glob("*.mp4"))
    if not clips:
        raise Skip("there are no .mp4 files in UMEDPT_TEST_DATA/video")
    for i, clip in enumerate(clips):
        n = check_clip(clip, (1, 4, 7, 64)[i % 4])
        table = Path(DATA, "video", "frames.csv")
        if table.exists():
            listed = table.read_text().count(f"\n{clip.name},")
            assert n == listed, f"{clip.name}: {n} frames instead of {listed}"
        print(f"# {n} frames of {clip.name}")


# --- memory -------------------------------------------------------------------

# The smallest slide has tiles enough to fill the queue (53 of them, 10 MB) and
# the reader; below that, memory is what has not been needed yet.
@test("memory")
def memory_does_not_depend_on_the_slide(folder):
    runs = []
    for width, height, tissue in ((10000, 7500, "none"),
                                  (40000, 30000, "otsu"),
                                  (40000, 30000, "none")):
        location = BUILD.slide(f"{width}.tiff", width, height, 0.25)
        path = folder / f"{width}-{tissue}.h5"
        result = embed(path, f"mpp=0.5 tissue={tissue}", "batch-size=8",
                       location=location, timeout=400)
        runs.append((len(Features(path).rows()), result.peak / 2**20))
        print(f"# {width} x {height}, tissue={tissue}: {runs[-1][0]} tiles, "
              f"{runs[-1][1]:.0f} MiB")
    assert runs[2][0] == 79 * 59 and runs[2][0] > 15 * runs[0][0], runs
    growth = max(peak for _, peak in runs) - runs[0][1]
    assert growth < 30, f"{growth:.0f} MiB more than the smallest slide needs"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as shared_folder:
        BUILD = Build(sys.argv[1], shared_folder)
        BUILD.check()
        run_tests(sys.argv[2:] or ["lines", "features", "errors", "video"])
