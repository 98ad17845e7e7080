#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Installs with apt what building, running or testing needs and what is not
# there yet; with everything in place it does nothing, and needs no rights.
# The packages are listed, by section, in apt-packages.txt beside this script.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
list=$here/apt-packages.txt

usage() {
  cat <<'END'
Usage: pipelines/install-deps.sh [--list] SECTION...

Installs the missing packages of the sections (build, run, test,
test-optional; see pipelines/apt-packages.txt). As root, or with sudo.

  --list    print what is missing, install nothing
END
}

# The packages of one section.
section() {
  awk -v want="[$1]" '
    /^\[/ { inside = ($0 == want); found = found || inside; next }
    inside && NF && !/^#/ { print $1 }
    END { exit !found }' "$list" || {
      printf 'There is no section "%s" in %s.\n' "$1" "$list" >&2
      exit 2
    }
}

missing() {
  local package
  while read -r package; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = \
      installed ] || printf '%s\n' "$package"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo "$@"
  else
    printf 'This needs root, and there is no sudo. Please run as root:\n' >&2
    printf '  apt-get install %s\n' "${packages[*]}" >&2
    exit 1
  fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q \
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

list_only=no
sections=()
while [ $# -gt 0 ]; do
  case $1 in
    -h|--help) usage; exit 0 ;;
    --list) list_only=yes ;;
    -*) usage >&2; exit 2 ;;
    *) sections+=("$1") ;;
  esac
  shift
done
[ ${#sections[@]} -gt 0 ] || { usage >&2; exit 2; }

required=() optional=()
for name in "${sections[@]}"; do
  content=$(section "$name")
  if ! command -v dpkg-query >/dev/null 2>&1; then
    printf 'No apt here. Please install what this system calls:\n%s\n' \
      "$content" >&2
    continue
  fi
  case $name in
    *-optional) mapfile -t -O ${#optional[@]} optional \
      < <(missing <<<"$content") ;;
    *) mapfile -t -O ${#required[@]} required < <(missing <<<"$content") ;;
  esac
done

packages=("${required[@]}" "${optional[@]}")
if [ ${#packages[@]} -eq 0 ]; then
  exit 0
fi
if [ $list_only = yes ]; then
  printf '%s\n' "${packages[@]}"
  exit 0
fi

printf 'Installing with apt: %s\n' "${packages[*]}"
apt update
if [ ${#required[@]} -gt 0 ]; then
  apt install -y --no-install-recommends "${required[@]}"
fi
if [ ${#optional[@]} -gt 0 ] &&
   ! apt install -y --no-install-recommends "${optional[@]}"; then
  for package in "${optional[@]}"; do
    apt install -y --no-install-recommends "$package" ||
      printf 'Not installed: %s. Tests that need it are skipped.\n' "$package"
  done
fi
