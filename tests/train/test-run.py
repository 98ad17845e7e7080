#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Training runs from outside: what a run's folder holds, and that a run that is
# stopped - by SIGKILL at any moment, by Ctrl-C, by a full disk - continues to
# the same bits as one that was not. Data sets of shapes are made on the way.
# Prints TAP; standard library only. Usage: test-run.py UMEDPT-TRAIN [PATTERN]
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import synthetic

TRAIN = sys.argv[1]
PATTERN = sys.argv[2] if len(sys.argv) > 2 else ""
os.environ["G_DEBUG"] = "fatal-criticals"
os.environ["LC_ALL"] = "C.UTF-8"
TESTS = []
LR = "[optimizer]\nlr=1e-3\n"


def test(function):
    TESTS.append(function)
    return function


def run(*args, status=0, says=(), **more):
    done = subprocess.run([TRAIN, *args], capture_output=True, text=True,
                          encoding="utf-8", timeout=300, **more)
    assert done.returncode == status, (done.returncode, done.stderr)
    for text in says:
        assert text in done.stderr + done.stdout, \
            f"{text!r} is not in {done.stderr!r}"
    return done.stdout


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def log(folder):
    return [json.loads(line)
            for line in read(folder, "log.jsonl").splitlines()]


def safetensors(path):
    data = read(path)
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    return header, data[8 + size:]


def state(folder):
    """The state of a run but for the size of its log, which holds times."""
    header, data = safetensors(
        os.path.join(folder, "checkpoint-latest", "state.safetensors"))
    header["__metadata__"].pop("log")
    return header, data


def same_end(one, other):
    for name in ("model.safetensors", "checkpoint-latest/model.safetensors",
                 "checkpoint-best/model.safetensors"):
        assert read(one, name) == read(other, name), name + " differs"
    assert state(one) == state(other), "the state differs"

    def rounds(folder):
        return [(e["round"], e["losses"]) for e in log(folder)
                if e["type"] == "round"]
    assert rounds(one) == rounds(other), "the logged rounds differ"


