#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# House rules that a machine can check: white space, head comments, sizes,
# banned functions each with what to use instead. A line that must break a
# ban carries a comment "allow: NAME" with the name shown in the message.
import re

import house

C_FILES = house.files(*house.C_SUFFIXES)
SCRIPTS = [n for n in house.files() if n.suffix in (".sh", ".py") or
           n.as_posix() == ".ci/run"]
TEXTS = [n for n in house.files() if house.text(n)]
# texts whose layout is not ours, and data
FOREIGN = {"LICENSE"}
DATA = {".npy", ".csv", ".json", ".safetensors", ".supp"}

LARGEST = 200 * 1024
# what may be larger, and up to where: numbers of a whole (tiny) network
LARGER = {"tests/reference/micro.safetensors": 600 * 1024}
LONGEST = 700
TOP_LEVEL = {"meson.build", "meson_options.txt", "core", "cuda", "gst",
             "models", "pipelines", "tests", "docs", "subprojects",
             "README.md", "LICENSE", "NEWS", "CONTRIBUTING.md"}

# name -> (pattern over code without comments, what to use)
BANS = {
    "malloc": (r"\b(malloc|calloc|realloc)\s*\(",
               "g_new(), g_try_malloc() or g_aligned_alloc()"),
    "strcpy": (r"\b(strcpy|strcat|strncpy|strncat|strdup|strtok)\s*\(",
               "g_strdup(), g_strlcpy(), GString, g_strsplit()"),
    "sprintf": (r"\bv?sprintf\s*\(", "g_snprintf(), g_strdup_printf()"),
    "atoi": (r"\b(atoi|atol|atoll|atof|strtol|strtoul|strtod)\s*\(",
             "g_ascii_string_to_signed(), g_ascii_strtod()"),
    "assert": (r"(?<![\w_])assert\s*\(", "g_assert(), g_return_if_fail()"),
    "auto": (r"\bg_auto(ptr|free|list)?\b(\s*\([^)]*\))?[^=;()]*;",
             "an initialiser: g_auto* runs its cleanup on every way out"),
}
# not in libraries and elements: printing, leaving
LIBRARY_BANS = {
    "destroy-cast": (r"\(\s*GDestroyNotify\s*\)\s*(?!gst_)\w",
                     "a function of the right type"),
    "print": (r"(?<![\w.>])(g_print|g_printerr|printf|puts|putchar|perror)\s*\(",
              "GError; g_debug() behind UMEDPT_DEBUG"),
    "exit": (r"(?<![\w.>])(exit|_exit|abort|g_error)\s*\(", "GError"),
    "getenv": (r"(?<![\w.>])(getenv|setenv|putenv)\s*\(", "g_getenv()"),
}


def matches(names, pattern, allow, what, clean=house.without_comments):
    regex = re.compile(pattern)
    for name in names:
        source = house.text(name)
        lines = source.split("\n")
        blank = clean(source)
        for match in regex.finditer(blank):
            line = blank.count("\n", 0, match.start())
            if f"allow: {allow}" not in lines[line]:
                yield (f"{name}:{line + 1}: {lines[line].strip()[:60]} "
                       f"({allow}); use {what}")


def white_space(name):
    source = house.text(name)
    for i, line in enumerate(source.split("\n"), 1):
        if "\t" in line:
            yield f"{name}:{i}: a tab"
        if line != line.rstrip():
            yield f"{name}:{i}: blanks at the end of the line"
    if not source.endswith("\n"):
        yield f"{name}: no newline at the end"
    elif source.endswith("\n\n"):
        yield f"{name}: empty lines at the end"
    if "\r" in source:
        yield f"{name}: carriage returns"


def c_head(name):
    source = house.text(name)
    if not source.startswith("/* SPDX-License-Identifier: LGPL-2.1-or-later"):
        yield f"{name}: does not begin with the SPDX line"
        return
    body = source[:source.find("*/")].split("\n")[1:]
    said = [line for line in body if line.strip(" *")]
    if not said:
        yield f"{name}: the head comment says nothing about the file"


