#!/usr/bin/env bash
# Stage 10: finds gzip in a list of content codings
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

for list in \
    'encoding-1, gzip, encoding-2' \
    'gzip, encoding-1' \
    'encoding-1,encoding-2,gzip' \
    'encoding-1  ,  gzip  ,encoding-2'; do
    fetch --header "Accept-Encoding: $list" "$base/echo/abc"
    expect_status 'HTTP/1.1 200 OK'
    expect_field Content-Type text/plain
    expect_field Content-Encoding gzip
done

# The last list contains the letters, but not as a member.
for list in 'encoding-1, encoding-2' 'invalid-encoding' 'not-gzip, gzipped'; do
    fetch --header "Accept-Encoding: $list" "$base/echo/abc"
    expect_field Content-Encoding '(absent)'
    expect_text abc
done

finish
