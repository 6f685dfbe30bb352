#!/usr/bin/env bash
# Creates a token for each role, unless the file exists. The containers run as a user that this machine does not know, so every
# user may read the files; the folder around them keeps other users of this machine out.
set -euo pipefail
cd "$(dirname "$0")"
install -d -m 0700 private
mkdir -p private/tokens data
for role in admin worker read; do
    [[ -s private/tokens/$role ]] || head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "private/tokens/$role"
    chmod 0644 "private/tokens/$role"
done
echo "private/tokens/ is ready: admin, worker, read"
