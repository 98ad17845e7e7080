#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The commands of umedpt-train beside run and resume, as a user meets them:
# check, eval, adapt, embed, efficiency. Prints TAP; standard library only.
# Usage: test-commands.py UMEDPT-TRAIN [PATTERN]
import csv
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile

import synthetic

TRAIN = sys.argv[1]
PATTERN = sys.argv[2] if len(sys.argv) > 2 else ""
os.environ["G_DEBUG"] = "fatal-criticals"
os.environ["LC_ALL"] = "C.UTF-8"
TESTS = []
SHORT = "[train]\nepochs=1\nprecision=f32\n[optimizer]\nlr=1e-3\n"


def test(function):
    TESTS.append(function)
    return function


def run(*args, status=0, says=()):
    done = subprocess.run([TRAIN, *args], capture_output=True, text=True,
                          encoding="utf-8", timeout=200)
    assert done.returncode == status, (done.returncode, done.stderr)
    for text in says:
        assert text in done.stdout + done.stderr, \
            f"{text!r} is not in {done.stdout + done.stderr!r}"
    return done.stdout


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def description(path):
    data = read(path)
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    return json.loads(header["__metadata__"]["umedpt"]), header, data[8 + size:]


def tensor(path, name):
    _, header, data = description(path)
    begin, end = header[name]["data_offsets"]
    return data[begin:end]


def trained(folder, kinds, name="run"):
    path = synthetic.config(folder, kinds, SHORT)
    out = os.path.join(folder, name)
    run("run", path, "-o", out, "-q", "-p", "0")
    return path, os.path.join(out, "model.safetensors")


@test
def check_finds_what_is_wrong(folder):
    path = synthetic.config(folder, ["classification", "segmentation"], SHORT)
    run("check", path, says=("classification: classification, 12 images",
                             "2 tasks, 0 errors"))
    bad = os.path.join(folder, "segmentation", "masks", "003.png")
    synthetic.write_png(bad, 64, 64, bytes([99]) * 64 * 64, 1)
    run("check", path, status=1, says=("segmentation: error", "003", "1 errors"))
    run("check", path, "--quick", says=("0 errors",))
    with open(bad, "wb") as file:
        file.write(b"no picture")
    run("check", path, status=1, says=("003.png",))
    os.remove(bad)
    run("check", path, status=1, says=("003",))


@test
def check_names_file_group_key_and_value(folder):
    path = synthetic.config(folder, ["classification"], SHORT)
    for change, texts in (
            ("train.epochs=none", (path, "[train] epochs", "'none'", "from 1")),
            ("train.epoch=3", ("[train] epoch", "'epochs'")),
            ("task classification.path=gone", ("[task classification]", "gone")),
            ("nonsense", ("GROUP.KEY=VALUE",))):
        run("check", path, "--set", change, status=1, says=texts)
    run("check", os.path.join(folder, "none.ini"), status=1, says=("none.ini",))
    run("check", status=2, says=("CONFIG",))
    run("check", "--keys", says=("[task NAME]", "lr-factor", "mask-values"))


