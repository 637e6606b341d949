#!/usr/bin/env bash
# Carries out denial-of-service attacks on the server, and on nginx and lighttpd for comparison, and prints what clients saw
# meanwhile. Usage: scripts/attack.sh [--install] [--quick] [--only NAME,…] [--server PATH] [--help], from any working
# directory. --install installs nginx, lighttpd and HAProxy as Debian packages. A full run takes about fifteen minutes, during
# which the machine should be otherwise idle. All traffic stays on the loopback interface, in a network namespace of its own if
# one can be made. Exits with 1 if a result misses its target.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# Cargo resolves a relative CARGO_TARGET_DIR against its working directory, which is not this script's.
target=${CARGO_TARGET_DIR:-$root/target}
[[ $target == /* ]] || target=$PWD/$target

if [[ ${1-} == --install ]]; then
    shift
    export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get install -y --no-install-recommends nginx lighttpd haproxy
fi

for tool in cargo python3 prlimit; do
    command -v "$tool" >/dev/null || {
        echo "attack.sh: $tool is missing" >&2
        exit 1
    }
done

# If a network namespace cannot be made directly, it may still be possible inside a user namespace.
namespace=()
for options in '--net' '--user --map-current-user --keep-caps --net'; do
    # shellcheck disable=SC2086 # several options
    if unshare $options true 2>/dev/null; then
        # shellcheck disable=SC2206
        namespace=(env SPINDLE_ATTACK_NAMESPACE=1 unshare $options)
        break
    fi
done

attack() {
    "$@" python3 -B "$root/scripts/attack/attack.py" --server "$server" --attacker "$target/release/examples/attacker" \
        --spare "$target" "${arguments[@]}"
}

# The last --server counts, so the default precedes the user's arguments.
server=$target/release/spindle
arguments=("$@")

for argument in "$@"; do
    if [[ $argument == -h || $argument == --help ]]; then
        attack
        exit
    fi
done

(cd "$root" && CARGO_TARGET_DIR=$target cargo build --release --locked --bin spindle --example attacker)

attack "${namespace[@]}"
