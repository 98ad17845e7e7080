#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# How late a live picture is on the screen, and how old what is drawn on it. A
# source in real time writes the number of each frame into its pixels, as a bar
# code; what comes out at the end of
#
#     source ! umedptsegment (or detect, or both) ! umedptoverlay ! sink
#
# is decoded from the pixels again, so nothing that the pipeline says about
# itself is believed. The sink behaves as a display: it waits for a frame's time
# plus the latency that the pipeline has announced (its own 15 ms included), and
# drops what comes more than 5 ms later than that.
#
#   delay       from making a frame to having it at the sink
#   age         of the results on a frame: its time stamp minus that of the
#               picture they were found in
#   delivered   frames that arrived, of those made
#
# bench-live.py BUILD [--quick] [--check] [--json FILE]: the model has initial
# values, whose ragged masks are the worst case for drawing; another one with
# --model. On a machine that others use as well, `chrt -f 5` (root) shows what a
# quiet one does. --check is a test: it fails unless every frame arrives, in
# order.
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import benchlib

try:
    import gi
    import numpy as np
    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    from gi.repository import Gst, GstApp  # noqa: F401
except (ImportError, ValueError) as problem:
    print(f"Skipped: {problem} (Debian: python3-gi, python3-numpy, "
          "gir1.2-gst-plugins-base-1.0)")
    sys.exit(77)

FPS = 25
ROWS = 16  # height of the bar code
BITS = 16
SIZES = ((512, 512), (1280, 720))
# what GstVideoSink allows, and takes for drawing
LATENESS, DEADLINE = 5 * 10**6, 15 * 10**6
ELEMENTS = {
    "segment": "umedptsegment name=look0 {} task=tissue",
    "detect": "umedptdetect name=look0 {} task=cells threshold=0",
    "both": "umedptsegment name=look0 {} task=tissue ! "
            "umedptdetect name=look1 {} task=cells threshold=0",
}


# --- the number in the pixels -------------------------------------------------

def stamp(frame, number):
    """Writes @number on top and at the bottom, every bit followed by its
    opposite, so that what is drawn over it is noticed."""
    bits = [number >> i & 1 for i in range(BITS)]
    pairs = np.array([v for bit in bits for v in (bit, 1 - bit)], np.uint8)
    width = frame.shape[1] // len(pairs)
    code = np.repeat(pairs * 255, width)
    for rows in (frame[:ROWS], frame[-ROWS:]):
        rows[:, :len(code)] = code[None, :, None]


def decode(rows):
    """The number in [ROWS, width, 3] pixels, or None."""
    width = rows.shape[1] // (2 * BITS)
    level = rows[:, :2 * BITS * width].reshape(
        ROWS, 2 * BITS, width, 3).mean((0, 2, 3)) > 127
    if (level[0::2] == level[1::2]).any():
        return None
    return sum(int(bit) << i for i, bit in enumerate(level[0::2]))


def number_of(buffer, width, height):
    stride = 3 * width
    for row in (0, height - ROWS):
        data = buffer.extract_dup(row * stride, ROWS * stride)
        number = decode(np.frombuffer(data, np.uint8).reshape(ROWS, width, 3))
        if number is not None:
            return number
    return None


