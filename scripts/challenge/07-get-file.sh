#!/usr/bin/env bash
# Stage 7: GET /files/{name} returns the bytes of the file, 404 for a missing one
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
files=$work/files
mkdir "$files"
printf 'Hello, World!' >"$files/foo"
printf 'two\r\nlines\n' >"$files/lines.txt"
: >"$files/empty"
# All 256 bytes.
for ((byte = 0; byte < 256; byte++)); do printf '%b' "\\0$(printf %o "$byte")"; done >"$files/binary"
# 10 MiB without a period that is a power of two, so that a block in the wrong place is noticed.
awk 'BEGIN { for (i = 0; i < 1500000; i++) print i }' | head -c 10485760 >"$files/large" || true

start_program --directory "$files/"

for name in foo lines.txt empty binary large; do
    fetch "$base/files/$name"
    expect_status 'HTTP/1.1 200 OK'
    expect_field Content-Type application/octet-stream
    expect_field Content-Length "$(bytes "$files/$name")"
    expect_same_bytes "$name" "$files/$name" "$content"
done

fetch "$base/files/missing"
expect_status 'HTTP/1.1 404 Not Found'

finish
