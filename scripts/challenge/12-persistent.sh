#!/usr/bin/env bash
# Stage 12: one connection serves several requests
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

agent='User-Agent: blueberry/apple-blueberry'

# As the challenge types it. curl's words differ between its versions.
printf '\n$ curl --http1.1 -v %s/echo/banana --next %s/user-agent -H "%s"\n' "$base" "$base" "$agent"
status=0
curl -q --http1.1 -v --max-time "$answer_seconds" "$base/echo/banana" \
    --next --max-time "$answer_seconds" "$base/user-agent" -H "$agent" >"$content" 2>"$words" || status=$?
expect "curl's exit status" 0 "$status"
expect_content bananablueberry/apple-blueberry
reused=$(tr -d '\r' <"$words" | grep -iE 're-?using existing .*connection' | head -n 1) || true
expect 'curl says that it uses the connection again' yes "$([[ -n $reused ]] && echo yes || echo no)"
printf '        its words: %s\n' "$(printable "$reused")"
# What curl received, each line after "< ".
sed -n 's/^< //p' "$words" >"$head"
expect 'answers with 200 OK' 2 "$(grep -c '^HTTP/1.1 200 OK' "$head" || true)"
expect_head 'HTTP/1.1 200 OK'

printf '\n$ curl --http1.1 -w "%%{num_connects}" %s/echo/banana --next -w "%%{num_connects}" %s/user-agent\n' "$base" "$base"
count=(-q -sS --http1.1 --max-time "$answer_seconds" -o /dev/null -w '%{num_connects} ')
connects=$(curl "${count[@]}" "$base/echo/banana" --next "${count[@]:1}" "$base/user-agent" 2>/dev/null) || true
expect 'new connections for the second request' 0 "$(awk '{ print $2 }' <<<"$connects")"

# Ten requests, one after the other, on a connection that is opened here.
exec 3<>"/dev/tcp/localhost/$port"
for each in 1 2 3 4 5 6 7 8 9 10; do
    get 3 "/echo/banana-$each"
    receive 3
    expect_text "banana-$each"
done

# Several at once, without waiting: the answers come in the same order.
printf '\nThree requests in one write:'
request='HTTP/1.1\r\nHost: localhost:4221\r\n\r\n'
send 3 "GET /echo/kiwi ${request}GET /echo/lime ${request}GET /echo/plum ${request}"
for each in kiwi lime plum; do
    receive 3
    expect_beyond 'the answer in its turn' "HTTP/1.1 200 OK $each" "$(status_line) $(tr '\0' '?' <"$content")"
done
exec 3>&-

finish
