#!/usr/bin/env bash
# Stage 1: accepts TCP connections on port 4221
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program
expect 'a connection to localhost' 'accepted' "$(accepts localhost && echo accepted || echo refused)"
printf '        the port was open %s ms after the start\n' "$start_ms"

# Some versions of nc say nothing of a refused connection, but all end with 1. Being ended by the time is as good as 0.
printf '\n$ nc localhost %s </dev/null\n' "$port"
status=0
"${bounded[@]}" 1 nc localhost "$port" </dev/null >/dev/null 2>&1 || status=$?
expect 'nc' 'connected' "$( ((status == 1)) && echo 'not connected' || echo connected)"

accepts localhost || miss 'a further connection' 'accepted' 'refused'
finish
