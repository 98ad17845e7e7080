#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What umedptjson writes, read as users read it: Python's json, every line held
# against docs/json-lines.schema.json, and its numbers against those that other
# elements wrote of the same buffers. Prints TAP.
#
# check-json.py BUILD: without jsonschema (Debian: python3-jsonschema) what needs
# no schema is checked all the same.
import datetime
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from launch_lines import HERE, Build, Skip, run_tests, test

try:
    import numpy as np
except ImportError as problem:
    print(f"1..0 # SKIP {problem} (Debian: python3-numpy)")
    sys.exit(0)
sys.path.insert(0, str(HERE.parent / "reference"))
import safetensors_io  # noqa: E402
try:
    import jsonschema
except ImportError:
    jsonschema = None

SCHEMA = json.loads(
    (HERE.parent.parent / "docs/json-lines.schema.json").read_text())
VIDEO = "videotestsrc num-buffers={} pattern=ball ! video/x-raw,format=RGB," \
    "width=96,height=64,framerate=25/1"


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), f"a key occurs twice: {keys}"
    return dict(pairs)


def parse(text):
    return json.loads(text, parse_constant=no_constant,
                      object_pairs_hook=no_duplicates)


def validator():
    if jsonschema is None:
        raise Skip("jsonschema is not installed (Debian: python3-jsonschema)")
    return jsonschema.Draft202012Validator(SCHEMA)


def read(path):
    """The lines, each of them valid."""
    text = Path(path).read_bytes().decode("utf-8")
    assert text.endswith("\n"), text[-100:]
    lines = [parse(line) for line in text[:-1].split("\n")]
    if jsonschema:
        check = validator()
        for i, line in enumerate(lines, 1):
            for error in check.iter_errors(line):
                raise AssertionError(f"{path}:{i}: {error}")
    return lines


def model():
    return BUILD.model("model.safetensors", "--arch", "swinv2-nano", "--seed",
                       "1", "--input-size", "64")


# --- the schema ---------------------------------------------------------------

GOOD = {"schema": 1, "frame": 0, "pts": 0, "duration": None, "stream_time": 0,
        "running_time": 0, "results": {"t": {
            "kind": "detection", "model": "00", "pts": 0, "age_ns": 0,
            "stale": False, "boxes": []}}}
WRONG = [
    dict(schema=2), dict(frame=-1), dict(pts=0.5), dict(pts="0"),
    dict(extra=1), dict(width=3), dict(utc="today"), dict(results=[]),
    dict(results={"t": {}}), dict(bad_tile={}),
    dict(results={"t": dict(GOOD["results"]["t"], kind="regression")}),
    dict(results={"t": dict(GOOD["results"]["t"], values={"a": 1})}),
    dict(results={"t": dict(GOOD["results"]["t"], boxes=[{"x": 0}])}),
    dict(results={"a b": GOOD["results"]["t"]}),
]


@test("schema")
def the_schema_tells_right_from_wrong(folder):
    check = validator()
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert check.is_valid(GOOD)
    for change in WRONG:
        assert not check.is_valid({**GOOD, **change}), change
    for key in GOOD:
        assert not check.is_valid({k: v for k, v in GOOD.items() if k != key})


@test("schema")
def the_document_names_every_field(folder):
    """Of the lines, of results, boxes, masks and tiles."""
    text = (HERE.parent.parent / "docs/json-lines.md").read_text()
    for name, part in SCHEMA["$defs"].items():
        for key in part.get("properties", {}):
            assert f"`{key}`" in text, f"{key} of a {name} is not described"


# --- files --------------------------------------------------------------------

@test("files")
def a_line_for_every_frame(folder):
    BUILD.launch(f"-q {VIDEO.format(50)} ! umedptjson location=a.jsonl ! "
                 "umedptjson output=text location=b.jsonl ! "
                 "filesink location=c.jsonl", folder=folder)
    lines = read(folder / "a.jsonl")
    assert [line["frame"] for line in lines] == list(range(50))
    assert [line["pts"] for line in lines] == [i * 40000000 for i in range(50)]
    assert all(line["running_time"] == line["stream_time"] == line["pts"] and
               line["duration"] == 40000000 and line["results"] == {} and
               (line["width"], line["height"]) == (96, 64) and
               "utc" not in line and "latency_ns" not in line
               for line in lines)
    for name in "bc":
        assert (folder / f"{name}.jsonl").read_bytes() == \
            (folder / "a.jsonl").read_bytes(), name


