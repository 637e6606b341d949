#!/usr/bin/env bash
# Stage 6: responds on each of several connections while the others are open
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

request='GET / HTTP/1.1\r\n\r\n'
nc_groups=()
started=$(now_ms)
for each in 1 2 3; do
    step "\$ (sleep 3 && printf \"$request\") | nc localhost $port &"
    : >"$work/nc-$each"
    start_group pipe_to_nc 3 "$request" "$work/nc-$each"
    nc_groups+=("$group")
done

# The three have a second to connect. They send nothing before the third second, and a further connection must not wait.
sleep 1
timeout_hint='Three other connections are open and have sent nothing. A server that serves one connection at a time cannot respond.'
fetch --max-time 1.5 "$base/"
expect_status 'HTTP/1.1 200 OK'
detail "response $(($(now_ms) - started)) ms after the start of the three, which send nothing for 3000 ms"

for each in 1 2 3; do
    wait_for $((3 + response_seconds)) nc_is_done "${nc_groups[each - 1]}" "$work/nc-$each" || true
    cp "$work/nc-$each" "$raw"
    split_response
    step "The response to the nc that was started as number $each"
    expect_status 'HTTP/1.1 200 OK'
done
detail "all three had their response $(($(now_ms) - started)) ms after their start"

finish
