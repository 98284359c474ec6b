#!/bin/sh
# The runner's own test: it accepts what it should and refuses, with its reason, the rest.
#
#   self_test.sh RUNNER COMPILER
set -eu
runner=$1
compiler=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

accepts() {
  cat > "$folder/case.cpp"
  sh "$runner" "$folder/case.cpp" "$compiler" > "$folder/said" 2>&1 ||
    { echo "self_test: $1: expected the runner to accept it"; cat "$folder/said"; exit 1; }
}
refuses() {
  cat > "$folder/case.cpp"
  if sh "$runner" "$folder/case.cpp" "$compiler" > "$folder/said" 2>&1; then
    echo "self_test: $1: expected the runner to refuse it"; exit 1
  fi
  grep -q "$2" "$folder/said" ||
    { echo "self_test: $1: expected the reason '$2'"; cat "$folder/said"; exit 1; }
}

accepts "one mistake with its words" <<'CPP'
// expect: static assertion failed.*too small
// expect: case.cpp:3
static_assert(sizeof(char) > 1, "too small");
CPP
accepts "a mistake that the macro repairs" <<'CPP'
// expect: too small
#ifndef TESSERA_FIXED
static_assert(sizeof(char) > 1, "too small");
#endif
CPP
accepts "a program for a compiler that does not exist" <<'CPP'
// compilers: another
int main() {}
CPP
refuses "a program that compiles" "but it does" <<'CPP'
// expect: anything
int main() {}
CPP
refuses "a program without words" "found none" <<'CPP'
static_assert(sizeof(char) > 1, "too small");
CPP
refuses "words that the compiler does not say" "expected the words: too large" <<'CPP'
// expect: too small
// expect: too large
static_assert(sizeof(char) > 1, "too small");
CPP
refuses "more lines than allowed" "expected at most 1 lines" <<'CPP'
// expect: too small
// lines: 1
static_assert(sizeof(char) > 1, "too small");
CPP
refuses "two errors for one mistake" "expected at most 1 errors, the compiler printed 2" <<'CPP'
// expect: too small
static_assert(sizeof(char) > 1, "too small");
static_assert(sizeof(char) > 2, "too small");
CPP
refuses "a second mistake that the macro does not repair" "TESSERA_FIXED" <<'CPP'
// expect: too small
// errors: 2
#ifndef TESSERA_FIXED
static_assert(sizeof(char) > 1, "too small");
#endif
static_assert(sizeof(char) > 2, "too small");
CPP
echo "self_test: the runner keeps its rules with $compiler"
