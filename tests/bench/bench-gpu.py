#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Ours and PyTorch on one GPU, in one run: encoder passes (bench-device beside
# peers-gpu.py encoder), training steps (bench-train beside peers-gpu.py train),
# and the card's ceilings. Prints Markdown tables.
#
# bench-gpu.py BUILD [--archs tiny,base] [--batches 1,8,32,128] [--train]
#   [--train-batches 32] [--no-encoder] [--no-decoders]
#   [--ways eager,compile,cudagraphs] [--no-compile] [--no-peers]
#   [--budget SECONDS] [--python python3] [--json FILE] [--quick]
#
# Two turns. First ours and eager PyTorch follow each other. Then torch.compile
# gets ready: each configuration in a process of its own, eight at a time, which
# takes minutes; when all are ready and asleep, ours is measured once more and
# each of them after it. A ratio is made of figures of the same turn. --budget
# is kept: the most important comes first, what does not fit is "not run".
import argparse
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time

from benchlib import HERE, flops, median, print_table

# by importance; what is not named follows
FIRST = [("base", 32), ("tiny", 1), ("base", 1), ("tiny", 32)]
COMPILERS = 8
# seconds that a configuration takes when it is its turn, at most
ENCODER_SECONDS, TRAIN_SECONDS = 5, 10


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--archs", default="tiny,base")
    p.add_argument("--batches", default="1,8,32,128")
    p.add_argument("--train", action="store_true")
    p.add_argument("--no-encoder", action="store_true")
    p.add_argument("--train-batches", default="32")
    p.add_argument("--no-decoders", action="store_true")
    p.add_argument("--ways", default="eager,compile")
    p.add_argument("--no-compile", action="store_true")
    p.add_argument("--no-peers", action="store_true")
    p.add_argument("--budget", type=float, default=300)
    p.add_argument("--python", default="python3", help="that has PyTorch")
    p.add_argument("--passes", type=int, default=50)
    p.add_argument("--steps", type=int, default=20, help="of training")
    p.add_argument("--device", default="cuda")
    p.add_argument("--json", help="write all that is measured, as it comes")
    p.add_argument("--quick", action="store_true", help="does it work?")
    args = p.parse_args()
    if args.quick:
        args.archs, args.batches, args.train_batches = "tiny", "1", "2"
        args.passes = args.steps = 2
    args.ways = [] if args.no_peers else args.ways.split(",")
    if args.no_compile:
        args.ways = [way for way in args.ways if way == "eager"]
    args.decoders = [] if args.no_decoders else ["--decoders"]
    names = ["bench-device"] * (not args.no_encoder) + \
        ["bench-train"] * args.train
    for name in names:
        if not our_program(args, name).exists():
            sys.exit("%s is missing in %s." % (name, args.build))
    args.end = time.monotonic() + args.budget
    return args


def our_program(args, name):
    """In a build folder, or in what tests/cuda/bundle.sh packs."""
    folder = pathlib.Path(args.build, "bin")
    if not folder.exists():
        folder = pathlib.Path(args.build, "tests", "bench")
    return folder / name


def left(args):
    return args.end - time.monotonic()


def say(args, *words):
    print("%4.0f s left:" % left(args), *words, file=sys.stderr, flush=True)


class Program:
    """A child in a process group of its own, whose lines of JSON are read with
    a limit of time; what it says to people goes to a file."""

    started = []

    def __init__(self, argv, **environment):
        self.argv = [str(a) for a in argv]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.log, env={**os.environ, **environment},
            start_new_session=True)
        self.rest, self.ended = b"", False
        Program.started.append(self)

    def read(self, seconds):
        """The next line, or None: too late, or it has ended."""
        end, out = time.monotonic() + seconds, self.process.stdout
        while b"\n" not in self.rest:
            if not select.select([out], [], [],
                                 max(0, end - time.monotonic()))[0]:
                return None
            piece = os.read(out.fileno(), 65536)
            if not piece:
                self.ended = True
                return None
            self.rest += piece
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def ask(self, batch, seconds):
        try:
            self.process.stdin.write(b"%d\n" % batch)
            self.process.stdin.flush()
        except BrokenPipeError:
            self.ended = True
            return None
        return self.read(seconds)

    def complaint(self):
        self.log.seek(0)
        lines = self.log.read().strip().splitlines()
        return lines[-1] if lines else "nothing said"

    def close(self):
        """With its compilers."""
        Program.started.remove(self)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()


class Results:
    """found[job][turn][name]: a line of JSON; a job is (what, arch, batch)."""

    def __init__(self, path):
        self.path, self.found, self.card = path, {}, {}

    def add(self, job, turn, name, line):
        self.found.setdefault(job, {}).setdefault(turn, {})[name] = line
        self.write()

    def write(self):
        if not self.path:
            return
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump({"card": self.card, "results": [
                {"what": job[0], "arch": job[1], "batch": job[2], "turn": turn,
                 "name": name, **line}
                for job, turns in self.found.items()
                for turn, names in turns.items()
                for name, line in names.items()]}, file, indent=1)

    def get(self, job, name, field):
        """The median of the turns, or None."""
        values = [names[name][field] for names in
                  self.found.get(job, {}).values() if name in names]
        return median(values) if values else None

    def ratio(self, job, name, field):
        """Peer over ours, of the turn in which the peer was measured."""
        for names in self.found.get(job, {}).values():
            ours = names.get("graph") or names.get("ops") or names.get("ours")
            if name in names and ours:
                return names[name][field] / ours[field]
        return None


