#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Writes the committed seeds below tests/fuzz/corpus: small valid files that
# reach every branch of the readers, so that mutations of them reach beyond the
# first check. Standard library only; run it again after a change of format.
import gzip
import json
import os
import struct
import zlib

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
SIZES = {"F32": 4, "BF16": 2, "F16": 2, "I32": 4, "I64": 8, "U8": 1, "F64": 8,
         "BOOL": 1}


def write(target, name, data):
    folder = os.path.join(HERE, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def safetensors(tensors, metadata=None, pad=8):
    """tensors: list of (name, dtype, shape)"""
    header, at = {}, 0
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, dtype, shape in tensors:
        size = SIZES[dtype]
        for n in shape:
            size *= n
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % pad)
    body = bytes(i % 256 for i in range(at))
    return struct.pack("<Q", len(text)) + text + body


def description(**changes):
    value = {
        "format": 1, "arch": "swinv2-nano", "embed_dim": 32,
        "depths": [2, 2, 6, 2], "heads": [1, 2, 4, 8], "window": 8, "patch": 4,
        "mlp_ratio": 4, "stochastic_depth": 0.1,
        "encoder_norm": "affinelayernorm", "squeezer_norm": "affinelayernorm",
        "pool_order": "before", "squeeze_dense": True, "pooling": "average",
        "squeezer_channels": 0, "input_width": 256, "input_height": 256,
        "mpp": 0, "tasks": []}
    value.update(changes)
    return json.dumps(value, separators=(",", ":")).encode()


write("safetensors", "none", safetensors([]))
write("safetensors", "types", safetensors(
    [(d.lower(), d, [2, 1]) for d in SIZES]))
write("safetensors", "shapes", safetensors(
    [("scalar", "F32", []), ("empty", "F32", [0, 3]),
     ("five", "U8", [1, 2, 1, 2, 1])], {"format": "pt", "umedpt": "{\"a\":1}"}))
write("safetensors", "unaligned", safetensors(
    [("a", "U8", [3]), ("b\u00e9", "I64", [1])], {}, pad=1))

write("description", "plain", description())
write("description", "full", description(
    arch="own \u00fc", window=7, mlp_ratio=2.5, encoder_norm="nonorm",
    squeezer_norm="instancenorm", pool_order="after", squeeze_dense=False,
    pooling="combined", squeezer_channels=64, mpp=0.2465, source="a \"b\" \\",
    training={"steps": [1, 2.5e3, None, True, {"x": "\u20ac"}]},
    tasks=[{"name": "t", "kind": "segmentation", "labels": ["a", "b"],
            "colors": ["#ff0000", "#00ff7f"], "threshold": 0.25},
           {"name": "u", "kind": "regression", "range": [-1, 2.5], "grouped": True,
            "input_width": 64, "input_height": 96, "mpp": 0.5},
           {"name": "v", "kind": "detection"}],
    pixel_decoder=True, pixel_channels=8, pixel_hidden=32, decoder_norm="nonorm",
    detection_decoder=True, detection_channels=64, grouper="gated"))


def chunk(kind, body):
    return (struct.pack(">I", len(body)) + kind + body +
            struct.pack(">I", zlib.crc32(kind + body)))