@test("files")
def another_locale_changes_nothing(folder):
    locales = subprocess.run(["locale", "-a"], stdout=subprocess.PIPE,
                             text=True, check=True).stdout.split()
    comma = [name for name in locales if re.match("(de|fr|es|it)_", name)]
    if not comma:
        raise Skip("there is no locale with a decimal comma")
    line = f"-q {VIDEO.format(2)} ! umedptembed model-file={model()} ! " \
        "umedptjson location={} embedding=true ! fakesink"
    BUILD.launch(line.format("c.jsonl"), folder=folder)
    BUILD.launch(line.format("d.jsonl"), folder=folder, LC_ALL=comma[0])
    assert (folder / "c.jsonl").read_bytes() == \
        (folder / "d.jsonl").read_bytes()


@test("files")
def what_is_written_survives_a_crash(folder):
    path = folder / "crash.jsonl"
    BUILD.launch(f"{VIDEO.format(200)} ! identity sleep-time=20000 ! "
                 f"umedptjson location={path} ! progressreport update-freq=1 ! "
                 "fakesink", stop=(r"progressreport0 \(00:00:02", signal.SIGKILL),
                 status=-signal.SIGKILL)
    lines = read(path)
    assert 2 < len(lines) < 200, len(lines)
    BUILD.launch(f"-q {VIDEO.format(3)} ! umedptjson location={path} "
                 "append=true ! fakesink")
    frames = [line["frame"] for line in read(path)]
    assert frames == [*range(len(lines)), 0, 1, 2], frames


@test("files")
def what_is_wrong_is_said(folder):
    missing = folder / "missing" / "a.jsonl"
    # later than the first line: gst-launch-1.0 may hang after an error that
    # comes before it plays
    full = "/dev/full flush-every-line=false"
    for location, words in ((missing, "Make the folder first"),
                            ("-", "output=text"),
                            (full, "No space left on device")):
        result = BUILD.launch(f"{VIDEO.format(100)} ! umedptjson "
                              f"location={location} ! fakesink", status=None,
                              says=(words,))
        assert result.output.count("umedpt_error_quark") == 1, \
            result.output
    BUILD.launch(f"{VIDEO.format(1)} ! umedptjson ! fakesink", status=None,
                 says=("location=FILE.jsonl",))


@test("files")
def a_pipe_is_read_while_it_is_written(folder):
    """More than fits into a pipe, so that one waits for the other."""
    os.mkfifo(folder / "pipe")
    lines = []
    with open(folder / "pipe", "rb+", buffering=0) as pipe:
        reader = threading.Thread(target=lambda: lines.extend(
            itertools.islice(io.BufferedReader(pipe), 1000)), daemon=True)
        reader.start()
        BUILD.launch(f"-q {VIDEO.format(1000)} ! umedptjson location=pipe ! "
                     "fakesink", folder=folder)
        reader.join(20)
    assert [parse(line)["frame"] for line in lines] == list(range(1000))


# --- slides -------------------------------------------------------------------

def tiles_line(location, path):
    return f"-e umedptslidesrc location={location} tile-size=256 mpp=0.5 " \
        f"tissue=none ! queue ! umedptembed model-file={model()} " \
        f"batch-size=4 precision=f32 ! umedptjson embedding=true " \
        f"location={path}.jsonl ! umedptslidesink features-location={path}.npy"


@test("slides")
def tiles_are_those_of_the_features_file(folder):
    """Bit by bit, although they went through text."""
    slide = BUILD.slide("slide.tiff", 1300, 900, 0.5)
    BUILD.launch(tiles_line(slide, folder / "slide"))
    lines = read(folder / "slide.jsonl")
    features = np.load(folder / "slide.npy")
    coords = np.load(folder / "slide.coords.npy")
    assert len(lines) == len(features) == 24, (len(lines), len(features))
    embeddings = np.array([line["embedding"]["values"] for line in lines],
                          np.float32)
    assert np.array_equal(embeddings, features)
    assert [[line["tile"]["x"], line["tile"]["y"]] for line in lines] == \
        coords.tolist()
    info = json.loads((folder / "slide.info.json").read_text())
    for i, line in enumerate(lines):
        assert line["embedding"]["model"] == info["model_hash"], info
        assert line["embedding"]["encoder"] == "swinv2-nano"
        assert line["tile"]["index"] == i and line["tile"]["slide"] == "slide"
        assert line["tile"]["mpp"] == 0.5 and line["tile"]["total"] == 24


# --- results ------------------------------------------------------------------

TASKS = ("grade:classification:low,high", "marks:multilabel:a,b,c",
         "age:regression", "tissue:segmentation:ground,tumour,stroma",
         "layers:multilabel-segmentation:p,q", "spot:segmentation:spot",
         "cells:detection:x,y")
KINDS = {task.split(":")[0]: task.split(":")[1] for task in TASKS}
LABELS = {task.split(":")[0]: task.split(":")[2:] for task in TASKS}


def labels(task):
    return LABELS[task][0].split(",") if LABELS[task] else ["0"]


