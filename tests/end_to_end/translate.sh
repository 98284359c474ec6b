#!/bin/sh
# translate.sh PROGRAM: trains examples/translate.cpp on all of Multi30k (a quarter of an hour on one
# thread) and wants BLEU 20 on test_2016_flickr. Skipped (77) where TESSERA_DATA has no such folder.
set -eu
data=${TESSERA_DATA:-}/multi30k
if [ ! -d "$data" ]; then
  echo "skipped: TESSERA_DATA names no folder with multi30k in it"
  exit 77
fi
report=$(mktemp)
trap 'rm -f "$report"' EXIT
"$1" --data "$data" --epochs 12 --report "$report"
bleu=$(sed -n 's/.*"test_bleu": *\([0-9.]*\).*/\1/p' "$report")
awk -v bleu="$bleu" 'BEGIN { print "BLEU " bleu ", wanted 20"; exit !(bleu >= 20) }'
