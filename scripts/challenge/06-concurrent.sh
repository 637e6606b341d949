#!/usr/bin/env bash
# Stage 6: answers each of many connections while the others are open
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

request='GET / HTTP/1.1\r\n\r\n'
nc_groups=()
started=$(now_ms)
echo
for each in 1 2 3; do
    printf '$ (sleep 3 && printf "%s") | nc localhost %s &\n' "$request" "$port"
    : >"$work/nc-$each"
    in_group piped_to_nc 3 "$request" "$work/nc-$each"
    nc_groups+=("$group")
done

# The three have time to connect. They send nothing before the third second, and a further connection must not wait.
sleep 1
fetch --max-time 1.5 "$base/"
expect_head 'HTTP/1.1 200 OK'
printf '        %s ms after the three were started, which are silent for 3000 ms\n' $(($(now_ms) - started))

echo
for each in 1 2 3; do
    wait_for $((3 + answer_seconds)) nc_is_done "${nc_groups[each - 1]}" "$work/nc-$each" || true
    cp "$work/nc-$each" "$raw"
    split_answer
    printf 'nc %s:\n' "$each"
    expect_head 'HTTP/1.1 200 OK'
done
printf '        all three answered %s ms after the start\n' $(($(now_ms) - started))

finish
