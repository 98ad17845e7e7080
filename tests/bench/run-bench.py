#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The encoder against the machine's peak, PyTorch and ONNX Runtime, in one run:
# ours and a peer take turns of a second or two (A B A B), the peak is measured
# in every round, and a ratio is the median of the pairs' ratios. So a clock
# that drifts, or a neighbour that comes and goes, meets both alike.
#
# run-bench.py BUILD [--peers VENV | --no-peers] [--rounds N] [--seconds S]
#   [--arch tiny,base] [--batch 1,8] [--threads 1,2] [--compile] [--quick]
#   [--json FILE]
# prints Markdown tables: speed, busy neighbour, memory.
import argparse
import json
import os
import pathlib
import sys

from benchlib import (Neighbours, Server, encoder_argv, flops, machine, median,
                      once, peer_argv, peers_python, print_table, quantile)

# which of ours is compared with which peer
PAIRS = [("f32", "torch-f32"), ("bf16", "torch-bf16"),
         ("bf16", "torch-autocast"), ("f32", "onnxruntime-f32"),
         ("bf16", "onnxruntime-f32")]
COMPILED = [("f32", "torch-f32-compile"), ("bf16", "torch-bf16-compile")]


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--peers",
                   default=os.environ.get("UMEDPT_PEERS", "/tmp/peers"))
    p.add_argument("--no-peers", action="store_true")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=2)
    p.add_argument("--arch", default="tiny,base")
    p.add_argument("--batch", default="1,8")
    p.add_argument("--threads", default="1,%d" % len(os.sched_getaffinity(0)))
    p.add_argument("--compile", action="store_true",
                   help="torch.compile too (minutes of compilation)")
    p.add_argument("--quick", action="store_true",
                   help="one short round of one configuration: does it work?")
    p.add_argument("--json", help="write every time measured")
    args = p.parse_args()
    if args.quick:
        args.rounds, args.seconds = 1, 0.2
        args.arch, args.batch, args.threads = "tiny", "1", "1"
    args.pairs = [] if args.no_peers else \
        PAIRS + (COMPILED if args.compile else [])
    if args.pairs and not peers_python(args.peers).exists():
        sys.exit("No peers in %s: run setup-peers.sh, or give --no-peers."
                 % args.peers)
    return args


def peak(args, threads, seconds):
    found = once([pathlib.Path(args.build, "tests", "bench", "peak"), "--json",
                  "--threads", threads, "--seconds", seconds])
    return {entry["type"]: entry["median_gflops"] for entry in found}


def start(args, arch, batch, threads):
    """Every program of a group, loaded and asleep; {name: Server}."""
    servers = {}
    for name in ("f32", "bf16"):
        servers[name] = Server(encoder_argv(args.build, arch, name, batch,
                                            threads) + ["--serve"])
    for peer in dict.fromkeys(peer for _, peer in args.pairs):
        try:
            servers[peer] = Server(peer_argv(args.peers, args.build, peer, arch,
                                             batch, threads) + ["--serve"])
        except RuntimeError as problem:
            print(problem, file=sys.stderr)
    return servers


def measure_group(args, arch, batch, threads):
    """Times of all programs, and the pairs' ratios, peer over ours."""
    servers = start(args, arch, batch, threads)
    group = {"arch": arch, "batch": batch, "threads": threads,
             "gflop": flops(arch) / 1e9, "times_ms": {}, "ratios": {},
             "peak_gflops": {}, "share": {}}
    times, ratios = group["times_ms"], group["ratios"]
    for _ in range(args.rounds):
        found = {}
        for ours in ("f32", "bf16"):
            peaks = peak(args, threads, min(0.5, args.seconds))
            ms = servers[ours].run(args.seconds)["times_ms"]
            times.setdefault(ours, []).extend(ms)
            found[ours] = peaks.get(ours)
            if found[ours]:
                group["peak_gflops"].setdefault(ours, []).append(found[ours])
                group["share"].setdefault(ours, []).append(
                    flops(arch) / 1e6 / median(ms) / found[ours])
        for ours, peer in args.pairs:
            if peer not in servers:
                continue
            a = servers[ours].run(args.seconds)["times_ms"]
            b = servers[peer].run(args.seconds)["times_ms"]
            times[ours].extend(a)
            times.setdefault(peer, []).extend(b)
            ratios.setdefault("%s/%s" % (peer, ours), []).append(
                median(b) / median(a))
    for server in servers.values():
        server.close()
    return group


