#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Reads GeoJSON that test-geojson-writer has left, by the rules of RFC 7946 and
# those that QuPath has besides: what it would ignore, replace or refuse.
#
#   check-geojson.py PROGRAM
import gzip
import json
import re
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

TYPES = {"annotation", "detection", "cell", "tile"}


def strict(pairs):
    """An object without a key that is there twice."""
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def parse(text):
    def constant(name):
        raise AssertionError(f"{name} is no JSON")
    return json.loads(text, object_pairs_hook=strict, parse_constant=constant)


def twice_area(ring):
    """Positive if it goes counterclockwise, y up."""
    x0, y0 = ring[0]
    return sum((a[0] - x0) * (b[1] - y0) - (b[0] - x0) * (a[1] - y0)
               for a, b in zip(ring, ring[1:]))


def inside(ring, x, y):
    found = False
    for (ax, ay), (bx, by) in zip(ring, ring[1:]):
        if (ay <= y) != (by <= y) and x >= ax + (bx - ax) * (y - ay) / (by - ay):
            found = not found
    return found


def check_ring(ring):
    assert len(ring) >= 4 and ring[0] == ring[-1], ring
    points = [tuple(p) for p in ring[:-1]]
    assert all(len(p) == 2 for p in points)
    assert len(set(points)) == len(points), "a ring touches itself"


def check_polygon(rings):
    """Returns its area."""
    outer, *holes = rings
    for ring in rings:
        check_ring(ring)
    assert twice_area(outer) > 0, "an outer ring goes clockwise"
    for hole in holes:
        assert twice_area(hole) < 0, "a hole goes counterclockwise"
        # a hole may touch the outer ring with its corners, not with all sides
        middles = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
                   for a, b in zip(hole, hole[1:])]
        assert any(inside(outer, *m) for m in middles), "a hole is elsewhere"
    return sum(twice_area(ring) for ring in rings) / 2


def check_geometry(geometry):
    assert set(geometry) == {"type", "coordinates"}
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "Polygon":
        return check_polygon(coordinates)
    assert kind == "MultiPolygon" and len(coordinates) > 1, kind
    return sum(check_polygon(rings) for rings in coordinates)


def check_properties(properties, area, mpp):
    assert properties["objectType"] in TYPES, properties
    assert properties.get("isLocked", False) == (
        properties["objectType"] == "annotation")
    cls = properties["classification"]
    assert set(cls) == {"name", "color"}, cls
    assert cls["name"] and not re.search(r"[:\n\r]", cls["name"]), cls
    assert len(cls["color"]) == 3, cls
    assert all(type(c) is int and 0 <= c <= 255 for c in cls["color"]), cls
    found = properties["measurements"]
    assert 0 <= found["score"] <= 1
    name, scale = ("Area µm^2", mpp * mpp) if mpp else ("Area px^2", 1)
    assert set(found) == {"score", name}, found
    # positions are rounded, and so is the figure
    assert abs(found[name] - area * scale) <= 0.2 + 1e-3 * area, (found, area)
    for key, value in properties.get("metadata", {}).items():
        assert isinstance(key, str) and isinstance(value, str)
    assert set(properties) <= {"objectType", "classification", "isLocked",
                               "measurements", "metadata"}, properties


def check(text):
    """Returns the collection."""
    collection = parse(text)
    assert collection["type"] == "FeatureCollection"
    assert set(collection) == {"type", "features", "umedpt"}
    mpp = collection["umedpt"].get("mpp", 0)
    ids = set()
    for feature in collection["features"]:
        assert set(feature) == {"type", "id", "geometry", "properties"}
        assert feature["type"] == "Feature"
        assert uuid.UUID(feature["id"]).version == 5
        assert str(uuid.UUID(feature["id"])) == feature["id"]
        ids.add(feature["id"])
        area = check_geometry(feature["geometry"])
        check_properties(feature["properties"], area, mpp)
    assert len(ids) == len(collection["features"])
    coordinates = "".join(re.findall(r'"coordinates":([^}]*)', text))
    assert not re.search(r"\.\d{3}|\d[eE]|\.\d*0\b|-0[,\]]|\s", coordinates)
    return collection


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        folder = Path(folder)
        plain = (folder / "all.geojson").read_text("utf-8")
        whole = check(plain)
        assert len(whole["features"]) == 10
        assert whole["umedpt"]["origin"] == [1000, 2000]
        assert whole["umedpt"]["slide"] == 'slide "1"'
        kinds = {f["geometry"]["type"] for f in whole["features"]}
        assert kinds == {"Polygon", "MultiPolygon"}
        with gzip.open(folder / "all.json.gz", "rt", encoding="utf-8") as file:
            assert file.read() == plain
        assert (folder / "all.json.gz").read_bytes()[4:8] == bytes(4), "a time"
        check((folder / "bare.json").read_text("utf-8"))
        with gzip.open(folder / "noise.geojson.gz", "rt",
                       encoding="utf-8") as file:
            noise = check(file.read())
        holes = max(len(f["geometry"]["coordinates"])
                    for f in noise["features"])
        assert holes > 100, holes
        print(f"{len(noise['features'])} regions, one with {holes - 1} holes")


main()
