#!/bin/sh
# Checks that a program does not compile, and what the compiler says about it.
#
#   run.sh SOURCE COMPILER [FLAG...]
#
# The source says what it expects, one directive a line:
#
#   // expect: dense<10>: expected a rank-1 input     extended regular expression that a line of
#                                                     the output matches; each one must (at least
#                                                     one is needed)
#   // lines: 15       most lines the compiler may print (default 15)
#   // errors: 1       most errors among them (default 1: one mistake, one error)
#   // compilers: g++  families it is for, g++ or clang++ (default both)
#
# Where the source mentions TESSERA_FIXED, it must compile with that macro defined: the mistake
# is what the compiler refuses, nothing else.
set -eu
export LC_ALL=C  # plain quotes in g++'s messages
source=$1
compiler=$2
shift 2

directive() { sed -n "s|^// $1: ||p" "$source"; }
refuse() {
  echo "$source: $1"
  [ -z "${output:-}" ] || printf -- '--- %s printed:\n%s\n' "$compiler" "$output"
  exit 1
}

case $("$compiler" --version) in
  *clang*) family=clang++ ;;
  *) family=g++ ;;
esac
compilers=$(directive compilers)
case " ${compilers:-g++ clang++} " in
  *" $family "*) ;;
  *) echo "$source: not for $family"; exit 0 ;;
esac

expected=$(directive expect)
[ -n "$expected" ] || refuse "expected a directive '// expect: ...', found none"

if output=$("$compiler" -std=c++20 -fsyntax-only "$@" "$source" 2>&1); then
  refuse "expected a program that does not compile, but it does"
fi

printf '%s\n' "$expected" | while IFS= read -r words; do
  printf '%s\n' "$output" | grep -Eq -e "$words" || refuse "expected the words: $words"
done

limit=$(directive lines)
printed=$(printf '%s\n' "$output" | wc -l)
[ "$printed" -le "${limit:-15}" ] ||
  refuse "expected at most ${limit:-15} lines, the compiler printed $printed"

limit=$(directive errors)
errors=$(printf '%s\n' "$output" | grep -Ec ':[0-9]+: (fatal )?error: ' || true)
[ "$errors" -le "${limit:-1}" ] ||
  refuse "expected at most ${limit:-1} errors, the compiler printed $errors"

if grep -q TESSERA_FIXED "$source"; then
  output=$("$compiler" -std=c++20 -fsyntax-only -DTESSERA_FIXED "$@" "$source" 2>&1) ||
    refuse "expected it to compile with TESSERA_FIXED defined"
fi
echo "$source: refused by $family in $printed lines"
