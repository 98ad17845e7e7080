# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For the pipeline tests: gst-launch-1.0 as a user runs it, with the plugin just
# built, and a private registry that only the first run of a program has to make.
"""Runs launch lines in a folder."""

import os
import shlex
import subprocess


class Launcher:
    """A folder in which lines run; files in it go by their bare names."""

    def __init__(self, folder):
        self.folder = folder
        self.env = dict(os.environ, GST_REGISTRY=os.path.join(folder, "registry.bin"),
                        LC_ALL="C.UTF-8")
        self.env.pop("G_DEBUG", None)  # other people's plugins are loaded, too

    def path(self, name):
        return os.path.join(self.folder, name)

    def popen(self, line):
        return subprocess.Popen(shlex.split(line), cwd=self.folder, env=self.env,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, line, ok=True, timeout=300):
        """Output of the line; its success must be as expected."""
        process = self.popen(line)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert (process.returncode == 0) == ok, \
            f"exit status {process.returncode} of: {line}\n{output}"
        assert "CRITICAL" not in output, f"{line}\n{output}"
        return output


def has_elements(launcher, *names):
    return all(subprocess.run(["gst-inspect-1.0", "--exists", name], env=launcher.env,
                              check=False).returncode == 0 for name in names)
