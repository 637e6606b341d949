#!/usr/bin/env bash
# Stage 13: several persistent connections at once, each with its own state
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

timeout_hint='Three connections are open. A server that serves one connection at a time cannot respond: see stage 6.'
exec 3<>"/dev/tcp/localhost/$port" 4<>"/dev/tcp/localhost/$port" 5<>"/dev/tcp/localhost/$port"

for round in 1 2 3; do
    # Sent in one order, received in another.
    get 3 "/echo/apple-$round"
    get 4 /user-agent "User-Agent: pear/$round.0"
    get 5 "/echo/melon-$round" "User-Agent: none-of-your-business/$round"
    receive 5
    expect_text "melon-$round"
    receive 3
    expect_text "apple-$round"
    receive 4
    expect_text "pear/$round.0"
done

# One connection is idle while another is served several times.
for each in 1 2 3; do
    get 4 "/echo/cherry-$each"
    receive 4
    expect_text "cherry-$each"
done
get 3 /missing
receive 3
expect_status 'HTTP/1.1 404 Not Found'

# A request arrives in two parts: the requests of other connections do not wait for the second part.
send 5 'GET /user-agent HTTP/1.1\r\nHost: localhost:4221\r\nUser-Ag'
get 3 /user-agent 'User-Agent: first/3'
receive 3
expect_text first/3
send 5 'ent: late/5\r\n\r\n'
receive_extra 5 || true
expect_extra 'the response to a request in two parts' 'HTTP/1.1 200 OK late/5' "$(status_line) $(tr '\0' '?' <"$content")"

# One client closes its connection; the others stay open.
exec 5>&-
get 4 /echo/still-here
receive 4
expect_text still-here
get 3 /echo/here-too
receive 3
expect_text here-too
exec 3>&- 4>&-

finish
