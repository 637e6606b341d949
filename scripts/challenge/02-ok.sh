#!/usr/bin/env bash
# Stage 2: GET / returns 200 OK
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

fetch "$base/"
expect_status 'HTTP/1.1 200 OK'

fetch_with_nc 'GET / HTTP/1.1\r\nHost: localhost:4221\r\n\r\n'
expect_status 'HTTP/1.1 200 OK'

finish
