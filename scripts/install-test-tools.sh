#!/bin/sh
# Installs the foreign programs that tests check our work against, and only those
# that are missing (Debian, Ubuntu; packages need root). Tests that need one are
# skipped where it is missing, except with CI=true, where they fail.
set -eu
cd "$(dirname "$0")/.."

GOLANGCI_VERSION=v2.15.0

packages=
# A real browser runs the real SDK.
command -v chromium >/dev/null 2>&1 || packages="$packages chromium"
command -v node >/dev/null 2>&1 || packages="$packages nodejs"
command -v npm >/dev/null 2>&1 || packages="$packages npm"
# The race detector is linked with C.
command -v gcc >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
# A real PostgreSQL keeps log and state; tests make a cluster of their own.
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages="$packages postgresql"
# A real pooler stands before it.
command -v pgbouncer >/dev/null 2>&1 || [ -x /usr/sbin/pgbouncer ] || packages="$packages pgbouncer"
# DKIM signatures are verified by dkimpy after a real SMTP trip.
/usr/bin/python3 -c 'import dkim, nacl' >/dev/null 2>&1 || packages="$packages python3-dkim python3-nacl"

if [ -n "$packages" ]; then
  if [ "$(id -u)" -ne 0 ]; then
    echo "these packages are missing; install them as root: apt-get install --no-install-recommends$packages" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  # shellcheck disable=SC2086 # It is a list of words.
  apt-get install -q -y --no-install-recommends $packages
fi

lint=$(go env GOPATH)/bin/golangci-lint
if ! "$lint" version 2>/dev/null | grep -q "${GOLANGCI_VERSION#v}"; then
  go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$GOLANGCI_VERSION"
fi

# The SDKs that our users have speak to the true binary, at the versions that
# their lock files name: Segment's for Node and the browser, and for Go.
git ls-files '*package-lock.json' | while read -r lock; do
  dir=$(dirname "$lock")
  if [ ! -d "$dir/node_modules" ] || [ "$lock" -nt "$dir/node_modules" ]; then
    (cd "$dir" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --ignore-scripts --no-audit --no-fund && touch node_modules)
  fi
done
(cd test/sdk/analytics-go && go mod download)
# An authority that gives certificates by ACME: Let's Encrypt's own stand-in.
(cd test/acme/pebble && go mod download)
