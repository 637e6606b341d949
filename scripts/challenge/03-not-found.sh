#!/usr/bin/env bash
# Stage 3: any other path returns 404 Not Found
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

fetch "$base/abcdefg"
expect_status 'HTTP/1.1 404 Not Found'
expect_extra 'bytes of content' 0 "$(bytes "$content")"

# curl reads no further than the Content-Length; nc shows whether anything follows the head.
fetch_with_nc 'GET /abcdefg HTTP/1.1\r\nHost: localhost:4221\r\n\r\n'
expect_status 'HTTP/1.1 404 Not Found'
expect_extra 'bytes of content' 0 "$(bytes "$content")"

fetch "$base/index.html"
expect_status 'HTTP/1.1 404 Not Found'

fetch "$base/"
expect_status 'HTTP/1.1 200 OK'

finish
