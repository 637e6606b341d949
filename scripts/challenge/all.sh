#!/usr/bin/env bash
# Runs the fourteen stages one after the other, each with its own start of the program.
# usage: all.sh [--all] [-v] [PATH/TO/your_program.sh]
# Stops at the first stage that fails; --all continues. Prints a row for each stage, then the checks that failed (with -v, all
# checks), and in the last line the count. Exit status: 0, 1 if a stage failed, 2 if nothing could be checked.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}"
}

goes_on=false
stage_options=()
while [[ ${1:-} == -* ]]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --all) goes_on=true ;;
    -v)
        verbose=true
        stage_options=(-v)
        ;;
    *) die "unknown option $1 (--help lists the options)" ;;
    esac
    shift
done
(($# <= 1)) || die 'expected at most one argument, the path of the program'

# What would stop every stage is checked before the table is begun.
check_tools
choose_program "$@"
check_port
build_own_program

outputs=$(mktemp -d "${TMPDIR:-/tmp}/challenge-all.XXXXXX")
running=

# The signal makes the running stage stop its program and remove its files, for which this script waits.
clean_up() {
    local status=$?
    trap '' INT TERM HUP
    if [[ -n $running ]]; then
        kill -TERM -- "-$running" 2>/dev/null || true
        wait "$running" 2>/dev/null || true
    fi
    rm -rf -- "$outputs"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# run_stage NAME [SECONDS]: runs the script of that name; returns its exit status. It runs in a process group of its own in the
# background, since bash would only handle a signal after a foreground command has ended. SECONDS is how long it waits for the
# program's port: if that is long, a line says what it waits for.
run_stage() {
    set -m
    "$challenge/$1.sh" ${stage_options[@]+"${stage_options[@]}"} "$program" </dev/null >"$outputs/$1" 2>&1 &
    running=$!
    set +m
    local status=0 waited=0
    while ((${2:-0} > 20 && waited++ < 50)) && ! group_has_ended "$running"; do
        sleep 0.2
        if ((waited == 50)) && ! accepts localhost; then
            echo "       (Port $port is still closed. It gets $2 s, because the first start may build the program; CHALLENGE_START_SECONDS changes that.)"
        fi
    done
    wait "$running" || status=$?
    running=
    return "$status"
}

row() {
    printf '%-5s  %-74s  %-6s  %s\n' "$@"
}

# Date is checked once, and not in a stage: a server that sends it conforms to RFC 9110, but the challenge's tester refuses it.
date_failed=false
judge_date() {
    local started=$SECONDS result=pass
    if ! run_stage no-date; then
        result=FAIL
        date_failed=true
    fi
    row - "$(sed -n '2s/^# Not a stage: //p' "$challenge/no-date.sh")" "$result" $((SECONDS - started))
    if $date_failed; then
        echo "       (The challenge's own tester looks at Date and Server on GET / alone, and refuses a program that sends either.)"
    fi
}

passed=0
failed=()
left_out=0
row stage what result seconds
for script in "$challenge"/[0-9][0-9]-*.sh; do
    name=$(basename "$script" .sh)
    # After a failure in stage 1 there is nothing to connect to.
    if ((${#failed[@]} > 0)) && { ! $goes_on || [[ ${failed[0]} == 01-* ]]; }; then
        left_out=$((left_out + 1))
        continue
    fi
    # The program may have to be built at its first start, but not at a later one.
    if ((passed + ${#failed[@]} == 0)); then allowed=300; else allowed=10; fi
    started=$SECONDS
    allowed=${CHALLENGE_START_SECONDS:-$allowed}
    status=0
    CHALLENGE_START_SECONDS=$allowed run_stage "$name" "$allowed" || status=$?
    # Nothing could be checked, and the next stage would have the same problem.
    if ((status == 2 && passed + ${#failed[@]} == 0)); then
        cat "$outputs/$name" >&2
        exit 2
    fi
    if ((status == 0)); then
        result=pass
        passed=$((passed + 1))
    else
        result=FAIL
        failed+=("$name")
    fi
    row "${name%%-*}" "$(sed -n '2s/^# Stage [0-9]*: //p' "$script")" "$result" $((SECONDS - started))
    grep -h 'warning:' "$outputs/$name" || true
    if [[ $name == 02-* && $result == pass ]]; then judge_date; fi
done

for output in "$outputs"/*; do
    name=${output##*/}
    if $verbose || { [[ $name == no-date ]] && $date_failed; } || [[ " ${failed[*]-} " == *" $name "* ]]; then
        printf '\n----- %s.sh\n' "$name"
        cat "$output"
    fi
done

printf '\nThe stages took %s s.\n' "$SECONDS"
summary="$passed passed, ${#failed[@]} failed"
if ((left_out > 0)); then summary+=", $left_out not run"; fi
if ((left_out > 0)) && [[ ${failed[0]} != 01-* ]]; then summary+=' (--all runs them)'; fi
if $date_failed; then summary+='; GET / has a Date or Server field'; fi
echo "$summary"
((${#failed[@]} == 0)) && ! $date_failed
