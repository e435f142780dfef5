#!/bin/sh
# Installs the foreign programs that tests check our work against (Debian,
# Ubuntu; as root). Tests that need one are skipped where it is missing, except
# with CI=true, where they fail.
set -eu

# DKIM signatures are verified by dkimpy after a real SMTP trip.
apt-get install -y --no-install-recommends python3-dkim python3-nacl
