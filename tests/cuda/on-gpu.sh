#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Checks and measures the CUDA backend on a machine with a GPU, from the archive
# that bundle.sh has made (unpack it, run this from its folder). Python with
# PyTorch and torchvision is needed for the comparisons alone.
#
#   ./on-gpu.sh [--out DIR] [--python PYTHON] STEP…
#
#   info       what is there
#   ops        the op table against ref, forward and backward, f32 and bf16
#   net        the encoder and all heads against PyTorch's vectors; sessions,
#              graphs of tasks, images on the card
#   torch      full encoders beside torchvision's
#   train      ten rounds of three tasks, cpu and cuda
#   profile    time per kernel of the base encoder and of a training step (ncu)
#   sanitize   the op table under compute-sanitizer, all four tools
#   slide      a slide through gst-launch, beside decoder and encoder alone
#   bench      our times and PyTorch's, one table (bench/bench-gpu.py); tasks
#
# All but profile, sanitize, slide and bench by default. The last line counts; the status is 0
# if nothing failed.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$here/out python=python3 steps=()
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=${2:?}; shift ;;
    --python) python=${2:?}; shift ;;
    -h|--help) sed -n '3,25s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) steps+=("$1") ;;
  esac
  shift
done
[ ${#steps[@]} -gt 0 ] || steps=(info ops net torch train)
mkdir -p "$out"

# NVIDIA's libraries: the toolkit's, or those of Python's wheels.
nvidia_folders() {
  local name
  for name in libcudart.so.13 libcublasLt.so.13 libcudnn.so.9 libnvrtc.so.13; do
    { ldconfig -p 2>/dev/null | sed -n "s|.*$name.* => ||p"
      find "$here/lib" /usr/local/cuda*/ /opt /usr/lib/python3 \
        -name "$name" 2>/dev/null
    } | head -n 1 | xargs -r dirname
  done | sort -u | paste -sd :
}
nvidia=$(nvidia_folders)
export LD_LIBRARY_PATH=$here/lib:$nvidia:/usr/local/nvidia/lib64:${LD_LIBRARY_PATH:-}
export UMEDPT_BACKEND_PATH=$here/module
export UMEDPT_TEST_REFERENCE=$here/reference
export G_DEBUG=fatal-criticals

passed=0 failed=0 names=()
# check NAME COMMAND…: runs it, keeps its output, counts it.
check() {
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$out/$name.log" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name ($((SECONDS - start)) s)"
  else
    failed=$((failed + 1))
    names+=("$name")
    echo "FAILED  $name ($((SECONDS - start)) s)"
    grep -aE '^not ok|ERROR|rror:|CRITICAL|Bail|fail' "$out/$name.log" |
      cut -c 1-200 | head -n "${LINES_SHOWN:-25}"
  fi
}

run_info() {
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  UMEDPT_DEBUG=dispatch "$here/bin/umedpt-info"
}

run_ops() {
  check ops "$here/bin/test-ops" --backend cuda
  grep -aE ' compared,' "$out/ops.log"
  check nan "$here/bin/test-nan" cuda
  check inplace "$here/bin/test-inplace" cuda
  check memory "$here/bin/test-memory"
}

run_net() {
  export UMEDPT_BACKEND=cuda
  check swin "$here/bin/test-swin"
  check tasks "$here/bin/test-tasks"
  check session "$here/bin/test-session"
  check device-images "$here/bin/test-device-images"
  check encoding "$here/bin/test-encoding"
  check graphs "$here/bin/test-graphs"
  unset UMEDPT_BACKEND
}

run_torch() {
  local arch
  export UMEDPT_BACKEND=cuda
  for arch in tiny base; do
    check "torchvision-$arch" "$python" "$here/reference/compare-full.py" \
      "$here/bin/dump-pyramid" "swinv2-$arch"
  done
  check pytorch-tasks "$python" "$here/reference/compare-tasks.py" \
    "$here/bin/dump-pyramid" "$here/bin/run-model" \
    swinv2-nano:attention:72x104 swinv2-tiny:default:256x256 \
    swinv2-tiny:default:224x224:bf16
  unset UMEDPT_BACKEND
}

run_train() {
  check train-curve "$python" "$here/train/test-devices.py" \
    "$here/bin/umedpt-train" cpu cuda
  tail -n 15 "$out/train-curve.log"
}

# Kernels of ours alone: NVIDIA's would take most of the time, and what is said
# of them is nobody's here to mend.
sanitize() {
  UMEDPT_CUDA_GEMM=plain UMEDPT_CUDA_CONV=own timeout "${SANITIZE_SECONDS:-300}" \
    compute-sanitizer --tool "$1" --error-exitcode 9 --print-limit 20 \
    "$here/bin/test-ops" --backend cuda ${2:+--only "$2"}
}

# racecheck is slow, so it takes the ops one by one and not the plain product,
# which the others stand on.
racecheck_ops=(activate layer_norm group_norm global_pool position_bias
  window_attention conv2d multiply upsample logit_scale group_reduce
  patch_embed entropy squared_error segmentation_loss detection_loss adamw
  square_sum)

run_sanitize() {
  local tool op log
  for tool in memcheck initcheck synccheck; do
    sanitize "$tool" >"$out/sanitize-$tool.log" 2>&1 &
  done
  for op in "${racecheck_ops[@]}"; do
    sanitize racecheck "$op" >"$out/sanitize-racecheck-$op.log" 2>&1 &
  done
  wait
  for log in "$out"/sanitize-*.log; do
    if grep -aqE 'SUMMARY: 0 ' "$log" && ! grep -aq '^not ok' "$log"; then
      passed=$((passed + 1))
      echo "ok      $(basename "$log" .log), $(grep -ac '^ok' "$log") cases"
    else
      failed=$((failed + 1))
      names+=("$(basename "$log" .log)")
      echo "FAILED  $(basename "$log" .log)"
      grep -aE 'SUMMARY|=== Error|=== Warn|hazard' "$log" | cut -c 1-200 | head -n 5
    fi
  done
}

# profile NAME COMMAND…: kernels by the sum of their times.
profile() {
  local name=$1
  shift
  timeout 100 ncu --clock-control none --metrics gpu__time_duration.sum --csv \
    --log-file "$out/$name.csv" "$@" >"$out/$name.log" 2>&1
  "$python" "$here/sum-profile.py" "$out/$name.csv" | head -n 30
}

run_profile() {
  profile profile-encoder "$here/bin/bench-device" --arch swinv2-base \
    --batches 32 --passes 1 --no-graph
  profile profile-train "$here/bin/bench-train" --arch swinv2-tiny \
    --batch 8 --micro 8 --steps 1 --decoders
}

run_slide() {
  check slide "$python" "$here/bench/bench-slide-gpu.py" "$here"
  cat "$out/slide.log"
}

run_bench() {
  "$python" "$here/bench/bench-gpu.py" "$here" --python "$python" \
    --json "$out/bench.json" ${BENCH_OPTIONS:-} 2>"$out/bench.err" |
    tee "$out/bench.md"
  UMEDPT_BACKEND=cuda "$here/bin/bench-device" --tasks --arch swinv2-tiny \
    --batches 1,32 | tee "$out/tasks.log"
}

for step in "${steps[@]}"; do
  echo "== $step"
  "run_$step"
done
[ ${#names[@]} -eq 0 ] || echo "Failed: ${names[*]}"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
