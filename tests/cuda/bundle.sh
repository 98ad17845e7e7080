#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Everything that a machine with a GPU and nothing else needs to check and
# measure the CUDA backend, as one archive: programs, tests, the libraries they
# want, a random model, reference vectors, and on-gpu.sh, which runs it all.
# NVIDIA's own libraries are left out: a CUDA machine has them (on-gpu.sh looks
# in the usual places, PyTorch's wheels among them); --with-cuda adds them.
#
#   tests/cuda/bundle.sh [--with-cuda] [--archs LIST] [OUT]
#
# builds in build-gpu and writes OUT (build-gpu/gpu-checks.tar.xz).
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$top/build-gpu archs=80,90 with_cuda=no out=
while [ $# -gt 0 ]; do
  case $1 in
    --with-cuda) with_cuda=yes ;;
    --archs) archs=${2:?--archs needs a list, as 80,90}; shift ;;
    -h|--help) sed -n '3,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) out=$1 ;;
  esac
  shift
done
out=${out:-$build/gpu-checks.tar.xz}

# No FFmpeg: its libraries are larger than all others together.
options=(--buildtype=release -Dcuda=enabled "-Dgpu_archs=$archs"
  -Dffmpeg=disabled -Dgst=enabled -Dintrospection=disabled)
if [ -f "$build/build.ninja" ]; then
  meson configure "$build" "${options[@]}"
else
  meson setup "$build" "$top" "${options[@]}"
fi
programs=(tests/ops/test-ops tests/ops/test-nan tests/ops/test-inplace
  tests/cuda/test-memory tests/net/test-swin
  tests/net/test-session tests/net/test-tasks tests/net/test-device-images
  tests/net/test-encoding tests/net/test-graphs
  tests/net/dump-pyramid tests/net/run-model tests/bench/bench-encoder
  tests/bench/bench-train tests/bench/bench-device pipelines/umedpt-train pipelines/umedpt-info
  pipelines/umedpt-synth)
ninja -C "$build" cuda/libumedpt-cuda.so gst/libgstumedpt.so "${programs[@]}"

bundle=$build/bundle
rm -rf "$bundle"
mkdir -p "$bundle/bin" "$bundle/lib" "$bundle/module"
for program in "${programs[@]}"; do
  cp "$build/$program" "$bundle/bin/"
done
cp "$build/cuda/libumedpt-cuda.so" "$bundle/module/"
cp -L "$build"/core/libumedpt-1.0.so.0 "$bundle/lib/"
# GStreamer: the launcher, queues and sinks, and our elements.
mkdir "$bundle/gst"
cp "$(command -v gst-launch-1.0)" "$bundle/bin/"
cp "$(pkg-config --variable=pluginsdir gstreamer-1.0)/libgstcoreelements.so" \
  "$build/gst/libgstumedpt.so" "$bundle/gst/"
cp -r "$top/tests/reference" "$bundle/reference"
cp -r "$top/tests/bench" "$bundle/bench"
cp -r "$top/tests/train" "$bundle/train"
cp "$top"/tests/cuda/{on-gpu.sh,sum-profile.py} "$bundle/"

# The C library stays that of the other machine, with all that belongs to it.
nvidia='libcuda|libcudart|libcublas|libcudnn|libnv|libnccl'
system='ld-linux|libc\.so|libm\.so|libpthread|libdl\.so|librt\.so|libresolv'
skip="$system|libstdc|libgcc_s"
[ "$with_cuda" = yes ] || skip="$skip|$nvidia"
ldd "$bundle"/bin/* "$bundle"/module/* "$bundle"/gst/* | awk '$3 ~ /^\// { print $3 }' |
  sort -u | grep -Ev "/($skip)" | grep -v "^$build" |
  while read -r library; do cp -L "$library" "$bundle/lib/"; done
# found by their folder there, not by where they were built
for program in "$bundle"/bin/* "$bundle"/module/* "$bundle"/lib/*; do
  strip --strip-unneeded "$program" 2>/dev/null || true
done
tar -C "$bundle" -c . | xz -T0 -6 >"$out"
du -sh "$bundle" "$out"
