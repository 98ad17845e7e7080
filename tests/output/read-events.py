#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Reads an event file that test-run-report has left as TensorBoard would: by
# TensorBoard's own reader where it is installed, and always record by record,
# checksums included (the check value of CRC-32C is that of RFC 3720).
#
#   read-events.py PROGRAM
import glob
import struct
import subprocess
import sys
import tempfile


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        size = {1: 8, 5: 4}.get(key & 7)
        if key & 7 == 0:
            value, at = varint(data, at)
            yield key >> 3, value
            continue
        if size is None:
            assert key & 7 == 2, f"wire type {key & 7}"
            size, at = varint(data, at)
        yield key >> 3, data[at:at + size]
        at += size


def read(path):
    data = open(path, "rb").read()
    found, versions, at = {}, [], 0
    while at < len(data):
        head = data[at:at + 8]
        (length,) = struct.unpack("<Q", head)
        assert struct.unpack("<I", data[at + 8:at + 12])[0] == masked(head)
        event = data[at + 12:at + 12 + length]
        at += 12 + length
        assert struct.unpack("<I", data[at:at + 4])[0] == masked(event)
        at += 4
        parts = dict(fields(event))
        if 3 in parts:
            versions.append(parts[3])
        for number, value in fields(parts.get(5, b"")):
            assert number == 1
            scalar = dict(fields(value))
            found[scalar[1].decode(), parts[2]] = struct.unpack(
                "<f", scalar[2])[0]
    assert versions == [b"brain.Event:2"], versions
    return found


def main():
    assert crc32c(b"123456789") == 0xE3069283
    expected = {
        ("train/losses/cells", 1): 1.5, ("train/losses/cells", 2): 1.25,
        ("train/losses/cells2", 1): 0.5, ("train/losses/cells2", 2): 0.25,
        ("train/grad_norm", 2): 3.5, ("validation/score", 2): 0.75,
        ("validation/cells/loss", 2): 0.75, ("validation/cells/f1", 2): 0.875,
        ("train/lr", 300): 0.25}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        files = glob.glob(folder + "/events.out.tfevents.*")
        assert len(files) == 1, files
        found = read(files[0])
        for key, value in expected.items():
            assert found.get(key) == value, (key, found.get(key), value)
        assert not any("round" in tag or "epoch" in tag for tag, _ in found)
        try:
            from tensorboard.backend.event_processing import (
                event_accumulator)
        except ImportError:
            print("TensorBoard is not installed: read without it")
            return
        events = event_accumulator.EventAccumulator(folder)
        events.Reload()
        for (tag, step), value in expected.items():
            assert (step, value) in [(e.step, e.value)
                                     for e in events.Scalars(tag)], tag


main()
