#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The examples for programs, in C and in Python, which must find the same; and
# live pictures by tests/bench/bench-live.py, of which every single one must
# arrive, in order, recognised by its pixels. Prints TAP.
#
# check-live.py BUILD
import re
import sys
import tempfile
from pathlib import Path

from launch_lines import HERE, Build, Skip, run_tests, test

try:
    import gi
    import numpy as np
    gi.require_version("GstApp", "1.0")
except (ImportError, ValueError) as problem:
    print(f"1..0 # SKIP {problem} (Debian: python3-gi, python3-numpy, "
          "gir1.2-gst-plugins-base-1.0)")
    sys.exit(0)
sys.path.insert(0, str(HERE.parent / "reference"))
import safetensors_io  # noqa: E402

TOP = HERE.parent.parent


def model():
    """With a detector that finds something: an untrained one would stay below
    the least score, so it gets even chances."""
    path = BUILD.shared / "lively.safetensors"
    if not path.exists():
        tensors, metadata = safetensors_io.load(BUILD.model(
            "init.safetensors", "--arch", "swinv2-nano", "--input-size", "64",
            "--task", "grade:classification:low,high",
            "--task", "tissue:segmentation:ground,tumour",
            "--task", "cells:detection:lymphocyte,tumour"))
        bias = "tasks.cells.task_modules.head.conv_cls.bias"
        tensors[bias] = np.zeros_like(tensors[bias])
        safetensors_io.save(path, tensors, metadata)
    return str(path)


def programs():
    """Those of the build, and Python with the other."""
    compiled = BUILD.programs / "example-app"
    if not compiled.exists():
        raise Skip("example-app is not built (gstreamer-app-1.0)")
    return [[str(compiled)],
            ["/usr/bin/python3", str(TOP / "pipelines/example-app.py")]]


@test("examples")
def both_examples_find_the_same(folder):
    for element, form in (
            ("umedptdetect threshold=0.3",
             r"\[cells\] [1-9]\d* boxes(; (lymphocyte|tumour) 0\.\d+ at .*)+"),
            ("umedptsegment", r"\[tissue\] mask of 32 x 32, \d+ pixels found"),
            ("umedptembed tasks=grade", r"\[grade\] low 0\.\d+ high 0\.\d+")):
        said = [BUILD.execute([*program, model(), element]).output
                for program in programs()]
        assert said[0] == said[1], "\n".join(said)
        lines = said[0].splitlines()
        assert len(lines) == 10
        for i, line in enumerate(lines):
            assert re.fullmatch(rf"{i * 0.04:.2f} s: {form}", line), line


@test("examples")
def the_examples_say_what_is_wrong(folder):
    for arguments, words in (
            ([str(folder / "none.safetensors")], "none.safetensors"),
            ([model(), "umedptdetect colour=red"], "colour"),
            ([model(), "umedptsegment task=bones"], "bones"),
            ([model(), "nothing"], "nothing"), ([], "Usage")):
        for program in programs():
            BUILD.execute([*program, *arguments], status=None, says=(words,),
                          timeout=30)


@test("live")
def every_live_picture_arrives_in_order(folder):
    result = BUILD.execute(
        ["/usr/bin/python3", str(TOP / "tests/bench/bench-live.py"),
         str(BUILD.plugin.parent), "--quick", "--check"])
    for line in result.output.splitlines():
        print(f"# {line}")
    assert result.output.count(" 50/50 ") == 4, result.output


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as shared_folder:
        BUILD = Build(sys.argv[1], shared_folder)
        BUILD.check()
        run_tests(sys.argv[2:] or ["examples", "live"])
