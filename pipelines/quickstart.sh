#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# From a fresh Debian 12 to tile features of a whole slide: installs what is
# missing, builds, makes a slide and a model where none is given, runs the main
# pipeline, and tells what was written. Run again, it builds and makes only
# what is not there, and never writes over results.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<'END'
Usage: pipelines/quickstart.sh [OPTION...] [SLIDE]

SLIDE is a whole slide or any image; without one, a synthetic slide is made.

  --model FILE       model file (default: a random, untrained swinv2-tiny)
  --mpp MPP          micrometres per pixel of the tiles (0.5)
  --slide-mpp MPP    micrometres per pixel of the slide, if the file does not
                     say
  --tile-size N      pixels (256)
  --output DIR       where results go (out in the checkout)
  --build DIR        where to build (build in the checkout)
  --no-install       do not install missing packages with apt
  --help
END
}

say() { printf '\n== %s\n' "$*"; }
fail() { printf '\nquickstart: %s\n' "$*" >&2; exit 1; }

slide='' model='' mpp=0.5 slide_mpp='' tile_size=256 output='' build=''
install=yes
while [ $# -gt 0 ]; do
  case $1 in
    -h|--help) usage; exit 0 ;;
    --no-install) install=no; shift; continue ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
  esac
  case $1 in
    --*) [ $# -ge 2 ] || fail "$1 needs a value; see --help" ;;
  esac
  case $1 in
    --model) model=$2; shift ;;
    --mpp) mpp=$2; shift ;;
    --slide-mpp) slide_mpp=$2; shift ;;
    --tile-size) tile_size=$2; shift ;;
    --output) output=$2; shift ;;
    --build) build=$2; shift ;;
    -*) usage >&2; exit 2 ;;
    *) [ -z "$slide" ] || fail "one slide, please: '$slide' or '$1'"
       slide=$1 ;;
  esac
  shift
done
for file in "$slide" "$model"; do
  [ -z "$file" ] || [ -r "$file" ] || fail "'$file' cannot be read"
done

# A checkout that may not be written to is built elsewhere.
if [ -w "$top" ]; then
  : "${build:=$top/build}" "${output:=$top/out}"
else
  : "${build:=${XDG_CACHE_HOME:-$HOME/.cache}/umedpt/build}"
  : "${output:=$PWD/umedpt-out}"
fi

if [ $install = yes ]; then
  say 'Packages'
  "$top/pipelines/install-deps.sh" build run
fi

say "Building in $build"
mkdir -p "$build" "$output"
build=$(cd "$build" && pwd)
output=$(cd "$output" && pwd)
log=$build/quickstart.log
# GPU kernels take minutes to compile; not where no driver would run them.
cuda=disabled
[ ! -e /proc/driver/nvidia ] || cuda=auto
if [ ! -f "$build/build.ninja" ]; then
  meson setup "$build" "$top" --buildtype=release -Dtests=disabled \
    "-Dcuda=$cuda" \
    >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; fail "the build cannot be set up; see $log"; }
fi
ninja -C "$build" >"$log" 2>&1 ||
  { tail -n 30 "$log" >&2; fail "the build failed; see $log"; }
programs=$build/pipelines
export GST_PLUGIN_PATH=$build/gst${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
export UMEDPT_BACKEND_PATH=${UMEDPT_BACKEND_PATH:-$build/cuda}
"$programs/umedpt-info" || fail 'the programs that were built do not run'

if [ -z "$slide" ]; then
  slide=$output/synthetic.tiff
  if [ -e "$slide" ]; then
    say "The synthetic slide is there: $slide"
  else
    say "A synthetic slide: $slide"
    "$programs/umedpt-synth" -o "$slide"
  fi
fi

if [ -z "$model" ]; then
  model=$output/untrained-swinv2-tiny.safetensors
  if [ -e "$model" ]; then
    say "The untrained model is there: $model"
  else
    say "A random, untrained model: $model"
    "$programs/umedpt-train" init --arch swinv2-tiny --seed 1 -o "$model"
  fi
  untrained=yes
fi

# The first name that is free: results are never written over.
stem=$(basename "$slide")
stem=${stem%.*}
features=$output/$stem.h5
for ((n = 2; ; n++)); do
  [ -e "$features" ] || break
  features=$output/$stem-$n.h5
done

say "Embedding $slide"
source=(umedptslidesrc "location=$slide" "tile-size=$tile_size" "mpp=$mpp")
[ -z "$slide_mpp" ] || source+=("slide-mpp=$slide_mpp")
pipeline=(gst-launch-1.0 -e "${source[@]}" ! queue
  ! umedptembed "model-file=$model" batch-size=8 ! progressreport
  ! umedptslidesink "features-location=$features")
# as one would type it: everything quoted, but the signs between elements
for word in "GST_PLUGIN_PATH=$build/gst" "${pipeline[@]}"; do
  case $word in
    !) printf '! ' ;;
    *) printf '%q ' "$word" ;;
  esac
done
printf '\n\n'
"${pipeline[@]}" || fail "the pipeline stopped; the error above says why. If \
the slide does not tell its scale, give --slide-mpp."
[ -s "$features" ] || fail "the pipeline ended without writing $features"

say 'Written'
printf '%s\n' "$features"
if command -v h5ls >/dev/null 2>&1; then
  h5ls "$features"
fi
cat <<END

To go on:
  meson devenv -C '$build'
      a shell that finds the programs and the plugin; in it:
  gst-inspect-1.0 umedptslidesrc
      an element and all its properties
  umedpt-info '$model'
      what a model file says about itself
  h5dump -A '$features'
      what is recorded with the features; docs/features-file.md explains it
END
if [ "${untrained:-no}" = yes ]; then
  cat <<END

The model is random: its features are well-formed, and meaningless. Give a
trained one with --model FILE.
END
fi
