#!/usr/bin/env bash
# Runs the whole server in a simulated world (tests/simulation), one seed after the other on all cores, and says what has
# failed and what has happened at all. From any working directory:
#
#   scripts/simulate.sh [SECONDS] [--seed FIRST | --seeds FROM..TO]
#       A campaign: for so many seconds (60 unless given; none where a range of seeds is given), from a random seed or from
#       FIRST on. It prints how far it is, at the end what has happened how often, and of the first failures the command
#       that shows each, with as few clients and questions as it still fails with. What must happen and never did is named,
#       and fails a campaign of 100,000 runs or more: tests/simulation/expected.rs lists it.
#   scripts/simulate.sh --seed N [--only CLIENT,…] [--asks N]
#       One run, of these clients alone with so many questions each, as a trace: the time in microseconds, the number of the
#       connection, what its client and the server did, and the server's debug log.
#   scripts/simulate.sh --faults [--seeds FROM..TO] [NAME…]
#       Proves that the simulation finds faults: applies each scripts/simulation/faults/NAME.patch, one at a time, to a copy of
#       the tree, and runs seeds until one fails or 100,000 have passed. Prints a table: the fault, how many seeds ran, and
#       what failed. The first line of each patch says what it breaks. Those of storage, whose names begin with disk-, are for
#       scripts/simulation/disk-faults.sh unless they are named.
#
# Exits with 0 where nothing was found, or each fault was; 1 otherwise; 2 where something is missing.
# Builds beneath $CARGO_TARGET_DIR (target unless set), with assertions on.
set -euo pipefail

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
command -v git >/dev/null || missing 'git is missing, which applies patches'
patches=$PWD/scripts/simulation/faults
names=("$@")
((${#names[@]} > 0)) || mapfile -t names < <(cd "$patches" && printf '%s\n' *.patch | grep -v '^disk-' | sed 's/\.patch$//')
for name in "${names[@]}"; do
    [[ -f $patches/$name.patch ]] || missing "there is no fault $name; there are: $(cd "$patches" && echo *.patch | sed 's/\.patch//g')"
done

# A copy whose files are all new, so that nothing that was built of an older one is taken for its own. With a repository of
# its own, or git would apply patches to the one around it.
tree=$CARGO_TARGET_DIR/simulation-faults
rm -rf -- "$tree"
mkdir -p -- "$tree"
for entry in *; do
    [[ $entry == target || $PWD/$entry == "$CARGO_TARGET_DIR" ]] || cp -r -- "$entry" "$tree/"
done
# Its own folder for what is built, so that no binary with a fault is taken for one without; the libraries are the same.
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
cd -- "$tree"
git init --quiet
log=$tree/fault.log

# try NAME: prints one line of the table; returns 1 where the fault is not caught.
try() {
    local name=$1 status=0
    if ! git apply -- "$patches/$name.patch" 2>"$log"; then
        printf '%-34s %8s  %s\n' "$name" - "DOES NOT APPLY: $(head -n 1 "$log")"
        return 1
    fi
    if ! build >"$log" 2>&1; then
        printf '%-34s %8s  %s\n' "$name" - "DOES NOT BUILD: $(grep -m 1 '^error' "$log")"
        git apply -R -- "$patches/$name.patch"
        return 1
    fi
    run_until_caught "$name" || status=$?
    git apply -R -- "$patches/$name.patch"
    return "$status"
}

# run_until_caught NAME: runs the seeds with the binary of this fault, and prints the line. A seed that fails without the
# fault too proves nothing; it is passed over.
run_until_caught() {
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
    printf '%-34s %8s  %s\n' "$name" "$runs" 'NOT CAUGHT'
    return 1
}

printf '%-34s %8s  %s\n' fault seeds 'what failed'
uncaught=0
for name in "${names[@]}"; do
    try "$name" || uncaught=$((uncaught + 1))
done
printf '%s faults, %s not caught\n' "${#names[@]}" "$uncaught"
((uncaught == 0))
