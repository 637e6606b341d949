# shellcheck shell=bash
# What the scripts of the fourteen stages share. Each of them reads:
#
#     begin "$@"            the program under test, the tools, a free port, a temporary directory
#     start_program [ARGS]  starts it and waits for its port
#     fetch … / ask_nc … / send + receive
#                           one exchange; leaves its answer in the files $head and $content
#     expect …              compares, and prints what was expected and what came
#     finish                stops the program; the exit status is 0, or 1 where anything was missed
#
# Exit status 2 means that nothing could be checked: a tool is missing, the port is taken, there is no such program.
set -euo pipefail

# Bytes rather than characters, and a point in fractions of seconds.
export LC_ALL=C
# A proxy from the environment must not stand between curl and this machine.
export no_proxy='*' NO_PROXY='*'

# shellcheck source-path=SCRIPTDIR source=port.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/port.sh"
# shellcheck disable=SC2034 # for the stages
base=http://localhost:$port
answer_seconds=5 # for one answer
start_seconds=${CHALLENGE_START_SECONDS:-10}
stop_seconds=5

challenge=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
repository=${challenge%/scripts/challenge}
# The title of a stage is its script's second line. (A script that is sourced here has the name of the stage in $0.)
title=$(sed -n '2s/^# //p' "$0")

misses=0
groups=()
program_group=
work=

# --- What is needed before a stage can begin ---------------------------------------------------------------------------

refuse() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 2
}

# need_tool TOOL PACKAGE
need_tool() {
    command -v "$1" >/dev/null || refuse "$1 is missing; on Debian: apt-get install $2"
}

check_tools() {
    need_tool nc netcat-openbsd
    need_tool curl curl
    need_tool timeout coreutils
    need_tool cmp diffutils
    need_tool gzip gzip
    need_tool awk mawk
}

