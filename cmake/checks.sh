# Sourced by the checks of examples, which set `program` to what is tried: a folder of its own to
# work in, and what is expected of wrong input. `says_first=yes`: it may say what it has read before.
checked=$(basename "$0" .sh)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
  echo "$checked: $1" >&2
  exit 1
}

# Expects of the arguments after $1: one line on stderr that holds $1, exit code 2, nothing on stdout.
refuses() {
  words=$1
  shift
  code=0
  "$program" "$@" > out.txt 2> err.txt || code=$?
  [ $code = 2 ] || fail "exit code $code for: $*"
  [ "$(wc -l < err.txt)" = 1 ] || fail "not one line for: $*: $(cat err.txt)"
  grep -q -e "$words" err.txt || fail "does not say \"$words\" for: $*: $(cat err.txt)"
  [ "${says_first:-no}" = yes ] || [ ! -s out.txt ] ||
    fail "says something before it has read all: $*"
}
