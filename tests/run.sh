#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The whole test run on a machine that may be fresh: installs what is missing,
# builds with warnings as errors, runs every suite; then once more under
# AddressSanitizer and UndefinedBehaviorSanitizer, with clang, and a few tests
# under valgrind. The last line is "N passed, N failed, N skipped", counted in
# single test cases over all runs; the status is 0 if nothing failed and
# something ran.
#
# Real slides and videos are used from the folder UMEDPT_TEST_DATA; tests that
# need them are skipped without it.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Memory tests in valgrind, of code that reads what strangers write.
valgrind_tests=(safetensors description tensor features slide preprocess)

usage() {
  cat <<'END'
Usage: tests/run.sh [OPTION...] [RUN...]

Runs, all by default:
  gcc        warnings as errors, every suite but "thorough"
  sanitize   AddressSanitizer and UndefinedBehaviorSanitizer
  clang      the same code with the other compiler, without the longest suites
  valgrind   a few tests under memcheck (uses the build of the gcc run)

Options:
  --quick          the gcc run alone, without slow suites
  --no-install     do not install missing packages with apt
  --build DIR      where to build (build-tests in the checkout)
  --help

UMEDPT_TEST_DATA names a folder with real slides and videos, see
CONTRIBUTING.md.
END
}

say() { printf '\n== %s\n' "$*"; }

runs=() quick=no install=yes build=$top/build-tests
while [ $# -gt 0 ]; do
  case $1 in
    -h|--help) usage; exit 0 ;;
    --quick) quick=yes ;;
    --no-install) install=no ;;
    --build) build=${2:?--build needs a folder}; shift ;;
    gcc|sanitize|clang|valgrind) runs+=("$1") ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
if [ ${#runs[@]} -eq 0 ]; then
  runs=(gcc sanitize clang valgrind)
  [ $quick = no ] || runs=(gcc)
fi

if [ $install = yes ]; then
  "$top/pipelines/install-deps.sh" build run test test-optional
fi

mkdir -p "$build"
build=$(cd "$build" && pwd)
started=$SECONDS
# What a developer has set must not decide what is tested.
unset UMEDPT_BACKEND UMEDPT_BACKEND_PATH UMEDPT_CPU UMEDPT_DEBUG
unset GST_PLUGIN_PATH GST_PLUGIN_PATH_1_0 GST_DEBUG G_DEBUG G_MESSAGES_DEBUG
export GST_REGISTRY_1_0=$build/gst-registry.bin
logs=() # arguments of summary.py

# compile NAME [MESON OPTION...]: configures and builds into $build/NAME. An
# earlier build is used again if it had the same options.
compile() {
  local name=$1
  shift
  # GPU kernels as PTX alone: a driver compiles the rest, where there is one
  local setup=(meson setup "$build/$name" "$top" -Dwerror=true -Dgpu_archs= "$@")
  if [ "$(cat "$build/$name.options" 2>/dev/null)" = "${setup[*]}" ] &&
     [ -f "$build/$name/build.ninja" ]; then
    setup+=(--reconfigure)
  else
    rm -rf "${build:?}/$name"
    printf '%s\n' "${setup[*]}" >"$build/$name.options"
  fi
  say "$name: building"
  if ! "${setup[@]}" >"$build/$name-setup.log" 2>&1; then
    tail -n 40 "$build/$name-setup.log"
    logs+=(--failed "$name=does not configure")
    return 1
  fi
  if ! ninja -k 0 -C "$build/$name" >"$build/$name-build.log" 2>&1; then
    grep -A 20 -m 5 FAILED "$build/$name-build.log" | head -n 100
    logs+=(--failed "$name=does not build")
    return 1
  fi
}

# suites NAME FOLDER [MESON TEST OPTION...]: runs tests, keeps their log. A
# failed test does not end the script; a run without a log counts as failed.
suites() {
  local name=$1 folder=$build/$2
  shift 2
  local log=$folder/meson-logs/$name.json
  say "$name: testing"
  rm -f "$folder/meson-logs/$name"*.json
  meson test -C "$folder" --no-rebuild --print-errorlogs --logbase "$name" \
    "$@" || true
  # with a wrapper, Meson adds its name
  [ -s "$log" ] || log=$folder/meson-logs/$name-valgrind.json
  if [ -s "$log" ]; then
    logs+=("$name=$log")
  else
    logs+=(--failed "$name=no test ran")
  fi
}

run_gcc() {
  local skip=(--no-suite thorough)
  [ $quick = no ] || skip+=(--no-suite slow)
  CC=gcc compile gcc || return 0
  suites gcc gcc "${skip[@]}"
}

# What the sanitizers insert makes gcc see paths that are not there, and warn of
# uninitialised variables on them; and it takes a minute to track variables in
# the kernels, which no report shows. The slow unwinder sees through libraries
# without frame pointers, which suppressions need. GStreamer's tests keep the
# plugin scanner, which is not built with the sanitizer, away by themselves. The
# emulated GPU changes stacks, which no sanitizer follows; the guarded device of
# tests/net stands for memory that is not the host's. Numbers beside PyTorch's,
# and memory, say nothing more here.
run_sanitize() {
  CC=gcc compile sanitize -Dcuda=disabled \
    -Db_sanitize=address,undefined -Db_lundef=false \
    "-Dc_args=-Wno-maybe-uninitialized -fno-var-tracking" || return 0
  local supp=$top/tests/suppressions
  ASAN_OPTIONS=allocator_may_return_null=1:fast_unwind_on_malloc=0 \
    LSAN_OPTIONS=suppressions=$supp/lsan.supp:print_suppressions=0 \
    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
    suites sanitize sanitize -t 4 --no-suite house --no-suite slow \
    --no-suite subset --no-suite numbers
}

# Whole training runs, the emulated GPU and numbers beside PyTorch's are run with
# gcc; the ops and networks that they are made of are run here.
run_clang() {
  CC=clang compile clang || return 0
  suites clang clang --no-suite house --no-suite slow --no-suite subset \
    --no-suite train --no-suite cuda --no-suite numbers
}

# memcheck knows no AVX-512.
run_valgrind() {
  [ -d "$build/gcc/meson-private" ] || CC=gcc compile gcc || return 0
  local wrapper="valgrind -q --error-exitcode=99 --leak-check=full"
  wrapper+=" --errors-for-leak-kinds=definite"
  wrapper+=" --suppressions='$top/tests/suppressions/valgrind.supp'"
  [ ! -e /usr/share/glib-2.0/valgrind/glib.supp ] ||
    wrapper+=" --suppressions=/usr/share/glib-2.0/valgrind/glib.supp"
  local there name tests=()
  there=$(meson test -C "$build/gcc" --list --no-rebuild 2>/dev/null)
  for name in "${valgrind_tests[@]}"; do
    ! grep -qE "(^| / )$name\$" <<<"$there" || tests+=("$name")
  done
  UMEDPT_CPU=portable suites valgrind gcc -t 20 --wrapper "$wrapper" \
    "${tests[@]}"
}

for run in "${runs[@]}"; do
  "run_$run"
done

[ -n "${UMEDPT_TEST_DATA:-}" ] || printf '\n%s\n' \
  "UMEDPT_TEST_DATA is not set: real slides and videos were not tested."
say "$(( (SECONDS - started) / 60 )) min $(( (SECONDS - started) % 60 )) s"
exec python3 "$top/tests/summary.py" "${logs[@]}"
