#!/usr/bin/env bash
# Makes a token for each role, unless it is there. The containers run as nobody whom this machine knows, so the files may be
# read by all, and the folder only by you and them.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p tokens data
for role in admin worker read; do
    [[ -s tokens/$role ]] || head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "tokens/$role"
    chmod 0644 "tokens/$role"
done
echo "tokens/ is ready: admin, worker, read"
