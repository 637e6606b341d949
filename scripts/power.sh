#!/usr/bin/env bash
# Simulates power failures of the built server on real file systems, and compares the disk with the acknowledged uploads.
# Usage: scripts/power.sh [--install] [--only NAME,…] [--uploads COUNT] [--seed SEED] [--server PATH] [--help], from any
# working directory. --install installs the tools that make and check file systems, as Debian packages. Needs root, loop
# devices and a Linux that mounts ext4, ext2, XFS and Btrfs; a file system that cannot be mounted is skipped and named. A
# complete run takes about ten minutes.
#
# Each file system is made in an image file and mounted through a loop device, in a mount namespace of its own, so that
# everything vanishes with the script. The server takes uploads with --fsync, one after another; some create files, and some
# replace them. Each state that a power failure would have left is checked and repaired as at the start of a machine, mounted
# and read. Each acknowledged name must have that version or a later one (else it is "lost"), and each existing name must
# have one complete version (else it is "torn"). "acknowledged" counts the names that were checked, in all copies. The rows:
#
#   after each         The image is copied right after each 201 and 204.
#   at random          The image is copied at random moments, while the server is stopped between two system calls.
#   at each write      Each write to the disk is logged, and the power fails after each one. The disk has kept everything from
#                      before the last flush, and of the later writes all, none or any part. Needs qemu-storage-daemon and
#                      FUSE.
#   …, as any Unix     The same as the previous row, without the system calls that only Linux has: scripts/power/portable.rs
#                      replaces the server.
#   without --fsync    The control: nothing is guaranteed here, and the losses show that the check notices them.
#   kill -9            The server is killed during uploads, without --fsync, and the machine continues.
#
# The first two rows cannot show everything: a copy contains all that the file system has sent to the device, whether it was
# flushed or not, and it counts only if nothing was written to the device meanwhile. A disk that also loses its own cache
# loses more; the third row simulates one. No row simulates a disk that ignores flushes.
#
# Fails if an upload is lost or torn although that is guaranteed not to happen.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# Cargo would resolve a relative CARGO_TARGET_DIR against the root, in which it runs below.
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

# With --server the example is not built and not used. That option comes last, so it overrides the default.
portable=()
[[ -n $server ]] || portable=(--portable "$target/release/examples/portable")
exec unshare --mount --propagation private \
    python3 -B "$root/scripts/power/power.py" --server "$target/release/spindle" "${portable[@]}" "$@"
