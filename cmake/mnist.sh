#!/usr/bin/env bash
# Builds the MNIST example for this machine, packages included, and runs it:
#
#   bash cmake/mnist.sh                         digits that the example draws itself
#   bash cmake/mnist.sh --data FOLDER           the idx files in FOLDER, plain or .gz
#
# Every argument goes to the example; paths are relative to the folder the command is called in.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

bash "$root/cmake/setup.sh"
(
  cd "$root"
  cmake --preset release
  cmake --build --preset release --target mnist
)
exec "$root/build/release/examples/mnist" "$@"
