#!/usr/bin/env bash
# Measures whether the time that the server takes tells anything about a secret. From any working directory:
#
#   scripts/timing.sh [SAMPLES]
#
# Each row compares two classes of inputs whose times may not differ, such as wrong secrets whose hash is wrong in its first
# or in its last byte. The classes follow each other at random, SAMPLES times (default 1,000,000), so that whatever else the
# machine does meets both alike. No sockets are used: their noise would hide differences. "account" and "link" time the
# comparison alone, "response" and "drop box" everything from the received bytes to the response. The slowest tenth of both
# classes together does not count. "control" compares bytes as no secret may be compared, up to the first that is wrong.
#
# The columns are the mean, the difference of the classes with its 95 % interval, and Welch's t. The classes differ if |t|
# is above 4.5.
#
# Exits with 0 if no classes differ, 1 if some do, and 2 if the measurement fails or the control does not differ.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'timing.sh: %s\n' "$*" >&2
    exit 2
}

samples=${1:-1000000}
[[ $# -le 1 && $samples =~ ^[1-9][0-9]{3,8}$ ]] || fail "usage: scripts/timing.sh [SAMPLES], from 1000 on"
command -v cargo >/dev/null || fail 'cargo is missing: https://rustup.rs'
cargo build --release --example timing --locked --quiet || fail 'the measurement does not build'
exec "${CARGO_TARGET_DIR:-target}/release/examples/timing" "$samples"
