#!/usr/bin/env bash
# Builds and runs the tests' default tier, packages included:
#
#   bash cmake/test.sh           further arguments go to ctest, e.g. -R conv
#
# The golden cases come from tests/data/goldens unless TESSERA_GOLDENS names another folder.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

bash cmake/setup.sh tests
cmake --preset test
cmake --build --preset test
ctest --preset test -j "$(nproc)" "$@"
