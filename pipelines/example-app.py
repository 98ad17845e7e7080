#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Example: pictures of a program's own go in, results come out; what
# example-app.c does in C. The metas are plain GstStructures, so nothing of ours
# has to be imported. Needs python3-gi, gir1.2-gst-plugins-base-1.0 and
# python3-numpy. Copy it and replace frames() and show().
import sys

import gi
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import GLib, Gst, GstApp  # noqa: E402, F401

WIDTH, HEIGHT, N_FRAMES = 320, 240, 10
FRAME_TIME = 40 * Gst.MSECOND
CAPS = f"video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate=25/1"
# GstUmedptBox of gstumedptresults.h
BOX = np.dtype([("x", "f4"), ("y", "f4"), ("width", "f4"), ("height", "f4"),
                ("score", "f4"), ("label", "i4")])
UNDECIDED = 255


def frames():
    """A bright square that moves over a dark ground, [height, width, RGB]."""
    for i in range(N_FRAMES):
        frame = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        frame[80:160, 20 * i:20 * i + 80] = 220
        yield frame


def array(result, field, dtype):
    return np.frombuffer(result.get_value(field).get_data() or b"", dtype)


def read(result):
    """A result as Python's own things, by what it is."""
    labels = result.get_value("labels") or []
    if result.has_name("umedpt-values"):
        return dict(zip(labels, array(result, "values", "f4").tolist()))
    if result.has_name("umedpt-boxes"):
        return [(labels[box["label"]], *box.tolist()[:5])
                for box in array(result, "boxes", BOX)]
    return array(result, "mask", np.uint8).reshape(
        result.get_value("mask-height"), result.get_value("mask-width"),
        result.get_value("planes"))


def results(buffer):
    """{task: result} of a buffer."""
    meta = buffer.get_custom_meta("GstUmedptResults")
    found = meta.get_structure() if meta else None
    names = [found.nth_field_name(i) for i in range(found.n_fields())] \
        if found else []
    return {name: read(found.get_value(name)) for name in names}


def show(buffer):
    text = [f"{buffer.pts / Gst.SECOND:4.2f} s:"]
    for task, found in results(buffer).items():
        text.append(f"[{task}]")
        if isinstance(found, dict):
            text += [f"{label} {p:.3f}" for label, p in found.items()]
        elif isinstance(found, list):
            text.append(f"{len(found)} boxes" + "".join(
                f"; {label} {score:.2f} at {x:.0f},{y:.0f} size {w:.0f},{h:.0f}"
                for label, x, y, w, h, score in found[:3]))
        else:
            n = ((found != 0) & (found != UNDECIDED)).sum()
            text.append(f"mask of {found.shape[1]} x {found.shape[0]}, "
                        f"{n} pixels found")
    print(" ".join(text))


def error_of(pipeline):
    message = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
    return message.parse_error()[0].message if message else None


def run(pipeline):
    """One frame in, one frame out. Returns what went wrong, or None."""
    source, sink = pipeline.get_by_name("in"), pipeline.get_by_name("out")
    if pipeline.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
        return error_of(pipeline)
    for i, frame in enumerate(frames()):
        buffer = Gst.Buffer.new_wrapped(frame.tobytes())
        buffer.pts, buffer.duration = i * FRAME_TIME, FRAME_TIME
        source.push_buffer(buffer)
        sample = sink.pull_sample()
        if not sample:
            return error_of(pipeline) or "The stream has ended early."
        show(sample.get_buffer())
    source.end_of_stream()
    return error_of(pipeline)


def main():
    Gst.init(None)
    if len(sys.argv) not in (2, 3):
        sys.exit(f'Usage: {sys.argv[0]} MODEL ["umedptdetect threshold=0.3"]')
    element = sys.argv[2] if len(sys.argv) > 2 else "umedptdetect"
    pipeline = Gst.parse_launch_full(
        f"appsrc name=in format=time caps={CAPS} ! {element} name=look ! "
        "appsink name=out sync=false", None, Gst.ParseFlags.FATAL_ERRORS)
    pipeline.get_by_name("look").set_property("model-file", sys.argv[1])
    problem = run(pipeline)
    pipeline.set_state(Gst.State.NULL)
    if problem:
        sys.exit(problem)


if __name__ == "__main__":
    try:
        main()
    except GLib.Error as problem:
        sys.exit(problem.message)
