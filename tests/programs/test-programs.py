#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# umedpt-info and umedpt-train as a user meets them: what they print, what they
# refuse and with which exit status (1: it failed, 2: wrong command line), and
# that a failure says one line and leaves no file. Prints TAP; standard library
# only. Usage: test-programs.py UMEDPT-INFO UMEDPT-TRAIN
import json
import os
import struct
import subprocess
import sys
import tempfile

INFO, TRAIN = sys.argv[1:3]
os.environ["G_DEBUG"] = "fatal-criticals"
os.environ["LC_ALL"] = "C.UTF-8"
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def run(*args, status=0, says=(), **more):
    done = subprocess.run(args, capture_output=True, text=True,
                          encoding="utf-8", **more)
    output = done.stdout if status == 0 else done.stderr
    assert done.returncode == status, (done.returncode, done.stderr)
    if status:
        assert done.stderr.count("\n") == 1, "not one line: " + done.stderr
        assert done.stdout == "", done.stdout
    for text in says:
        assert text in output, f"{text!r} is not in {output!r}"
    return done.stdout


def init(path, *more, **kind):
    return run(TRAIN, "init", "--arch", "swinv2-nano", "-o", path, *more, **kind)


def read(path):
    return open(path, "rb").read()


@test
def info_tells_about_the_installation(folder):
    run(INFO, says=("version", "Backends", "ref", "cpu", "cuda", "Processor",
                    "OpenSlide", "HDF5"))
    data = json.loads(run(INFO, "--json"))
    assert data["backends"]["ref"]["works"] is True
    for backend in data["backends"].values():
        assert backend["works"] or backend["problem"].endswith(".")
    assert data["processor"]["cores"] >= 1
    assert set(data["formats"]) == {"openslide", "libtiff", "libjpeg", "libpng",
                                    "ffmpeg", "hdf5"}
    run(INFO, "--version", says=(data["umedpt"]["version"],))


@test
def init_makes_a_model_that_info_describes(folder):
    path = os.path.join(folder, "m.safetensors")
    init(path, "--seed", "3", "--mpp", "0.5", "--input-size", "224", "--norm",
         "layernorm", "--pool-order", "after", says=("swinv2-nano",))
    assert os.listdir(folder) == ["m.safetensors"]
    run(INFO, path, says=("swinv2-nano", "224 x 224 pixels, 0.5 µm per pixel",
                          "encoder layernorm, squeezer layernorm",
                          "after the norm", "seed 3"))
    model = json.loads(run(INFO, "--json", "--verify", path))["model"]
    assert model["embedding"] == 256
    assert 3.0e6 < model["parameters"] < 3.3e6
    assert len(model["hash"]) == 64
    description = model["description"]
    assert description["pool_order"] == "after"
    assert description["encoder_norm"] == "layernorm"
    assert description["mpp"] == 0.5 and description["input_height"] == 224
    run(INFO, "--tensors", path, says=("squeezer", "f32 [32, 3, 4, 4]"))


@test
def init_adds_tasks(folder):
    path = os.path.join(folder, "m.safetensors")
    init(path, "--task", "cells:detection:lymphocyte,tumour", "-t",
         "age:regression", "-t", "tissue:segmentation:background,tumour")
    description = json.loads(run(INFO, "--json", path))["model"]["description"]
    assert [(t["name"], t["kind"], t.get("labels"))
            for t in description["tasks"]] == [
        ("cells", "detection", ["lymphocyte", "tumour"]),
        ("age", "regression", None),
        ("tissue", "segmentation", ["background", "tumour"])], description


@test
def the_same_seed_makes_the_same_file(folder):
    a, b, c = (os.path.join(folder, n) for n in "abc")
    init(a, "--seed", "1")
    init(b, "--seed", "1")
    init(c, "--seed", "2")
    assert read(a) == read(b)
    assert read(a) != read(c)


@test
def an_existing_file_is_kept_without_force(folder):
    path = os.path.join(folder, "m")
    open(path, "w").write("mine")
    init(path, status=1, says=(path, "exists already", "--force"))
    assert read(path) == b"mine"
    init(path, "--force")
    assert len(read(path)) > 1e6


