#!/usr/bin/env bash
# Runs the whole server in a simulated world (tests/simulation), one seed after another on all cores, and reports failures
# and how often each kind of event occurred. From any working directory:
#
#   scripts/simulate.sh [SECONDS] [--seed FIRST | --seeds FROM..TO]
#       Runs for SECONDS (default 60; to the end of the range if one is given) from the seed FIRST, or a random one. Prints
#       its progress, and at the end how often each kind of event occurred. For each of the first failures it prints a command
#       that reproduces it with as few clients and requests as possible. Events that must occur but did not are named, and fail
#       a campaign of 100,000 runs or more. tests/simulation/expected.rs lists them.
#   scripts/simulate.sh --seed N [--only CLIENT,…] [--requests N]
#       Runs one seed and prints its trace: the time in microseconds, the number of the connection, what the client and the
#       server did, and the server's debug log. --only leaves out all other clients, --requests limits the
#       requests of each honest client.
#   scripts/simulate.sh --faults [--seeds FROM..TO] [NAME…]
#       Tests the simulation itself: applies each scripts/simulation/faults/NAME.patch, one at a time, to a copy of the
#       repository, and runs seeds until one fails or 100,000 have passed. Prints a table of the fault, the number of seeds and
#       the failure. The first line of each patch says what it breaks. Patches of storage, whose names begin with disk-, are
#       only applied if they are named: scripts/simulation/disk-faults.sh tests them.
#
# Exits with 0 if nothing failed, or if every fault was found; with 1 otherwise; with 2 if something is missing.
# Builds in $CARGO_TARGET_DIR (default target), with assertions on.
set -euo pipefail

case ${1:-} in
-h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' -- "${BASH_SOURCE[0]}"
    exit
    ;;
esac

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

missing() {
    printf 'simulate.sh: %s\n' "$*" >&2
    exit 2
}

command -v cargo >/dev/null || missing 'cargo is missing: https://rustup.rs'
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
[[ $CARGO_TARGET_DIR == /* ]] || missing "CARGO_TARGET_DIR must be an absolute path: $CARGO_TARGET_DIR"
binary=$CARGO_TARGET_DIR/simulation/examples/simulate

build() {
    cargo build --profile simulation --example simulate --locked --quiet
}

if [[ ${1:-} != --faults ]]; then
    build || missing 'the simulation does not build'
    exec "$binary" "$@"
fi
shift

seeds=0..100000
if [[ ${1:-} == --seeds ]]; then
    seeds=${2:?a range is missing}
    shift 2
fi
command -v git >/dev/null || missing 'git is missing: it applies the patches'
patches=$PWD/scripts/simulation/faults
names=("$@")
((${#names[@]} > 0)) || mapfile -t names < <(cd "$patches" && printf '%s\n' *.patch | grep -v '^disk-' | sed 's/\.patch$//')
for name in "${names[@]}"; do
    [[ -f $patches/$name.patch ]] || missing "no such fault: $name; known faults: $(cd "$patches" && echo *.patch | sed 's/\.patch//g')"
done

# A fresh copy has new modification times, so that cargo reuses nothing that was built from an older copy. It is a git
# repository of its own, or git would apply the patches to the repository around it. What was built is left out, also in
# scripts/fuzz, where a fuzzer may be writing.
tree=$CARGO_TARGET_DIR/simulation-faults
rm -rf -- "$tree"
mkdir -p -- "$tree"
for entry in *; do
    [[ $PWD/$entry == "$CARGO_TARGET_DIR" ]] || tar -c --exclude=target -- "$entry" | tar -xm -C "$tree"
done
# A target directory of its own, so that a binary with a fault is never mistaken for one without. The libraries are copied,
# since they are the same.
build || missing 'the simulation does not build'
libraries=$CARGO_TARGET_DIR/simulation
export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/simulation-faults-target
binary=$CARGO_TARGET_DIR/simulation/examples/simulate
if [[ ! -d $CARGO_TARGET_DIR ]]; then
    mkdir -p -- "$CARGO_TARGET_DIR/simulation"
    cp -a -- "$libraries"/{deps,build,.fingerprint} "$CARGO_TARGET_DIR/simulation/"
fi
faultless=$tree/faultless
cp -- "$libraries/examples/simulate" "$faultless"
log=$tree/fault.log
cd -- "$tree"
git init --quiet
git add --all

# restore: takes the fault out again. A patch that is applied in reverse could match another place.
restore() {
    git checkout --quiet -- .
}

# try NAME: prints one line of the table; returns 1 if the fault is not found.
try() {
    local name=$1 status=0
    if ! git apply -- "$patches/$name.patch" 2>"$log"; then
        printf '%-34s %8s  %s\n' "$name" - "DOES NOT APPLY: $(head -n 1 "$log")"
        return 1
    fi
    if ! build >"$log" 2>&1; then
        printf '%-34s %8s  %s\n' "$name" - "DOES NOT BUILD: $(grep -m 1 '^error' "$log")"
        restore
        return 1
    fi
    run_until_found "$name" || status=$?
    restore
    return "$status"
}

# run_until_found NAME: runs the seeds with the binary of this fault, and prints the line. A seed that also fails without the
# fault proves nothing, and is skipped.
run_until_found() {
    local from=${seeds%..*} to=${seeds#*..} runs=0 seed what status count
    while ((from < to)); do
        status=0
        "$binary" --seeds "$from..$to" --until-failure >"$log" 2>&1 || status=$?
        seed=$(sed -n 's/^FAILED seed \([0-9]*\): .*/\1/p' "$log" | head -n 1)
        count=$(sed -n 's/^\([0-9]*\) runs from .*/\1/p' "$log" | tail -n 1)
        runs=$((runs + ${count:-0}))
        ((status != 0)) || break
        if [[ -z $seed ]] || "$faultless" --seeds "$seed..$((seed + 1))" --until-failure >/dev/null; then
            what=$(sed -n 's/^FAILED seed [0-9]*: //p' "$log" | head -n 1 | cut -c 1-150)
            printf '%-34s %8s  %s\n' "$name" "$runs" "${what:-the process ended with $status: $(tail -n 1 "$log" | cut -c 1-120)}"
            return
        fi
        from=$((seed + 1))
    done
    printf '%-34s %8s  %s\n' "$name" "$runs" 'NOT FOUND'
    return 1
}

printf '%-34s %8s  %s\n' fault seeds 'what failed'
not_found=0
for name in "${names[@]}"; do
    try "$name" || not_found=$((not_found + 1))
done
printf '%s faults, %s not found\n' "${#names[@]}" "$not_found"
((not_found == 0))