@test
def eval_repeats_what_validation_said(folder):
    path, model = trained(folder, ["classification", "detection", "cases"])
    with open(os.path.join(folder, "run", "log.jsonl")) as file:
        said = [json.loads(line) for line in file]
    said = [e for e in said if e["type"] == "validation"][-1]["tasks"]
    out = os.path.join(folder, "eval.json")
    run("eval", model, path, "-o", out, "--precision", "f32",
        says=("classification (classification)", "loss", "confusion", "ap50"))
    result = json.loads(read(out))
    assert result["tasks"] == said
    assert result["split"] == "val" and len(result["model"]) == 64
    only = json.loads(run("eval", model, path, "--task", "cases", "--json",
                          "--split", "train"))
    assert list(only["tasks"]) == ["cases"]
    # a part that some tasks have and others lack
    shares = ["--set", "task cases.split=0.4;0.3;0.3", "--split", "test"]
    result = json.loads(run("eval", model, path, "--json", *shares))["tasks"]
    assert result["classification"] is None and result["cases"]["n"] > 0
    run("eval", model, path, "--split", "test", status=1, says=("no images",))
    run("eval", model, path, "--task", "none", status=1, says=("[task none]",))
    run("eval", model, path, "--split", "none", status=2, says=("train, val",))
    other = synthetic.config(folder, ["multilabel"], SHORT, name="other.ini")
    run("eval", model, other, status=1, says=("no task 'multilabel'",))


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@test
def eval_writes_what_each_image_got(folder):
    kinds = ["classification", "multilabel", "regression", "segmentation",
             "detection", "cases"]
    path, model = trained(folder, kinds)
    out = os.path.join(folder, "predictions.jsonl")
    run("eval", model, path, "--split", "all", "--predictions", out)
    found = lines(out)
    for kind in kinds[:-1]:
        assert sum(line["task"] == kind for line in found) == 12, kind
    for line in found:
        assert line["width"] == line["height"] == 64, line
        assert line["covers"] == {"x": 0, "y": 0, "width": 64, "height": 64}
        assert ("case" in line) == (line["task"] == "cases"), line
    by_task = {line["task"]: line for line in found}
    shape = by_task["classification"]
    assert shape["file"].split("/")[1] == shape["truth"]["label"], shape
    assert list(shape["values"]) == sorted(synthetic.SHAPES)
    assert abs(sum(shape["values"].values()) - 1) < 1e-5, shape
    assert set(by_task["multilabel"]["truth"]["values"].values()) <= {0, 1}
    assert len(by_task["regression"]["values"]) == 1
    for mask in (by_task["segmentation"]["mask"],
                 by_task["segmentation"]["truth"]["mask"]):
        runs, = mask["runs"]
        assert sum(runs[1::2]) == 64 * 64 and set(runs[0::2]) <= {0, 1, 2, 3, 255}
        assert all(a != b for a, b in zip(runs[0::2], runs[2::2]))
    with open(os.path.join(folder, "detection", "coco.json")) as file:
        coco = json.load(file)
    boxes = [tuple(round(b[k]) for k in ("x", "y", "width", "height"))
             for line in found if line["task"] == "detection"
             for b in line["truth"]["boxes"]]
    assert sorted(boxes) == sorted(tuple(a["bbox"]) for a in coco["annotations"])
    # cut from the middle, at the picture's own scale
    run("eval", model, path, "--task", "classification", "--predictions", out,
        "--set", "task classification.size=32", "--set",
        "task classification.fit=crop")
    assert all(line["covers"] == {"x": 16, "y": 16, "width": 32, "height": 32}
               for line in lines(out))


@test
def eval_says_where_predictions_cannot_be_written(folder):
    path, model = trained(folder, ["classification"])
    for where, says in (("none/p.jsonl", "none/p.jsonl"), (".", "folder")):
        run("eval", model, path, "--predictions", os.path.join(folder, where),
            status=1, says=(says,))
    if os.path.exists("/dev/full"):
        run("eval", model, path, "--predictions", "/dev/full", status=1,
            says=("/dev/full",))
    # what there was stays until all is well
    out = os.path.join(folder, "kept.jsonl")
    with open(out, "w") as file:
        file.write("before")
    run("eval", model, path, "--predictions", out, "--split", "test", status=1,
        says=("no images",))
    small = subprocess.run(
        [TRAIN, "eval", model, path, "--predictions", out, "--split", "all"],
        capture_output=True, text=True, encoding="utf-8", timeout=200,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                              (1000, 1000)))
    assert small.returncode == 1 and "too large" in small.stderr, small
    assert read(out) == b"before"
    assert not [n for n in os.listdir(folder) if n.startswith(".")]


@test
def adapt_adds_a_task_and_leaves_the_rest(folder):
    _, model = trained(folder, ["classification"])
    path = synthetic.config(folder, ["segmentation"], SHORT, name="new.ini")
    out = os.path.join(folder, "frozen")
    run("adapt", model, path, "-o", out, "-q", "--fraction", "0.5")
    result = os.path.join(out, "model.safetensors")
    assert [t["name"] for t in description(result)[0]["tasks"]] == [
        "classification", "segmentation"]
    names = [n for n in description(model)[1] if n != "__metadata__"]
    changed = [n for n in names if tensor(model, n) != tensor(result, n)]
    assert not changed, changed[:3]
    out = os.path.join(folder, "tuned")
    run("adapt", model, path, "-o", out, "-q", "--fine-tune")
    result = os.path.join(out, "model.safetensors")
    assert [t["name"] for t in description(result)[0]["tasks"]] == [
        "segmentation"]
    weight = "encoder.model.wrapped_model.features.0.0.weight"
    assert tensor(model, weight) != tensor(result, weight)