def tasks_model():
    """Its detector finds something everywhere: an untrained one would stay
    below the least score, so it gets even chances."""
    path = BUILD.shared / "lively.safetensors"
    if not path.exists():
        tensors, metadata = safetensors_io.load(BUILD.model(
            "tasks.safetensors", "--arch", "swinv2-nano", "--input-size", "64",
            *(f"--task={task}" for task in TASKS)))
        bias = "tasks.cells.task_modules.head.conv_cls.bias"
        tensors[bias] = np.zeros_like(tensors[bias])
        safetensors_io.save(path, tensors, metadata)
    return path


def tasks_line(path, settings="", n=6):
    name = tasks_model()
    our = f"model-file={name} {settings}"
    return f"-q {VIDEO.format(n)} ! umedptembed {our} tasks=grade,marks,age ! " \
        f"umedptsegment {our} task=tissue threshold=0.34 ! " \
        f"umedptsegment {our} task=layers ! umedptsegment {our} task=spot ! " \
        f"umedptdetect {our} task=cells threshold=0.001 max-detections=7 ! " \
        f"umedptjson masks=full location={path} ! fakesink"


def check_mask(task, mask):
    n = mask["width"] * mask["height"]
    planes = [np.repeat(runs[0::2], runs[1::2]) for runs in mask["runs"]]
    assert all(len(plane) == n for plane in planes)
    index = task == "tissue"
    assert len(planes) == (1 if index else len(labels(task)))
    assert list(mask["areas"]) == labels(task), mask["areas"]
    for i, area in enumerate(mask["areas"].values()):
        pixels = (planes[0] == i).sum() if index else planes[i].sum()
        assert area == {"pixels": pixels, "fraction": pixels / n}, area
    assert ("undecided" in mask) == index
    if index:
        assert mask["undecided"] == (planes[0] == 255).sum()
    assert mask["covers"] == {"x": 0, "y": 0, "width": 96, "height": 64}


@test("results")
def every_kind_of_task_has_its_form(folder):
    BUILD.launch(tasks_line(folder / "tasks.jsonl"))
    lines = read(folder / "tasks.jsonl")
    assert len(lines) == 6
    for line in lines:
        found = line["results"]
        assert {task: r["kind"] for task, r in found.items()} == KINDS
        for task, result in found.items():
            assert (result["pts"], result["age_ns"], result["stale"]) == \
                (line["pts"], 0, False)
            assert re.fullmatch("[0-9a-f]{64}", result["model"])
            if "values" in result:
                assert list(result["values"]) == labels(task), result
            if "mask" in result:
                check_mask(task, result["mask"])
        assert abs(sum(found["grade"]["values"].values()) - 1) < 1e-6
        boxes = found["cells"]["boxes"]
        scores = [box["score"] for box in boxes]
        assert len(boxes) == 7 and scores == sorted(scores, reverse=True)
        for box in boxes:
            assert box["label"] == labels("cells")[box["class"]]
            assert 0 <= box["x"] and box["x"] + box["width"] <= 96.001
            assert 0 <= box["y"] and box["y"] + box["height"] <= 64.001


@test("results")
def held_results_tell_their_age(folder):
    BUILD.launch(tasks_line(folder / "held.jsonl", "inference-interval=3 "
                            "hold-results=1000000000", 7))
    for i, line in enumerate(read(folder / "held.jsonl")):
        age = i % 3 * 40000000
        assert len(line["results"]) == len(TASKS), line
        for result in line["results"].values():
            assert (result["age_ns"], result["stale"]) == (age, age > 0), \
                (i, result)


# --- live ---------------------------------------------------------------------

@test("live")
def live_lines_say_when_they_were_made(folder):
    path = folder / "live.jsonl"
    BUILD.launch("-q videotestsrc is-live=true num-buffers=30 ! video/x-raw,"
                 "width=96,height=64,framerate=30/1 ! identity "
                 f"sleep-time=5000 ! umedptjson location={path} ! fakesink")
    lines = read(path)
    assert len(lines) == 30
    late = [line["latency_ns"] for line in lines[1:]]
    assert min(late) >= 5000000 and np.median(late) < 1e9, late
    when = [datetime.datetime.fromisoformat(line["utc"].replace("Z", "+00:00"))
            for line in lines]
    now = datetime.datetime.now(datetime.timezone.utc)
    assert when == sorted(when) and 0 <= (now - when[-1]).total_seconds() < 60
    span = (when[-1] - when[0]).total_seconds()
    assert 0.7 < span < 10, f"30 frames at 30/s came in {span} s"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as shared_folder:
        BUILD = Build(sys.argv[1], shared_folder)
        BUILD.check()
        run_tests(sys.argv[2:] or ["schema", "files", "slides", "results",
                                  "live"])
