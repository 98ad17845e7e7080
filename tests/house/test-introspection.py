#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The library from Python, by introspection alone: what a binding of ours would
# otherwise have to do. Needs PyGObject and the built typelib.
import sys

import house

try:
    import gi
except ImportError:
    print("1..0 # SKIP PyGObject is not installed (python3-gi)")
    sys.exit(0)

gi.require_version("Umedpt", "1.0")
from gi.repository import GLib, GObject, Umedpt  # noqa: E402


def error_of(function, *args):
    """The GError that a call gives, or None."""
    try:
        function(*args)
    except GLib.Error as error:
        return error
    return None


def check_errors():
    missing = "/nowhere/at all.svs"
    for name, function, args in (
            ("Slide.open", Umedpt.Slide.open, (missing,)),
            ("Session.open", Umedpt.Session.open,
             (missing, "cpu", Umedpt.Precision.F32)),
            ("Model.new_from_file", Umedpt.Model.new_from_file, (missing,))):
        error = error_of(function, *args)
        if error is None:
            yield f"{name} of a missing file gives no error"
        elif not error.matches(Umedpt.error_quark(), Umedpt.Error.NOT_FOUND):
            yield f"{name}: {error.domain}, {error.code}: {error.message}"
        elif missing not in error.message:
            yield f"{name}: the message does not name the file"


def check_types():
    for name in ("Model", "Session", "Slide", "TilePlan"):
        if not issubclass(getattr(Umedpt, name, object), GObject.Object):
            yield f"Umedpt.{name} is not a GObject"
    if not hasattr(Umedpt, "Tensor"):
        yield "there is no Umedpt.Tensor"


version = Umedpt.get_version()
house.case("the version", [] if version.count(".") == 2 else [version])
house.case("objects are GObjects, tensors boxed", check_types())
house.case("errors are raised, with domain, code and the file's name",
           check_errors())
house.done()
