# Tries the example ipu_csv: sh check_ipu_csv.sh PROGRAM TABLE.csv
#
# A table is priced and its report written whole; a bad file ends with exit code 2 and one line.
set -eu
program=$1
table=$2
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

"$program" --report "$folder/report.json" "$table" > "$folder/said"
grep -q '^gemm .*ipu_mk2' "$folder/said"
grep -q 'not modelled' "$folder/said"
grep -q '"rank_correlation"' "$folder/report.json"

printf 'name,kind\na,b\n' > "$folder/bad.csv"
status=0
"$program" "$folder/bad.csv" > /dev/null 2> "$folder/wrong" || status=$?
test $status = 2
test "$(wc -l < "$folder/wrong")" = 1
