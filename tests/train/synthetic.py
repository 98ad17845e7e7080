# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Small data sets of shapes, one per kind of task, and a configuration for a
# tiny network, so that tests of training need no other data. Everything
# follows from a seed. Standard library only: PNG is written by hand.
import json
import os
import random
import struct
import zlib

COLORS = {"disc": (230, 60, 50), "square": (60, 210, 80), "bar": (70, 90, 240)}
SHAPES = list(COLORS)

# a network that trains in milliseconds
TINY = """[model]
arch=test
embed-dim=8
depths=1;1;1;1
heads=1;1;2;4
window=4
size=64
detection-channels=32
"""


def write_png(path, width, height, pixels, channels=3):
    """8 bits; @pixels: bytes, row by row."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(
            ">I", zlib.crc32(body))
    row = width * channels
    raw = b"".join(b"\0" + pixels[y * row:(y + 1) * row] for y in range(height))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
            ">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(raw, 6)) + chunk(b"IEND", b""))


def inside(shape, x, y, box):
    x1, y1, x2, y2 = box
    if not (x1 <= x < x2 and y1 <= y < y2):
        return False
    if shape == "disc":
        cx, cy, r = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2
        return (x + 0.5 - cx) ** 2 + (y + 0.5 - cy) ** 2 <= r * r
    return shape == "square" or y1 + (y2 - y1) / 3 <= y < y2 - (y2 - y1) / 3


class Scene:
    """Some shapes on a dark, noisy ground."""

    def __init__(self, rng, shapes, size=64, side=None):
        self.size = size
        self.objects = []
        for shape in shapes:
            for _ in range(100):
                s = side or rng.randrange(size // 4, size // 2)
                x, y = (rng.randrange(0, size - s) for _ in range(2))
                box = (x, y, x + s, y + s)
                if all(box[2] <= b[0] or b[2] <= box[0] or box[3] <= b[1] or
                       b[3] <= box[1] for _, b in self.objects):
                    self.objects.append((shape, box))
                    break
        pixels = bytearray(rng.randrange(20, 60)
                           for _ in range(size * size * 3))
        self.mask = bytearray(size * size)
        for shape, box in self.objects:
            for y in range(box[1], box[3]):
                for x in range(box[0], box[2]):
                    if inside(shape, x, y, box):
                        at = y * size + x
                        pixels[3 * at:3 * at + 3] = bytes(COLORS[shape])
                        self.mask[at] = SHAPES.index(shape) + 1
        self.pixels = bytes(pixels)

    def save(self, path):
        write_png(path, self.size, self.size, self.pixels)


def split_of(index, n):
    return "train" if index < n * 3 // 4 or n <= 8 else "val"


def write_lines(path, lines):
    with open(path, "w") as file:
        file.write("".join(line + "\n" for line in lines))


def _folders(folder):
    os.makedirs(os.path.join(folder, "images"), exist_ok=True)
    return os.path.join(folder, "images")


def classification(folder, rng, n):
    for i in range(n):
        part = split_of(i, n)
        shape = SHAPES[i % 3]
        path = os.path.join(folder, part, shape)
        os.makedirs(path, exist_ok=True)
        Scene(rng, [shape]).save(os.path.join(path, f"{i:03}.png"))
    return "kind=classification\nformat=imagefolder\n"


def multilabel(folder, rng, n):
    images = _folders(folder)
    lines = ["file,split," + ",".join(SHAPES)]
    for i in range(n):
        present = [s for k, s in enumerate(SHAPES) if (i + 1) >> k & 1]
        Scene(rng, present, side=18).save(os.path.join(images, f"{i:03}.png"))
        lines.append(f"{i:03}.png,{split_of(i, n)}," + ",".join(
            str(int(s in present)) for s in SHAPES))
    write_lines(os.path.join(folder, "labels.csv"), lines)
    return ("kind=multilabel\nformat=csv\nannotations=labels.csv\n"
            "label-columns=" + ";".join(SHAPES) + "\n")


def regression(folder, rng, n):
    images = _folders(folder)
    lines = ["file,split,value"]
    for i in range(n):
        side = 10 + 40 * i // max(n - 1, 1)
        Scene(rng, ["square"], side=side).save(
            os.path.join(images, f"{i:03}.png"))
        lines.append(f"{i:03}.png,{split_of(i * 7 % n, n)},{side}")
    write_lines(os.path.join(folder, "values.csv"), lines)
    return ("kind=regression\nformat=csv\nannotations=values.csv\n"
            "value-column=value\nrange=10;50\n")


def segmentation(folder, rng, n):
    images = _folders(folder)
    os.makedirs(os.path.join(folder, "masks"), exist_ok=True)
    lines = ["file,split"]
    for i in range(n):
        scene = Scene(rng, [SHAPES[i % 3], SHAPES[(i + 1) % 3]])
        scene.save(os.path.join(images, f"{i:03}.png"))
        write_png(os.path.join(folder, "masks", f"{i:03}.png"), scene.size,
                  scene.size, bytes(scene.mask), 1)
        lines.append(f"{i:03}.png,{split_of(i, n)}")
    write_lines(os.path.join(folder, "split.csv"), lines)
    write_lines(os.path.join(folder, "classes.txt"), ["ground"] + SHAPES)
    return "kind=segmentation\nformat=masks\n"


def detection(folder, rng, n):
    images = _folders(folder)
    lines = ["file,split"]
    data = {"images": [], "annotations": [],
            "categories": [{"id": k + 1, "name": s}
                           for k, s in enumerate(SHAPES)]}
    for i in range(n):
        scene = Scene(rng, [SHAPES[i % 3], SHAPES[(i + 2) % 3]], side=24)
        name = f"{i:03}.png"
        scene.save(os.path.join(images, name))
        data["images"].append({"id": i + 1, "file_name": name,
                               "width": scene.size, "height": scene.size})
        for shape, (x1, y1, x2, y2) in scene.objects:
            data["annotations"].append({
                "id": len(data["annotations"]) + 1, "image_id": i + 1,
                "category_id": SHAPES.index(shape) + 1, "iscrowd": 0,
                "area": (x2 - x1) * (y2 - y1),
                "bbox": [x1, y1, x2 - x1, y2 - y1]})
        lines.append(f"{name},{split_of(i, n)}")
    write_lines(os.path.join(folder, "split.csv"), lines)
    with open(os.path.join(folder, "coco.json"), "w") as file:
        json.dump(data, file)
    return "kind=detection\nformat=coco\nannotations=coco.json\n"


def cases(folder, rng, n):
    """Classification of cases of two to four images."""
    images = _folders(folder)
    lines = ["file,case,label,split"]
    for i in range(n):
        shape = SHAPES[i % 2]
        for k in range(2 + i % 3):
            name = f"{i:03}-{k}.png"
            Scene(rng, [shape] if k % 2 == 0 else []).save(
                os.path.join(images, name))
            lines.append(f"{name},case{i},{shape},{split_of(i, n)}")
    write_lines(os.path.join(folder, "cases.csv"), lines)
    return ("kind=classification\nformat=csv\nannotations=cases.csv\n"
            "label-column=label\ncase-column=case\ngrouped=true\n")


MAKERS = {"classification": classification, "multilabel": multilabel,
          "regression": regression, "segmentation": segmentation,
          "detection": detection, "cases": cases}


def make(folder, kinds, n=12, seed=1, keys=""):
    """Data sets for @kinds (names, or {name: n}) below @folder; returns the
    groups of a configuration. @keys: lines for each task."""
    text = ""
    for kind in kinds:
        count = kinds[kind] if isinstance(kinds, dict) else n
        path = os.path.join(folder, kind)
        os.makedirs(path, exist_ok=True)
        body = MAKERS[kind](path, random.Random(f"{seed}/{kind}"), count)
        text += f"\n[task {kind}]\npath={kind}\n{body}{keys}"
    return text


def config(folder, kinds, train, n=12, model=TINY, keys="batch=4\n", seed=1,
           name="config.ini"):
    """Data sets and a configuration; returns its path."""
    path = os.path.join(folder, name)
    text = f"{model}\n{train}\n" + make(folder, kinds, n, seed, keys)
    with open(path, "w") as file:
        file.write(text)
    return path
