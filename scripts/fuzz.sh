#!/bin/sh
# Fuzzes each target of the tree, one after the other, for the given time.
set -eu
cd "$(dirname "$0")/.."

time=${1:-20s}
git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u | while read -r dir; do
  for target in $(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | cut -d' ' -f2); do
    echo "$dir $target"
    # Making each interesting input smaller would take most of the time.
    go test -run '^$' -fuzz "^$target\$" -fuzzminimizetime 100x -fuzztime "$time" "./$dir"
  done
done
