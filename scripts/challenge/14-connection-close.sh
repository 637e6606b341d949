#!/usr/bin/env bash
# Stage 14: Connection: close is mirrored and the connection closed, not before
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

closed_at_most_ms=1000 # the shell takes part of it; a server needs about one

printf '\n$ curl --http1.1 -v %s/echo/orange --next %s/ -H "Connection: close"\n' "$base" "$base"
status=0
curl -q --http1.1 -v --max-time "$answer_seconds" "$base/echo/orange" \
    --next --max-time "$answer_seconds" "$base/" -H 'Connection: close' >/dev/null 2>"$words" || status=$?
expect "curl's exit status" 0 "$status"
reused=$(grep -icE 're-?using existing .*connection' "$words" || true)
expect 'requests on a connection that was open already' 1 "$reused"
sed -n 's/^< //p' "$words" >"$head"
expect 'answers with 200 OK' 2 "$(grep -c '^HTTP/1.1 200 OK' "$head" || true)"
expect_head 'HTTP/1.1 200 OK'
expect_field Connection close

# The same on a connection that is opened here, to see its end.
exec 3<>"/dev/tcp/localhost/$port"
for fruit in orange lemon; do
    get 3 "/echo/$fruit"
    receive 3
    expect_text "$fruit"
    expect 'Connection does not say close' yes "$([[ $(lower "$(field Connection)") != *close* ]] && echo yes || echo no)"
done
get 3 /echo/lime 'Connection: close'
receive_to_end 3
expect_text lime
expect_field Connection close
if [[ -z $end_ms ]]; then
    miss 'the end of the connection' "within $closed_at_most_ms ms" "none in $answer_seconds s"
elif ((end_ms > closed_at_most_ms)); then
    miss 'the end of the connection' "within $closed_at_most_ms ms" "after $end_ms ms"
else
    verdict ok 'the end of the connection' "within $closed_at_most_ms ms" "after $end_ms ms"
fi
exec 3>&-

# The first request may be the last one too, and the option's name is the same in any case.
exec 4<>"/dev/tcp/localhost/$port"
get 4 /echo/grape 'connection: Close'
receive_to_end 4
expect_text grape
expect_beyond 'Connection, asked for as "Close"' close "$(lower "$(field Connection)")"
expect_beyond 'the connection, asked for as "Close"' closed "$([[ -n $end_ms ]] && echo closed || echo open)"
exec 4>&-

finish
