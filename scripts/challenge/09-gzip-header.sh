#!/usr/bin/env bash
# Stage 9: Accept-Encoding: gzip gets Content-Encoding: gzip
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

fetch --header 'Accept-Encoding: gzip' "$base/echo/abc"
expect_status 'HTTP/1.1 200 OK'
expect_field Content-Type text/plain
expect_field Content-Encoding gzip

fetch --header 'Accept-Encoding: invalid-encoding' "$base/echo/abc"
expect_field Content-Encoding '(absent)'
expect_text abc

fetch "$base/echo/abc"
expect_field Content-Encoding '(absent)'
expect_text abc

finish
