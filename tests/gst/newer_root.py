# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Tests of what this machine's own GStreamer is too old for: built and run
# inside the root file system of a newer Debian, in the folder UMEDPT_GST_ROOT
# (docs/gstreamer-analytics.md tells how to make one). Skipped without that
# folder. Installs nothing; what is built stays in
# UMEDPT_GST_ROOT/var/tmp/umedpt, and makes the next run short.
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
SETUP = ["-Dwerror=true", "-Dcuda=disabled", "-Dmpi=disabled",
         "-Dffmpeg=disabled", "-Dintrospection=disabled"]


def skip(why):
    """Ends the test."""
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


class Root:
    """The folder, with the sources in it."""

    def __init__(self, version):
        folder = os.environ.get("UMEDPT_GST_ROOT")
        if not folder:
            skip("UMEDPT_GST_ROOT names no root file system with GStreamer "
                 f"{version}")
        if os.geteuid() != 0:
            skip("chroot needs root")
        self.folder = Path(folder)
        copy_source(self.path("source"))

    def path(self, name):
        """A file of ours in there, by its path out here."""
        return self.folder / INSIDE[1:] / name

    def run(self, *command, env=None):
        """Runs a command in there; its exit status and output."""
        # What says where things are out here must not say so in there.
        clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                 "HOME": "/root", **(env or {})}
        ran = subprocess.run(
            ["chroot", self.folder, "sh", "-c", f'cd {INSIDE} && exec "$@"',
             "sh", *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=clean, check=False)
        return ran.returncode, ran.stdout

    def check(self, library, build, options, tests, env=None):
        """Builds plugin and tests, runs them and prints TAP."""
        steps = [
            (f"configured with {' '.join(options)}",
             ["meson", "setup", build, "source", *options, *SETUP]),
            ("builds with warnings as errors",
             ["ninja", "-C", build, "gst/libgstumedpt.so",
              *(f"tests/gst/test-gst-{test}" for test in tests)]),
            *((f"gst-{test}", ["meson", "test", "-C", build, "--no-rebuild",
                               "--verbose", f"gst-{test}"])
              for test in tests)]
        _, version = self.run("pkg-config", "--modversion", library)
        print(f"1..{len(steps)}")
        print(f"# {self.folder}: {library} {version.strip()}")
        failed = 0
        for number, (name, command) in enumerate(steps, 1):
            status, output = self.run(*command, env=env)
            if command[1] == "test" and "SKIP" in output:
                status, output = 1, f"{output}\nit was skipped"
            print(f"{'not ok' if status else 'ok'} {number} - {name}",
                  flush=True)
            if status:
                print("".join(f"# {line}\n"
                              for line in output.split("\n")[-60:]))
            failed = failed or status
        return 1 if failed else 0
