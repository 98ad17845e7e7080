#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Training by several processes on GPUs, whose gradients NCCL adds, on emulated
# ones (tests/cuda/README.md): the same bits as by MPI through the host, and the
# same run as by one process, also where processes share a task. Without NCCL, or
# with one that is no use, sums go by MPI, and the log says why. An error of NCCL
# on one process is one message, and ends all.
#
# test-nccl.py UMEDPT-TRAIN FOLDER-OF-libumedpt-mpi.so
# Needs UMEDPT_BACKEND_PATH and LD_LIBRARY_PATH to have the emulated module.
# Exit status 77 (skipped) without mpirun or the MPI module.
import os
import subprocess
import tempfile

from ranks import compare, log, model, run
import synthetic

SETTINGS = """[train]
epochs=1
rounds=2
device=cuda
precision=f32
dropout=false
[optimizer]
lr=1e-2
clip=0.1
kind=sgd
"""
DEVICES, HOST = "summed by the devices", "summed by MPI: "
BY_MPI = {"UMEDPT_EMULATE_NCCL_FAIL": "ncclGetUniqueId"}


def train(folder, name, n, *change, **variables):
    """Returns where, and what was said."""
    out = os.path.join(folder, name)
    text = run(n, "run", os.path.join(folder, "config.ini"), "-o", out, *change,
               timeout=300, G_MESSAGES_DEBUG="all", **variables)
    return out, text


def same(a, b):
    assert model(a) == model(b), (a, b)
    assert [e["losses"] for e in log(a, "round")] == [
        e["losses"] for e in log(b, "round")], (a, b)


def check_sums(folder):
    one, _ = train(folder, "one", 1)
    assert log(one, "start")[0]["device"] == "cuda"
    for n in (2, 3):
        many, text = train(folder, f"nccl-{n}", n)
        assert text.count(DEVICES) == n and HOST not in text, text
        compare(f"{n} processes", one, many, 1e-5)
        host, text = train(folder, f"mpi-{n}", n, **BY_MPI)
        assert text.count(HOST + "NCCL: making an id failed") == 1, text
        assert DEVICES not in text
        same(many, host)


def check_bf16(folder):
    """Gradients whose bf16 form would be old."""
    change = ["--set", "train.precision=bf16", "--set", "optimizer.kind=adamw"]
    many, text = train(folder, "bf16", 2, *change)
    assert text.count(DEVICES) == 2, text
    host, _ = train(folder, "bf16-mpi", 2, *change, **BY_MPI)
    same(many, host)


def check_missing(folder):
    """No library, and one without its functions."""
    there = os.path.join(folder, "mpi-2")
    libraries = os.path.join(folder, "libraries")
    path = os.path.join(libraries, "libnccl.so.2")
    os.mkdir(libraries)
    search = libraries + ":" + os.environ["LD_LIBRARY_PATH"]
    with open(path, "w") as file:
        file.write("no library")
    out, text = train(folder, "missing", 2, LD_LIBRARY_PATH=search)
    assert text.count(HOST + "NCCL (libnccl.so.2) cannot be loaded") == 2, text
    same(out, there)
    subprocess.run(["gcc", "-shared", "-x", "c", "-", "-o", path], input=b"",
                   check=True)
    out, text = train(folder, "other", 2, LD_LIBRARY_PATH=search)
    assert text.count(HOST + "libnccl.so.2 has no function") == 2, text
    same(out, there)


def check_failures(folder):
    for i, (function, message) in enumerate({
            "ncclCommInitRank@1": "NCCL: joining the other processes failed",
            "ncclGroupStart@0": "NCCL: beginning a sum failed",
            "ncclAllReduce@1": "Process 1 of 2: NCCL: adding gradients failed",
            "ncclGroupEnd@1": "Process 1 of 2: NCCL: adding gradients failed",
            "ncclGroupEnd": "NCCL: adding gradients failed"}.items()):
        out = os.path.join(folder, f"fails-{i}")
        text = run(2, "run", os.path.join(folder, "config.ini"), "-o", out,
                   status=1, UMEDPT_EMULATE_NCCL_FAIL=function)
        said = [x for x in text.splitlines() if "umedpt-train: " in x]
        print(function, *said)
        assert len(said) == 1 and message in said[0], text
        stop = log(out, "stop")
        assert len(stop) == 1 and stop[0]["reason"] == "error", stop
        assert message in stop[0]["message"], stop
        assert not os.path.exists(os.path.join(out, "model.safetensors"))


with tempfile.TemporaryDirectory() as directory:
    synthetic.config(directory, ["classification", "regression"], SETTINGS)
    check_sums(directory)
    check_bf16(directory)
    check_missing(directory)
    check_failures(directory)
