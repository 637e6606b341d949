#!/bin/sh
# Checks that the storage tests find faults: applies each scripts/simulation/faults/disk-*.patch, one at a time, and checks that a
# test on the simulated disk fails. Exits with the number of faults that were not found or do not build. Needs a work tree without
# changes in src/.
set -eu
cd "$(dirname "$0")/../.."
git diff --quiet -- src || { echo "src/ has changes" >&2; exit 1; }
missed=0
output=$(mktemp)
trap 'git checkout -q -- src; rm -f "$output"' EXIT
for patch in scripts/simulation/faults/disk-*.patch; do
    name=$(basename "$patch" .patch)
    git apply "$patch"
    if ! cargo build --quiet --lib 2>"$output"; then
        echo "$name: does not build"
        cat "$output"
        missed=$((missed + 1))
    elif RUST_BACKTRACE=0 cargo test --quiet --test storage >"$output" 2>&1; then
        echo "$name: NOT FOUND: $(sed -n 's/^# //p' "$patch")"
        missed=$((missed + 1))
    else
        echo "$name: found by"
        sed -n "s/^---- \(.*\) stdout ----/    \1/p" "$output"
        grep -h -o -E "after [0-9]+ were acknowledged, state [0-9]+|seed [0-9]+|before call [0-9]+" "$output" | sort -u | head -5 | sed 's/^/        /'
    fi
    git checkout -q -- src
done
exit "$missed"
