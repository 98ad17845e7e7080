#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Other people's view of a file that our writer made: read with the reference
# implementation (the Python module safetensors) if it is installed, and always
# by a reader of the format in a few lines of json and numpy.
# Usage: test-safetensors.py WRITER, where "WRITER --write FILE" makes the file.
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy
except ImportError:
    print("SKIP: numpy is not installed")
    sys.exit(77)

# numpy's type, bytes, and columns of the tensor that WRITER makes of each type
TYPES = {"F32": ("f32", 4, 1), "BF16": ("bf16", 2, 2), "F16": ("f16", 2, 3),
         "I32": ("i32", 4, 4), "I64": ("i64", 8, 5), "U8": ("u8", 1, 6)}
META = {"format": "pt", "umedpt": '{"é":"\\\x01"}'}


def expected(dtype):
    """The bytes of the tensor of this type: 7 i + its number."""
    _, size, columns = TYPES[dtype]
    count = 3 * columns * size
    return bytes((i * 7 + columns - 1) % 256 for i in range(count))


def check_format(path):
    data = open(path, "rb").read()
    (length,) = struct.unpack("<Q", data[:8])
    assert length % 8 == 0, length
    header = json.loads(data[8:8 + length].decode("utf-8"))
    assert header.pop("__metadata__") == META
    body = data[8 + length:]
    ends = sorted(tuple(t["data_offsets"]) for t in header.values())
    assert ends[0][0] == 0 and ends[-1][1] == len(body)
    assert all(a[1] == b[0] for a, b in zip(ends, ends[1:]))
    assert len(header) == len(TYPES)
    for dtype, (name, size, columns) in TYPES.items():
        entry = header[name]
        assert entry["dtype"] == dtype and entry["shape"] == [3, columns]
        begin, end = entry["data_offsets"]
        assert begin % size == 0, "misaligned"
        values = numpy.frombuffer(body[begin:end], "u%d" % size)
        assert values.reshape(entry["shape"]).tobytes() == expected(dtype)


def check_reference(path):
    try:
        from safetensors import deserialize, safe_open
    except ImportError:
        print("# the module safetensors is not installed: its check is left out")
        return
    with safe_open(path, "np") as file:
        assert file.metadata() == META
    tensors = dict(deserialize(open(path, "rb").read()))
    assert len(tensors) == len(TYPES)
    for dtype, (name, _, columns) in TYPES.items():
        assert tensors[name]["dtype"] == dtype
        assert tensors[name]["shape"] == [3, columns]
        assert bytes(tensors[name]["data"]) == expected(dtype)
    print("# read by the reference implementation as well")


with tempfile.TemporaryDirectory() as folder:
    model = os.path.join(folder, "m.safetensors")
    subprocess.run([sys.argv[1], "--write", model], check=True)
    check_format(model)
    check_reference(model)
