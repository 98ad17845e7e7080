#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the built objects export, as `nm -D` lists it: the library and the CUDA
# module only umedpt_*, the GStreamer plugin only its descriptor functions.
# Also that every function which a public header marks UMEDPT_API exists in
# the library, so that a program that compiles also links.
#
# Usage: test-symbols.py KIND=FILE..., KIND being library, plugin or module.
import re
import shutil
import subprocess
import sys

import house

ALLOWED = {
    "library": re.compile(r"^umedpt_[a-z0-9_]+$"),
    "plugin": re.compile(r"^gst_plugin_[a-z0-9_]+$"),
    "module": re.compile(r"^umedpt_[a-z0-9_]+$"),
}
# what linker and sanitizers add on their own
TOOLCHAIN = re.compile(r"^(_init|_fini|_edata|_end|__bss_start|__asan_.*|"
                       r"__odr_asan.*|__start_.*|__stop_.*|_ITM_.*|__gmon.*|"
                       r"__sancov.*|__profc.*|__llvm.*)$")
DECLARATION = re.compile(
    r"^UMEDPT_API\s+(?!G_DECLARE)[^;{]*?\b(umedpt_[a-z0-9_]+)\s*\(", re.M)
DECLARED_TYPE = re.compile(
    r"^UMEDPT_API\s+G_DECLARE_[A-Z_]+\s*\(\s*\w+\s*,\s*(umedpt_\w+)", re.M)


def exported(path):
    out = subprocess.run(["nm", "-D", "--defined-only", path], check=True,
                         capture_output=True, text=True).stdout
    names = (line.split()[-1].split("@")[0] for line in out.splitlines())
    return {n for n in names if not TOOLCHAIN.match(n)}


def declared():
    """Every function that a header of core marks UMEDPT_API."""
    for name in house.files(".h"):
        if name.parts[0] != "core":
            continue
        source = house.without_comments(house.text(name))
        for match in DECLARATION.finditer(source):
            yield match[1], name
        for match in DECLARED_TYPE.finditer(source):
            yield match[1] + "_get_type", name


def main():
    if not shutil.which("nm"):
        house.skip("exported symbols", "nm is not installed (binutils)")
        house.done()
    for argument in sys.argv[1:]:
        kind, path = argument.split("=", 1)
        names = exported(path)
        wrong = sorted(n for n in names if not ALLOWED[kind].match(n))
        house.case(f"the {kind} exports only what it may",
                   [f"{path} exports {n}" for n in wrong])
        house.case(f"the {kind} exports something",
                   [] if names else [f"{path} exports nothing"])
        if kind == "library":
            house.case("every function of the public headers is there",
                       [f"{header}: {name} is declared UMEDPT_API but not in "
                        f"the library" for name, header in declared()
                        if name not in names])
    house.done()


main()