def make_groups(args):
    """[(what, arch, batches)], the most important first."""
    order = dict(zip(FIRST, range(len(FIRST))))
    archs = sorted(args.archs.split(","), key=lambda arch: arch != "base")
    groups = []
    for arch in [] if args.no_encoder else archs:
        batches = [int(n) for n in args.batches.split(",")]
        batches.sort(key=lambda n: order.get((arch, n), len(order)))
        groups.append(("encoder", arch, batches))
    for arch in archs if args.train else []:
        groups.append(("train", arch,
                       [int(n) for n in args.train_batches.split(",")]))
    return groups


def compile_order(groups):
    jobs = [(what, arch, n) for what, arch, batches in groups for n in batches]

    def rank(job):
        if job[1:] in FIRST and job[0] == "encoder":
            return FIRST.index(job[1:])
        return len(FIRST) + (job[0] == "encoder")
    return sorted(jobs, key=rank)


def our_environment(args):
    module = str(pathlib.Path(args.build, "cuda").resolve())
    return {"UMEDPT_BACKEND": args.device, "UMEDPT_BACKEND_PATH":
            os.environ.get("UMEDPT_BACKEND_PATH", module)}


def peer_libraries(args):
    """LD_LIBRARY_PATH without what it has for ours: PyTorch brings CUDA's
    libraries in the versions that suit it."""
    ours = pathlib.Path(args.build).resolve()
    return ":".join(
        name for name in os.environ.get("LD_LIBRARY_PATH", "").split(":")
        if name and ours not in pathlib.Path(name).resolve().parents and
        not any(any(pathlib.Path(name).glob(library + ".so*"))
                for library in ("libcublasLt", "libcudart", "libcudnn")))


def our_programs(args, what, arch, batches):
    """[(argv, batches that it prints lines of)]"""
    size = ["--size", "64"] if args.quick else []
    common = ["--arch", "swinv2-" + arch, "--precision", "bf16"] + size
    if what == "encoder":
        return [([our_program(args, "bench-device"), "--passes", args.passes,
                  "--batches", ",".join(map(str, batches)), *common], batches)]
    return [([our_program(args, "bench-train"), "--json", "--batch", n,
              "--micro", n, "--steps", args.steps, *common, *args.decoders],
             [n]) for n in batches]


def measure_ours(args, results, turn, group):
    what, arch, batches = group
    for argv, some in our_programs(args, what, arch, batches):
        program = Program(argv, **our_environment(args))
        while (line := program.read(min(left(args), 60))) is not None:
            if what == "train":
                line["median_ms"] = median(line["times_ms"])
            results.add((what, arch, line.get("batch", some[0])), turn,
                        line.get("way", "ours"), line)
        if program.ended and program.process.wait() != 0:
            say(args, "ours,", what, arch, "failed:", program.complaint())
        program.close()