def pictures(width, height, n=16):
    """Soft blobs that move, on noise: something to find, never the same."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    noise = rng.integers(0, 40, (height, width, 3), np.uint8)
    out = []
    for i in range(n):
        blobs = sum(np.exp(-((x - width * (0.2 + 0.3 * k + 0.02 * i)) ** 2 +
                             (y - height * (0.3 + 0.2 * k)) ** 2) / 4000)
                    for k in range(3))
        out.append(noise + (blobs[..., None] * (180, 90, 120)).astype(np.uint8))
    return out


# --- a run --------------------------------------------------------------------

class Run:
    def __init__(self, size, element, settings, n, drop):
        self.size, self.n = size, n
        self.made, self.arrived = {}, []
        width, height = size
        look = ELEMENTS[element].format(settings, settings)
        self.pipeline = Gst.parse_launch_full(
            "appsrc name=in is-live=true format=time max-bytes=0 caps="
            f"video/x-raw,format=RGB,width={width},height={height},"
            f"framerate={FPS}/1 ! queue ! {look} ! umedptoverlay ! "
            f"appsink name=out sync=true qos=true processing-deadline="
            f"{DEADLINE} max-lateness={LATENESS if drop else -1}",
            None, Gst.ParseFlags.FATAL_ERRORS)

    def now(self):
        return self.clock.get_time() - self.pipeline.get_base_time()

    def send(self):
        source = self.pipeline.get_by_name("in")
        scenes = pictures(*self.size)
        begin = time.monotonic() + 0.2
        for i in range(self.n):
            time.sleep(max(0, begin + i / FPS - time.monotonic()))
            frame = scenes[i % len(scenes)].copy()
            stamp(frame, i)
            buffer = Gst.Buffer.new_wrapped(frame.tobytes())
            buffer.pts = self.made[i] = self.now()
            buffer.duration = Gst.SECOND // FPS
            source.push_buffer(buffer)
        source.end_of_stream()

    def receive(self):
        sink = self.pipeline.get_by_name("out")
        while sample := sink.pull_sample():
            now, buffer = self.now(), sample.get_buffer()
            meta = buffer.get_custom_meta("GstUmedptResults")
            self.arrived.append((number_of(buffer, *self.size), now,
                                 self.age(buffer, meta)))

    @staticmethod
    def age(buffer, meta):
        """Of the oldest result."""
        if not meta:
            return None
        found = meta.get_structure()
        return max((buffer.pts - found.get_value(
            found.nth_field_name(i)).get_value("pts")
            for i in range(found.n_fields())), default=None)

    def watch(self):
        """Does what an application does about latency, and notes errors."""
        bus = self.pipeline.get_bus()
        while message := bus.timed_pop_filtered(
                Gst.CLOCK_TIME_NONE, Gst.MessageType.ERROR |
                Gst.MessageType.EOS | Gst.MessageType.LATENCY):
            if message.type == Gst.MessageType.LATENCY:
                self.pipeline.recalculate_latency()
            elif message.type == Gst.MessageType.ERROR:
                raise RuntimeError(message.parse_error()[0].message)
            else:
                return

    def run(self):
        self.clock = Gst.SystemClock.obtain()
        self.pipeline.use_clock(self.clock)
        if self.pipeline.set_state(Gst.State.PLAYING) == \
                Gst.StateChangeReturn.FAILURE:
            self.watch()
        threads = [threading.Thread(target=f, daemon=True)
                   for f in (self.send, self.receive)]
        for thread in threads:
            thread.start()
        self.watch()
        for thread in threads:
            thread.join()
        stats = self.pipeline.get_by_name("look0").get_property("stats")
        self.inferred = stats.get_value("inferred")
        self.pipeline.set_state(Gst.State.NULL)
        return self

    def figures(self):
        """Without the first second, in which caches fill."""
        late = [row for row in self.arrived if row[0] and row[0] >= FPS]
        delay = [(now - self.made[n]) / 1e6 for n, now, _ in late]
        age = [a / 1e6 for _, _, a in late if a is not None]
        return {
            "made": self.n, "delivered": len(self.arrived),
            "unreadable": sum(n is None for n, _, _ in self.arrived),
            "delay_p50": benchlib.median(delay) if delay else None,
            "delay_p95": benchlib.quantile(delay, 0.95) if delay else None,
            "delay_max": max(delay, default=None),
            "age_p50": benchlib.median(age) if age else None,
            "age_p95": benchlib.quantile(age, 0.95) if age else None,
            "without_results": sum(a is None for _, _, a in late),
            "inferred_per_s": self.inferred * FPS / self.n,
        }


# --- the whole ----------------------------------------------------------------

def make_model(build, folder, arch, size):
    path = pathlib.Path(folder, "model.safetensors")
    subprocess.run([str(pathlib.Path(build, "pipelines", "umedpt-train")),
                    "init", "--arch", arch, "--input-size", str(size),
                    "--task", "tissue:segmentation:ground,a,b",
                    "--task", "cells:detection:a,b", "-o", str(path)],
                   check=True, stdout=subprocess.DEVNULL)
    return path


def check(name, run):
    """Problems."""
    numbers = [n for n, _, _ in run.arrived]
    if numbers != list(range(run.n)):
        yield f"{name}: {len(numbers)} of {run.n} frames, first difference " \
            f"at {next((i for i, n in enumerate(numbers) if n != i), None)}"
    if not any(age is not None for _, _, age in run.arrived):
        yield f"{name}: no frame has results"


def row(name, f):
    def ms(key):
        return "-" if f[key] is None else "%.1f" % f[key]
    return (*name, f"{f['delivered']}/{f['made']}", ms("delay_p50"),
            ms("delay_p95"), ms("delay_max"), ms("age_p50"), ms("age_p95"),
            "%.1f" % f["inferred_per_s"])


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--model", help="another model, with such tasks")
    parser.add_argument("--arch", default="swinv2-nano")
    parser.add_argument("--input-size", type=int, default=256)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--elements", default="segment,detect,both")
    parser.add_argument("--quick", action="store_true",
                        help="one short round, small pictures")
    parser.add_argument("--check", action="store_true",
                        help="fail unless all frames arrive in order")
    parser.add_argument("--json")
    return parser.parse_args()


def runs(args, model):
    """(name, Run that has run) of each combination."""
    for size in SIZES[:1] if args.quick else SIZES:
        for element in args.elements.split(","):
            for wait in ("false", "true"):
                settings = f"model-file={model} device={args.device} " \
                    f"wait-for-results={wait}"
                yield (f"{size[0]} x {size[1]}", element, wait), Run(
                    size, element, settings, int(args.seconds * FPS),
                    not args.check).run()


def measure(args, folder):
    """Table rows, the same for JSON, problems."""
    model = args.model or make_model(args.build, folder, args.arch,
                                     args.input_size)
    rows, results, problems = [], [], []
    for name, run in runs(args, model):
        found = run.figures()
        rows.append(row(name, found))
        results.append({**dict(zip(("picture", "elements", "wait"), name)),
                        **found})
        problems += check(" ".join(name), run)
    return rows, results, problems


def main():
    args = parse_arguments()
    if args.quick:
        args.seconds, args.input_size, args.elements = 2, 64, "segment,both"
    machine = benchlib.machine()
    os.environ["GST_PLUGIN_PATH"] = str(pathlib.Path(args.build, "gst"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GST_REGISTRY"] = str(pathlib.Path(folder, "registry.bin"))
        Gst.init(None)
        if not Gst.ElementFactory.find("umedptsegment"):
            print("Skipped: the plugin cannot be loaded")
            sys.exit(77)
        rows, results, problems = measure(args, folder)
    benchlib.print_table(("picture", "elements", "wait-for-results",
                          "delivered", "delay p50", "p95", "max, ms",
                          "age p50", "p95, ms", "inferences/s"), rows)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({**machine, "fps": FPS, "runs": results}, file, indent=1)
    if args.check and problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
