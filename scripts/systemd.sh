#!/usr/bin/env bash
# Checks the units in contrib/systemd: with systemd-analyze, and under a systemd of their own in a container, whose files are
# thrown away. The second part needs root, systemd-nspawn, curl and overlayfs; without them it is left out, and said so.
# usage: systemd.sh [--install] [PATH/TO/spindle | PATH/TO/PACKAGE.deb]
# --install installs systemd-container, a Debian package, if it is missing. With a package of Spindle, that is installed in the
# container instead of the repository's files, reinstalled, removed and purged.
# Exit status: 0, 1 if a check failed.
set -euo pipefail

case ${1:-} in
-h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' -- "${BASH_SOURCE[0]}"
    exit
    ;;
--install) ;;
-*)
    printf 'systemd.sh: unknown option %s (--help lists the options)\n' "$1" >&2
    exit 2
    ;;
esac

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

exposure_max=15 # in tenths
boot_seconds=120
failed=0
work=

clean_up() {
    local status=$?
    if [[ -n $work ]]; then
        # Nothing is removed while the root of this machine may still be mounted below.
        if ! mountpoint -q "$work/layers" || umount -R "$work/layers"; then rm -rf -- "$work"; fi
    fi
    exit "$status"
}

# check WHAT COMMAND…: prints a line, followed by the output of the command if it failed.
check() {
    if "${@:2}" >"$work/output" 2>&1; then
        printf '  ok    %s\n' "$1"
    else
        failed=1
        printf '  FAIL  %s\n' "$1"
        sed 's/^/        | /' "$work/output"
    fi
}

# The program's path is that of this build, since systemd-analyze reports a program that does not exist. The instance stands for
# its template.
copy_units() {
    mkdir "$work/units"
    local unit
    for unit in spindle.service spindle.socket spindle@.service; do
        sed "s|/usr/bin/spindle |$program |" "contrib/systemd/$unit" >"$work/units/$unit"
    done
    cp "$work/units/spindle@.service" "$work/units/spindle@1.service"
}

# verify UNIT: whether systemd understands every line of it.
verify() {
    local output
    # It prints a warning, and succeeds, if it does not know a setting.
    output=$(systemd-analyze verify --man=no "$1" 2>&1 || echo failed)
    [[ -z $output ]] || {
        printf '%s\n' "$output"
        return 1
    }
}

analyze() {
    local unit
    for unit in spindle.service spindle.socket spindle@1.service; do
        check "systemd-analyze verify $unit" verify "$work/units/$unit"
    done
    for unit in spindle.service spindle@1.service; do
        check "systemd-analyze security $unit: at most $exposure_max tenths" \
            systemd-analyze security --no-pager --offline=true --threshold="$exposure_max" "$work/units/$unit"
    done
}

# Lays an empty layer over the root of this machine. What the container writes goes there, into memory.
mount_root() {
    mkdir "$work/layers"
    mount -t tmpfs -o mode=755 tmpfs "$work/layers" || return 1
    mkdir "$work/layers/upper" "$work/layers/work" "$work/layers/root"
    mount -t overlay -o "lowerdir=/,upperdir=$work/layers/upper,workdir=$work/layers/work" overlay "$work/layers/root"
}

# Installs what is checked.
fill_root() {
    local root=$work/layers/root
    if [[ -n $package ]]; then
        cp "$package" "$root/spindle.deb"
        # A machine that builds packages may forbid them to start services.
        rm -f "$root/usr/sbin/policy-rc.d"
        check 'dpkg installs the package' chroot "$root" dpkg -i /spindle.deb
    else
        install -D "$program" "$root/usr/bin/spindle"
        install -D -m 644 -t "$root/usr/lib/systemd/system" contrib/systemd/*.service contrib/systemd/*.socket
        install -D -m 644 contrib/systemd/spindle.sysusers "$root/usr/lib/sysusers.d/spindle.conf"
    fi
    check 'systemd-sysusers creates the user' chroot "$root" systemd-sysusers spindle.conf
    check 'the installed program runs' chroot "$root" spindle --version
}

# Makes the checks the only service that is started.
add_checks() {
    local root=$work/layers/root
    install -D scripts/systemd/inside.sh "$root/usr/lib/spindle-checks.sh"
    cat >"$root/usr/lib/systemd/system/spindle-checks.service" <<'UNIT'
[Unit]
DefaultDependencies=no

[Service]
Type=oneshot
ExecStart=/usr/lib/spindle-checks.sh
ExecStopPost=systemctl --no-block exit
StandardOutput=file:/spindle-checks.output
StandardError=inherit
UNIT
}

boot() {
    # Its own network, so that it cannot conflict with a server of this machine.
    timeout "$boot_seconds" systemd-nspawn --quiet --register=no --keep-unit --private-network --directory="$work/layers/root" \
        --boot systemd.unit=spindle-checks.service >"$work/boot" 2>&1 </dev/null || true
    if [[ ! -s $work/layers/root/spindle-checks.output ]]; then
        failed=1
        echo '  FAIL  a systemd of its own does not start'
        tail -n 20 "$work/boot" | tr -c '[:print:]\n' '?' | sed 's/^/        | /'
        return
    fi
    cat "$work/layers/root/spindle-checks.output"
    if ! tail -n 1 "$work/layers/root/spindle-checks.output" | grep -qx 'all passed'; then failed=1; fi
}

if [[ ${1:-} == --install ]]; then
    shift
    if ! command -v systemd-nspawn >/dev/null; then
        echo 'installing systemd-container'
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends systemd-container </dev/null >/dev/null ||
            echo 'could not install systemd-container'
    fi
fi
program=${1:-}
package=
if [[ $program == *.deb ]]; then
    package=$program
    program=
fi
if [[ -z $program ]]; then
    cargo build --locked --bin spindle
    program=${CARGO_TARGET_DIR:-target}/debug/spindle
fi
program=$(readlink -f -- "$program")

if ! command -v systemd-analyze >/dev/null; then
    echo '  systemd is not installed: the units are not checked'
    exit 0
fi
trap clean_up EXIT
trap 'exit 130' INT TERM
work=$(mktemp -d "${TMPDIR:-/tmp}/spindle-systemd.XXXXXX")
copy_units
analyze
if ((EUID != 0)) || ! command -v systemd-nspawn >/dev/null || ! command -v curl >/dev/null; then
    echo '  systemd is not started: that needs root, systemd-nspawn and curl'
elif ! mount_root 2>"$work/output"; then
    echo "  systemd is not started: $(head -n 1 "$work/output")"
else
    fill_root
    add_checks
    boot
fi
exit "$failed"
