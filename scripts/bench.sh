#!/usr/bin/env bash
# Benchmarks spindle beside nginx, lighttpd, h2o and `null`, a server that only reads and writes fixed bytes.
# Usage: scripts/bench.sh [--install] [--quick] [--only NAME,…] [--help], from any working directory.
#        scripts/bench.sh --growth [OPTIONS] measures instead how the cost of a request grows: 8 minutes, without wrk.
#        scripts/bench.sh --against COMMIT [OPTIONS] compares each work with another commit: 10 minutes.
# --install installs wrk and the other servers as Debian packages. A full run takes about 45 minutes, during which the machine
# should be otherwise idle. `cargo bench` measures what needs no sockets.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# Cargo resolves a relative CARGO_TARGET_DIR against its working directory, which is not this script's.
target=${CARGO_TARGET_DIR:-$root/target}
[[ $target == /* ]] || target=$PWD/$target

packages=(wrk nginx lighttpd h2o)

if [[ ${1-} == --install ]]; then
    shift
    export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get install -y --no-install-recommends "${packages[@]}"
fi

program=bench.py
if [[ ${1-} == --growth ]]; then
    shift
    program=growth.py
elif [[ ${1-} == --against ]]; then
    commit=$(git -C "$root" rev-parse --verify --quiet "${2-}^{commit}") || {
        echo "bench.sh: --against: no commit: ${2-}" >&2
        exit 2
    }
    shift 2
    program=against.py
fi

for tool in cargo wrk python3; do
    command -v "$tool" >/dev/null || {
        echo "bench.sh: $tool is missing (--install installs wrk and the other servers)" >&2
        exit 1
    }
done

bench() {
    python3 -B "$root/scripts/bench/$program" --binaries "$target/release" --out "$target/bench" "$@"
}

for argument in "$@"; do
    if [[ $argument == -h || $argument == --help ]]; then
        bench --help
        exit
    fi
done

# Builds the other commit, whose source is unpacked below the target directory. Prints the path of the binary.
build_other() {
    local source=$target/against/$commit
    if [[ ! -x $source/spindle ]]; then
        rm -rf "$source" && mkdir -p "$source/source"
        # Cargo compares times: what is unpacked now is newer than what was built before.
        git -C "$root" archive "$commit" | tar -x -m -C "$source/source"
        (cd "$source/source" && CARGO_TARGET_DIR=$target/against/build cargo build --release --locked --bin spindle) >&2
        cp "$target/against/build/release/spindle" "$source/spindle"
        rm -rf "$source/source"
    fi
    echo "$source/spindle"
}

if [[ $program == against.py ]]; then
    other=$(build_other)
    set -- --baseline "$other" "$@"
fi

# Not the other examples, some of which take minutes to build.
examples=(null instructions idle exchanges pace)
(cd "$root" && CARGO_TARGET_DIR=$target cargo build --release --locked --bin spindle "${examples[@]/#/--example=}")

bench "$@"
