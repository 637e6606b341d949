#!/usr/bin/env bash
# Stage 14: closes the connection after a request with Connection: close
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

close_ms_max=1000 # mostly for this script's own processes; a server needs about one

step "\$ curl --http1.1 -v $base/echo/orange --next $base/ -H 'Connection: close'"
status=0
curl -q --http1.1 -v --max-time "$response_seconds" "$base/echo/orange" \
    --next --max-time "$response_seconds" "$base/" -H 'Connection: close' >/dev/null 2>"$errors" || status=$?
expect "curl's exit status" 0 "$status"
reused=$(grep -icE 're-?using existing .*connection' "$errors" || true)
expect 'requests on a connection that was already open' 1 "$reused"
sed -n 's/^< //p' "$errors" >"$head"
expect 'responses with 200 OK' 2 "$(grep -c '^HTTP/1.1 200 OK' "$head" || true)"
expect_status 'HTTP/1.1 200 OK'
expect_field Connection close

# The same on a connection that is opened here, to see when it is closed.
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
    fail 'the server closes the connection' "within $close_ms_max ms" "none within $response_seconds s"
    finish
elif ((end_ms > close_ms_max)); then
    fail 'the server closes the connection' "within $close_ms_max ms" "after $end_ms ms"
else
    pass 'the server closes the connection' "within $close_ms_max ms" "after $end_ms ms"
fi
exec 3>&-

# The first request may also be the last one, and the value is compared without regard to case.
exec 4<>"/dev/tcp/localhost/$port"
get 4 /echo/grape 'connection: Close'
receive_to_end 4
expect_text grape
expect_extra 'Connection, in response to "Close"' close "$(lower "$(field Connection)")"
expect_extra 'the connection, after "Close"' closed "$([[ -n $end_ms ]] && echo closed || echo open)"
exec 4>&-

finish
