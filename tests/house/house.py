# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the house tests share: the list of the project's files, and TAP output
# (https://testanything.org), which Meson counts case by case. A case is a
# name and a list of problems; it passes when the list is empty.
import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
C_SUFFIXES = {".c", ".h", ".cu", ".cuh"}

_count = 0
_failed = 0


def case(name, problems):
    """One test case: passes if @problems is empty, else prints them."""
    global _count, _failed
    _count += 1
    problems = list(problems)
    print(f"{'not ok' if problems else 'ok'} {_count} {name}")
    for problem in problems:
        print(f"# {problem}")
    _failed += bool(problems)
    sys.stdout.flush()


def skip(name, reason):
    """A case that cannot run here; the reason is shown."""
    global _count
    _count += 1
    print(f"ok {_count} {name} # SKIP {reason}")


def done():
    """Prints the plan and leaves; to be called last."""
    print(f"1..{_count}")
    sys.exit(1 if _failed else 0)


def files(*suffixes):
    """The project's files as paths relative to its top, sorted; with git
    those it knows or would add, without it (a tarball) all but hidden ones."""
    try:
        out = subprocess.run(
            ["git", "-c", f"safe.directory={TOP}", "ls-files", "-z", "--cached",
             "--others", "--exclude-standard"],
            cwd=TOP, check=True, capture_output=True).stdout
        names = [Path(os.fsdecode(n)) for n in out.split(b"\0") if n]
    except (OSError, subprocess.CalledProcessError):
        names = [p.relative_to(TOP) for p in TOP.rglob("*") if p.is_file()]
        names = [n for n in names if not any(
            part.startswith(".") or part == "__pycache__" or
            part.startswith("build") for part in n.parts)]
    names = sorted(n for n in set(names) if (TOP / n).is_file())
    if suffixes:
        names = [n for n in names if n.suffix in suffixes]
    return names


def text(name):
    """The text of a file given relative to the top, "" if it is binary."""
    try:
        return (TOP / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def without_comments(source):
    """C source with comments and string contents blanked, lines kept."""
    out = []
    i, n = 0, len(source)
    while i < n:
        two = source[i:i + 2]
        if two == "/*":
            end = source.find("*/", i + 2)
            end = n if end < 0 else end + 2
            out.append("".join(c if c == "\n" else " " for c in source[i:end]))
            i = end
        elif two == "//":
            end = source.find("\n", i)
            end = n if end < 0 else end
            out.append(" " * (end - i))
            i = end
        elif source[i] in "\"'":
            quote, j = source[i], i + 1
            while j < n and source[j] != quote and source[j] != "\n":
                j += 2 if source[j] == "\\" else 1
            out.append(quote + " " * (j - i - 1) + source[j:j + 1])
            i = j + 1
        else:
            out.append(source[i])
            i += 1
    return "".join(out)
