#!/bin/sh
# What the example systolic_csv promises: all rows equal, the column that differs, refusals.
#
#   check_systolic_csv.sh PROGRAM TABLE.csv
set -u
program=$1
table=$2
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

fail() {
  echo "systolic_csv: $1"
  exit 1
}

"$program" "$table" --report "$folder/report.json" > "$folder/said" || fail "rows differ"
grep -q '^5148 of 5148 rows are equal in 19 columns' "$folder/said" || fail "not all rows"
grep -q '"differing_rows": 0' "$folder/report.json" || fail "no report"

# One cycle more in the first row.
sed '2s/,1714596,1714595,/,1714597,1714595,/' "$table" > "$folder/changed.csv"
"$program" "$folder/changed.csv" > "$folder/said"
test $? = 1 || fail "expected exit code 1 for a changed row"
grep -q '^compute_cycles  *differs in 1 of 5148 rows; line 2 has 1714597, computed 1714596$' \
  "$folder/said" || fail "the changed column is not shown"

refuses() {
  "$program" "$@" > "$folder/said" 2> "$folder/wrong"
  test $? = 2 || fail "expected exit code 2 for $*"
  test "$(wc -l < "$folder/wrong")" = 1 || fail "expected one line for $*"
}
head -c 5000 "$table" > "$folder/cut.csv"
refuses "$folder/cut.csv"
refuses "$folder/missing.csv"
cut -d , -f 1-11 "$table" > "$folder/narrow.csv"
refuses "$folder/narrow.csv" --report "$folder/none.json"
test ! -e "$folder/none.json" || fail "a report of a bad table was written"
refuses
refuses "$table" "$table"
refuses "$table" --report "$folder/no/such.json"
