#!/bin/sh
# What ipu_csv promises: a table is priced and its report whole, wrong input is refused.
#
#   check_ipu_csv.sh PROGRAM TABLE.csv
set -eu
program=$(realpath "$1")
table=$(realpath "$2")
. "$(dirname "$0")/checks.sh"

"$program" --report report.json "$table" > said.txt
grep -q '^gemm .*ipu_mk2' said.txt || fail "no figures of matrix products"
grep -q 'not modelled' said.txt || fail "does not say what is not modelled"
grep -q '"rank_correlation"' report.json || fail "no rank correlation in the report"

printf 'name,kind\na,b\n' > bad.csv
refuses 'bad.csv' bad.csv
refuses 'missing.csv' missing.csv
refuses 'expected a table'
refuses 'no-such-option' --no-such-option
refuses 'nowhere' "$table" --report nowhere/a.json
echo "check_ipu_csv: $(tail -n 1 said.txt)"