def begin(*args):
    return subprocess.Popen([TRAIN, *args, "--json-lines"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def stop_somewhere(process, rng, number):
    """Ends @process with a signal after some rounds and a bit of time, or
    leaves it to end; whether it was stopped."""
    wanted = rng.randrange(1, 6)
    for line in process.stdout:
        if json.loads(line)["type"] == "round":
            wanted -= 1
        if wanted == 0:
            break
    time.sleep(rng.random() * 0.05)
    if process.poll() is None:
        process.send_signal(number)
    process.stdout.read()
    return process.wait() != 0


def stopped_often(folder, path, number, seed, expected):
    """A run that is stopped again and again until it ends by itself."""
    rng = random.Random(seed)
    name = os.path.join(folder, f"stopped-{seed}")
    args = ["run", path, "-o", name]
    for _ in range(60):
        process = begin(*args)
        if not stop_somewhere(process, rng, number):
            return name
        assert process.returncode == expected, process.returncode
        if os.path.exists(os.path.join(name, "config.ini")):
            args = ["resume", name]
        else:
            shutil.rmtree(name, ignore_errors=True)
    raise AssertionError("it never ended")


@test
def a_run_leaves_what_it_promises(folder):
    path = synthetic.config(folder, ["classification", "detection"],
                            "[train]\nepochs=2\nkeep=1\nprecision=f32\n" + LR)
    out = os.path.join(folder, "out")
    run("run", path, "-o", out, "--pictures", "2",
        says=("validation loss", "model.safetensors"))
    assert {"config.ini", "log.jsonl", "model.safetensors", "report.html",
            "checkpoint-latest", "checkpoint-best", "pictures"} <= set(
                os.listdir(out))
    assert [n for n in os.listdir(out) if n.startswith("events.out.tfevents")]
    kept = [n for n in os.listdir(out) if n.startswith("checkpoint-0")]
    assert kept == ["checkpoint-00000003"], kept
    assert not [n for n in os.listdir(out) if n.startswith(".")]
    events = log(out)
    kinds = [e["type"] for e in events]
    assert kinds[0] == "start" and kinds[-1] == "stop"
    assert kinds.count("round") == 6 and kinds.count("validation") == 2
    assert events[-1]["reason"] == "finished"
    for event in events:
        if event["type"] == "round":
            assert set(event["losses"]) == {"classification", "detection"}
            assert event["activations"] > 0 and event["rss"] > 0
    assert set(os.listdir(os.path.join(out, "pictures"))) == {
        "classification", "detection"}
    description = json.loads(safetensors(os.path.join(
        out, "model.safetensors"))[0]["__metadata__"]["umedpt"])
    assert [t["name"] for t in description["tasks"]] == [
        "classification", "detection"]
    assert description["tasks"][0]["labels"] == sorted(synthetic.SHAPES)
    # a finished run stays as it is, and a folder is not used twice
    before = read(out, "model.safetensors")
    run("resume", out)
    assert read(out, "model.safetensors") == before
    run("run", path, "-o", out, status=1, says=("holds a run already",))


def resumes(folder, kinds, train, number, expected, n_stops=2):
    path = synthetic.config(folder, kinds, train + LR)
    whole = os.path.join(folder, "whole")
    run("run", path, "-o", whole, "--quiet")
    for seed in range(n_stops):
        same_end(whole, stopped_often(folder, path, number, seed, expected))


@test
def killed_at_any_moment_it_resumes_to_the_same_bits(folder):
    resumes(folder, list(synthetic.MAKERS), "[train]\nepochs=3\nsave-every=2\n"
            "precision=f32\nkeep=2\n", signal.SIGKILL, -signal.SIGKILL)


@test
def with_an_average_a_schedule_and_random_tasks_as_well(folder):
    resumes(folder, ["classification", "segmentation", "cases"],
            "[train]\nepochs=3\nsave-every=1\nsampler=balanced\naverage=0.9\n"
            "round-tasks=2\nmicro-batch=2\nprecision=f32\n[schedule]\n"
            "kind=cosine\nwarmup=3\n", signal.SIGKILL, -signal.SIGKILL)


@test
def ctrl_c_finishes_the_round_and_resumes_to_the_same_bits(folder):
    resumes(folder, ["multilabel", "regression", "detection"],
            "[train]\nepochs=4\nprecision=f32\n[schedule]\nkind=plateau\n"
            "patience=0\n", signal.SIGINT, 130)


@test
def a_full_disk_keeps_the_checkpoint_before(folder):
    """A limit on the size of files takes the part of the disk."""
    path = synthetic.config(folder, ["classification", "segmentation"],
                            "[train]\nepochs=3\nprecision=f32\n" + LR)
    whole, out = (os.path.join(folder, n) for n in ("whole", "out"))
    run("run", path, "-o", whole, "--quiet")
    process = begin("run", path, "-o", out)
    stop_somewhere(process, random.Random(1), signal.SIGINT)
    before = read(out, "checkpoint-latest", "state.safetensors")
    limit = len(read(out, "checkpoint-latest", "model.safetensors")) + 100000
    assert limit < len(before)
    run("resume", out, "--quiet", "--pictures", "0", status=1,
        says=("could not be written", "before it is whole"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                              (limit, limit)))
    assert read(out, "checkpoint-latest", "state.safetensors") == before
    assert not [n for n in os.listdir(out) if n.startswith(".")]
    run("resume", out, "--quiet")
    same_end(whole, out)


@test
def a_loss_that_is_not_finite_stops_with_names(folder):
    path = synthetic.config(folder, ["classification"],
                            "[train]\nepochs=30\nprecision=f32\n"
                            "[optimizer]\nlr=1e-3\nclip=0\n")
    out = os.path.join(folder, "out")
    process = begin("run", path, "-o", out)
    stop_somewhere(process, random.Random(2), signal.SIGINT)
    # poison: a weight of the model that is not a number
    model = os.path.join(out, "checkpoint-latest", "model.safetensors")
    header, data = safetensors(model)
    begin_at = header["tasks.classification.clf.2.weight"]["data_offsets"][0] \
        if "tasks.classification.clf.2.weight" in header else min(
            entry["data_offsets"][0] for name, entry in header.items()
            if name.startswith("tasks."))
    content = bytearray(read(model))
    at = len(content) - len(data) + begin_at
    content[at:at + 4] = struct.pack("<f", float("nan"))
    with open(model, "wb") as file:
        file.write(content)
    before = read(out, "checkpoint-latest", "state.safetensors")
    run("resume", out, "--quiet", status=1,
        says=("'classification'", "round", "files:", ".png"))
    # stopped after an epoch's last batch, it first ends the epoch, and saves
    path = os.path.join(out, "checkpoint-latest", "state.safetensors")
    assert read(path) == before or \
        safetensors(path)[0]["__metadata__"]["pass"] == "0"
    assert log(out)[-1]["reason"] == "error"


@test
def two_processes_do_not_share_a_folder(folder):
    path = synthetic.config(folder, ["classification"],
                            "[train]\nepochs=1000\nprecision=f32\n" + LR)
    out = os.path.join(folder, "out")
    process = begin("run", path, "-o", out)
    for line in process.stdout:
        if json.loads(line)["type"] == "checkpoint":
            break
    try:
        run("resume", out, status=1, says=("another process",))
    finally:
        process.kill()
        process.communicate()


@test
def image_by_image_or_at_once_is_the_same(folder):
    """The gradients of parts of a batch add up to that of the batch."""
    kinds = [k for k in synthetic.MAKERS if k != "segmentation"]
    path = synthetic.config(folder, kinds, "[train]\nepochs=4\nprecision=f32\n"
                            "dropout=false\nvalidate-every=0\n[optimizer]\n"
                            "lr=1e-4\n")
    losses = []
    for size in ("0", "1", "3"):
        out = os.path.join(folder, "out" + size)
        run("run", path, "-o", out, "-q", "--set", "train.micro-batch=" + size)
        losses.append([e["losses"] for e in log(out) if e["type"] == "round"])
    for other in losses[1:]:
        # later, what rounding does grows
        for a, b in list(zip(losses[0], other))[:2]:
            for task in kinds:
                assert abs(a[task] - b[task]) < 1e-3 * a[task], (task, a, b)


@test
def images_that_are_kept_are_the_same(folder):
    kinds = list(synthetic.MAKERS)
    path = synthetic.config(folder, kinds,
                            "[train]\nepochs=3\nprecision=f32\n" + LR,
                            keys="batch=4\naugment=weak\n")
    results = []
    for size in ("0", "1"):
        out = os.path.join(folder, "out" + size)
        sets = [x for k in kinds for x in ("--set", f"task {k}.cache={size}")]
        run("run", path, "-o", out, "-q", "-p", "0", *sets)
        results.append([e["losses"] for e in log(out) if e["type"] == "round"])
    assert results[0] == results[1] and len(results[0]) > 3


@test
def a_changed_configuration_is_not_continued(folder):
    path = synthetic.config(folder, ["classification"],
                            "[train]\nepochs=1\nprecision=f32\n" + LR)
    out = os.path.join(folder, "out")
    run("run", path, "-o", out, "--quiet")
    mine = os.path.join(out, "config.ini")
    text = read(mine).decode()
    with open(mine, "w") as file:
        file.write(text.replace("lr=1e-3", "lr=1e-2"))
    run("resume", out, status=1, says=("has changed", "epochs"))
    with open(mine, "w") as file:
        file.write(text.replace("epochs=1", "epochs=2"))
    image = os.path.join(folder, "classification", "train",
                         synthetic.SHAPES[0], "000.png")
    os.rename(image, image + ".gone")
    run("resume", out, status=1, says=("8 training images", "had 9"))
    os.rename(image + ".gone", image)
    run("resume", out, "--quiet")
    assert max(e["epoch"] for e in log(out) if e["type"] == "round") == 1


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
