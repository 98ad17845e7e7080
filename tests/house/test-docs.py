#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The texts tell the truth: commands, files and elements that they name are
# there, and the table of environment variables holds exactly those that the
# code reads.
#
# Usage: test-docs.py BUILD
import re
import sys
from pathlib import Path

import house

TEXTS = house.files(".md") + [Path("NEWS")]
VARIABLE = re.compile(r"\bUMEDPT_[A-Z0-9_]+\b")
# how C, shell and Python read the environment
READS = re.compile(
    r"""g_getenv\s*\(\s*"(UMEDPT_[A-Z0-9_]+)"|"""
    r"""g_environ_getenv\s*\([^,]+,\s*"(UMEDPT_[A-Z0-9_]+)"|"""
    r"""environ(?:\.get)?[\[(]\s*["'](UMEDPT_[A-Z0-9_]+)["']|"""
    r"""\$\{?(UMEDPT_[A-Z0-9_]+)""")
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
PROJECT_PATH = re.compile(
    r"(?<![\w./-])((?:core|cuda|gst|models|pipelines|tests|docs|subprojects"
    r"|\.ci)/[\w./-]*[\w-])(?![\w*{<])")
MADE = re.compile(r"^(core|gst|cuda|pipelines)/(lib|umedpt-)[\w.-]+$")


def documented():
    table = house.text("docs/environment.md")
    return {m[1] for m in re.finditer(r"^\| `(UMEDPT_[A-Z0-9_]+)", table, re.M)}


def read_by_code():
    for name in house.files(".c", ".h", ".cu", ".py", ".sh") + [
            Path(".ci/run")]:
        if name.parts[:2] == ("tests", "house"):
            continue
        for match in READS.finditer(house.text(name)):
            yield next(g for g in match.groups() if g), name


def variables():
    known = documented()
    used = dict(read_by_code())
    for variable, name in sorted(used.items()):
        if variable not in known:
            yield f"{name} reads {variable}: not in docs/environment.md"
    for variable in sorted(known - set(used)):
        yield f"docs/environment.md tells of {variable}: nothing reads it"


def links():
    for name in TEXTS:
        for match in LINK.finditer(house.text(name)):
            target = match[1]
            if re.match(r"[a-z]+:", target):
                continue
            if not (house.TOP / name.parent / target).exists():
                yield f"{name}: the link {target} leads nowhere"


def paths(build):
    for name in TEXTS:
        for match in PROJECT_PATH.finditer(house.text(name)):
            path = match[1].rstrip(".")
            # a program that is built counts by its source
            if (house.TOP / path).exists() or (build / path).exists() or \
                    (house.TOP / (path + ".c")).exists():
                continue
            if re.search(r"[A-Z]{4}", path) and not path.endswith(".md"):
                continue
            yield f"{name}: there is no {path}"


def programs():
    """Every umedpt-PROGRAM of the texts is built or is a script."""
    have = {p.stem for p in (house.TOP / "pipelines").iterdir()}
    have |= set(re.findall(r"'(umedpt-[a-z]+)'",
                           house.text("pipelines/meson.build")))
    for name in TEXTS:
        for match in re.finditer(r"\b(umedpt-[a-z]+)\b", house.text(name)):
            if match[1] not in have and not re.search(
                    rf"{match[1]}.*(comes|later)", house.text(name)):
                yield f"{name}: there is no program {match[1]}"


def elements():
    """Every element of a launch line is registered by the plugin's source."""
    source = "".join(house.text(n) for n in house.files(".c")
                     if n.parts[0] == "gst")
    known = set(re.findall(r'"(umedpt[a-z]+)"', source))
    known |= set(re.findall(
        r"GST_ELEMENT_REGISTER\w*_DEFINE\w*\s*\(\s*(umedpt[a-z]+)", source))
    for name in TEXTS:
        for line in house.text(name).splitlines():
            if "gst-launch-1.0" not in line and "!" not in line:
                continue
            for element in re.findall(r"\b(umedpt[a-z]+)\b", line):
                if element not in known:
                    yield f"{name}: there is no element {element}"


def version():
    wanted = re.search(r"version: '([0-9.]+)'", house.text("meson.build"))[1]
    if not re.search(rf"^\S*\s*{re.escape(wanted)}\b", house.text("NEWS"),
                     re.M):
        yield f"NEWS has no entry for {wanted}"


build_folder = Path(sys.argv[1])
house.case("environment variables are those of docs/environment.md",
           variables())
house.case("links lead somewhere", links())
house.case("files that the texts name are there", paths(build_folder))
house.case("programs that the texts name are there", sorted(set(programs())))
house.case("elements of launch lines are there", sorted(set(elements())))
house.case("NEWS has an entry for this version", version())
house.case("the licence is the LGPL 2.1",
           [] if "Version 2.1, February 1999" in house.text("LICENSE")
           else ["LICENSE is something else"])
house.done()
