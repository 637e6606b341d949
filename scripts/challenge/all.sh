#!/usr/bin/env bash
# All fourteen stages, one after the other, each with its own start of the program.
# usage: all.sh [-v] [PATH/TO/your_program.sh]
# Prints a row for each stage, then everything that a failed stage said (with -v, what all of them said), and in the last
# line the count. Exit status: 0, 1 where a stage failed, 2 where nothing could be checked.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}"
}

verbose=false
while [[ ${1:-} == -* ]]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    -v) verbose=true ;;
    *) refuse "unknown option $1 (--help lists the options)" ;;
    esac
    shift
done
(($# <= 1)) || refuse 'expected at most one argument, the path of the program'

# The same for every stage, so it is checked before the table is begun.
check_tools
choose_program "$@"
check_port
build_own_program

said=$(mktemp -d "${TMPDIR:-/tmp}/challenge-all.XXXXXX")
running=

# The stage that runs stops its program and removes its files; so it is told, and waited for.
clean_up() {
    local status=$?
    trap '' INT TERM HUP
    if [[ -n $running ]]; then
        kill -TERM -- "-$running" 2>/dev/null || true
        wait "$running" 2>/dev/null || true
    fi
    rm -rf -- "$said"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# run_stage SCRIPT OUTPUT [PROGRAM]: in a process group of its own and waited for, so that a signal is not kept waiting.
run_stage() {
    set -m
    "$1" "${@:3}" </dev/null >"$2" 2>&1 &
    running=$!
    set +m
    local status=0
    wait "$running" || status=$?
    running=
    return "$status"
}

# Date is judged once, and not as a part of a stage: a server that sends it is sound, and the challenge's tester refuses it.
date_failed=false
judge_date() {
    local started=$SECONDS result=pass
    if ! run_stage "$challenge/no-date.sh" "$said/no-date" "$program"; then
        result=FAIL
        date_failed=true
    fi
    printf '%-5s  %-74s  %-6s  %s\n' - "$(sed -n '2s/^# No stage: //p' "$challenge/no-date.sh")" "$result" $((SECONDS - started))
    if $date_failed; then
        echo "       (the challenge's own tester looks at Date and Server on GET / alone, and refuses a program that sends them)"
    fi
}

passed=0
failed=()
untried=0
printf '%-5s  %-74s  %-6s  %s\n' stage what result seconds
for script in "$challenge"/[0-9][0-9]-*.sh; do
    name=$(basename "$script" .sh)
    title=$(sed -n '2s/^# Stage [0-9]*: //p' "$script")
    # The program may have to be built first; from the second stage on it is.
    if ((passed + ${#failed[@]} == 0)); then allowed=300; else allowed=10; fi
    started=$SECONDS
    status=0
    CHALLENGE_START_SECONDS=${CHALLENGE_START_SECONDS:-$allowed} run_stage "$script" "$said/$name" "$program" || status=$?
    # Nothing could be checked: the same would happen in the next stage.
    if ((status == 2 && passed + ${#failed[@]} == 0)); then
        cat "$said/$name" >&2
        exit 2
    fi
    if ((status == 0)); then
        result=pass
        passed=$((passed + 1))
    else
        result=FAIL
        failed+=("$name")
    fi
    printf '%-5s  %-74s  %-6s  %s\n' "${name%%-*}" "$title" "$result" $((SECONDS - started))
    grep -h 'warning:' "$said/$name" || true
    if [[ $name == 02-* && $result == pass ]]; then judge_date; fi
    # Nothing can be said to a program that does not listen.
    if [[ $name == 01-* && $result == FAIL ]]; then
        untried=13
        echo '02–14  not tried'
        break
    fi
done

for output in "$said"/*; do
    name=${output##*/}
    if $verbose || { [[ $name == no-date ]] && $date_failed; } || [[ " ${failed[*]-} " == *" $name "* ]]; then
        printf '\n----- %s.sh\n' "$name"
        cat "$output"
    fi
done

printf '\nThe stages took %s s.\n' "$SECONDS"
summary="$passed passed, $((${#failed[@]} + untried)) failed"
if $date_failed; then summary+=', and GET / has a Date or Server field'; fi
echo "$summary"
((${#failed[@]} == 0)) && ! $date_failed