def script_head(name):
    lines = house.text(name).split("\n")[:8]
    comments = [line for line in lines
                if line.startswith("#") and not line.startswith("#!")]
    if len([c for c in comments if c.strip("# ")]) < 2 and '"""' not in "".join(
            lines[:4]):
        yield f"{name}: no head comment"


def header_guard(name):
    """A header that is a template, included several times, says so."""
    source = house.text(name)
    if not re.search(r"^#pragma once$", source, re.M) and \
            "allow: once" not in source:
        yield f"{name}: no #pragma once (and no \"allow: once\")"


def gathered(check, names):
    return [problem for name in names for problem in check(name)]


def places():
    """Paths of one person's machine have no place in the project."""
    pattern = re.compile(r"(?<![\w.$}])/(work|home|root|Users)/|"
                         r"\.\./shared|(?<![\w-])/tmp/b-")
    for name in TEXTS:
        if name.as_posix() == "tests/house/test-text.py":
            continue
        for i, line in enumerate(house.text(name).split("\n"), 1):
            if pattern.search(line) and "allow: path" not in line:
                yield f"{name}:{i}: a path of one machine: {line.strip()[:60]}"


def self_check():
    """The bans must notice what they are for."""
    samples = {
        "malloc": "p = malloc (3);", "strcpy": "strcpy (a, b);", "sprintf": "sprintf (a, b);",
        "atoi": "atoi (a)", "assert": "assert (x);",
        "destroy-cast": "(GDestroyNotify) f", "auto": "g_autofree char *a;",
        "print": "printf (a);", "exit": "exit (1);",
        "getenv": "getenv (a)",
    }
    fine = ("g_malloc (3); g_free (p); g_autoptr (GError) error = NULL; "
            "g_assert (x); g_snprintf (a); a->free (b); xstrdup (a); "
            "g_autofree char *a = NULL;")
    for ban, (pattern, _) in {**BANS, **LIBRARY_BANS}.items():
        if not re.search(pattern, samples[ban]):
            yield f"{ban} is not noticed"
        if re.search(pattern, fine):
            yield f"{ban} is seen where it is not"


texts = [n for n in TEXTS if n.name not in FOREIGN and
         n.suffix not in DATA and "corpus" not in n.parts]
house.case("tabs, trailing blanks, last lines", gathered(white_space, texts))
house.case("C files begin with SPDX and a head comment",
           gathered(c_head, C_FILES))
house.case("scripts begin with a head comment", gathered(script_head, SCRIPTS))
house.case("headers have #pragma once",
           gathered(header_guard, [n for n in C_FILES if n.suffix == ".h"]))
house.case(f"no file over {LARGEST // 1024} kB",
           [f"{n}: {(house.TOP / n).stat().st_size // 1024} kB"
            for n in house.files() if (house.TOP / n).stat().st_size >
            LARGER.get(n.as_posix(), LARGEST)])
house.case(f"no C file over {LONGEST} lines",
           [f"{n}: {house.text(n).count(chr(10))} lines" for n in C_FILES
            if house.text(n).count("\n") > LONGEST])
house.case("the top level holds what was agreed",
           sorted({f"{n.parts[0]} does not belong there"
                   for n in house.files() if n.parts[0] not in TOP_LEVEL
                   and not n.parts[0].startswith(".")}))
house.case("no paths of one machine", places())
house.case("nothing is marked as unfinished",
           matches([n for n in C_FILES + SCRIPTS if n.parts[1] != "house"],
                   r"\b(TODO|FIXME|XXX|HACK)\b", "unfinished", "an issue",
                   clean=lambda source: source))
house.case("the bans notice what they are for", self_check())
for ban, (pattern, instead) in BANS.items():
    house.case(f"ban: {ban}", matches(C_FILES, pattern, ban, instead))
libraries = [n for n in C_FILES if n.parts[0] in ("core", "gst", "cuda")]
for ban, (pattern, instead) in LIBRARY_BANS.items():
    house.case(f"ban in libraries: {ban}",
               matches(libraries, pattern, ban, instead))
house.case("ban: goto", matches(
    [n for n in C_FILES if n.suffix in (".c", ".h")], r"\bgoto\b", "goto",
    "an autoptr, or a function"))
house.done()
