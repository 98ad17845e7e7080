#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Writes the committed seeds below tests/fuzz/corpus: small valid files that
# reach every branch of the readers, so that mutations of them reach beyond the
# first check. Standard library only; run it again after a change of format.
import json
import os
import struct

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
