#!/usr/bin/env bash
# Stage 11: the content is compressed, and Content-Length counts compressed bytes
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

# expect_compressed TEXT
expect_compressed() {
    expect_status 'HTTP/1.1 200 OK'
    expect_field Content-Type text/plain
    expect_field Content-Encoding gzip
    printf '%s' "$1" >"$work/text"
    if gzip -dc <"$content" >"$work/plain" 2>"$errors"; then
        expect_same_bytes 'the content, decompressed' "$work/text" "$work/plain"
    else
        fail 'the content' 'a gzip file' "$(head -c 60 "$content" | tr '\0' '?') ($(cat "$errors"))"
    fi
}

hexdump_of() {
    od -An -v -tx1 | tr -s ' \n' ' ' | sed 's/^ //; s/ $//'
}

# With nc, which reads all content that follows the head: curl reads no further than Content-Length. The length is checked first,
# because a wrong one would make all later checks fail.
fetch_with_nc 'GET /echo/abc HTTP/1.1\r\nHost: localhost:4221\r\nAccept-Encoding: gzip\r\n\r\n'
if [[ $(field Content-Length) != "$(bytes "$content")" ]]; then
    fail 'Content-Length' "$(bytes "$content"), the number of bytes that follow the head" "$(field Content-Length)"
    explain 'It must be the length of the compressed content. The text itself has 3 bytes.'
    finish
fi
expect_compressed abc
# Servers differ in these bytes (the time, the system, the level), and all of them may be right.
detail 'to compare with: 1f 8b 08 00 00 00 00 00 00 03 4b 4c 4a 06 00 c2 41 24 35 03 00 00 00'
detail "received:        $(head -c 64 "$content" | hexdump_of)"

# A text that gets shorter.
text=$(printf 'raspberry-%.0s' {1..100})
fetch --header 'Accept-Encoding: encoding-1, gzip' "$base/echo/$text"
expect_compressed "$text"
expect 'fewer bytes than the text' yes "$( (($(bytes "$content") < ${#text})) && echo yes || echo no)"

finish
