# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the tests of whole pipelines share: gst-launch-1.0 as a user calls it,
# with the plugin of a build folder and a registry of its own; slides and models
# made by our programs; and the launch lines that the documents show.
#
# A test is a function marked with @test(GROUP, ...); it gets an empty folder,
# fails by an AssertionError and skips by raising Skip. Output is TAP.
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "house"))
import house  # noqa: E402

TESTS = []


class Skip(Exception):
    """A test that cannot run here; the text says why."""


def test(group):
    def add(function):
        TESTS.append((group, function))
        return function
    return add


def run_tests(groups):
    """Runs the tests of these groups, prints TAP and leaves."""
    for group, function in TESTS:
        if group not in groups:
            continue
        name = function.__name__.replace("_", " ")
        with tempfile.TemporaryDirectory() as folder:
            try:
                function(Path(folder))
                house.case(name, [])
            except Skip as reason:
                house.skip(name, reason)
            except AssertionError as problem:
                house.case(name, str(problem).split("\n"))
            except Exception:  # the others shall run all the same
                house.case(name, traceback.format_exc().split("\n"))
    house.done()


class Result:
    """A launch line that has ended: exit status, what it printed, its peak
    memory in bytes, and the bytes that it wrote to its pipe."""

    def __init__(self, line, process, output, usage, data):
        self.line, self.status, self.output = line, process.returncode, output
        self.peak, self.data = usage.ru_maxrss * 1024, data


class Build:
    """A build folder's programs and plugin, and a folder for shared files."""

    def __init__(self, build, shared):
        self.programs = Path(build).resolve() / "pipelines"
        self.plugin = Path(build).resolve() / "gst"
        self.shared = Path(shared)
        # what a developer has set must not decide what is tested
        self.environment = {
            key: value for key, value in os.environ.items()
            if not key.startswith(("GST_", "UMEDPT_", "G_"))}
        self.environment.update(
            GST_PLUGIN_PATH=str(self.plugin),
            GST_REGISTRY=str(self.shared / "registry.bin"),
            G_DEBUG="fatal-criticals", LC_ALL="C.UTF-8",
            PATH=f"{self.programs}{os.pathsep}{os.environ['PATH']}")

    def check(self):
        """Leaves with a visible skip where no line could run."""
        code = (self.plugin / "libgstumedpt.so").read_bytes()
        if not shutil.which("gst-launch-1.0"):
            reason = "gst-launch-1.0 is not installed (gstreamer1.0-tools)"
        elif b"__asan_init" in code or b"__ubsan_handle" in code:
            # its library must be a process's first, and gst-launch has none
            reason = "gst-launch-1.0 cannot load a plugin with a sanitizer"
        else:
            return
        print(f"1..0 # SKIP {reason}")
        sys.exit(0)

    def make(self, name, *command):
        """The path of a shared file, made by @command at its first use."""
        path = self.shared / name
        if not path.exists():
            subprocess.run([*command, "-o", path], check=True,
                           stdout=subprocess.DEVNULL, env=self.environment)
        return path

    def slide(self, name, width, height, mpp, *options):
        return self.make(name, "umedpt-synth", "--width", str(width),
                         "--height", str(height), "--mpp", str(mpp), *options)

    def model(self, name, *options):
        return self.make(name, "umedpt-train", "init", *options)

    def execute(self, command, status=0, says=(), stop=None, pipe=False,
                folder=None, timeout=100, **variables):
        """Runs @command, expects its exit status (None: any but 0) and texts.
        @stop: (pattern, signal), sent when a line of the output matches.
        @pipe: the word PIPE in the command becomes a file descriptor that is
        read to its end."""
        inner, outer = os.pipe() if pipe else (-1, -1)
        command = [str(outer) if c == "PIPE" else
                   c.replace("=PIPE", f"={outer}") for c in command]
        line = shlex.join(command)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=folder, text=True, errors="replace",
            pass_fds=[outer] if pipe else [],
            env={**self.environment, **variables})
        data = []
        if pipe:
            os.close(outer)
            reader = threading.Thread(target=lambda: data.append(
                open(inner, "rb").read()))
            reader.start()
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        lines = []
        for text in process.stdout:
            lines.append(text)
            if stop and re.search(stop[0], text):
                process.send_signal(stop[1])
                stop = None
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        timer.cancel()
        if pipe:
            reader.join()
        result = Result(line, process, "".join(lines), usage,
                        data[0] if data else b"")
        expected = result.status == status if status is not None \
            else result.status > 0
        assert expected, f"exit status {result.status} of {line}\n" + \
            result.output[-3000:]
        assert not stop, f"nothing to stop at in {line}\n" + result.output
        for text in says:
            assert text in result.output, \
                f"{text!r} is not printed by {line}\n" + result.output[-3000:]
        return result

    def launch(self, line, **more):
        """gst-launch-1.0 with @line, quoted as in a shell."""
        return self.execute(["gst-launch-1.0", *shlex.split(line)], **more)


