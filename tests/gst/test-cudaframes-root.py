#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Frames in CUDA memory on a machine whose own GStreamer is too old for them;
# see newer_root.py. GStreamer is the newer system's; the driver and the CUDA
# module are those of the emulated device, as they were built out here.
#
# test-cudaframes-root.py EMULATED HEADERS: prints TAP. EMULATED: the folder of
# the emulated module and driver; HEADERS: that of NVIDIA's cuda.h.
import shutil
import sys
from pathlib import Path

import newer_root

emulated, headers = (Path(argument) for argument in sys.argv[1:])
root = newer_root.Root("1.24")
if root.run("pkg-config", "--atleast-version=1.24", "gstreamer-cuda-1.0")[0]:
    newer_root.skip(f"there is no gstreamer-cuda-1.0 in {root.folder}")
device = root.path("device")
device.mkdir(exist_ok=True)
for name in ["libumedpt-cuda.so", "libcuda.so.1", "libnvcuvid.so.1"]:
    shutil.copy2(emulated / name, device)
for name in ["cuda.h", "cudaGL.h"]:
    shutil.copy2(headers / name, device)
inside = f"{newer_root.INSIDE}/device"
sys.exit(root.check(
    "gstreamer-cuda-1.0", "build-cuda",
    ["-Dgst_cuda=enabled", "-Danalytics=disabled"], ["cudaframes"],
    {"CPATH": inside, "UMEDPT_BACKEND_PATH": inside,
     "LD_LIBRARY_PATH": inside}))
