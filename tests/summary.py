#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Adds up test cases over several runs of `meson test`: from each run's
# testlog.json it counts the single cases of tests that speak TAP (or print
# libcheck's closing line), and one case for every other test. Prints failures
# and skips by name, and as the last line "N passed, N failed, N skipped".
#
# Usage: summary.py [--failed NAME=REASON]... NAME=testlog.json...
# The exit status is 0 if nothing failed and something passed.
import json
import re
import sys

TAP = re.compile(r"^(not )?ok\b *(\d*)(?: *-)? *([^#\n]*?)"
                 r"(?: *# *(SKIP|TODO)\b *(.*))? *$", re.I)  # allow: unfinished
PLAN = re.compile(r"^1\.\.(\d+)(?: *# *SKIP *(.*))?", re.I)
CHECK = re.compile(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)")
BAD = {"FAIL", "TIMEOUT", "ERROR", "INTERRUPT", "UNEXPECTEDPASS"}


class Count:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []


def add_tap(count, name, lines):
    """Counts TAP lines; returns how many cases there were."""
    seen = 0
    for line in lines:
        match = TAP.match(line)
        if not match:
            continue
        seen += 1
        bad, _, title, directive, reason = match.groups()
        label = f"{name}: {title}" if title else name
        if directive and directive.upper() == "SKIP":
            count.skipped.append((label, reason or "no reason given"))
        elif bad and not directive:
            count.failed.append((label, ""))
        else:
            count.passed += 1
    return seen


def reason_of(entry):
    """The last line that a test skipped by exit code 77 printed."""
    lines = (entry.get("stdout", "") + "\n" + entry.get("stderr", "")).split(
        "\n")
    lines = [line.strip("# ") for line in lines if line.strip("# ")]
    return lines[-1] if lines else "no reason given"


def add_test(count, name, entry):
    result = entry["result"]
    lines = entry.get("stdout", "").splitlines()
    plan = next((m for m in map(PLAN.match, lines) if m), None)
    before = len(count.failed)
    if plan and plan[1] == "0":
        count.skipped.append((name, plan[2] or "no reason given"))
    elif plan or any(TAP.match(line) for line in lines):
        add_tap(count, name, lines)
    elif checks := CHECK.search(entry.get("stdout", "")):
        total, failures, errors = map(int, checks.groups())
        count.passed += total - failures - errors
        count.failed += [(name, checks[0])] * (failures + errors)
    elif result == "SKIP":
        count.skipped.append((name, reason_of(entry)))
    elif result not in BAD:
        count.passed += 1
    # crashed, ran too long, or said all is well and exited with an error
    if result in BAD and len(count.failed) == before:
        count.failed.append((name, f"{result}, exit status "
                                   f"{entry.get('returncode')}"))


def main():
    total = Count()
    arguments = sys.argv[1:]
    while arguments:
        argument = arguments.pop(0)
        if argument == "--failed":
            name, reason = arguments.pop(0).split("=", 1)
            total.failed.append((name, reason))
            continue
        run, path = argument.split("=", 1)
        with open(path, encoding="utf-8") as log:
            for line in log:
                entry = json.loads(line)
                # "umedpt:suite / name" -> "name"
                name = entry["name"].split(" / ")[-1]
                add_test(total, f"{run}: {name}", entry)
    if total.skipped:
        print("\nSkipped:")
        # cases of one test with one reason share a line
        groups = {}
        for name, reason in total.skipped:
            run, _, case = name.partition(": ")
            test, _, case = case.partition(": ")
            groups.setdefault((f"{run}: {test}", reason), []).append(case)
        for (test, reason), cases in groups.items():
            names = " ".join(case for case in cases if case)
            print(f"  {test}: {reason}" + (f" [{names}]" if names else ""))
    if total.failed:
        print("\nFailed:")
        for name, reason in total.failed:
            print(f"  {name}{': ' if reason else ''}{reason}")
    print(f"\n{total.passed} passed, {len(total.failed)} failed, "
          f"{len(total.skipped)} skipped")
    sys.exit(1 if total.failed or not total.passed else 0)


main()
