#!/usr/bin/env bash
# Checks the Containerfile without a container engine: builds the static program that it copies, and runs the entry point and the
# health check in a folder that has only that program and busybox. hadolint checks the file, if it is installed.
# usage: container.sh [PATH/TO/static/spindle]
# It needs root, Debian's busybox-static and musl-tools, and rustup's target x86_64-unknown-linux-musl. The build takes minutes, so
# check.sh does not run this.
# Exit status: 0, 1 if a check failed, 2 if something is missing.
set -euo pipefail

case ${1:-} in
-h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' -- "${BASH_SOURCE[0]}"
    exit
    ;;
-*)
    printf 'container.sh: unknown option %s (--help lists the options)\n' "$1" >&2
    exit 2
    ;;
esac

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

die() {
    printf 'container.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

# words INSTRUCTION: the arguments that the Containerfile gives to the instruction, one a line.
words() {
    sed -n "s/^$1[^[]*\\(\\[.*\\]\\)\$/\\1/p" Containerfile | jq -r '.[]'
}

for tool in busybox jq chroot; do command -v "$tool" >/dev/null || die "$tool is missing" 2; done
((EUID == 0)) || die 'only root can change the root of a process' 2
target=x86_64-unknown-linux-musl
program=${1:-}
if [[ -z $program ]]; then
    cargo build --release --locked --bin spindle --target "$target"
    program=${CARGO_TARGET_DIR:-target}/$target/release/spindle
fi
if command -v hadolint >/dev/null; then
    hadolint Containerfile || die 'hadolint objects'
else
    echo '  hadolint is not installed: the Containerfile is not linted'
fi

server=
root=$(mktemp -d "${TMPDIR:-/tmp}/spindle-container.XXXXXX")
clean_up() {
    [[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
    rm -rf -- "$root"
}
trap clean_up EXIT
chmod 755 "$root"
user=$(sed -n 's/^USER //p' Containerfile)
# Followed by a command: runs it as the user of the image, with its root, and with nothing of the environment. Not a function, whose
# process in the background would be a shell, which gets the signal in the place of the server.
in_image=(env -i "$(command -v chroot)" "--userspec=$user" "$root")
mkdir "$root/srv" "$root/bin" "$root/dev"
mknod -m 666 "$root/dev/null" c 1 3
echo content >"$root/srv/file"
install -D "$program" "$root/usr/bin/spindle"
cp "$(command -v busybox)" "$root/bin/busybox"
ln -s busybox "$root/bin/wget"

readarray -t entry_point < <(words ENTRYPOINT)
readarray -t arguments < <(words CMD)
readarray -t health < <(words HEALTHCHECK)
! "${in_image[@]}" "${health[@]}" 2>/dev/null || die 'the health check succeeds without a server, or another one runs here'
"${in_image[@]}" "${entry_point[@]}" "${arguments[@]}" >"$root/banner" &
server=$!
for ((tries = 0; ; tries++)); do
    ! "${in_image[@]}" "${health[@]}" 2>/dev/null || break
    ((tries < 100)) || die 'the health check fails'
    sleep 0.05
done
port=$(sed -n 's/^EXPOSE //p' Containerfile)
[[ $("${in_image[@]}" wget -q -O - "http://127.0.0.1:$port/file") == content ]] || die 'the folder is not served'
kill -TERM "$server"
status=0
wait "$server" || status=$?
server=
((status == 0)) || die "SIGTERM ends it with exit code $status"
echo '  ok    the image would serve /srv, be healthy, and stop in order'
