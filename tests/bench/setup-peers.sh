#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Makes the virtual environment with the programs that we compare with: current
# PyTorch, torchvision and ONNX Runtime from PyPI. For Linux on x86-64 PyPI has
# torch with CUDA only; it needs its CUDA libraries to be imported at all, also
# where it computes on the CPU, so this takes 6 GB of disk. (--no-deps and the
# Python dependencies alone do not work: libtorch_cuda.so is linked.) Where
# another package index is at hand that has a CPU build, name it in
# UMEDPT_TORCH_INDEX; the CPU code is the same.
#
# setup-peers.sh: into $UMEDPT_PEERS or /tmp/peers; nothing is done twice.
set -eu

venv=${UMEDPT_PEERS:-/tmp/peers}
python=${PYTHON:-/usr/bin/python3}

if [ ! -x "$venv/bin/python" ]; then
  free=$(df -Pk "$(dirname "$venv")" | awk 'NR == 2 { print int($4 / 1048576) }')
  if [ "$free" -lt 12 ] && [ -z "${UMEDPT_TORCH_INDEX:-}" ]; then
    echo "setup-peers.sh: $venv needs 12 GB while it is made, $free GB are free." \
      "Set UMEDPT_PEERS to a folder on another disk." >&2
    exit 1
  fi
  "$python" -m venv "$venv"
fi

if [ -n "${UMEDPT_TORCH_INDEX:-}" ]; then
  "$venv/bin/pip" install --quiet --index-url "$UMEDPT_TORCH_INDEX" torch torchvision
fi
# openslide-python uses the system's libopenslide.so.0.
"$venv/bin/pip" install --quiet torch torchvision onnx onnxscript onnxruntime \
  h5py openslide-python pillow

exec "$venv/bin/python" "$(dirname "$0")/peers.py" versions
