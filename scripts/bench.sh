#!/usr/bin/env bash
# Benchmarks spindle beside nginx, lighttpd, h2o and `null`, a server that only reads and writes fixed bytes.
# Usage: scripts/bench.sh [--install] [--quick] [--only NAME,…] [--help], from any working directory.
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

for tool in cargo wrk python3; do
    command -v "$tool" >/dev/null || {
        echo "bench.sh: $tool is missing (--install installs wrk and the other servers)" >&2
        exit 1
    }
done

bench() {
    python3 -B "$root/scripts/bench/bench.py" --binaries "$target/release" --out "$target/bench" "$@"
}

for argument in "$@"; do
    if [[ $argument == -h || $argument == --help ]]; then
        bench --help
        exit
    fi
done

(cd "$root" && CARGO_TARGET_DIR=$target cargo build --release --locked --bin spindle --examples)

bench "$@"