def png(width, height, depth, colour, interlace=0, palette=b"", alpha=b""):
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = (width * channels * depth + 7) // 8
    rows = b"".join(b"\0" + bytes((x * 7 + y) % 256 for x in range(row))
                    for y in range(height))
    if interlace:  # a single pixel has one pass
        assert width == height == 1
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
        ">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    if palette:
        out += chunk(b"PLTE", palette)
    if alpha:
        out += chunk(b"tRNS", alpha)
    return out + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(width, height, bits, samples, photometric, kind=1, planar=1, order="<",
         tile=0):
    """A TIFF of one uncompressed strip or tile per plane."""
    planes = samples if planar == 2 else 1
    per = samples // planes
    size = (tile * tile if tile else width * height) * per * bits // 8
    body = bytes((i * 5 + 1) % 120 for i in range(size * planes))
    at = 8 + len(body)
    long_, short = 4, 3
    tags = [(256, short, [width]), (257, short, [height]),
            (258, short, [bits] * samples), (259, short, [1]),
            (262, short, [photometric]), (277, short, [samples]),
            (284, short, [planar]), (339, short, [kind] * samples)]
    offsets = [8 + i * size for i in range(planes)]
    if tile:
        tags += [(322, short, [tile]), (323, short, [tile]),
                 (324, long_, offsets), (325, long_, [size] * planes)]
    else:
        tags += [(273, long_, offsets), (278, short, [height]),
                 (279, long_, [size] * planes)]
    if photometric == 3:
        tags.append((320, short, [i * 257 for i in range(256)] * 3))
    tags.sort()
    extra_at = at + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for tag, type_, values in tags:
        data = struct.pack(order + ("H" if type_ == short else "I") *
                           len(values), *values)
        entries += struct.pack(order + "HHI", tag, type_, len(values))
        if len(data) <= 4:
            entries += data.ljust(4, b"\0")
        else:
            entries += struct.pack(order + "I", extra_at + len(extra))
            extra += data
    return ((b"II*\0" if order == "<" else b"MM\0*") +
            struct.pack(order + "I", at) + body +
            struct.pack(order + "H", len(tags)) + entries +
            struct.pack(order + "I", 0) + extra)


def nifti(shape, code, size, order="<", slope=0.0, inter=0.0, version=1):
    count = 1
    for n in shape:
        count *= n
    dims = [len(shape)] + list(shape) + [1] * (7 - len(shape))
    head = bytearray(352 if version == 1 else 544)
    if version == 1:
        struct.pack_into(order + "i", head, 0, 348)
        struct.pack_into(order + "8h", head, 40, *dims)
        struct.pack_into(order + "hh", head, 70, code, size * 8)
        struct.pack_into(order + "3f", head, 108, 352, slope, inter)
        head[344:348] = b"n+1\0"
    else:
        struct.pack_into(order + "i", head, 0, 540)
        head[4:12] = b"n+2\0\r\n\032\n"
        struct.pack_into(order + "hh", head, 12, code, size * 8)
        struct.pack_into(order + "8q", head, 16, *dims)
        struct.pack_into(order + "q", head, 168, 544)
        struct.pack_into(order + "2d", head, 176, slope, inter)
    return bytes(head) + bytes(i % 60 for i in range(count * size))


for depth in (1, 2, 4, 8, 16):
    write("image-file", f"grey{depth}.png", png(5, 3, depth, 0))
write("image-file", "rgb8.png", png(3, 2, 8, 2, alpha=b"\0\1\0\2\0\3"))
write("image-file", "rgba16.png", png(2, 2, 16, 6))
write("image-file", "palette4.png", png(5, 2, 4, 3, palette=bytes(range(48)),
                                        alpha=b"\0\x80"))
write("image-file", "interlaced.png", png(1, 1, 8, 4, interlace=1))
for name, args in {
        "grey8": (5, 4, 8, 1, 1), "white16": (5, 4, 16, 1, 0),
        "signed32": (3, 2, 32, 1, 1, 2), "float32": (3, 2, 32, 1, 1, 3),
        "planar8": (4, 3, 8, 3, 2, 1, 2), "rgba8": (4, 3, 8, 4, 2),
        "palette8": (4, 3, 8, 1, 3), "big16": (4, 3, 16, 3, 2, 1, 1, ">"),
        "tiled8": (20, 18, 8, 1, 1, 1, 1, "<", 16)}.items():
    write("image-file", name + ".tif", tiff(*args))

write("csv", "plain", b"file,split\na.png,train\nb.png,val\n")
write("csv", "quoted", b'\xef\xbb\xbf"a ""x""",b\r\n"1,\n2",3\r\n\r\n 4 ,""\r\n')
write("csv", "semicolons", b"image;case;label\nx.png;P 1;1,5\n")
write("csv", "tabs", "image\tvalue\n\u00e9.png\t-2.5e3\n".encode())

