#!/usr/bin/env bash
# Attacks the server the ways that servers are brought down by, does the same to nginx, and prints what became of both.
# Usage: scripts/attack.sh [--install] [--quick] [--only NAME,…] [--server PATH] [--help], from any working directory.
# --install installs nginx and HAProxy, as Debian packages. A whole run takes some six minutes, in which the machine should
# have nothing else to do. All traffic stays on the loopback interface, where possible in a network namespace of its own.
# Fails where a mark is missed.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# Cargo takes a relative CARGO_TARGET_DIR from its working directory, and cargo runs in the root.
target=${CARGO_TARGET_DIR:-$root/target}
[[ $target == /* ]] || target=$PWD/$target

if [[ ${1-} == --install ]]; then
    shift
    export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get install -y --no-install-recommends nginx haproxy
fi

for tool in cargo python3 prlimit; do
    command -v "$tool" >/dev/null || {
        echo "attack.sh: $tool is missing" >&2
        exit 1
    }
done

# Where root is not allowed to make a namespace, a user may be, in a user namespace.
namespace=()
for options in '--net' '--user --map-current-user --keep-caps --net'; do
    # shellcheck disable=SC2086 # they are words
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

# A later --server counts, so the one that is built here comes first.
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
