#!/usr/bin/env bash
# Makes a token for each role, unless it is there. The containers run as nobody whom this machine knows, so the files may be
# read by all; the folder around them lets nobody else of this machine in.
set -euo pipefail
cd "$(dirname "$0")"
install -d -m 0700 private
mkdir -p private/tokens data
for role in admin worker read; do
    [[ -s private/tokens/$role ]] || head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "private/tokens/$role"
    chmod 0644 "private/tokens/$role"
done
echo "private/tokens/ is ready: admin, worker, read"
