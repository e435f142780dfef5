#!/bin/sh
# Runs the tests of every package.json of ours that has some.
set -eu
cd "$(dirname "$0")/.."

git ls-files '*package.json' | while read -r file; do
  dir=$(dirname "$file")
  if (cd "$dir" && node -e 'process.exit(require("./package.json").scripts?.test ? 0 : 1)'); then
    echo "npm test in $dir"
    (cd "$dir" && npm test --silent)
  fi
done
