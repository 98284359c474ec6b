#!/bin/sh
# What plan_csv promises.
#
#   check_plan_csv.sh PROGRAM FOLDER
#
# FOLDER holds tables of training steps. Checks that each is placed at its lower bound and the lines
# are whole, that a solution is the table with offsets that do not overlap, and that wrong input is
# one line on stderr and exit code 2, with what was there before left as it was.
set -eu
program=$(realpath "$1")
tables=$(realpath "$2")
. "$(dirname "$0")/checks.sh"

line='^{"instance": "[^"]*", "buffers": [0-9]*, "lower_bound": \([0-9]*\), "arena": \1, '
line="$line\"seconds\": [0-9.]*}\$"
"$program" "$tables"/*.csv > out.txt
[ "$(wc -l < out.txt)" = "$(ls "$tables"/*.csv | wc -l)" ] || fail "not a line for each table"
if grep -v "$line" out.txt; then fail "not at the lower bound, or not the line expected"; fi

# Columns in another order, an id with a comma, and one column more.
cat > table.csv <<'END'
size,id,upper,note,lower
128,"a,1",1000000,x,-2
64,b,3,,0
192,c,9,,3
64,d,4,,2
END
"$program" --solution solution.csv table.csv > out.txt
grep -q '"instance": "table", "buffers": 4, "lower_bound": 384, "arena": 384,' out.txt ||
  fail "not placed: $(cat out.txt)"
head -n 1 solution.csv | grep -qx 'id,lower,upper,size,offset' || fail "the header is another"
tail -n +2 solution.csv | sed 's/"a,1"/a/' | awk -F, '
  { low[NR] = $2; high[NR] = $3; at[NR] = $5; end[NR] = $5 + $4 }
  END {
    for (i = 1; i <= NR; ++i) for (j = 1; j < i; ++j)
      if (low[i] < high[j] && low[j] < high[i] && at[i] < end[j] && at[j] < end[i]) exit 1
    exit NR != 4
  }' || fail "the solution overlaps: $(cat solution.csv)"
"$program" --capacity 4096 table.csv > /dev/null


cp solution.csv kept.csv
printf 'id,lower,upper,size\na,4,4,64\n' > ends.csv
printf 'id,lower,upper\na,4,5\n' > lacks.csv
printf 'id,lower,upper,size\na,0,1,64\nb,0' > cut.csv
: > empty.csv
refuses 'no-such-option' --no-such-option table.csv
refuses 'expected tables'
refuses 'expected a value' table.csv --capacity
refuses 'whole number' --capacity 1.5 table.csv
refuses 'whole number' --capacity 0 table.csv
refuses 'one table, got 2' --solution solution.csv table.csv table.csv
refuses 'table itself' --solution table.csv table.csv
refuses 'no folder' --solution nowhere/solution.csv table.csv
refuses 'missing.csv' table.csv missing.csv
refuses 'upper after lower 4' table.csv ends.csv
refuses 'no column "size"' --solution solution.csv lacks.csv
refuses 'line 3: expected 4 cells' --solution solution.csv cut.csv
refuses 'empty.csv' empty.csv
refuses 'offset' --solution solution.csv kept.csv
cmp -s solution.csv kept.csv || fail "a solution was replaced by none"
code=0
sh -c 'ulimit -f 0; "$0" --solution solution.csv table.csv' "$program" > /dev/null 2> err.txt || code=$?
[ $code != 0 ] || fail "a solution without room on the disk is taken for written"
cmp -s solution.csv kept.csv || fail "a half-written solution has replaced a good one"
