#!/usr/bin/env bash
# Builds the server where its sources are newer than its binary, then becomes it.
# Usage: your_program.sh [OPTIONS OF THE SERVER], from any working directory.
# The build goes where cargo puts it: ./target, or CARGO_TARGET_DIR. Its words go to standard error.
set -euo pipefail

script=$(readlink -f -- "${BASH_SOURCE[0]}")
root=${script%/*}

# Cargo takes a relative CARGO_TARGET_DIR from its working directory, and cargo runs in the root: so make it absolute.
target=${CARGO_TARGET_DIR:-$root/target}
[[ $target == /* ]] || target=$PWD/$target
binary=$target/release/spindle

# Asking cargo whether there is something to do takes longer than starting the server, so the clock is asked instead.
# Directories count too: a file that was removed or renamed shows only there.
is_current() {
    [[ -x $binary ]] || return 1
    local newer
    newer=$(find "$root/Cargo.toml" "$root/Cargo.lock" "$root/src" -newer "$binary" -print) || return 1
    [[ -z $newer ]]
}

build() {
    if ! command -v cargo >/dev/null; then
        echo "your_program.sh: cargo is missing; install Rust from https://rustup.rs" >&2
        return 127
    fi
    mkdir -p "$target/release"
    local started
    started=$(mktemp "$target/release/.build-started.XXXXXX")
    local status=0
    (cd "$root" && CARGO_TARGET_DIR=$target cargo build --release --locked --bin spindle) >&2 || status=$?
    # Cargo leaves the binary as it is where a newer source has the same meaning. Without the new time, every later start
    # would ask cargo again. It is the time of the build's start: what was edited during the build is still newer.
    if ((status == 0)) && [[ $binary -ot $started ]]; then
        touch -r "$started" "$binary"
    fi
    rm -f "$started"
    return "$status"
}

is_current || build

# No Date field: the challenge's tester refuses it. The process becomes the server, so that a signal reaches it.
exec "$binary" --no-date "$@"
