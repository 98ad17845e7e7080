#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Adds up what Nsight Compute wrote (--csv --metrics gpu__time_duration.sum): per
# kernel its launches, their time, the mean, and the share of all.
#
# sum-profile.py FILE.csv
import collections
import csv
import re
import sys

UNITS = {"ns": 1e-3, "nsecond": 1e-3, "us": 1, "usecond": 1, "ms": 1e3, "msecond": 1e3}


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
        lines = [line for line in file if line.startswith('"')]
    times = collections.defaultdict(list)
    for row in csv.DictReader(lines):
        value = float(row["Metric Value"].replace(",", ""))
        name = re.sub(r"\(.*", "", row["Kernel Name"])[:70]
        times[name].append(value * UNITS.get(row["Metric Unit"], 1))
    total = sum(map(sum, times.values()))
    print(f"{total:10.1f} us in {sum(map(len, times.values()))} launches")
    for name, values in sorted(times.items(), key=lambda item: -sum(item[1])):
        print(f"{sum(values):10.1f} us {100 * sum(values) / total:5.1f} % {len(values):5d} x "
              f"{sum(values) / len(values):8.2f} us  {name}")


main()
