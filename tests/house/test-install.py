#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Installs the build into an empty folder and uses it as a stranger would:
# every installed header compiles alone, in C and C++, with each compiler that
# is there; a small program compiles, links and runs by what pkg-config says.
#
# Usage: test-install.py BUILD
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import house

COMPILERS = [
    ("gcc", ["-x", "c", "-std=gnu11", "-Wstrict-prototypes"]),
    ("clang", ["-x", "c", "-std=gnu11", "-Wstrict-prototypes"]),
    ("g++", ["-x", "c++", "-std=c++17"]),
    ("clang++", ["-x", "c++", "-std=c++17"]),
]
PROGRAM = """
#include <umedpt/umedpt.h>
#include <stdio.h>
#include <string.h>

int
main (void)
{
  gint64 shape[] = { 2, 3 };
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) tensor =
      umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 2, shape, &error);
  const float *data;

  if (!tensor)
    return 1;
  data = (const float *) umedpt_tensor_get_data (tensor);
  if (umedpt_tensor_get_n_elements (tensor) != 6 || data[5] != 0)
    return 2;
  if (strcmp (umedpt_get_version (), UMEDPT_VERSION) != 0)
    return 3;
  printf ("%s\\n", umedpt_get_version ());
  return !UMEDPT_CHECK_VERSION (0, 1, 0);
}
"""


def run(command, **kwargs):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, check=False, **kwargs)


def install(build, destdir):
    """Installs what is built; returns what went wrong."""
    meson = os.environ.get("MESON", "meson").split()
    result = run(meson + ["install", "-C", build, "--no-rebuild",
                          "--destdir", destdir])
    return result.stdout.splitlines()[-20:] if result.returncode else []


def pkg_config_path(root):
    """A folder with the installed .pc file, its prefix moved under @root."""
    found = list(root.rglob("umedpt-1.0.pc"))
    if len(found) != 1:
        return None
    moved = root / "pc"
    moved.mkdir()
    lines = [f"prefix={root}{line[7:]}" if line.startswith("prefix=") else line
             for line in found[0].read_text().splitlines()]
    (moved / "umedpt-1.0.pc").write_text("\n".join(lines) + "\n")
    return moved


def pkg_config(folder, what):
    path = f"{folder}:{os.environ.get('PKG_CONFIG_PATH', '')}"
    result = run(["pkg-config", *what, "umedpt-1.0"],
                 env={**os.environ, "PKG_CONFIG_PATH": path})
    if result.returncode:
        raise RuntimeError(result.stdout)
    return result.stdout.split()


def check_headers(root, cflags):
    include = next(root.rglob("umedpt-1.0/umedpt"))
    headers = sorted(h.relative_to(include.parent)
                     for h in include.rglob("*.h"))
    house.case("the umbrella and the version header are installed",
               [f"no {h}" for h in ("umedpt/umedpt.h", "umedpt/base/version.h")
                if Path(h) not in headers])
    for compiler, flags in COMPILERS:
        name = f"{len(headers)} headers compile alone with {compiler}"
        if not shutil.which(compiler):
            house.skip(name, f"{compiler} is not installed")
            continue
        problems = []
        for header in headers:
            result = run([compiler, *flags, "-Wall", "-Wextra", "-Werror",
                          "-fsyntax-only", *cflags, "-"],
                         input=f"#include <{header}>\n")
            if result.returncode:
                problems += [str(header)] + result.stdout.splitlines()[:8]
        house.case(name, problems)


def check_program(root, pc_folder, cflags):
    source, program = root / "program.c", root / "program"
    source.write_text(PROGRAM)
    library = next(root.rglob("libumedpt-1.0.so")).parent
    command = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", str(source),
               "-o", str(program), *cflags,
               *pkg_config(pc_folder, ["--libs"])]
    built = run(command)
    house.case("a program compiles and links by pkg-config",
               built.stdout.splitlines() if built.returncode else [])
    if built.returncode:
        return
    ran = run([str(program)],
              env={**os.environ, "LD_LIBRARY_PATH": str(library)})
    house.case("and runs", [f"exit status {ran.returncode}: {ran.stdout}"]
               if ran.returncode else [])


def main():
    build = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="umedpt-install-") as name:
        root = Path(name)
        problems = install(build, name)
        house.case("meson install works into an empty folder", problems)
        pc_folder = None if problems else pkg_config_path(root)
        house.case("a pkg-config file is installed",
                   [] if pc_folder else ["no umedpt-1.0.pc"])
        if pc_folder:
            cflags = pkg_config(pc_folder, ["--cflags"])
            check_headers(root, cflags)
            check_program(root, pc_folder, cflags)
    house.done()


main()
