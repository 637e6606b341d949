#!/usr/bin/env bash
# Stage 1: accepts TCP connections on port 4221
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program
expect 'a connection to localhost' 'accepted' "$(accepts localhost && echo accepted || echo refused)"
detail "the port was open $start_ms ms after the start"

# Some versions of nc print nothing when the connection is refused, but all exit with 1. Any other status, that of the timeout
# included, means that it was connected.
step "\$ nc localhost $port </dev/null"
status=0
"${bounded[@]}" 1 nc localhost "$port" </dev/null >/dev/null 2>&1 || status=$?
expect 'nc' 'connected' "$( ((status == 1)) && echo 'not connected' || echo connected)"

expect 'a further connection' 'accepted' "$(accepts localhost && echo accepted || echo refused)"
finish
