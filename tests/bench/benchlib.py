# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What run-bench.py and bench-slide.py share: programs that are measured in
# turns, models made when missing, statistics, and the arithmetic of Swin V2.
# Python 3.9 and its standard library; the peers live in their own environment.
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent

# embedding width, blocks per stage, torchvision's name
ARCHITECTURES = {
    "tiny": (96, (2, 2, 6, 2), "swin_v2_t"),
    "small": (96, (2, 2, 18, 2), "swin_v2_s"),
    "base": (128, (2, 2, 18, 2), "swin_v2_b"),
}


def flops(arch, size=256, window=8):
    """Multiplications and additions of one image: the patch embedding, qkv,
    projection, MLP and merging linears, and both products of attention. The
    position bias depends on weights only, and norms, GELU, softmax and
    resampling are not matrix work; none of them is counted."""
    width, depths, _ = ARCHITECTURES[arch]
    edge = size // 4
    total = 2 * edge * edge * 3 * 4 * 4 * width
    for stage, depth in enumerate(depths):
        if stage:
            edge = -(-edge // 2)
            total += 2 * edge * edge * 4 * width * 2 * width
            width *= 2
        padded = -(-edge // window) * window
        mlp = 2 * edge * edge * 8 * width * width
        attention = 2 * padded * padded * (4 * width * width +
                                           2 * window * window * width)
        total += depth * (mlp + attention)
    return total


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))]


def median(values):
    return quantile(values, 0.5)


class Server:
    """A program with --serve: it stays loaded, and is asked to run for some
    seconds when it is its turn. Asleep otherwise."""

    def __init__(self, argv):
        self.argv = [str(a) for a in argv]
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError("failed: " + " ".join(self.argv))
        return json.loads(line)

    def run(self, seconds):
        self.process.stdin.write("%g\n" % seconds)
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def once(argv):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                          text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def model_file(build, arch):
    path = pathlib.Path(build, "tests", "bench", "swinv2-%s.safetensors" % arch)
    if not path.exists():
        subprocess.run([str(pathlib.Path(build, "pipelines", "umedpt-train")),
                        "init", "--arch", "swinv2-" + arch, "--seed", "1",
                        "-o", str(path)], check=True)
    return path


def encoder_argv(build, arch, precision, batch, threads):
    return [pathlib.Path(build, "tests", "bench", "bench-encoder"),
            model_file(build, arch), "--precision", precision, "--batch", batch,
            "--threads", threads]


def peers_python(venv):
    return pathlib.Path(venv, "bin", "python")


def peer_argv(venv, build, peer, arch, batch, threads):
    argv = [peers_python(venv), HERE / "peers.py", "run", peer, "--arch",
            ARCHITECTURES[arch][2], "--batch", batch, "--threads", threads]
    if peer.startswith("onnxruntime"):
        argv += ["--onnx", onnx_file(venv, build, arch, batch)]
    return argv


def onnx_file(venv, build, arch, batch):
    name = ARCHITECTURES[arch][2]
    path = pathlib.Path(build, "tests", "bench", "%s-%d.onnx" % (name, batch))
    if not path.exists():
        subprocess.run([str(peers_python(venv)), str(HERE / "peers.py"),
                        "export", "--arch", name, "--batch", str(batch),
                        "--onnx", str(path)], check=True,
                       stdout=subprocess.DEVNULL)
    return path


class Neighbours:
    """Two niced processes that compute, as a compiler beside us would."""

    def __init__(self, n=2):
        zeros = open("/dev/zero", "rb")
        self.processes = [
            subprocess.Popen(["nice", "-n", "19", "gzip", "-9", "-c"],
                             stdin=zeros, stdout=subprocess.DEVNULL)
            for _ in range(n)]
        zeros.close()

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


def machine():
    name = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
    load = os.getloadavg()[0]
    if load > 0.5:
        print("The machine is busy (load %.1f): figures will be too low." % load,
              file=sys.stderr)
    return {"cpu": name, "processors": len(os.sched_getaffinity(0)),
            "load_at_start": load}


def print_table(header, rows):
    rows = [[str(cell) for cell in row] for row in rows]
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)
