#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Layout of the C files, as clang-format 14 with .clang-format makes it; other
# versions of clang-format differ in details, so only 14 is asked.
import os
import shutil
import subprocess

import house


def clang_format():
    """The program, if it is there in version 14."""
    for name in (os.environ.get("CLANG_FORMAT"), "clang-format-14",
                 "clang-format"):
        if name and shutil.which(name):
            version = subprocess.run([name, "--version"], check=True,
                                     capture_output=True, text=True).stdout
            if " version 14." in version:
                return name
    return None


def problems(program, names):
    result = subprocess.run(
        [program, "--dry-run", "-Werror", "--ferror-limit=3",
         *map(str, names)], cwd=house.TOP, stderr=subprocess.PIPE, text=True,
        check=False)
    return [line for line in result.stderr.splitlines()
            if "clang-format-violations" in line]


found = clang_format()
folders = {}
for file in house.files(".c", ".h"):
    folders.setdefault("/".join(file.parts[:2]), []).append(file)
for folder, members in folders.items():
    if found:
        house.case(f"layout of {folder}", problems(found, members))
    else:
        house.skip(f"layout of {folder}", "clang-format 14 is not installed")
house.done()