@test
def wrong_command_lines_are_refused(folder):
    path = os.path.join(folder, "m")
    for args, text in (
            ((), "a command is missing"),
            (("teach",), "no command 'teach'"),
            (("--wrong",), "no command '--wrong'"),
            (("init",), "--arch"),
            (("init", "-a", "swinv2-nano"), "--output"),
            (("init", "-a", "swin", "-o", path), "swinv2-tiny"),
            (("init", "-a", "swinv2-nano", "-o", path, "more"), "'more'"),
            (("init", "--wrong"), "--wrong"),
            (("init", "--seed", "x"), "x"),
            (("init", "--seed"), "--seed"),
            (("init", "-a", "swinv2-nano", "-o", path, "--seed", "-1"), "-1"),
            (("init", "-a", "swinv2-nano", "-o", path, "--mpp", "-1"), "--mpp"),
            (("init", "-a", "swinv2-nano", "-o", path, "--mpp", "nan"), "--mpp"),
            (("init", "-a", "swinv2-nano", "-o", path, "-i", "8"), "32 to 4096"),
            (("init", "-a", "swinv2-nano", "-o", path, "-n", "x"),
             "affinelayernorm"),
            (("init", "-a", "swinv2-nano", "-o", path, "-p", "x"), "before"),
            (("init", "-a", "swinv2-nano", "-o", path, "-t", "x"),
             "NAME:KIND:LABEL"),
            (("init", "-a", "swinv2-nano", "-o", path, "-t", "x:y:z"),
             "detection"),
            (("init", "-a", "swinv2-nano", "-o", path, "-t",
              "x:detection:a,a"), "two labels")):
        run(TRAIN, *args, status=2, says=(text,))
    for args, text in ((("--wrong",), "--wrong"), (("a", "b"), "one FILE"),
                       (("--verify",), "FILE"), (("--tensors",), "FILE")):
        run(INFO, *args, status=2, says=(text,))
    assert os.listdir(folder) == []


@test
def failures_name_the_file(folder):
    bad = os.path.join(folder, "bad")
    for name, content, text in (
            ("empty", b"", "not a valid safetensors file"),
            ("text", b"hello, world", "not a valid safetensors file"),
            ("other", struct.pack("<Q", 2) + b"{}", "description")):
        open(bad, "wb").write(content)
        run(INFO, bad, status=1, says=(bad, text))
    run(INFO, os.path.join(folder, "missing"), status=1,
        says=("missing", "No such file"))
    run(INFO, folder, status=1, says=(folder, "folder"))
    init(os.path.join(folder, "no", "m"), status=1, says=("No such file",))
    init(folder, "--force", status=1, says=("folder",))


@test
def damage_is_found_by_verify(folder):
    path = os.path.join(folder, "m")
    init(path)
    data = bytearray(read(path))
    data[-100] ^= 1
    open(path, "wb").write(data)
    run(INFO, path)
    run(INFO, "--verify", path, status=1, says=("hash",))
    open(path, "wb").write(data[:-1])
    run(INFO, path, status=1, says=(path, "cut off"))


@test
def a_label_cannot_rewrite_the_terminal(folder):
    path = os.path.join(folder, "m")
    header = json.dumps({"__metadata__": {"a\x1b[2J": "\x1b]0;x\x07"}}).encode()
    open(path, "wb").write(struct.pack("<Q", len(header)) + header)
    output = run(INFO, "--tensors", path)
    assert "\x1b" not in output and "\x07" not in output
    data = json.loads(run(INFO, "--tensors", "--json", path))
    assert data["metadata"]["a\x1b[2J"] == "\x1b]0;x\x07"


@test
def help_is_there(folder):
    run(INFO, "--help", says=("--json", "Exit status"))
    run(TRAIN, "--help", says=("init", "not a medical device"))
    run(TRAIN, "init", "--help", says=("--pool-order", "--seed", "Example"))


@test
def a_full_disk_is_no_success(folder):
    if not os.path.exists("/dev/full"):
        return
    with open("/dev/full", "w") as full:
        done = subprocess.run([INFO], stdout=full, stderr=subprocess.PIPE,
                              text=True)
    assert done.returncode == 1 and "standard output" in done.stderr


print(f"1..{len(TESTS)}")
FAILED = 0
for number, function in enumerate(TESTS, 1):
    with tempfile.TemporaryDirectory() as place:
        try:
            function(place)
            print(f"ok {number} {function.__name__}")
        except AssertionError as problem:
            FAILED += 1
            print(f"not ok {number} {function.__name__}\n# {problem}")
sys.exit(FAILED > 0)
