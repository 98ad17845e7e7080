#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The plugin with GstAnalytics on a machine whose own GStreamer is too old for
# it: built and tested inside the root file system of a newer Debian, in the
# folder UMEDPT_GST_ROOT (docs/gstreamer-analytics.md tells how to make one).
# Skipped without that folder. Installs nothing; what it builds stays in
# UMEDPT_GST_ROOT/var/tmp/umedpt, and makes the next run short.
#
# test-analytics-root.py: prints TAP.
import os
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PARTS = ["core", "cuda", "docs", "gst", "models", "pipelines", "subprojects",
         "tests", "meson.build", "meson_options.txt", "CONTRIBUTING.md",
         "LICENSE", "NEWS", "README.md"]
INSIDE = "/var/tmp/umedpt"
SETUP = ["meson", "setup", "build", "source", "-Danalytics=enabled",
         "-Dwerror=true", "-Dcuda=disabled", "-Dmpi=disabled",
         "-Dffmpeg=disabled", "-Dintrospection=disabled"]
TESTS = ["analytics", "analytics-elements", "analytics-later"]


def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def copy_source(to):
    """What is built, with its times, so that ninja sees what is new."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for part in PARTS:
        if (TOP / part).is_dir():
            shutil.copytree(TOP / part, to / part, symlinks=True,
                            ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(TOP / part, to / part)


def inside(root, *command):
    """Runs a command in the folder; its exit status and output."""
    # What says where things are out here must not say so in there.
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
             "HOME": "/root"}
    ran = subprocess.run(
        ["chroot", root, "sh", "-c", f'cd {INSIDE} && exec "$@"', "sh",
         *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=clean, check=False)
    return ran.returncode, ran.stdout


STEPS = [
    ("configured with -Danalytics=enabled", SETUP),
    ("builds with warnings as errors",
     ["ninja", "-C", "build", "gst/libgstumedpt.so",
      *(f"tests/gst/test-gst-{test}" for test in TESTS)]),
    *((f"gst-{test}", ["meson", "test", "-C", "build", "--no-rebuild",
                       "--verbose", f"gst-{test}"]) for test in TESTS)]

root = os.environ.get("UMEDPT_GST_ROOT")
if not root:
    skip("UMEDPT_GST_ROOT names no root file system with GStreamer 1.26")
if os.geteuid() != 0:
    skip("chroot needs root")
root = Path(root)
copy_source(root / INSIDE[1:] / "source")
failed, version = inside(root, "pkg-config", "--modversion",
                         "gstreamer-analytics-1.0")
print(f"1..{len(STEPS)}")
print(f"# {root}: gstreamer-analytics-1.0 {version.strip()}")
for number, (name, command) in enumerate(STEPS, 1):
    status, output = inside(root, *command)
    print(f"{'not ok' if status else 'ok'} {number} - {name}", flush=True)
    if status:
        print("".join(f"# {line}\n" for line in output.split("\n")[-60:]))
    failed = failed or status
sys.exit(1 if failed else 0)
