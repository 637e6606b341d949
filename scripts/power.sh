#!/usr/bin/env bash
# Cuts the power under the built server on real file systems, and compares what is then on the disk with what was acknowledged.
# Usage: scripts/power.sh [--install] [--only NAME,…] [--uploads COUNT] [--seed SEED] [--server PATH] [--help], from any working
# directory. --install installs what makes and checks file systems, as Debian packages. Needs root, loop devices and a Linux that
# mounts ext4, ext2, XFS and Btrfs; a file system that is not there is left out and named. A whole run takes some ten minutes.
#
# Each file system is made in an image file and mounted through a loop device, in a mount namespace of its own: everything
# vanishes with the script. The server takes uploads with --fsync, one after another, some under new names and some that replace.
# Each state that a power cut would have left is checked and repaired as a start of the machine would do it, mounted and read:
# each name that was acknowledged must hold that version or a later one (else it is "lost"), and each name that is there
# must hold one whole version (else it is "torn"). "acknowledged" counts the names that were looked for, in all copies. The rows:
#
#   after each         The image is copied right after each 201 and 204.
#   at random          It is copied at random moments, while the server is stopped between two system calls.
#   at each write      Each write to the disk is logged, and the power is cut behind each one. The disk has kept all that it was
#                      given before the last flush; of what came after it, all, nothing or any part. Takes qemu-storage-daemon and FUSE.
#   …, as any Unix     The same without the calls that Linux alone has: scripts/power/portable.rs in the place of the server.
#   without --fsync    The control: nothing is promised there, and what is lost shows that the check can tell.
#   kill -9            The server is killed in the middle of uploads, without --fsync, and the machine goes on.
#
# What the first two rows cannot show: a copy holds all that the file system has sent to the device, whether it was flushed or
# not; it counts only if the device wrote nothing meanwhile. A disk that loses what it has in its own memory loses more: that is in
# the third row. A disk that lies about its flushes is nowhere.
#
# Fails where an upload is lost or torn that was promised.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# Cargo takes a relative CARGO_TARGET_DIR from its working directory, and cargo runs in the root.
target=${CARGO_TARGET_DIR:-$root/target}
[[ $target == /* ]] || target=$PWD/$target

if [[ ${1-} == --install ]]; then
    shift
    export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get install -y --no-install-recommends python3 e2fsprogs xfsprogs btrfs-progs qemu-utils
fi

PATH=$PATH:/usr/sbin:/sbin
for tool in cargo python3 unshare mount losetup; do
    command -v "$tool" >/dev/null || {
        echo "power.sh: $tool is missing" >&2
        exit 1
    }
done

server=
for argument in "$@"; do
    case $argument in
        -h | --help) exec python3 -B "$root/scripts/power/power.py" --help ;;
        --server | --server=*) server=given ;;
    esac
done

if [[ -z $server ]]; then
    (cd "$root" && CARGO_TARGET_DIR=$target cargo build --release --locked --bin spindle --example portable)
fi

# Another server comes without the example. A later --server counts.
portable=()
[[ -n $server ]] || portable=(--portable "$target/release/examples/portable")
exec unshare --mount --propagation private \
    python3 -B "$root/scripts/power/power.py" --server "$target/release/spindle" "${portable[@]}" "$@"
