#!/bin/sh
# What every example promises, tried on data that it makes itself.
#
#   check_example.sh PROGRAM METRIC [OPTION...]
#
# METRIC is the report's field with the test metric, the options make a training of seconds. Checks
# that a seed means the same weights twice, that a step allocates nothing and the report is whole,
# that saved weights load and are as good as before, and that wrong input is one line on stderr and
# exit code 2, with what was there before left as it was.
set -eu
program=$(realpath "$1")
metric=$2
shift 2
unset TESSERA_DATA
says_first=yes
. "$(dirname "$0")/checks.sh"

"$program" "$@" --epochs 2 --save a.safetensors --report a.json > a.txt 2> a.err
"$program" "$@" --epochs 2 --save b.safetensors --report b.json --threads 2 --quiet > b.txt 2> b.err
[ -s a.err ] || fail "shows no progress"
[ ! -s b.err ] || fail "shows progress though --quiet"
cmp a.safetensors b.safetensors || fail "two trainings from one seed differ"
for field in example backend precision seed epochs samples_per_second step_microseconds train_loss \
    "$metric" arena_bytes lower_bound_bytes no_reuse_bytes parameter_bytes state_bytes \
    heap_allocations_per_step; do
  grep -q "\"$field\": *[^ ]" a.json || fail "the report lacks $field"
done
grep -q '"heap_allocations_per_step": *0,\{0,1\}$' a.json || fail "a step allocates: $(cat a.json)"

"$program" "$@" --epochs 0 --load a.safetensors --report c.json > c.txt
[ "$(grep "\"$metric\"" a.json)" = "$(grep "\"$metric\"" c.json)" ] ||
  fail "loaded weights are not as good as they were when saved"


head -c 1000 a.safetensors > cut.safetensors
cp a.safetensors kept.safetensors
mkdir empty
refuses 'no-such-option' --no-such-option
refuses 'expected a value' --seed
refuses 'whole number' --epochs 1.5
refuses 'whole number' --epochs -1
refuses '"fp64"' --precision fp64
refuses '"gpu"' --backend gpu
refuses '"abacus"' --machine abacus
refuses 'nowhere' --data nowhere
refuses 'empty' --data empty
refuses 'nowhere' --save nowhere/a.safetensors
refuses 'nowhere' --report nowhere/a.json
refuses 'nothing.safetensors' "$@" --load nothing.safetensors --save kept.safetensors
refuses 'cut.safetensors' "$@" --load cut.safetensors --save kept.safetensors
cmp a.safetensors kept.safetensors || fail "a refused file cost another one"
echo "check_example: $(tail -n 1 a.txt)"