# choose_program [PATH]: sets $program, and $own where it is this repository's.
choose_program() {
    program=${1:-$repository/your_program.sh}
    [[ $program == */* ]] || program=./$program
    [[ -e $program ]] || refuse "no such program: $program"
    [[ -f $program ]] || refuse "not a file: $program"
    [[ -x $program ]] || refuse "not executable: $program (chmod +x makes it so)"
    own=false
    if [[ $program -ef $repository/your_program.sh ]]; then own=true; fi
}

check_port() {
    local conflict
    conflict=$(port_conflict)
    [[ -z $conflict ]] || refuse "$conflict"
}

# The first build takes a minute, which must not count as the program's start.
build_own_program() {
    if ! $own; then return 0; fi
    "$program" --version </dev/null >/dev/null || refuse "$program could not be built"
}

begin() {
    if [[ ${1:-} == -h || ${1:-} == --help ]]; then
        printf '%s\nusage: %s [PATH/TO/your_program.sh]\n' "$title" "$0"
        exit 0
    fi
    (($# <= 1)) || refuse "usage: $0 [PATH/TO/your_program.sh]"
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
    words=$work/words
    : >"$work/program"
    printf '%s\n' "$title"
}

# --- Processes and time ------------------------------------------------------------------------------------------------

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

# in_group COMMAND…: starts it in the background in a process group of its own, named by $group.
# A program that is started by a script leaves processes behind when only the script is stopped; a group is stopped whole.
in_group() {
    set -m
    "$@" &
    group=$!
    set +m
    groups+=("$group")
}

# A zombie that nobody collects is not alive, though a signal can be sent to it.
group_lives() {
    kill -0 -- "-$1" 2>/dev/null || return 1
    [[ -r /proc/self/stat ]] || return 0
    # A process may go away between its listing and its reading: cat goes on to the next one.
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } |
        awk -v group="$1" '{ sub(/.*\) /, "") } $3 == group && $1 != "Z" { found = 1 } END { exit !found }'
}

group_is_gone() {
    ! group_lives "$1"
}

# stop_group GROUP: SIGTERM, and SIGKILL after a while. Fails where SIGKILL was needed.
stop_group() {
    kill -TERM -- "-$1" 2>/dev/null || true
    local status=0
    if ! wait_for "$stop_seconds" group_is_gone "$1"; then
        kill -KILL -- "-$1" 2>/dev/null || true
        status=1
    fi
    # The shell's own word about the signal is of no use to the reader.
    wait "$1" 2>/dev/null || true
    return "$status"
}

run_program() {
    exec "$program" "$@" </dev/null >"$work/program" 2>&1
}

has_started_or_ended() {
    accepts localhost || ! group_lives "$program_group"
}

# start_program [--directory DIR]: sets $start_ms, which is how long the port took to open.
# shellcheck disable=SC2120 # most stages pass no arguments
start_program() {
    build_own_program
    printf '\n$ %s\n' "$(quoted "$program" "$@")"
    local started
    started=$(now_ms)
    in_group run_program "$@"
    program_group=$group
    if ! wait_for "$start_seconds" has_started_or_ended; then
        miss "port $port" "open within $start_seconds s (CHALLENGE_START_SECONDS allows more)" 'still closed'
        finish
    fi
    # shellcheck disable=SC2034 # for the stages
    start_ms=$(($(now_ms) - started))
    if ! group_lives "$program_group"; then
        miss "port $port" 'open' 'the program ended by itself'
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
        printf '  warning: the program is stopped, and port %s still accepts connections\n' "$port"
    fi
}

# Runs at every exit, Ctrl-C included.
clean_up() {
    local status=$?
    trap '' INT TERM HUP
    stop_program
    local each
    for each in ${groups[@]+"${groups[@]}"}; do
        if group_lives "$each"; then stop_group "$each" || true; fi
    done
    rm -rf -- "$work"
    exit "$status"
}

finish() {
    stop_program
    if ((misses == 0)); then
        printf '\npass\n'
        exit 0
    fi
    if [[ -s $work/program ]]; then
        printf "\nThe program's last words:\n"
        tail -n 20 "$work/program" | tr -c '[:print:]\n' '?' | sed 's/^/  | /'
    fi
    printf '\nFAIL: %s missed\n' "$misses"
    exit 1
}

# --- What is printed ---------------------------------------------------------------------------------------------------

# What a peer sent must not steer the reader's terminal.
printable() {
    local text=${1//[^[:print:]]/?}
    if ((${#text} > 160)); then text=${text:0:160}…; fi
    printf '%s' "${text:-(nothing)}"
}

# The words as one could type them.
quoted() {
    local word separator=
    for word in "$@"; do
        if [[ ! $word =~ ^[A-Za-z0-9_./:=@%,+-]+$ ]]; then word="'$word'"; fi
        printf '%s%s' "$separator" "$word"
        separator=' '
    done
}

# verdict WORD WHAT EXPECTED CAME
verdict() {
    printf '  %-4s  %s: expected %s, came %s\n' "$1" "$2" "$(printable "$3")" "$(printable "$4")"
}

miss() {
    verdict MISS "$@"
    misses=$((misses + 1))
}

# expect WHAT EXPECTED CAME
expect() {
    if [[ $2 == "$3" ]]; then verdict ok "$@"; else miss "$@"; fi
}

# The same, for what goes beyond the stage's text: this repository's server must do it, another's need not.
expect_beyond() {
    if $own || [[ $2 == "$3" ]]; then expect "$@"; else verdict note "$1 (not asked by the stage)" "$2" "$3"; fi
}

# --- Answers -----------------------------------------------------------------------------------------------------------

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

# The last one: a 100 Continue may stand before it.
status_line() {
    awk '/^HTTP\// { sub(/\r$/, ""); line = $0 } END { print line }' "$head"
}

# expect_head STATUS_LINE: and what every head must keep to.
expect_head() {
    expect 'status line' "$1" "$(status_line)"
    expect 'lines that do not end in CR LF' 0 "$(awk '!/\r$/ { count++ } END { print count + 0 }' "$head")"
}

lower() {
    tr '[:upper:]' '[:lower:]' <<<"$1"
}

# expect_field NAME VALUE: the challenge's tester compares whole values, without regard to case.
expect_field() {
    local came
    came=$(field "$1")
    if [[ $(lower "$2") == "$(lower "$came")" ]]; then verdict ok "$1" "$2" "$came"; else miss "$1" "$2" "$came"; fi
}

# expect_content TEXT
expect_content() {
    local came
    came=$(head -c 200 "$content" | tr '\0' '?')
    if printf '%s' "$1" | cmp -s - "$content"; then
        expect 'content' "$1" "$1"
    else
        miss 'content' "${1:-nothing} (${#1} bytes)" "${came:-nothing} ($(bytes "$content") bytes)"
    fi
}

# expect_same WHAT EXPECTED_FILE FILE
expect_same() {
    local difference
    if [[ ! -f $3 ]]; then
        miss "$1" "$(bytes "$2") bytes" 'no such file'
    elif difference=$(cmp -- "$2" "$3" 2>&1); then
        verdict ok "$1" "$(bytes "$2") bytes" 'the same bytes'
    else
        miss "$1" "$(bytes "$2") bytes" "$(bytes "$3") bytes; ${difference//$work\//}"
    fi
}

# expect_text TEXT: the whole of a text answer.
expect_text() {
    expect_head 'HTTP/1.1 200 OK'
    expect_field Content-Type text/plain
    expect_field Content-Length "${#1}"
    expect_content "$1"
}

bytes() {
    echo $(($(wc -c <"$1")))
}

# --- Exchanges ---------------------------------------------------------------------------------------------------------

# fetch ARGUMENTS…: one request by curl. What is not printed keeps curl silent and bounded and puts its answer into files.
fetch() {
    printf '\n$ curl -v %s\n' "$(quoted "$@")"
    : >"$head"
    : >"$content"
    local status=0
    curl -q -sS --http1.1 --max-time "$answer_seconds" -D "$head" -o "$content" "$@" 2>"$words" || status=$?
    ((status == 0)) || miss 'curl' 'a whole answer' "exit status $status: $(cat "$words")"
}

# The text with its \r\n made real, in one write. (The shell's own printf writes line by line, and many a server that the
# challenge's tester is content with reads only once.)
write_whole() {
    env printf '%b' "$1"
}

# piped_to_nc SECONDS REQUEST FILE: what the challenge types; an nc that does not end by itself is ended.
piped_to_nc() {
    (sleep "$1" && write_whole "$2") | "${bounded[@]}" $((answer_seconds + $1)) nc localhost "$port" >"$3" 2>/dev/null
}

holds_head() {
    awk '/^\r?$/ { found = 1; exit } END { exit !found }' "$1"
}

# A whole head has come, or nothing more will.
nc_is_done() {
    holds_head "$2" || ! group_lives "$1"
}

# ask_nc REQUEST, its line ends written \r\n
ask_nc() {
    printf '\n$ printf "%s" | nc localhost %s\n' "$1" "$port"
    : >"$raw"
    in_group piped_to_nc 0 "$1" "$raw"
    wait_for "$answer_seconds" nc_is_done "$group" "$raw" || true
    # What should not follow the head has time to show itself.
    sleep 0.2
    stop_group "$group" || true
    split_answer
}

# From $raw into $head and $content.
split_answer() {
    awk '{ print } /^\r?$/ { exit }' "$raw" >"$head"
    tail -c "+$(($(bytes "$head") + 1))" "$raw" >"$content"
}

# send DESCRIPTOR TEXT, its line ends written \r\n
send() {
    printf '\nconnection %s > %s\n' "$1" "$2"
    { write_whole "$2" >&"$1"; } 2>/dev/null || true
}

# get DESCRIPTOR PATH [FIELD…]: a request on an open connection.
get() {
    local request="GET $2 HTTP/1.1\\r\\nHost: localhost:$port\\r\\n" each
    for each in "${@:3}"; do request+="$each\\r\\n"; done
    send "$1" "$request\\r\\n"
}

# receive DESCRIPTOR: one answer, as long as it says; the connection stays as it is.
receive() {
    printf 'connection %s <\n' "$1"
    : >"$head"
    : >"$content"
    local line length lines=0
    while ((lines++ < 100)) && IFS= read -r -t "$answer_seconds" line <&"$1" 2>/dev/null; do
        printf '%s\n' "$line" >>"$head"
        if [[ -z ${line%$'\r'} ]]; then break; fi
    done
    length=$(field Content-Length)
    [[ $length =~ ^[0-9]{1,5}$ ]] || return 0
    # One byte at a time: what belongs to the next answer stays in the socket.
    "${bounded[@]}" "$answer_seconds" dd bs=1 count="$length" <&"$1" >"$content" 2>/dev/null || true
}

# receive_to_end DESCRIPTOR: everything until the server closes the connection. Sets $end_ms, counted from this call, or
# makes it empty where the connection was not closed.
receive_to_end() {
    printf 'connection %s <\n' "$1"
    local started status=0
    started=$(now_ms)
    "${bounded[@]}" "$answer_seconds" cat <&"$1" >"$raw" 2>/dev/null || status=$?
    end_ms=$(($(now_ms) - started))
    # shellcheck disable=SC2034 # for the stages
    if ((status >= 124)); then end_ms=; fi
    split_answer
}
