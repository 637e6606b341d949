#!/usr/bin/env bash
# Stage 11: the content is compressed, and Content-Length counts compressed bytes
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

# expect_compressed TEXT
expect_compressed() {
    expect_head 'HTTP/1.1 200 OK'
    expect_field Content-Type text/plain
    expect_field Content-Encoding gzip
    expect_field Content-Length "$(bytes "$content")"
    printf '%s' "$1" >"$work/text"
    if gzip -dc <"$content" >"$work/plain" 2>"$words"; then
        expect_same 'the content, decompressed' "$work/text" "$work/plain"
    else
        miss 'the content' 'gzip' "$(head -c 60 "$content" | tr '\0' '?') ($(cat "$words"))"
    fi
}

hexdump_of() {
    od -An -v -tx1 | tr -s ' \n' ' ' | sed 's/^ //; s/ $//'
}

fetch --header 'Accept-Encoding: gzip' "$base/echo/abc"
expect_compressed abc
# Servers differ in these bytes (the time, the system, the level), and all of them may be right.
printf '        to compare with: %s\n' '1f 8b 08 00 00 00 00 00 00 03 4b 4c 4a 06 00 c2 41 24 35 03 00 00 00'
printf '        what came:       %s\n' "$(head -c 64 "$content" | hexdump_of)"

# Something to compress.
text=$(printf 'raspberry-%.0s' {1..100})
fetch --header 'Accept-Encoding: encoding-1, gzip' "$base/echo/$text"
expect_compressed "$text"
expect 'fewer bytes than the text' yes "$( (($(bytes "$content") < ${#text})) && echo yes || echo no)"

# nc shows whether more bytes come than Content-Length says: curl would read no further.
ask_nc 'GET /echo/abc HTTP/1.1\r\nHost: localhost:4221\r\nAccept-Encoding: gzip\r\n\r\n'
expect_compressed abc

finish