def peer(args, what, arch="tiny", batches=(1,), way="eager"):
    threads = max(1, len(os.sched_getaffinity(0)) // COMPILERS)
    cache = pathlib.Path(tempfile.gettempdir(), "umedpt-inductor")
    passes = args.passes if what == "encoder" else args.steps
    argv = [args.python, HERE / "peers-gpu.py", "--serve", "--what", what,
            "--arch", arch, "--batches", ",".join(map(str, batches)), "--ways",
            way, "--passes", passes, "--device", args.device]
    environment = {"TORCHINDUCTOR_COMPILE_THREADS": str(threads),
                   "TORCHINDUCTOR_CACHE_DIR": str(cache)}
    return Program(argv + (args.decoders if what == "train" else []) +
                   (["--quick"] if args.quick else []),
                   LD_LIBRARY_PATH=peer_libraries(args),
                   **{key: os.environ.get(key, value)
                      for key, value in environment.items()})


def ready(args, program, seconds, *words):
    if program.read(seconds) is not None:
        return True
    if program.ended:
        say(args, *words, "failed:", program.complaint())
    else:
        say(args, *words, "is not ready in time")
    return False


def measure_peer(args, results, turn, job, way, program):
    line = program.ask(job[2], left(args))
    if line is not None:
        results.add(job, turn, way, line)
    elif program.ended:
        say(args, way, *job, "failed:", program.complaint())


def first_turn(args, results, groups):
    """The ceilings, then ours and eager PyTorch."""
    peers = {}
    if "eager" in args.ways:
        peers = {group[:2]: peer(args, *group) for group in groups}
    ceiling = None if args.no_peers else peer(args, "ceiling")
    # all load at once, and nothing is measured before all have
    known = ceiling and ready(args, ceiling, left(args), "ceiling")
    usable = {key for key, program in peers.items()
              if ready(args, program, left(args), "eager", *key)}
    if known:
        results.card = ceiling.ask(0, left(args)) or {}
        results.write()
    if ceiling:
        ceiling.close()
    say(args, "first turn")
    for group in groups:
        if left(args) > 0:
            measure_ours(args, results, 1, group)
        for n in group[2]:
            if group[:2] in usable and left(args) > 0:
                measure_peer(args, results, 1, group[:2] + (n,), "eager",
                             peers[group[:2]])
        say(args, *group[:2], "done")
    for program in peers.values():
        program.close()


def compile_all(args, wanted):
    """{(way, job): Program} of what is ready when only the time to measure it
    is left."""
    reserve = sum(TRAIN_SECONDS if job[0] == "train" else ENCODER_SECONDS
                  for _, job in wanted)
    waiting, running, done = list(wanted), {}, {}
    while waiting or running:
        while waiting and len(running) < COMPILERS:
            way, job = waiting.pop(0)
            running[way, job] = peer(args, job[0], job[1], [job[2]], way)
        seconds = max(0, left(args) - reserve)
        outs = [p.process.stdout for p in running.values()]
        some = select.select(outs, [], [], seconds)[0]
        for key, program in list(running.items()):
            if program.process.stdout not in some and seconds > 0:
                continue
            del running[key]
            # a line may come in pieces
            if ready(args, program, 1 if seconds > 0 else 0, key[0], *key[1]):
                say(args, key[0], *key[1], "is ready")
                done[key] = program
            else:
                program.close()
        if seconds <= 0:
            break
    for way, job in waiting:
        say(args, way, *job, "was not begun")
    return done


def second_turn(args, results, groups):
    ways = [way for way in args.ways if way != "eager"]
    wanted = [(way, job) for way in ways for job in compile_order(groups)]
    programs = compile_all(args, wanted)
    say(args, "second turn")
    for what, arch, batches in groups:
        keys = [(way, (what, arch, n)) for n in batches for way in ways
                if (way, (what, arch, n)) in programs]
        if keys and left(args) > 0:
            measure_ours(args, results, 2,
                         (what, arch, sorted({job[2] for _, job in keys})))
        for way, job in keys:
            if left(args) > 0:
                measure_peer(args, results, 2, job, way, programs[way, job])
    for program in programs.values():
        program.close()


def text(value, form):
    return "not run" if value is None else form % value


def encoder_row(args, results, job, field):
    ours = results.get(job, "graph", field) or results.get(job, "ops", field)
    rate = ours and flops(job[1]) * job[2] / ours / 1e9
    ceiling = results.card.get("tflops")
    return [job[1], job[2],
            *[text(results.get(job, name, field), "%.2f")
              for name in ["graph", "ops"] + args.ways],
            *[text(results.ratio(job, way, field), "%.2f")
              for way in args.ways],
            text(ours and job[2] * 1000 / ours, "%.0f"), text(rate, "%.0f"),
            text(rate and ceiling and 100 * rate / ceiling, "%.0f %%")]


def train_row(args, results, job):
    ours = results.get(job, "ours", "median_ms")
    return [job[1], job[2],
            *[text(results.get(job, name, "median_ms"), "%.1f")
              for name in ["ours"] + args.ways],
            *[text(results.ratio(job, way, "median_ms"), "%.2f")
              for way in args.ways],
            text(ours and job[2] * 1000 / ours, "%.0f")]


def print_results(args, results, groups):
    card = results.card
    jobs = [(what, arch, n) for what, arch, batches in groups
            for n in sorted(batches)]
    peers = ["torch " + way for way in args.ways] + \
        [way + " / ours" for way in args.ways]
    print("%s; PyTorch %s, torchvision %s; matrix ceiling %s TFLOP/s (bf16, "
          "8192^3), copy %s GB/s (read and written)\n" % (
              card.get("device", "?"), card.get("torch", "?"),
              card.get("torchvision", "?"), text(card.get("tflops"), "%.0f"),
              text(card.get("copy_gb_s"), "%.0f")))
    encoder = [job for job in jobs if job[0] == "encoder"]
    for field, title in (("alone_ms", "waited for one by one (median)"),
                         ("steady_ms", "queued (mean)")):
        if encoder:
            print("Encoder, bf16, milliseconds per pass, %s:\n" % title)
            print_table(["net", "batch", "graph", "ops", *peers, "images/s",
                         "TFLOP/s", "of ceiling"],
                        [encoder_row(args, results, job, field)
                         for job in encoder])
    train = [job for job in jobs if job[0] == "train"]
    if train:
        print("Training, bf16, encoder%s, milliseconds per step (median):\n" %
              ("" if args.no_decoders else " and decoders"))
        print_table(["net", "batch", "ours", *peers, "images/s"],
                    [train_row(args, results, job) for job in train])


def main():
    args = parse()
    groups = make_groups(args)
    results = Results(args.json)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        first_turn(args, results, groups)
        if set(args.ways) - {"eager"} and left(args) > 0:
            second_turn(args, results, groups)
    finally:
        for program in list(Program.started):
            program.close()
        print_results(args, results, groups)


main()
