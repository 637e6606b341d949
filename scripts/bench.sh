#!/usr/bin/env bash
# Measures spindle side by side with null, the least that any server can do, and with nginx, lighttpd and h2o.
# Usage: scripts/bench.sh [--install] [--quick] [--only NAME,…] [--help], from any working directory.
# --install installs wrk and the peers, as Debian packages.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

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

cargo build --release --locked --bin spindle --examples

exec python3 -B scripts/bench/bench.py --binaries "${CARGO_TARGET_DIR:-target}/release" "$@"
