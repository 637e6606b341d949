# shellcheck shell=bash
# Shared by the scripts of the fourteen stages. Each of them reads:
#
#     begin "$@"            the program under test, the tools, a free port, a temporary directory
#     start_program [ARGS]  starts the program and waits until its port is open
#     fetch … / fetch_with_nc … / send + receive
#                           one request; leaves the response in the files $head and $content
#     expect …              compares, and prints a difference
#     finish                stops the program; exits with 0, or 1 if a check failed
#
# Exit status 2 means that nothing could be checked: a tool is missing, the port is in use, there is no such program.
set -euo pipefail

# Bytes rather than characters, and a point in fractions of seconds.
export LC_ALL=C
# curl must connect to this machine directly, whatever proxy the environment names.
export no_proxy='*' NO_PROXY='*'

# shellcheck source-path=SCRIPTDIR source=port.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/port.sh"
# shellcheck disable=SC2034 # for the stages
base=http://localhost:$port
response_seconds=5 # how long to wait for one response
start_seconds=${CHALLENGE_START_SECONDS:-10}
stop_seconds=5

challenge=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
repository=${challenge%/scripts/challenge}
# The title of a stage is the second line of its script, which is $0: this file is sourced.
title=$(sed -n '2s/^# //p' "$0")

verbose=false
checks=0
failed_checks=0
groups=()
program_group=
work=
# What was sent since the last check. It is printed before the first check that fails, so that passing checks print nothing.
unprinted=
# Added to the message when no response arrives in time. It describes the state of the other connections.
timeout_hint=

# --- Before a stage begins ----------------------------------------------------------------------------------------------

die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 2
}

# need_tool TOOL PACKAGE
need_tool() {
    command -v "$1" >/dev/null || die "$1 is missing; on Debian: apt-get install $2"
}

check_tools() {
    need_tool nc netcat-openbsd
    need_tool curl curl
    need_tool timeout coreutils
    need_tool cmp diffutils
    need_tool gzip gzip
    need_tool awk mawk
}

