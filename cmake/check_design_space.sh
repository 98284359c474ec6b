#!/bin/sh
# What design_space promises.
#
#   check_design_space.sh PROGRAM
#
# Checks that all points are priced and drawn whatever the number of threads, that ranges are kept
# to, and that wrong input is one line on stderr and exit code 2, with nothing written.
set -eu
program=$(realpath "$1")
. "$(dirname "$0")/checks.sh"

"$program" --models lenet5,mlp --tiles 64,128 --sram 64,256 --arrays 16x8,8x8 --clocks 500,1000 \
  --time microseconds --svg a.svg --report a.json > a.txt
[ "$(grep -c '"name": "64 tiles of 64 KiB, 16x8, 500 MHz"' a.json)" = 2 ] ||
  fail "a point is missing"
[ "$(grep -c '"fits":' a.json)" = 32 ] || fail "not 16 points for each network"
[ "$(grep -c '^16 points, ' a.txt)" = 2 ] || fail "does not say how many points: $(cat a.txt)"
tail -n 1 a.svg | grep -qx '</svg>' || fail "the drawing is not whole"
"$program" --models lenet5,mlp --tiles 64,128 --sram 64,256 --arrays 16x8,8x8 --clocks 500,1000 \
  --time microseconds --threads 2 --report b.json > /dev/null
grep -v points_per_second a.json > a.points
grep -v points_per_second b.json | cmp - a.points || fail "threads change the points"

refuses 'no-such-option' --no-such-option
refuses 'expected a value' --tiles
refuses 'whole number' --tiles 0
refuses 'whole number' --sram 64,
refuses '16x8' --arrays 16
refuses 'whole number' --arrays 16x
refuses '"lenet6"' --models lenet5,lenet6
refuses '"abacus"' --machine abacus
refuses 'nowhere' --svg nowhere/a.svg
echo "check_design_space: $(grep -m 1 '^16 points' a.txt)"
