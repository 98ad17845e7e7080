#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Shell and Python scripts: they parse, those meant to be called can be
# called, shellcheck has nothing to say where it is installed.
import os
import re
import shutil
import subprocess

import house

COMMANDS = ["pipelines/quickstart.sh", "pipelines/install-deps.sh",
            "tests/run.sh", ".ci/run"]


def run(*command):
    return subprocess.run(command, cwd=house.TOP, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


def is_shell(name):
    first = house.text(name).split("\n", 1)[0]
    return re.match(r"#!.*\b(ba)?sh\b", first) is not None


def bash(name):
    result = run("bash", "-n", str(name))
    return result.stdout.splitlines() if result.returncode else []


def shellcheck(name):
    result = run("shellcheck", "--severity=warning", "--format=gcc",
                 "--external-sources", str(name))
    return result.stdout.splitlines() if result.returncode else []


def compiles(name):
    try:
        compile(house.text(name), str(name), "exec")
        return []
    except SyntaxError as error:
        return [f"{name}:{error.lineno}: {error.msg}"]


shells = [n for n in house.files() if is_shell(n)]
pythons = house.files(".py")
for script in shells:
    house.case(f"bash reads {script}", bash(script))
    if shutil.which("shellcheck"):
        house.case(f"shellcheck of {script}", shellcheck(script))
    else:
        house.skip(f"shellcheck of {script}", "shellcheck is not installed")
house.case(f"{len(pythons)} Python files parse",
           [p for n in pythons for p in compiles(n)])
house.case("commands have their run bit",
           [f"{c}: missing or not executable" for c in COMMANDS
            if not os.access(house.TOP / c, os.X_OK)])
house.case("each script that is called says how",
           [f"{c} --help failed" for c in COMMANDS[:3]
            if (house.TOP / c).is_file() and
            "sage" not in run("bash", c, "--help").stdout])
house.done()
