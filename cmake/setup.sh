#!/usr/bin/env bash
# Installs what is missing of the packages that a build needs (Debian 12 and newer).
#
#   bash cmake/setup.sh          compiler, CMake, Ninja, libraries
#   bash cmake/setup.sh tests    and what the tests use: Catch2, clang 16, pkg-config, Doxygen
#
# Asks for nothing that is there, so a second call changes nothing and needs no rights. On other
# systems it says what to install and goes on: CMake names what is missing.
set -euo pipefail

packages=(g++ cmake ninja-build libeigen3-dev libxsimd-dev nlohmann-json3-dev zlib1g-dev
  libstb-dev)
if [ "${1:-}" = tests ]; then
  # The oldest clang that must do: Debian 12 has it beside its default, newer ones have dropped it.
  clang=clang
  grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release && clang=clang-16
  packages+=(catch2 "$clang" pkg-config doxygen)
fi

if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
  echo "setup: not a Debian system; needed here: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
# pkg-config may come as pkgconf; what counts is the program.
if command -v pkg-config > /dev/null; then
  missing=($(printf '%s\n' "${missing[@]}" | grep -v '^pkg-config$' || true))
fi
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo > /dev/null ||
    { echo "setup: as root: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi

echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install=("${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}")
# Package lists may be absent (a fresh image) or older than the archive: then once more.
"${install[@]}" || { "${as_root[@]}" apt-get update -q && "${install[@]}"; }
