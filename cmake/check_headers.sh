#!/bin/sh
# Compiles every header alone, twice in one unit, with warnings as errors.
#
#   check_headers.sh INCLUDE_FOLDER COMPILER [FLAG...]
#
# Syntax and constants only (no code is made): about a second for a header, as many at a time
# as there are processors. Prints the compiler's words for each header that fails; ends with a
# failure if there is one.
set -eu
folder=$1
compiler=$2
shift 2

headers=$(cd "$folder" && find tessera -name '*.hpp' | sort)
[ -n "$headers" ] || { echo "check_headers: no headers in $folder/tessera" >&2; exit 1; }

printf '%s\n' "$headers" | xargs -P "$(nproc)" -I {} sh -c '
  header=$1
  shift
  printf "#include <%s>\n#include <%s>\n" "$header" "$header" |
    "$@" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Werror -x c++ - ||
    { echo "check_headers: <$header> does not compile alone"; exit 1; }
' check_headers {} "$compiler" -I "$folder" "$@"
echo "check_headers: $(printf '%s\n' "$headers" | wc -l) headers compile alone with $compiler"
