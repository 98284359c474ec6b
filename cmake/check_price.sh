#!/bin/sh
# What price promises.
#
#   check_price.sh PROGRAM
#
# Checks that a step is priced and the report is whole, that comparisons have a row for each machine
# and batch, and that wrong input is one line on stderr and exit code 2, with nothing written.
set -eu
program=$(realpath "$1")
. "$(dirname "$0")/checks.sh"

"$program" --model lenet5 --batch 16 --machines ipu_mk1,ipu_mk2 --batches 1,4,16 \
  --report a.json --trace trace.json --roofline roofline.svg \
  --heat tiles.html --graph graph.svg > a.txt
for field in example model mode precision machine batch total operations machines batches; do
  grep -q "\"$field\": *[^ ]" a.json || fail "the report lacks $field"
done
[ "$(grep -c '^ipu_mk1 ' a.txt)" = 4 ] || fail "not a row for each batch: $(cat a.txt)"
grep -q '"ph":"X"' trace.json || fail "the trace has no events"
tail -n 1 tiles.html | grep -qx '</body></html>' || fail "the heat map is not whole"
tail -n 1 graph.svg | grep -qx '</svg>' || fail "the graph is not whole"
tail -n 1 roofline.svg | grep -qx '</svg>' || fail "the roofline is not whole"
"$program" --published | grep -q 'alexnet *training *1 .*18.7 M' || fail "no published counts"
"$program" --model lenet5 --table none --batches 4,16 --devices 1,2,8 --scaling scaling.svg > c.txt
[ "$(grep -c '^weak' c.txt) $(grep -c '^strong' c.txt)" = "2 2" ] || fail "lacks curves"
tail -n 1 scaling.svg | grep -qx '</svg>' || fail "the curves are not whole"
echo '{"base": "ipu_mk1", "name": "half", "tiles": 608}' > half.json
"$program" --model lenet5 --table none --machine half.json --machines half.json,ipu_mk1 > d.txt
grep -q ' on 608 tiles' d.txt || fail "takes no machine from a file"
grep -q '^half ' d.txt || fail "compares no machine from a file"
"$program" --model lenet5 --mode inference --precision int8 --machine tpu_v1 > /dev/null
"$program" --model lenet5 --mode inference --precision fp32 --table layers > b.txt
grep -q '^fits' b.txt || fail "does not say that it fits"
if grep -q 'gradient' b.txt; then fail "inference has gradients"; fi

refuses 'no-such-option' --no-such-option
refuses 'expected a value' --batch
refuses 'whole number' --batch 0
refuses 'whole number' --batches 1,x
# A machine in a file: a preset with more tiles.
echo '{"base": "ipu_mk1", "name": "twice", "tiles": 2432}' > twice.json
"$program" --model lenet5 --machine twice.json > out.txt
grep -q 'vertices .* on 2,432 tiles' out.txt || fail "the machine of a file was not taken"
# Written with all its fields it is the same machine.
"$program" --model lenet5 --machine twice.json --save-machine whole.json > out.txt
grep -q '"in_group_cycles": 15' whole.json || fail "the machine was not written"
"$program" --model lenet5 --machine whole.json > again.txt
cmp -s out.txt again.txt || fail "the machine that was written is another one"
echo '{"base": "ipu_mk1", "tiles": "many"}' > many.json
refuses '"tiles": expected a whole number' --machine many.json
refuses '"abacus"' --machine abacus
refuses '"abacus"' --machines ipu_mk1,abacus
echo '{"base": "ipu_mk1", "tiles": -1}' > bad.json
refuses 'bad.json' --machine bad.json
refuses 'missing.json' --machine missing.json
refuses '"lenet6"' --model lenet6
refuses 'inference' --precision int8
refuses '"fp7"' --precision fp7
refuses 'no links' --machine tpu_v1 --devices 1,2
refuses 'gradients' --mode inference --devices 1,2
refuses 'with it' --scaling a.svg
refuses 'nowhere' --report nowhere/a.json
refuses 'nowhere' --trace nowhere/a.json
refuses 'nowhere' --roofline nowhere/a.svg
echo "check_price: $(sed -n 's/^cycles *//p' a.txt)"