write("coco", "plain", json.dumps({
    "info": {"year": 2024}, "licenses": [],
    "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10.0}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "iscrowd": 0,
                     "bbox": [1, 2.5, 3e0, 4], "area": 12,
                     "segmentation": [[1, 2, 3, 4]]},
                    {"image_id": 1, "category_id": 2, "bbox": [],
                     "iscrowd": True}],
    "categories": [{"id": 2, "name": "b\u00e9", "supercategory": None}]
}).encode())
write("coco", "empty", b'{"images":[],"annotations":[],"categories":[]}')

VOC = """<?xml version="1.0"?><!-- c --><annotation verified="yes">
<filename>a.jpg</filename><size><width>20</width><height>10</height></size>
<object><name>x &amp; <![CDATA[y]]></name><difficult>1</difficult><bndbox>
<xmin>1</xmin><ymin>2.5</ymin><xmax>3e0</xmax><ymax>4</ymax></bndbox>
<part><name>z</name></part></object></annotation>
"""
write("voc", "plain", VOC.encode())
write("voc", "empty", b"<annotation/>")

write("yolo", "boxes", b"0 0.5 0.5 0.1 0.2\n\n1\t1 1  .5e-1 0.25\r\n")
write("yolo", "polygon", b"3 0.1 0.1 0.4 0.1 0.2 0.9")
write("yolo", "empty", b"")

for name, args in {
        "u8": ((3, 2, 2), 2, 1), "i16": ((3, 2, 2), 4, 2, ">", 2.0, -1.0),
        "i32": ((2, 2), 8, 4), "f32": ((3, 2, 2), 16, 4, ">"),
        "f64": ((2, 2, 1), 64, 8), "i8": ((2, 2, 2, 3), 256, 1),
        "u16": ((2, 2, 2), 512, 2), "u32": ((2, 2, 2, 1, 1), 768, 4),
        "i64": ((2, 1, 2), 1024, 8), "u64": ((2, 1, 2), 1280, 8, ">"),
        "two": ((2, 2, 2), 16, 4, "<", 1.5, 3.0, 2)}.items():
    write("nifti", name + ".nii", nifti(*args))
write("nifti", "packed.nii.gz", gzip.compress(nifti((3, 2, 2), 4, 2), mtime=0))

RING = [[10, 10], [30.5, 10], [30, 30.25], [10, 30], [10, 10]]
HOLE = [[14, 14], [20, 14], [20, 20], [14, 14]]


def feature(kind, coordinates, properties):
    return {"type": "Feature", "id": "0d5b6f2e", "geometry": {
        "type": kind, "coordinates": coordinates,
        "plane": {"c": -1, "z": 0, "t": 0}}, "properties": properties}


write("geojson", "collection", json.dumps({
    "type": "FeatureCollection", "features": [
        feature("Polygon", [RING, HOLE], {
            "objectType": "annotation", "isLocked": True,
            "classification": {"name": "Tumor", "color": [200, 0, 0]},
            "measurements": {"a": 1.5, "b": "NaN"}}),
        feature("MultiPolygon", [[RING], [HOLE]], {
            "object_type": "cell", "classification": "Stroma"}),
        feature("LineString", RING, {"classification": {"names": ["A", "B"]}}),
        feature("MultiLineString", [RING, HOLE], None),
        feature("Point", [1, 2], {"classification": None})]},
    separators=(",", ":")).encode())
write("geojson", "array", json.dumps([{
    "properties": {"classification": "B"},
    "geometry": {"coordinates": [RING], "type": "Polygon"},
    "type": "Feature"}]).encode())
# JPEG has no writer in the standard library: the slide reader's seed serves.
with open(os.path.join(HERE, "slide", "jpeg"), "rb") as seed:
    write("image-file", "colour.jpg", seed.read())
