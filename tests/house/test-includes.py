#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Include arrows point down: the table below is that of docs/architecture.md,
# and an #include that it does not allow is an error. A private header (one
# without UMEDPT_API) stays inside core, except where the table names it.
import re
import sys

import house

# folder of core -> the folders it may include, besides itself
CORE = {
    "base": [],
    "tensor": ["base"],
    "backend": ["base", "tensor"],
    "autograd": ["base", "tensor", "backend"],
    "nn": ["base", "tensor", "backend", "autograd"],
    "net": ["base", "tensor", "backend", "autograd", "nn"],
    "infer": ["base", "tensor", "backend", "autograd", "nn", "net"],
    "data": ["base", "tensor"],
    "train": ["base", "tensor", "backend", "autograd", "nn", "net", "infer",
              "data"],
    "output": ["base", "tensor", "data"],
}
# the CUDA module sees tensors and the table that a backend fills, no more
CUDA = re.compile(r"^(base|tensor)/|^backend/backend\.h$")
# the plugin: each family of elements by itself, on what they share
GST = ("inference", "json", "overlay", "slide")
# headers from outside that one folder has to itself
OWNERS = {
    r"^oneapi/|^dnnl": ("core/backend",),
    r"^openslide|^jpeglib|^png\.h": ("core/data", "pipelines", "tests"),
    r"^tiff": ("core/data", "core/output", "pipelines", "tests"),
    r"^hdf5|^H5": ("core/output", "pipelines", "tests"),
    r"^cuda": ("cuda",),
    r"^gst/": ("gst", "tests", "pipelines"),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)


def includes(name):
    """(line number, include) of each #include of a file."""
    source = house.text(name)
    for match in INCLUDE.finditer(source):
        yield source.count("\n", 0, match.start()) + 1, match[2]


def is_public(include):
    path = house.TOP / "core" / include
    if include == "base/version.h":
        return True
    return path.is_file() and "UMEDPT_API" in path.read_text()


def core_folder(include):
    """The folder of core that an include names, or None."""
    first = include.split("/")[0]
    return first if "/" in include and first in CORE else None


def check_core(name, include):
    folder = name.parts[1]
    target = core_folder(include)
    if folder not in CORE or target is None or target == folder:
        return None
    if target not in CORE[folder]:
        allowed = ", ".join(CORE[folder]) or "no other folder"
        return f"core/{folder} may use {allowed}, not \"{include}\""
    return None


def check_plugin(name, include):
    """gst/common is below the families, gstumedpt.c above them."""
    first = include.split("/")[0]
    if name.parts[0] == "gst" and len(name.parts) == 3 and first in GST and \
            first != name.parts[1]:
        return f"gst/{name.parts[1]} may use gst/common, not \"{include}\""
    return None


def check_above(name, include):
    """Rules of the folders beside core."""
    top = name.parts[0]
    if core_folder(include) is None:
        return None
    if top == "cuda" and not CUDA.match(include):
        return f"cuda may use tensor and backend/backend.h, not \"{include}\""
    if top in ("gst", "pipelines") and not is_public(include):
        return f"{top} may use public headers only, not \"{include}\""
    return None


def check_owner(name, include):
    for pattern, owners in OWNERS.items():
        if re.search(pattern, include) and not name.as_posix().startswith(
                tuple(owner + "/" for owner in owners)):
            return f"<{include}> belongs to {', '.join(owners)}"
    return None


def problems(folder):
    for name in house.files(*house.C_SUFFIXES):
        if not name.as_posix().startswith(folder + "/"):
            continue
        for line, include in includes(name):
            for check in (check_core if folder.startswith("core/")
                          else check_above, check_plugin, check_owner):
                problem = check(name, include)
                if problem:
                    yield f"{name}:{line}: {problem}"
            if include.startswith("..") or "/../" in include:
                yield f"{name}:{line}: includes go down from core/, not up"


def check_table():
    """The checks themselves must notice a wrong arrow."""
    path = house.Path
    wrong = [
        check_core(path("core/tensor/x.c"), "net/model.h"),
        check_core(path("core/data/x.c"), "net/model.h"),
        check_core(path("core/output/x.c"), "infer/session.h"),
        check_above(path("gst/x.c"), "backend/backend.h"),
        check_above(path("cuda/x.cu"), "nn/linear.h"),
        check_plugin(path("gst/overlay/x.c"), "inference/gstumedptbase.h"),
        check_plugin(path("gst/common/x.c"), "json/gstumedptjson.h"),
        check_owner(path("core/net/x.c"), "oneapi/dnnl/dnnl.h"),
    ]
    right = [
        check_core(path("core/net/x.c"), "tensor/tensor.h"),
        check_above(path("gst/x.c"), "tensor/tensor.h"),
        check_plugin(path("gst/overlay/x.c"), "common/gstumedptenums.h"),
        check_above(path("cuda/x.cu"), "backend/backend.h"),
        check_owner(path("core/backend/cpu/x.c"), "oneapi/dnnl/dnnl.h"),
    ]
    yield from (f"wrong arrow {i} passes" for i, p in enumerate(wrong) if not p)
    yield from (p for p in right if p)


house.case("the check notices wrong arrows", check_table())
folders = sorted(p.name for p in (house.TOP / "core").iterdir() if p.is_dir())
house.case("every folder of core is in the table",
           [f"core/{f} is not in the table of {sys.argv[0]}"
            for f in folders if f not in CORE])
for f in folders:
    house.case(f"arrows of core/{f}", problems(f"core/{f}"))
for f in ("cuda", "gst", "pipelines"):
    house.case(f"arrows of {f}", problems(f))
house.done()
