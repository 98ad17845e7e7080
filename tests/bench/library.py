# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Labelled data sets as the library reads them, through ctypes: pictures with
# the very pixels that training and evaluation get, and their annotations at full
# size, whatever the format. Needs NumPy; no introspection, which has no arrays
# inside of structures.
import configparser
import ctypes as c
import pathlib

import numpy as np

KINDS = ["classification", "multilabel", "regression", "segmentation",
         "multilabel-segmentation", "detection"]
SPLITS = ["train", "val", "test", "all"]


class Error(c.Structure):
    _fields_ = [("domain", c.c_uint32), ("code", c.c_int),
                ("message", c.c_char_p)]


class Array(c.Structure):
    _fields_ = [("data", c.c_void_p), ("len", c.c_uint)]


class Sample(c.Structure):  # core/data/sample.h
    _fields_ = [("width", c.c_int), ("height", c.c_int),
                ("image", c.POINTER(c.c_float)), ("label", c.c_int),
                ("labels", c.POINTER(c.c_float)),
                ("weights", c.POINTER(c.c_float)), ("value", c.c_double),
                ("mask", c.POINTER(c.c_uint8)), ("boxes", c.POINTER(Array))]


BOX = np.dtype([("corners", "f4", 4), ("label", "i4"), ("score", "f4")])


class Library:
    """The functions of a build that are needed here, with their types."""

    def __init__(self, build):
        path = next(pathlib.Path(build, "core").glob("libumedpt-1.0.so.0"))
        self.umedpt, self.glib = c.CDLL(str(path)), c.CDLL("libglib-2.0.so.0")
        p, error = c.c_void_p, c.POINTER(c.POINTER(Error))
        for library, name, result, *types in (
                (self.glib, "g_key_file_new", p),
                (self.glib, "g_key_file_load_from_file", c.c_int, p, c.c_char_p,
                 c.c_int, error),
                (self.umedpt, "umedpt_dataset_new_from_keyfile", p, p,
                 c.c_char_p, c.c_char_p, c.c_int, error),
                (self.umedpt, "umedpt_dataset_get_name", c.c_char_p, p, c.c_uint),
                (self.umedpt, "umedpt_dataset_get_labels",
                 c.POINTER(c.c_char_p), p),
                (self.umedpt, "umedpt_dataset_get_split", c.POINTER(Array), p,
                 c.c_int),
                (self.umedpt, "umedpt_dataset_read", c.POINTER(Sample), p,
                 c.c_uint, error),
                (self.umedpt, "umedpt_sample_free", None, c.POINTER(Sample))):
            function = getattr(library, name)
            function.restype, function.argtypes = result, types

    def call(self, function, *args):
        """With the error as an exception."""
        error = c.POINTER(Error)()
        result = function(*args, c.byref(error))
        if error:
            raise RuntimeError(error.contents.message.decode())
        return result


class Dataset:
    """The data set of [task @name] in the configuration @config."""

    def __init__(self, library, config, name, folder):
        parser = configparser.ConfigParser(delimiters="=", interpolation=None)
        parser.read(config)
        self.library, self.kind = library, parser["task " + name]["kind"]
        umedpt, glib = library.umedpt, library.glib
        keys = glib.g_key_file_new()
        library.call(glib.g_key_file_load_from_file, keys, str(config).encode(),
                     0)
        self.handle = library.call(
            umedpt.umedpt_dataset_new_from_keyfile, keys,
            f"task {name}".encode(), str(folder).encode(), KINDS.index(self.kind))
        labels = umedpt.umedpt_dataset_get_labels(self.handle)
        self.labels = []
        while labels and labels[len(self.labels)]:
            self.labels.append(labels[len(self.labels)].decode())

    def split(self, name):
        """[(number, file)]"""
        umedpt = self.library.umedpt
        array = umedpt.umedpt_dataset_get_split(self.handle, SPLITS.index(name))
        numbers = np.ctypeslib.as_array(
            c.cast(array.contents.data, c.POINTER(c.c_uint)),
            (array.contents.len,)).tolist() if array.contents.len else []
        return [(i, umedpt.umedpt_dataset_get_name(self.handle, i).decode())
                for i in numbers]

    def read(self, number):
        """Picture u8 [height, width, 3], and its mask or boxes, or nothing, as
        in tests/gst/task_metrics.py."""
        pointer = self.library.call(self.library.umedpt.umedpt_dataset_read,
                                    self.handle, number)
        sample = pointer.contents
        shape = sample.height, sample.width
        image = np.ctypeslib.as_array(sample.image, shape + (3,)) * 255
        picture = np.rint(image).astype(np.uint8)
        exact = np.abs(image - picture).max() < 1e-3
        truth = {}
        if sample.mask:
            planes = (len(self.labels),) * self.kind.startswith("multilabel")
            truth = {"mask": np.ctypeslib.as_array(sample.mask,
                                                   shape + planes).copy()}
        elif self.kind == "detection":
            boxes = sample.boxes.contents
            rows = np.frombuffer(c.string_at(boxes.data, boxes.len * BOX.itemsize),
                                 BOX) if boxes.len else np.empty(0, BOX)
            truth = {"boxes": np.column_stack(
                [rows["corners"], rows["score"], rows["label"]]).astype(float)}
        self.library.umedpt.umedpt_sample_free(pointer)
        if not exact:
            raise RuntimeError("pictures of more than 8 bits cannot be streamed")
        return picture, truth
