#!/usr/bin/env bash
# Stage 4: GET /echo/{str} returns {str}
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

fetch "$base/echo/abc"
expect_text abc

fetch "$base/echo/pineapple-strawberry_mango.42"
expect_text pineapple-strawberry_mango.42

# nc shows whether the content is as long as Content-Length says: curl would read no further.
fetch_with_nc 'GET /echo/abc HTTP/1.1\r\nHost: localhost:4221\r\n\r\n'
expect_text abc

finish
