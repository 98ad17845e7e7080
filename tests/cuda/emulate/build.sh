#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Builds the emulated CUDA module from whatever sources are there, without
# meson: what does not compile is told and left as it was, what is missing at
# the end fails when it is called. Only what is newer is compiled again.
#
#   build.sh [FOLDER]   FOLDER/libumedpt-cuda.so, by default in /tmp
set -u
top=$(cd "$(dirname "$0")/../../.." && pwd)
out=${1:-/tmp/umedpt-emulate}
cuda=${CUDA_ROOT:-/usr/local/cuda}
mkdir -p "$out" && cd "$top" || exit 1

read -ra glib <<<"$(pkg-config --cflags glib-2.0 gobject-2.0)"
read -ra libs <<<"$(pkg-config --libs glib-2.0 gobject-2.0)"
common=(-g -fPIC -fvisibility=hidden -MMD -isystem "$cuda/include")
ours=(-Icuda -Icore) # not for the driver, whose cuda.h is NVIDIA's
cflags=(-std=gnu11 -O1 -Wall "${common[@]}" "${glib[@]}")
cxxflags=(-std=c++17 -O2 -Wall -Wno-unknown-pragmas -Wno-unused-function
  -fno-strict-aliasing -ffp-contract=off
  -DUMEDPT_CUDA_EMULATE -Itests/cuda/emulate "${common[@]}")
# misaligned vector access is an error on a GPU
kernelflags=(-fsanitize=alignment -fno-sanitize-recover=alignment)

# compile SOURCE COMMAND...: unless the object is newer than all it was made of
compile ()
{
  source=$1
  shift
  name=$(echo "$source" | tr / _)
  object=$out/$name.o
  if [ -f "$object" ] && [ -f "$out/$name.d" ]; then
    stale=
    for file in $(sed 's/^[^:]*://; s/\\$//' "$out/$name.d"); do
      if [ "$file" -nt "$object" ] || [ ! -f "$file" ]; then
        stale=1
        break
      fi
    done
    [ -z "$stale" ] && return
  fi
  echo "  $source"
  if "$@" -c "$source" -MF "$out/$name.d" -o "$object.new"; then
    mv "$object.new" "$object"
  else
    echo "*** $source does not compile; what was there before is used"
  fi
}

n=0
for source in cuda/kernels/*.cu tests/cuda/emulate/*.cc \
    tests/cuda/emulate/*.c cuda/*.c cuda/ops/*.c core/base/error.c; do
  case $source in
    */conv-plan.c | */check.cc | */decoder.c | */check-nccl.cc) continue ;;
    *.cu)
      compile "$source" g++ -x c++ "${ours[@]}" "${cxxflags[@]}" \
        "${kernelflags[@]}" & ;;
    */conv.cc | */cublaslt.cc)
      compile "$source" g++ "${ours[@]}" "${cxxflags[@]}" -O3 "${glib[@]}" & ;;
    *.cc) compile "$source" g++ "${cxxflags[@]}" -O3 -fvisibility=default & ;;
    */driver.c) compile "$source" gcc "${cflags[@]}" & ;;
    *) compile "$source" gcc "${ours[@]}" "${cflags[@]}" & ;;
  esac
  n=$((n + 1))
  [ $((n % 2)) = 0 ] && wait
done
wait

# objects of sources that are gone
for object in "$out"/*.o; do
  case $(basename "$object") in
    missing.o) continue ;;
  esac
  source=$(basename "$object" .o | sed 's,^cuda_kernels_,cuda/kernels/,;
    s,^cuda_ops_,cuda/ops/,; s,^cuda_,cuda/,; s,^core_base_,core/base/,;
    s,^tests_cuda_emulate_,tests/cuda/emulate/,')
  [ -f "$source" ] || rm -f "$object"
done

# the device, with the run-time library: libcuda.so.1, which the module needs
rm -f "$out/missing.o"
driver=()
for name in driver.c driver-memory.cc fiber.cc memory.cc queue.cc runtime.cc; do
  driver+=("$out/tests_cuda_emulate_$name.o")
done
g++ -shared -o "$out/libcuda.so.1" -Wl,-soname,libcuda.so.1 "${driver[@]}" ||
  exit 1
nccl=$out/tests_cuda_emulate_nccl.cc.o
g++ -shared -o "$out/libnccl.so.2" -Wl,-soname,libnccl.so.2 "$nccl" \
  "$out/libcuda.so.1" || exit 1
link ()
{
  mapfile -t objects < <(printf '%s\n' "$out"/*.o |
    grep -vxFf <(printf '%s\n' "${driver[@]}" "$nccl"))
  g++ -shared -o "$out/libumedpt-cuda.so" "${objects[@]}" "$out/libcuda.so.1" \
    -fsanitize=alignment -Wl,--version-script,cuda/module.map "${libs[@]}"
}
link || exit 1
nm -uP "$out/libumedpt-cuda.so" |
  sed -n 's/^\(\(umedpt\|emulate\|cuda\|cublas\|cudnn\)[A-Za-z_0-9]*\) .*/\1/p' |
  sort -u |
  grep -vxFf <(nm -DP --defined-only "$out/libcuda.so.1" | cut -d' ' -f1) \
    > "$out/missing.txt"
if [ -s "$out/missing.txt" ]; then
  echo "not there yet: $(tr '\n' ' ' < "$out/missing.txt")"
  {
    echo '#include "base/error.h"'
    echo 'typedef struct _UmedptBackend UmedptBackend;'
    while read -r name; do
      if grep -q "X (${name#umedpt_cuda_}," core/backend/backend.h; then
        cat << END
gboolean ${name} (UmedptBackend *backend, gconstpointer args, GError **error);
gboolean ${name} (UmedptBackend *backend, gconstpointer args, GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
      "${name} () is not there yet");
  return FALSE;
}
END
      elif grep -q "${name} (" cuda/kernels/*.h; then
        cat << END
int ${name} (void);
int ${name} (void)
{
  return 801; /* cudaErrorNotSupported */
}
END
      else
        cat << END
void ${name} (void);
void ${name} (void)
{
  g_error ("${name} () is not there yet");
}
END
      fi
    done < "$out/missing.txt"
  } > "$out/missing.c"
  gcc "${ours[@]}" "${cflags[@]}" -c "$out/missing.c" -o "$out/missing.o" && link || exit 1
fi
echo "$out/libumedpt-cuda.so"