# --- what the documents show -------------------------------------------------

def _comments(source):
    """C source with all but its comments blanked, and their stars."""
    out = []
    end = 0
    for match in re.finditer(r"/\*.*?\*/", source, re.S):
        out += ["\n"] * source.count("\n", end, match.start())
        out.append(re.sub(r"^ ?\* ?", "", match.group(), flags=re.M))
        end = match.end()
    return "".join(out)


def _documents():
    for name in house.files(".md"):
        yield name, house.text(name)
    for name in house.files(*house.C_SUFFIXES):
        if name.parts[0] in ("gst", "core", "pipelines"):
            yield name, _comments(house.text(name))


def documented():
    """([(place, line)], [stray]): the launch lines of the documents, each as
    it stands there; and what looks like one but is not found as one, as a line
    in the middle of a sentence."""
    found, strays = [], []
    for name, text in _documents():
        lines = text.split("\n")
        i = 0
        while i < len(lines):
            place, line = f"{name}:{i + 1}", lines[i].strip()
            while line.endswith("\\") and i + 1 < len(lines):
                i += 1
                line += "\n" + lines[i].strip()
            i += 1
            if re.match(r"gst-launch-1\.0\s", line):
                found.append((place, line))
            elif re.search(r"gst-launch-1\.0\s+[-\w]+.*!|umedpt[a-z]+\b.*\s!\s|"
                           r"\s!\s.*\bumedpt", line):
                strays.append(f"{place}: is not run: {line[:100]}")
    return found, strays


# What a machine of tests has not: cameras, servers, screens; and what stands in
# for them. A camera is a live source of a second; a server's stream is packed
# into RTP and unpacked again, without the network; a screen is a sink that takes
# frames when it is their time; a card's decoder is the processor's.
STAND_INS = (
    (r"\bv4l2src( [\w-]+=\S+)*", "videotestsrc is-live=true num-buffers=25 "
                                  "pattern=ball"),
    (r"\brtspsrc( [\w-]+=\S+)*", "videotestsrc is-live=true num-buffers=25 "
                                  "pattern=ball ! jpegenc ! rtpjpegpay"),
    (r"\b(auto|xv?image|wayland|kms)(video)?sink\b", "fakesink sync=true"),
    (r'\bqtdemux ! h264parse ! nvh264dec ! cudaconvert ! "[^"]+"',
     "decodebin ! videoconvert"),
)
# encoders of other packages, if they are not installed
ENCODERS = ((r"\bx264enc( [\w-]+=\S+)*", "x264enc", "avenc_mpeg4"),)


def runnable(line):
    """A line of the documents, for a machine without cameras and screens."""
    for pattern, instead in STAND_INS:
        line = re.sub(pattern, instead, line)
    for pattern, encoder, instead in ENCODERS:
        if re.search(pattern, line) and subprocess.run(
                ["gst-inspect-1.0", "--exists", encoder]).returncode:
            line = re.sub(pattern, instead, line)
            print(f"# {encoder} is not installed; {instead} stands in for it")
    return line


def check_json_lines(line, folder):
    """What umedptjson wrote for @line: JSON, and results in some of it."""
    for name in re.findall(r"umedptjson [^!]*\blocation=(\S+)", line):
        lines = (folder / name).read_text().splitlines()
        assert lines, f"{name} is empty"
        lines = [json.loads(text) for text in lines]
        assert any(line.get("results") or "embedding" in line
                   for line in lines), f"there are no results in {name}"


def truth(slide):
    with open(slide.with_suffix(".truth.json"), encoding="utf-8") as file:
        return json.load(file)