@test
def embed_writes_a_row_per_image(folder):
    path, model = trained(folder, ["classification", "regression"])
    out = os.path.join(folder, "features.npy")
    run("embed", model, path, status=2, says=("--output",))
    run("embed", model, path, "-o", out, status=1, says=("--task",))
    run("embed", model, path, "-o", out, "--task", "classification",
        "--precision", "f32")
    data = read(out)
    assert data[:6] == b"\x93NUMPY" and b"(12, 64)" in data[:128], data[:128]
    values = struct.unpack("<768f", data[128:128 + 4 * 768])
    assert len(set(values)) > 500
    with open(out + ".csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert sorted({r["label"] for r in rows}) == sorted(synthetic.SHAPES)
    assert all(r["label"] in r["file"] for r in rows)
    run("embed", model, path, "-o", out, "--task", "classification", status=1,
        says=("exists already",))


@test
def efficiency_makes_a_table_and_a_plot(folder):
    _, model = trained(folder, ["segmentation"])
    path = synthetic.config(folder, ["classification"], SHORT, n=24,
                            name="target.ini")
    out = os.path.join(folder, "efficiency")
    args = ["efficiency", path, "-o", out, "--start", model, "--start",
            "random", "--fractions", "25,100", "--seeds", "2", "--split", "val"]
    run(*args, says=("frozen", "fine-tuned", "100 %", "f1"))
    with open(os.path.join(out, "efficiency.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2 * 2
    assert {r["start"] for r in rows} == {"model", "random"}
    assert {r["mode"] for r in rows} == {"frozen", "fine-tuned"}
    assert {r["fraction"] for r in rows} == {"0.25", "1"}
    assert all(0 <= float(r["value"]) <= 1 for r in rows)
    table = json.loads(read(out, "efficiency.json"))
    assert len(table) == len(rows) and table[0]["evaluation"]["n"] == 6
    svg = read(out, "efficiency.svg")
    assert svg.startswith(b"<svg") and svg.count(b"<circle") == 8
    # what is done is not done again
    before = os.stat(os.path.join(out, "runs", "model-frozen-25-1",
                                  "model.safetensors")).st_mtime_ns
    run(*args)
    assert before == os.stat(os.path.join(
        out, "runs", "model-frozen-25-1", "model.safetensors")).st_mtime_ns
    run("efficiency", path, "-o", out, "--fractions", "0", status=2,
        says=("percent",))
    # what another command made is not taken for this one's
    run(*args, "--set", "optimizer.lr=1e-2", status=1,
        says=("another study",))


@test
def efficiency_tells_models_of_one_name_apart(folder):
    _, one = trained(folder, ["segmentation"])
    other = os.path.join(folder, "other", os.path.basename(one))
    os.mkdir(os.path.dirname(other))
    run("init", "-a", "swinv2-nano", "-i", "64", "-o", other)
    path = synthetic.config(folder, ["classification"], SHORT, n=24,
                            name="target.ini")
    out = os.path.join(folder, "efficiency")
    args = ["efficiency", path, "--fractions", "100", "--seeds", "1",
            "--modes", "frozen"]
    run(*args, "-o", out, "--start", one, "--start", other, "--split", "val")
    with open(os.path.join(out, "efficiency.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    parent = os.path.basename(os.path.dirname(one))
    assert [r["start"] for r in rows] == [f"{parent}-model", "other-model"]
    assert len(os.listdir(os.path.join(out, "runs"))) == 2
    # a part that is empty is found before anything is trained
    empty = os.path.join(folder, "empty")
    run(*args, "-o", empty, "--start", one, status=1, says=("--split",))
    assert not os.path.exists(os.path.join(empty, "runs"))


def main():
    selected = [t for t in TESTS if PATTERN in t.__name__]
    print(f"1..{len(selected)}")
    failed = 0
    for i, function in enumerate(selected, 1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                function(folder)
                print(f"ok {i} {function.__name__}")
            except Exception as error:  # each test tells its own failure
                failed += 1
                print(f"not ok {i} {function.__name__}")
                print("# " + repr(error).replace("\n", "\n# "))
        sys.stdout.flush()
    return failed > 0


sys.exit(main())
