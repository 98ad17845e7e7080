#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Opens what the features writer made with the readers that others use: h5py,
# NumPy, torch.load (also weights_only=True, and memory-mapped where torch can)
# and Python's zipfile, which checks every CRC. The contents follow from the
# formula in write-features.c. A reader that is not installed is skipped, in
# words; exit code 77 if none could be used.
#
# read-back.py WRITE-FEATURES [--large]: --large also writes a .pt of more
# than 4 GiB (ZIP64), which takes disk and a minute.
import json
import os
import subprocess
import sys
import tempfile
import warnings
import zipfile

warnings.filterwarnings("ignore")

try:
    import numpy as np
except ImportError:
    print("skipped: NumPy is not installed (Debian: python3-numpy)")
    sys.exit(77)
try:
    import h5py
except ImportError:
    h5py = None
    print("skipped: h5py is not installed (Debian: python3-h5py)")
try:
    import torch
except ImportError:
    torch = None
    print("skipped: torch is not installed (Debian: python3-torch)")

# (rows, columns, bad tiles): none, one, a part of a chunk, whole chunks and a
# rest, rows longer than 1 MiB / 256.
CASES = [(0, 0, 0), (0, 0, 3), (1, 1, 1), (7, 768, 0), (256, 96, 2),
         (2000, 384, 2500), (5, 300000, 1)]


def expected(rows, columns):
    if rows == 0:
        return np.zeros((0,), "f4"), np.zeros((0, 2), "i8")
    i = np.arange(rows, dtype="i8")[:, None]
    # float32 throughout, as the program computes it
    features = i.astype("f4") + np.arange(columns, dtype="f4") / np.float32(1024)
    return features, np.concatenate([1000 * i - 5, 2**33 + i], axis=1)


def same(found, wanted):
    assert found.dtype == wanted.dtype, (found.dtype, wanted.dtype)
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    assert np.array_equal(found, wanted)


def check_coords_attributes(a):
    wanted = {
        "patch_size": 256, "patch_size_level0": 486,  # 256 * 0.5 / 0.2634
        "level0_magnification": 40,  # TRIDENT's class of 0.2634
        "target_magnification": 20, "overlap": 16,
        "level0_width": 5000000000, "level0_height": 80001}
    for name, value in wanted.items():
        assert a[name] == value, (name, a[name])
        assert isinstance(a[name], (np.int64, int)), (name, type(a[name]))
    assert a["name"] == "släide 1" and isinstance(a["name"], str)
    assert isinstance(a["savetodir"], str) and os.path.isdir(a["savetodir"])


def check_file_attributes(a):
    assert a["mpp"] == 0.5 and a["level0_mpp"] == 0.2634
    assert a["downsample"] == 0.5 / 0.2634
    assert a["mpp_source"] == "vendor" and a["model_hash"] == "0123abcd"
    assert a["config_hash"] == "89ef4567" and a["n_expected"] == 1234
    assert a["slide_path"] == "/slides/släide 1.svs"
    assert a["umedpt_version"].count(".") == 2
    assert "vendor" not in a


def check_h5(path, rows, columns, bad):
    features, coords = expected(rows, columns)
    with h5py.File(path, "r") as h:
        assert set(h) == {"features", "coords", "bad_tiles", "bad_tiles_reason"}
        same(h["features"][:], features)
        same(h["coords"][:], coords)
        assert h["features"].maxshape[0] is None
        chunk = h["features"].chunks
        assert 4 * np.prod(chunk) <= 1 << 20, chunk
        a = dict(h["features"].attrs)
        assert set(a) == {"name", "savetodir", "encoder"}
        assert a["encoder"] == "swinv2-tiny"
        check_coords_attributes(dict(h["coords"].attrs))
        check_file_attributes(dict(h.attrs))
        i = np.arange(bad, dtype="i8")
        same(h["bad_tiles"][:], np.stack([rows + i, i, 2 * i], axis=1))
        assert [r.decode() for r in h["bad_tiles_reason"][:]] == \
            ["damagé %d" % (k % 3) for k in range(bad)]


def check_companions(stem, rows, bad):
    same(np.load(stem + ".coords.npy"), expected(rows, 1)[1])
    with open(stem + ".info.json", encoding="utf-8") as file:
        a = json.load(file)
    check_coords_attributes(a)
    check_file_attributes(a)
    assert a["encoder"] == "swinv2-tiny"
    assert a["bad_tiles"] == [
        {"index": rows + k, "x": k, "y": 2 * k, "reason": "damagé %d" % (k % 3)}
        for k in range(bad)]


def check_npy(path, rows, columns, bad):
    same(np.load(path), expected(rows, columns)[0])
    same(np.load(path, mmap_mode="r"), expected(rows, columns)[0])
    check_companions(path[:-4], rows, bad)


def check_pt(path, rows, columns, bad):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        member = archive.getinfo("archive/data/0")
        assert member.file_size == 4 * rows * columns
    check_companions(path[:-3], rows, bad)
    if not torch:
        return
    ways = [{}]
    version = tuple(int(v) for v in torch.__version__.split(".")[:2])
    if version >= (1, 13):
        ways += [{"weights_only": True}]
    if version >= (2, 1):
        ways += [{"weights_only": True, "mmap": True}]
    for way in ways:
        tensor = torch.load(path, **way)
        assert tensor.is_contiguous() and not tensor.requires_grad
        same(tensor.numpy(), expected(rows, columns)[0])


def check_large(program, folder):
    path = os.path.join(folder, "large.pt")
    rows, columns = 17000, 65536  # 4.15 GiB
    subprocess.run([program, path, str(rows), str(columns)], check=True)
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("archive/data/0").file_size == 4 * rows * columns
    if torch:
        tensor = torch.load(path)
        assert tuple(tensor.shape) == (rows, columns)
        for i in (0, rows // 2, rows - 1):
            assert tensor[i, 512] == np.float32(i + 0.5)


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        for rows, columns, bad in CASES:
            for suffix, check in (("h5", h5py and check_h5),
                                  ("npy", check_npy), ("pt", check_pt)):
                if not check:
                    continue
                name = "%d-%d-%d-%s.%s" % (rows, columns, bad, suffix, suffix)
                path = os.path.join(folder, name)
                subprocess.run([program, path, str(rows), str(columns),
                                str(bad)], check=True)
                check(path, rows, columns, bad)
                print("ok", name)
        if "--large" in sys.argv:
            check_large(program, folder)
            print("ok large.pt")


main()
