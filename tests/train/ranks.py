# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For tests of training by several processes: runs umedpt-train under mpirun on
# this machine, reads what a run has left, compares two. Standard library only.
# UMEDPT_TEST_LAUNCHER=srun starts the processes by Slurm, where that is set up.
#
# The command line of such a test: UMEDPT-TRAIN FOLDER-OF-libumedpt-mpi.so
import array
import json
import os
import shutil
import subprocess
import sys

TRAIN, MODULE = sys.argv[1], sys.argv[2]
LAUNCHERS = {
    "mpirun": ["mpirun", "--allow-run-as-root", "--oversubscribe", "--mca",
               "btl", "self,tcp"],
    "srun": ["srun", "--mpi=pmix", "--overcommit", "--kill-on-bad-exit=1"],
}
LAUNCHER = LAUNCHERS[os.environ.get("UMEDPT_TEST_LAUNCHER") or "mpirun"]
if not shutil.which(LAUNCHER[0]):
    print(f"skipped: there is no {LAUNCHER[0]}")
    sys.exit(77)
if not os.path.exists(os.path.join(MODULE, "libumedpt-mpi.so")):
    print("skipped: the MPI module was not built")
    sys.exit(77)

# Open MPI keeps what its threads have made when a process ends, and unloads the
# code that made it: no suppression could name it.
SANITIZER = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"),
                                   "detect_leaks=0"]))


def run(n, *args, status=0, timeout=100, **variables):
    """By @n processes, which must succeed, or fail if @status says so; returns
    what they said."""
    command = [TRAIN, *args, "-q", "-p", "0"]
    if n > 1:
        command = [*LAUNCHER, "-n", str(n), *command]
    path = [MODULE, os.environ.get("UMEDPT_BACKEND_PATH")]
    env = dict(os.environ, UMEDPT_THREADS="1", ASAN_OPTIONS=SANITIZER,
               OMPI_MCA_rmaps_base_oversubscribe="1",
               UMEDPT_BACKEND_PATH=":".join(filter(None, path)))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE, timeout=timeout,
                          env={**env, **variables})
    if (done.returncode != 0) != (status != 0):
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n"
                 f"{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def log(out, kind):
    with open(os.path.join(out, "log.jsonl")) as file:
        return [e for e in map(json.loads, file) if e["type"] == kind]


def model(out):
    with open(os.path.join(out, "model.safetensors"), "rb") as file:
        return file.read()


def weights(out):
    data = model(out)
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        first, last = entry["data_offsets"]
        tensors[name] = array.array("f", data[8 + size + first:8 + size + last])
    return tensors


def close(what, a, b, limit):
    found = max(abs(x - y) / max(abs(x), abs(y), 1) for x, y in zip(a, b))
    print(f"{what}: {found:.2g}")
    assert len(a) == len(b) and found <= limit, (what, found)


def compare(what, one, many, limit):
    rounds = [log(out, "round") for out in (one, many)]
    assert [list(e["losses"]) for e in rounds[0]] == [
        list(e["losses"]) for e in rounds[1]], what
    assert [{k: list(p) for k, p in e["parts"].items()} for e in rounds[0]] == [
        {k: list(p) for k, p in e["parts"].items()} for e in rounds[1]], what
    close(what + ", losses", *[[x for e in r for x in e["losses"].values()]
                               for r in rounds], limit)
    close(what + ", parts", *[
        [0] + [x for e in r for p in e["parts"].values() for x in p.values()]
        for r in rounds], limit)
    close(what + ", validations", *[
        [t["loss"] for e in log(out, "validation")
         for t in e["tasks"].values()] for out in (one, many)], limit)
    a, b = weights(one), weights(many)
    assert list(a) == list(b)
    close(what + ", weights", [x for t in a.values() for x in t],
          [x for t in b.values() for x in t], limit)


def resume(out, n, before="epochs=1", after="epochs=2"):
    """Goes on with a finished run, for longer."""
    config = os.path.join(out, "config.ini")
    with open(config) as file:
        text = file.read()
    assert before in text
    with open(config, "w") as file:
        file.write(text.replace(before, after))
    os.remove(os.path.join(out, "model.safetensors"))
    run(n, "resume", out)