# choose_program [PATH]: sets $program, and $own if it is this repository's server.
choose_program() {
    program=${1:-$repository/your_program.sh}
    [[ $program == */* ]] || program=./$program
    [[ -e $program ]] || die "no such program: $program"
    [[ -f $program ]] || die "not a file: $program"
    [[ -x $program ]] || die "not executable: $program (chmod +x makes it so)"
    own=false
    if [[ $program -ef $repository/your_program.sh ]]; then own=true; fi
}

check_port() {
    local conflict
    conflict=$(port_conflict)
    [[ -z $conflict ]] || die "$conflict"
}

# The first build takes a minute, which must not count as the program's start.
build_own_program() {
    if ! $own; then return 0; fi
    "$program" --version </dev/null >/dev/null || die "$program could not be built"
}

begin() {
    local usage
    usage=$(printf 'usage: %s [-v] [PATH/TO/your_program.sh]\n-v also prints the checks that passed.' "$0")
    while [[ ${1:-} == -* ]]; do
        case $1 in
        -h | --help)
            printf '%s\n%s\n' "$title" "$usage"
            exit 0
            ;;
        -v) verbose=true ;;
        *) die "unknown option $1 (--help lists the options)" ;;
        esac
        shift
    done
    (($# <= 1)) || die 'expected at most one argument, the path of the program'
    check_tools
    choose_program "$@"
    check_port
    work=$(mktemp -d "${TMPDIR:-/tmp}/challenge.XXXXXX")
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    head=$work/head
    content=$work/content
    raw=$work/raw
    errors=$work/errors
    : >"$work/program"
    printf '%s\n' "$title"
}

# --- Processes and time -------------------------------------------------------------------------------------------------

now_ms() {
    local micros=${EPOCHREALTIME:-$SECONDS.000000}
    echo $((${micros/./} / 1000))
}

# wait_for SECONDS COMMAND…: runs the command again and again until it succeeds; fails when the time is up.
wait_for() {
    local end=$(($(now_ms) + $1 * 1000))
    shift
    until "$@"; do
        (($(now_ms) < end)) || return 1
        sleep 0.05
    done
}

# start_group COMMAND…: starts it in the background in a process group of its own, named by $group.
# A program that is started by a script leaves processes behind if only the script is stopped, so the whole group is stopped.
start_group() {
    set -m
    "$@" &
    group=$!
    set +m
    groups+=("$group")
}

# A zombie that its parent has not collected counts as ended, although a signal can be sent to it.
group_is_alive() {
    kill -0 -- "-$1" 2>/dev/null || return 1
    [[ -r /proc/self/stat ]] || return 0
    # A process may end after it was listed: cat then continues with the next one.
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } |
        awk -v group="$1" '{ sub(/.*\) /, "") } $3 == group && $1 != "Z" { found = 1 } END { exit !found }'
}

group_has_ended() {
    ! group_is_alive "$1"
}

# stop_group GROUP: SIGTERM, and SIGKILL after a while. Fails if SIGKILL was needed.
stop_group() {
    kill -TERM -- "-$1" 2>/dev/null || true
    local status=0
    if ! wait_for "$stop_seconds" group_has_ended "$1"; then
        kill -KILL -- "-$1" 2>/dev/null || true
        status=1
    fi
    # The shell's own message about the signal is of no use to the reader.
    wait "$1" 2>/dev/null || true
    return "$status"
}

run_program() {
    exec "$program" "$@" </dev/null >"$work/program" 2>&1
}

has_started_or_ended() {
    accepts localhost || group_has_ended "$program_group"
}

# start_program [--directory DIR]: sets $start_ms, the time until the port was open.
# shellcheck disable=SC2120 # most stages pass no arguments
start_program() {
    build_own_program
    step "\$ $(quoted "$program" "$@")"
    local started
    started=$(now_ms)
    start_group run_program "$@"
    program_group=$group
    if ! wait_for "$start_seconds" has_started_or_ended; then
        fail "port $port" "open within $start_seconds s (CHALLENGE_START_SECONDS allows more)" 'still closed'
        finish
    fi
    # shellcheck disable=SC2034 # for the stages
    start_ms=$(($(now_ms) - started))
    if group_has_ended "$program_group"; then
        local status=0
        wait "$program_group" 2>/dev/null || status=$?
        fail_because "the program ended by itself, with exit status $status"
        finish
    fi
}

stop_program() {
    [[ -n $program_group ]] || return 0
    local group=$program_group
    program_group=
    if ! stop_group "$group"; then
        printf '  warning: the program did not stop within %s s of SIGTERM and was killed\n' "$stop_seconds"
    fi
    if accepts localhost; then
        printf '  warning: the program was stopped, but port %s still accepts connections\n' "$port"
    fi
}

# Runs at every exit, Ctrl-C included.
clean_up() {
    local status=$?
    trap '' INT TERM HUP
    stop_program
    local each
    for each in ${groups[@]+"${groups[@]}"}; do
        if group_is_alive "$each"; then stop_group "$each" || true; fi
    done
    rm -rf -- "$work"
    exit "$status"
}

finish() {
    stop_program
    if ((failed_checks == 0)); then
        printf 'pass: %s checks\n' "$checks"
        exit 0
    fi
    if [[ -s $work/program ]]; then
        printf '\nThe last lines that the program printed:\n'
        tail -n 20 "$work/program" | tr -c '[:print:]\n' '?' | sed 's/^/  | /'
    fi
    printf '\nFAIL: %s passed, %s failed\n' $((checks - failed_checks)) "$failed_checks"
    exit 1
}

# Ends the stage after a failure that would make all later checks fail too.
finish_if_failed() {
    if ((failed_checks > 0)); then finish; fi
}

# --- What is printed ----------------------------------------------------------------------------------------------------

# Without control characters, which would reach the reader's terminal, and at most 160 bytes.
printable() {
    local text=${1//[^[:print:]]/?}
    if ((${#text} > 160)); then text=${text:0:160}...; fi
    printf '%s' "${text:-(nothing)}"
}

# The arguments, quoted for the shell.
quoted() {
    local word separator=
    for word in "$@"; do
        if [[ ! $word =~ ^[A-Za-z0-9_./:=@%,+-]+$ ]]; then word="'$word'"; fi
        printf '%s%s' "$separator" "$word"
        separator=' '
    done
}

# step TEXT: describes the next step of the stage.
step() {
    if $verbose; then
        printf '\n%s\n' "$1"
    else
        unprinted=$1
    fi
}

# detail TEXT: a figure that is not checked.
detail() {
    if $verbose; then printf '        %s\n' "$1"; fi
}

# difference WHAT EXPECTED GOT
difference() {
    printf '%s: expected %s, got %s' "$1" "$(printable "$2")" "$(printable "$3")"
}

# pass WHAT EXPECTED GOT
pass() {
    checks=$((checks + 1))
    if $verbose; then printf '  ok    %s: %s\n' "$1" "$(printable "$3")"; fi
}

# fail_because TEXT
fail_because() {
    checks=$((checks + 1))
    failed_checks=$((failed_checks + 1))
    if [[ -n $unprinted ]]; then printf '\n%s\n' "$unprinted"; fi
    unprinted=
    printf '  FAIL  %s\n' "$1"
}

# fail WHAT EXPECTED GOT
fail() {
    fail_because "$(difference "$@")"
}

# explain TEXT: why the previous check probably failed.
explain() {
    printf '        %s\n' "$1"
}

# expect WHAT EXPECTED GOT
expect() {
    if [[ $2 == "$3" ]]; then pass "$@"; else fail "$@"; fi
}

# The same for requirements that the stage's text does not name: this repository's server must meet them, others need not.
expect_extra() {
    if $own || [[ $2 == "$3" ]]; then
        expect "$@"
    elif $verbose; then
        printf '  note  %s (the stage does not require it)\n' "$(difference "$@")"
    fi
}

# --- Responses ----------------------------------------------------------------------------------------------------------

# field NAME: the value of the field in the last response. As in the challenge's tester the name is compared without regard
# to case, the first of several lines counts, and an empty value counts as none.
field() {
    awk -v name="$1" '
        BEGIN { name = tolower(name) }
        /^HTTP\// { value = ""; found = 0 }
        {
            sub(/\r$/, "")
            colon = index($0, ":")
            if (found || !colon || tolower(substr($0, 1, colon - 1)) != name) next
            found = 1
            value = substr($0, colon + 1)
            gsub(/^[ \t]+|[ \t]+$/, "", value)
        }
        END { print value == "" ? "(absent)" : value }' "$head"
}

lower() {
    tr '[:upper:]' '[:lower:]' <<<"$1"
}

# The last status line, since a 100 (Continue) may precede the final response.
status_line() {
    awk '/^HTTP\// { sub(/\r$/, ""); line = $0 } END { print line }' "$head"
}

# expect_status STATUS_LINE: also checks the line ends of the head.
expect_status() {
    expect 'status line' "$1" "$(status_line)"
    expect 'lines of the head that do not end in CR LF' 0 "$(awk '!/\r$/ { count++ } END { print count + 0 }' "$head")"
}

# expect_field NAME VALUE: the challenge's tester compares whole values, without regard to case.
expect_field() {
    local got
    got=$(field "$1")
    if [[ $(lower "$2") == "$(lower "$got")" ]]; then pass "$1" "$2" "$got"; else fail "$1" "$2" "$got"; fi
}

# expect_content TEXT
expect_content() {
    local got
    got=$(head -c 200 "$content" | tr '\0' '?')
    if printf '%s' "$1" | cmp -s - "$content"; then
        pass 'content' "$1" "$1"
    else
        fail 'content' "${1:-nothing} (${#1} bytes)" "${got:-nothing} ($(bytes "$content") bytes)"
    fi
}

# expect_same_bytes WHAT EXPECTED_FILE FILE
expect_same_bytes() {
    local first_difference
    if [[ ! -f $3 ]]; then
        fail "$1" "$(bytes "$2") bytes" 'no such file'
    elif first_difference=$(cmp -- "$2" "$3" 2>&1); then
        pass "$1" "$(bytes "$2") bytes" 'the same bytes'
    else
        fail "$1" "$(bytes "$2") bytes" "$(bytes "$3") bytes; ${first_difference//$work\//}"
    fi
}

# expect_text TEXT: a whole response with this text as its content.
expect_text() {
    expect_status 'HTTP/1.1 200 OK'
    expect_field Content-Type text/plain
    expect_field Content-Length "${#1}"
    expect_content "$1"
}

bytes() {
    echo $(($(wc -c <"$1")))
}

# no_response REASON [HINT]: ends the stage, since every further request could take as long.
no_response() {
    fail_because "no complete response: $1"
    if [[ -n ${2:-} ]]; then explain "$2"; fi
    finish
}

# --- Requests -----------------------------------------------------------------------------------------------------------

# fetch ARGUMENTS…: one request by curl. The options that are not printed keep curl silent, end it when it takes too long, and
# write the response to files.
fetch() {
    step "\$ curl -v $(quoted "$@")"
    : >"$head"
    : >"$content"
    local status=0
    curl -q -sS --http1.1 --max-time "$response_seconds" -D "$head" -o "$content" "$@" 2>"$errors" || status=$?
    ((status != 0)) || return 0
    local hint=
    if has_head "$head" && [[ $(field Content-Length) == '(absent)' ]]; then
        hint='The response has no Content-Length, and the connection stays open: curl waits for more content.'
    elif has_head "$head"; then
        hint="Content-Length is $(field Content-Length), but only $(bytes "$content") bytes of content arrived."
    elif ((status == 28)); then
        hint=$timeout_hint
    fi
    no_response "$(cat "$errors")" "$hint"
}

# write_at_once TEXT: the text with its \r\n made CR LF, in one write. The shell's own printf writes line by line, and a server
# that reads only once, which is enough for the challenge's tester, would miss the rest.
write_at_once() {
    env printf '%b' "$1"
}

# pipe_to_nc SECONDS REQUEST FILE: the command in the challenge's text. Ends nc if it does not end by itself.
pipe_to_nc() {
    (sleep "$1" && write_at_once "$2") | "${bounded[@]}" $((response_seconds + $1)) nc localhost "$port" >"$3" 2>/dev/null
}

has_head() {
    awk '/^\r?$/ { found = 1; exit } END { exit !found }' "$1"
}

# nc has received a complete head, or has ended.
nc_is_done() {
    has_head "$2" || group_has_ended "$1"
}

# fetch_with_nc REQUEST, its line ends written \r\n
fetch_with_nc() {
    step "\$ printf \"$1\" | nc localhost $port"
    : >"$raw"
    start_group pipe_to_nc 0 "$1" "$raw"
    wait_for "$response_seconds" nc_is_done "$group" "$raw" || true
    # Content that wrongly follows the head has time to arrive.
    sleep 0.2
    stop_group "$group" || true
    split_response
    has_head "$head" || no_response "no head within $response_seconds s" "$timeout_hint"
}

# From $raw into $head and $content.
split_response() {
    awk '{ print } /^\r?$/ { exit }' "$raw" >"$head"
    tail -c "+$(($(bytes "$head") + 1))" "$raw" >"$content"
}

# What was sent last on each connection, by its descriptor.
sent=()

# send DESCRIPTOR TEXT, its line ends written \r\n
send() {
    sent[$1]=$2
    if $verbose; then printf '\nconnection %s > %s\n' "$1" "$2"; fi
    { write_at_once "$2" >&"$1"; } 2>/dev/null || true
}

# get DESCRIPTOR PATH [FIELD…]: a request on an open connection.
get() {
    local request="GET $2 HTTP/1.1\\r\\nHost: localhost:$port\\r\\n" each
    for each in "${@:3}"; do request+="$each\\r\\n"; done
    send "$1" "$request\\r\\n"
}

# receive DESCRIPTOR: one response, as long as its Content-Length. The connection stays open.
receive() {
    try_to_receive "$1" || no_response "$reason" "$hint"
}

# receive_extra DESCRIPTOR: the same for a response that only this repository's server must send. Returns 1 if another server does
# not send it.
receive_extra() {
    try_to_receive "$1" || {
        if $own; then no_response "$reason" "$hint"; fi
        return 1
    }
}

# try_to_receive DESCRIPTOR: returns 1 and sets $reason and $hint if no complete response arrives.
try_to_receive() {
    step "connection $1 < (the response to ${sent[$1]})"
    : >"$head"
    : >"$content"
    local line length lines=0 status=0
    while ((lines++ < 100)); do
        IFS= read -r -t "$response_seconds" line <&"$1" 2>/dev/null || {
            status=$?
            break
        }
        printf '%s\n' "$line" >>"$head"
        if [[ -z ${line%$'\r'} ]]; then break; fi
    done
    # read returns more than 128 when the time is up, and 1 at the end of the stream.
    if ((status > 0)); then
        reason='the server closed the connection'
        hint=''
        if ((status > 128)); then
            reason="no head within $response_seconds s"
            hint=$timeout_hint
        fi
        return 1
    fi
    length=$(field Content-Length)
    [[ $length =~ ^[0-9]{1,5}$ ]] || return 0
    # One byte at a time: the bytes of the next response must stay in the socket.
    status=0
    "${bounded[@]}" "$response_seconds" dd bs=1 count="$length" <&"$1" >"$content" 2>/dev/null || status=$?
    hint=''
    reason="$(bytes "$content") of $length bytes of content within $response_seconds s"
    ((status < 124))
}

# receive_to_end DESCRIPTOR: everything until the server closes the connection. Sets $end_ms, counted from this call, or makes
# it empty if the connection was not closed.
receive_to_end() {
    step "connection $1 < (the response to ${sent[$1]})"
    local started status=0
    started=$(now_ms)
    "${bounded[@]}" "$response_seconds" cat <&"$1" >"$raw" 2>/dev/null || status=$?
    end_ms=$(($(now_ms) - started))
    # shellcheck disable=SC2034 # for the stages
    if ((status >= 124)); then end_ms=; fi
    split_response
}
