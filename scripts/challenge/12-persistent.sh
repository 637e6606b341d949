#!/usr/bin/env bash
# Stage 12: several requests on one connection
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

agent='User-Agent: blueberry/apple-blueberry'

# As in the challenge's text.
step "\$ curl --http1.1 -v $base/echo/banana --next $base/user-agent -H '$agent'"
status=0
curl -q --http1.1 -v --max-time "$response_seconds" "$base/echo/banana" \
    --next --max-time "$response_seconds" "$base/user-agent" -H "$agent" >"$content" 2>"$errors" || status=$?
expect "curl's exit status" 0 "$status"
expect_content bananablueberry/apple-blueberry
# The message differs between versions of curl.
reused=$(tr -d '\r' <"$errors" | grep -iE 're-?using existing .*connection' | head -n 1) || true
detail "curl's message: $(printable "$reused")"
# curl prints each line that it received after "< ".
sed -n 's/^< //p' "$errors" >"$head"
expect 'responses with 200 OK' 2 "$(grep -c '^HTTP/1.1 200 OK' "$head" || true)"
expect_status 'HTTP/1.1 200 OK'

step "\$ curl --http1.1 -w '%{num_connects}' $base/echo/banana --next -w '%{num_connects}' $base/user-agent"
count=(-q -sS --http1.1 --max-time "$response_seconds" -o /dev/null -w '%{num_connects} ')
connects=$(curl "${count[@]}" "$base/echo/banana" --next "${count[@]:1}" "$base/user-agent" 2>/dev/null) || true
expect 'connections that curl opened for the second request' 0 "$(awk '{ print $2 }' <<<"$connects")"
# The rest would fail for the same reason.
finish_if_failed

# Ten requests, one after the other, on a connection that is opened here.
exec 3<>"/dev/tcp/localhost/$port"
for each in 1 2 3 4 5 6 7 8 9 10; do
    get 3 "/echo/banana-$each"
    receive 3
    expect_text "banana-$each"
done

# Pipelined: three requests in one write. The responses must arrive in the same order.
request='HTTP/1.1\r\nHost: localhost:4221\r\n\r\n'
send 3 "GET /echo/kiwi ${request}GET /echo/lime ${request}GET /echo/plum ${request}"
for each in kiwi lime plum; do
    receive_extra 3 || break
    expect_extra 'the response in its turn' "HTTP/1.1 200 OK $each" "$(status_line) $(tr '\0' '?' <"$content")"
done
exec 3>&-

finish
