#!/usr/bin/env bash
# Runs the fuzz targets of scripts/fuzz/, one after the other. Usage: scripts/fuzz.sh [SECONDS [TARGET…]], from any
# working directory. SECONDS (default: 60) are shared among the targets; the build is not counted.
#
# Exits with 0 if nothing was found, 1 if an input breaks an invariant, 2 if something is missing. The inputs that the fuzzer
# generates are kept in $CARGO_TARGET_DIR (scripts/fuzz/target unless set), under inputs/, and the next run starts with them.
#
# scripts/fuzz/README.md describes the targets, and what to do with a finding.
#
# No nightly toolchain is needed: the coverage that guides the fuzzer comes from flags of the stable compiler, and the server
# has no unsafe code in which a sanitizer could find errors.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/fuzz"

fail() {
    printf 'fuzz.sh: %s\n' "$*" >&2
    exit 2
}

seconds=${1:-60}
[[ $seconds =~ ^[1-9][0-9]{0,6}$ ]] || fail "usage: scripts/fuzz.sh [SECONDS [TARGET…]]; not a number of seconds: $seconds"
targets=("${@:2}")
((${#targets[@]} > 0)) || targets=(head chunked accept_encoding form_data proxy_header forwarded link access_log accounts credentials connection folder)
for target in "${targets[@]}"; do
    [[ -f fuzz_targets/$target.rs ]] || fail "there is no target $target; there are: $(ls fuzz_targets | sed 's/\.rs$//' | paste -sd' ')"
done

command -v cargo >/dev/null || fail 'cargo is missing: https://rustup.rs'
command -v "${CXX:-c++}" >/dev/null || fail 'a C++ compiler is missing, which libFuzzer needs: apt-get install g++'
host=$(rustc -vV | sed -n 's/^host: //p')
case $host in
    *-linux-gnu | *-apple-darwin) ;;
    *) fail "libFuzzer is not known to run on $host" ;;
esac

# The flags of cargo-fuzz, without the sanitizer: an 8-bit counter for each edge, and a call at each comparison, which shows
# the fuzzer both operands. With --target, the flags do not apply to build scripts and procedural macros.
coverage=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    -Ccodegen-units=1
)
target_dir=${CARGO_TARGET_DIR:-$PWD/target}
[[ $target_dir == /* ]] || fail "CARGO_TARGET_DIR must be an absolute path: $target_dir"
RUSTFLAGS="${coverage[*]}" cargo build --release --locked --quiet --target "$host" --target-dir "$target_dir" ||
    fail 'the targets do not build'

# run_target NAME SECONDS: prints one line. On a finding, prints the path of its input and returns 1.
run_target() {
    local target=$1 seconds=$2 inputs=$target_dir/inputs/$1 findings=$target_dir/findings/$1 log status=0
    mkdir -p "$inputs" "$findings"
    log=$target_dir/findings/$target.log
    "$target_dir/$host/release/$target" "$inputs" "corpus/$target" \
        -dict=dictionary.txt -max_total_time="$seconds" -max_len=4096 -len_control=20 -entropic_scale_per_exec_time=1 -timeout=20 -rss_limit_mb=1024 \
        -print_final_stats=1 -artifact_prefix="$findings/" >"$log" 2>&1 || status=$?
    local executions coverage found
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    found=$((status == 0 ? 0 : 1))
    printf '%-16s %12s executions  %6s edges covered  %s findings\n' "$target" "${executions:-?}" "${coverage:-?}" "$found"
    ((status == 0)) && return
    sed -n '/panicked at/,/^stack backtrace\|^note:/p; /^SUMMARY/p' "$log" | head -n 12 >&2
    printf 'fuzz.sh: %s broke an invariant (status %s); the input: %s; the whole log: %s\n' "$target" "$status" \
        "$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)" "$log" >&2
    return 1
}

findings=0
share=$((seconds / ${#targets[@]}))
for target in "${targets[@]}"; do
    run_target "$target" $((share > 0 ? share : 1)) || findings=$((findings + 1))
done
((findings == 0))
