#!/usr/bin/env bash
# Measures spindle side by side with null, the least that any server can do, and with nginx, lighttpd and h2o.
# Usage: scripts/bench.sh [--install] [--quick] [--only NAME,…] [--help], from any working directory.
# --install installs wrk and the peers, as Debian packages. A whole run takes three quarters of an hour, in which the
# machine should have nothing else to do. What needs no sockets is measured by `cargo bench`.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# Cargo takes a relative CARGO_TARGET_DIR from its working directory, and cargo runs in the root.
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
        echo "bench.sh: $tool is missing (--install installs wrk and the peers)" >&2
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
