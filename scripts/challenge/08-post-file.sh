#!/usr/bin/env bash
# Stage 8: POST /files/{name} stores the content and returns 201 Created
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
files=$work/files
mkdir "$files"
for ((byte = 0; byte < 256; byte++)); do printf '%b' "\\0$(printf %o "$byte")"; done >"$work/binary"
printf 'two\r\nlines\n' >>"$work/binary"
awk 'BEGIN { for (i = 0; i < 500000; i++) print i }' >"$work/large"

start_program --directory "$files/"

printf '12345' >"$work/text"
fetch --data 12345 --header 'Content-Type: application/octet-stream' "$base/files/file_123"
expect_status 'HTTP/1.1 201 Created'
expect_same_bytes 'the file, right after the response' "$work/text" "$files/file_123"

# Every value of a byte, and content that does not fit into one read.
for name in binary large; do
    fetch --data-binary "@$work/$name" --header 'Content-Type: application/octet-stream' "$base/files/$name"
    expect_status 'HTTP/1.1 201 Created'
    expect_same_bytes 'the file, right after the response' "$work/$name" "$files/$name"
done

: >"$work/empty"
fetch --data-binary '' --header 'Content-Type: application/octet-stream' "$base/files/empty"
expect_status 'HTTP/1.1 201 Created'
expect_same_bytes 'the file, right after the response' "$work/empty" "$files/empty"

# A client that closes the connection in the middle of its content: half of a file must not be stored.
exec 3<>"/dev/tcp/localhost/$port"
send 3 'POST /files/half HTTP/1.1\r\nHost: localhost:4221\r\nContent-Length: 10\r\n\r\n12345'
exec 3>&-
# A response on another connection shows that the server still runs.
fetch "$base/files/file_123"
expect_same_bytes 'a file that was stored before' "$work/text" "$content"
stored='binary empty file_123 large'
stored_files() {
    (cd "$files" && find . -type f | sort | sed 's|^\./||' | tr '\n' ' ' | sed 's/ $//')
}
# shellcheck disable=SC2317 # called by wait_for
only_whole_files() {
    [[ $(stored_files) == "$stored" ]]
}
# A partial file has time to appear, and then to be removed.
sleep 0.2
wait_for 2 only_whole_files || true
expect_extra 'files after an upload that was cut off' "$stored" "$(stored_files)"

finish