def speed_row(group):
    def ms(name):
        values = group["times_ms"].get(name)
        return "%.1f" % median(values) if values else "–"

    def share(name):
        values = group["share"].get(name)
        return "%.0f %%" % (100 * median(values)) if values else "–"

    def ratio(peer, ours):
        values = group["ratios"].get("%s/%s" % (peer, ours))
        return "%.2f×" % median(values) if values else "–"

    # the better way to bf16 is the one to beat
    bf16 = min(("torch-bf16", "torch-autocast"), key=lambda name: median(
        group["times_ms"].get(name, [float("inf")])))
    return [group["arch"], group["batch"], group["threads"], ms("f32"),
            share("f32"), ms("bf16"), share("bf16"), ms("torch-f32"),
            ratio("torch-f32", "f32"), ms(bf16), ratio(bf16, "bf16"),
            ms("onnxruntime-f32"), ratio("onnxruntime-f32", "f32"),
            ratio("onnxruntime-f32", "bf16")]


def print_speed(groups):
    print("Milliseconds per image (median), share of the matrix peak, and how "
          "many times faster than the peer (median of pairs):\n")
    print_table(["net", "batch", "threads", "f32", "of peak", "bf16", "of peak",
                 "torch f32", "f32 is", "torch bf16", "bf16 is", "ORT f32",
                 "f32 is", "bf16 is"], [speed_row(group) for group in groups])
    for group in groups:
        for name in ("torch-f32-compile", "torch-bf16-compile"):
            if name in group["times_ms"]:
                print("%s, batch %d, %d threads: %s %.1f ms" % (
                    group["arch"], group["batch"], group["threads"], name,
                    median(group["times_ms"][name])))
    for group in groups:
        print("peak, %d threads: %s" % (group["threads"], ", ".join(
            "%s %.0f GFLOP/s" % (name, median(values))
            for name, values in group["peak_gflops"].items())))
    print()


def measure_neighbours(args, arch, threads):
    """p95 beside two busy processes over the quiet median and p95."""
    peers = [] if args.no_peers else ["torch-f32", "onnxruntime-f32"]
    rows, found = [], {}
    for name in ["f32", "bf16"] + peers:
        argv = peer_argv(args.peers, args.build, name, arch, 1, threads) \
            if name in peers else \
            encoder_argv(args.build, arch, name, 1, threads)
        server = Server(argv + ["--serve"])
        quiet, busy = [], []
        for _ in range(args.rounds):
            quiet += server.run(args.seconds)["times_ms"]
            neighbours = Neighbours()
            try:
                busy += server.run(args.seconds)["times_ms"]
            finally:
                neighbours.close()
        server.close()
        found[name] = {"quiet_ms": quiet, "busy_ms": busy}
        rows.append([name, "%.1f" % median(quiet),
                     "%.1f" % quantile(quiet, 0.95), "%.1f" % median(busy),
                     "%.1f" % quantile(busy, 0.95),
                     "%.2f×" % (quantile(busy, 0.95) / median(quiet))])
    print("Beside two `nice -n 19 gzip` (%s, batch 1, %d threads), "
          "milliseconds:\n" % (arch, threads))
    print_table(["", "quiet median", "quiet p95", "busy median", "busy p95",
                 "busy p95 / quiet median"], rows)
    return found


def measure_memory(args, archs, threads):
    rows, found = [], {}
    for arch in archs:
        row = [arch]
        for name in ("f32", "bf16", "torch-f32", "onnxruntime-f32"):
            if name in ("f32", "bf16"):
                argv = encoder_argv(args.build, arch, name, 1, threads) + \
                    ["--json"]
            elif args.no_peers:
                row.append("–")
                continue
            else:
                argv = peer_argv(args.peers, args.build, name, arch, 1, threads)
            peak_kb = once(argv + ["--seconds", "0.5"])["peak_kb"]
            found["%s %s" % (arch, name)] = peak_kb
            row.append("%.0f" % (peak_kb / 1024))
        rows.append(row)
    print("Peak memory of the process, MB (batch 1, %d threads):\n" % threads)
    print_table(["net", "f32", "bf16", "torch f32", "ORT f32"], rows)
    return found


def main():
    args = parse()
    archs = args.arch.split(",")
    threads = [int(n) for n in dict.fromkeys(args.threads.split(","))]
    result = {"machine": machine(), "rounds": args.rounds,
              "seconds": args.seconds}
    if not args.no_peers:
        result["peers"] = once([peers_python(args.peers),
                                pathlib.Path(__file__).parent / "peers.py",
                                "versions"])
    print("%s, %d processors\n" % (result["machine"]["cpu"],
                                   result["machine"]["processors"]))
    print(" ".join("%s %s" % item for item in result.get("peers", {}).items()))
    print(flush=True)
    result["speed"] = []
    for arch in archs:
        for n in threads:
            for batch in args.batch.split(","):
                result["speed"].append(measure_group(args, arch, int(batch), n))
    print_speed(result["speed"])
    result["neighbours"] = measure_neighbours(args, archs[0], threads[-1])
    result["memory_kb"] = measure_memory(args, archs, threads[-1])
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)


main()
