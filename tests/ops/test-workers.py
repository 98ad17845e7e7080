#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Outputs do not depend on the number of workers (backend/backend.h): all rows
# of the op table on the cpu backend, once with one worker and once with all.
# One after the other in processes of their own, as the pool is made once.
#
#   test-workers.py TEST-OPS      UMEDPT_CPU chooses the kernels; exit 77 where
#                                 the processor has no such kernels, or one core

import os
import subprocess
import sys


def sums(program, threads):
    environment = {**os.environ, "UMEDPT_THREADS": str(threads)}
    found = subprocess.run([program, "--sums"], check=True, env=environment,
                           capture_output=True, text=True)
    return found.stdout.splitlines()


def main():
    cores = len(os.sched_getaffinity(0))
    if cores == 1:
        print("skipped: there is one core")
        sys.exit(77)
    one, all_of_them = sums(sys.argv[1], 1), sums(sys.argv[1], cores)
    if "# SKIP" in one[0]:
        print(one[0])
        sys.exit(77)
    if len(one) < 100 or len(one) != len(all_of_them):
        sys.exit(f"{len(one)} cases with one worker, {len(all_of_them)} with {cores}")
    bad = [a.split()[:3] for a, b in zip(one, all_of_them) if a != b]
    for case in bad:
        print("not the same bits:", *case)
    print(f"{len(one)} cases, one worker and {cores}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
