#!/bin/sh
# What systolic_csv promises: all rows equal, the column that differs, refusals.
#
#   check_systolic_csv.sh PROGRAM TABLE.csv
set -eu
program=$(realpath "$1")
table=$(realpath "$2")
. "$(dirname "$0")/checks.sh"

rows=$(($(wc -l < "$table") - 1))
"$program" "$table" --report report.json > said.txt || fail "rows differ"
grep -q "^$rows of $rows rows are equal in 19 columns" said.txt || fail "not all rows"
grep -q '"differing_rows": 0' report.json || fail "no report"

# One cycle more in the first row.
sed '2s/,1714596,1714595,/,1714597,1714595,/' "$table" > changed.csv
code=0
"$program" changed.csv > said.txt || code=$?
[ $code = 1 ] || fail "exit code $code for a changed row"
grep -q "^compute_cycles  *differs in 1 of $rows rows; line 2 has 1714597, computed 1714596\$" \
  said.txt || fail "the changed column is not shown"

head -c 5000 "$table" > cut.csv
cut -d , -f 1-11 "$table" > narrow.csv
refuses 'cut.csv' cut.csv
refuses 'missing.csv' missing.csv
refuses 'narrow.csv' narrow.csv --report none.json
[ ! -e none.json ] || fail "a report of a bad table was written"
refuses 'expected a table'
refuses 'expected one table' "$table" "$table"
refuses 'no folder' "$table" --report no/such.json
echo "check_systolic_csv: $(head -n 1 said.txt)"
