#!/usr/bin/env bash
# Runs every check that a change must pass: format, lints, documentation, tests (also of the page in a browser), real
# clients, and the challenge's stages.
# Usage: scripts/check.sh, from any working directory. Stops at the first part that fails, and names it.
# As root, with apt-get, it installs the programs that the checks need.
set -euo pipefail

case ${1:-} in
-h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' -- "${BASH_SOURCE[0]}"
    exit
    ;;
?*)
    printf 'check.sh: it takes no arguments, and %s is one\n' "$1" >&2
    exit 2
    ;;
esac

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# No colours unless the output is a terminal. rustfmt ignores cargo's setting.
format_colour=auto
if [[ ! -t 1 ]]; then
    export CARGO_TERM_COLOR=never
    format_colour=never
fi

part=
part_started=0

begin_part() {
    part=$1
    part_started=$SECONDS
    printf '\n== %s\n' "$part"
}

end_part() {
    printf '== %s: passed, %s s\n' "$part" $((SECONDS - part_started))
}

fail() {
    printf '\ncheck.sh: FAILED in "%s" after %s s%s\n' "$part" $((SECONDS - part_started)) "${1:+: $1}" >&2
    exit 1
}

# run COMMAND…: a part that consists of one command, which is its title.
run() {
    begin_part "$*"
    "$@" || fail
    end_part
}

# The challenge's stages, the last part, need port 4221. A server that still runs there would fail them after minutes.
check_port() {
    begin_part 'port 4221'
    local conflict
    # shellcheck source-path=SCRIPTDIR source=challenge/port.sh
    conflict=$(source scripts/challenge/port.sh && port_conflict)
    [[ -z $conflict ]] || fail "$conflict"
    end_part
}

can_install() {
    ((EUID == 0)) && command -v apt-get >/dev/null
}

# Installs what the tests and the challenge's scripts need, or fails and names the missing packages.
check_tools() {
    begin_part 'tools'
    command -v cargo >/dev/null || fail 'cargo is missing: https://rustup.rs'
    cargo fmt --version >/dev/null 2>&1 || fail 'rustfmt is missing: rustup component add rustfmt'
    cargo clippy --version >/dev/null 2>&1 || fail 'clippy is missing: rustup component add clippy'
    local packages=()
    command -v nc >/dev/null || packages+=(netcat-openbsd)
    command -v curl >/dev/null || packages+=(curl)
    # With strace, which only Linux has, a test sees that an upload is flushed before its response is sent.
    [[ $(uname) != Linux ]] || command -v strace >/dev/null || packages+=(strace)
    if ((${#packages[@]} > 0)); then
        if ! can_install; then
            fail "please install: ${packages[*]} (Debian's names)"
        fi
        echo "installing ${packages[*]}"
        install "${packages[@]}" || fail "could not install: ${packages[*]}"
    fi
    end_part
}

# The page is tested with the rules of this version. Another version may have other rules.
axe_version=4.14.1
axe_folder=

remove_axe() {
    if [[ -n $axe_folder ]]; then
        rm -rf -- "$axe_folder"
    fi
}

# Installs what the tests of the page need, if it can. Without a browser they report that they are skipped, or fail in
# continuous integration.
prepare_browser() {
    begin_part 'a browser'
    if ! command -v chromium >/dev/null && can_install; then
        echo 'installing chromium'
        install chromium fonts-dejavu-core || echo 'could not install chromium'
    fi
    if command -v npm >/dev/null; then
        trap remove_axe EXIT
        axe_folder=$(mktemp -d "${TMPDIR:-/tmp}/axe.XXXXXX")
        if npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$axe_folder" "axe-core@$axe_version" </dev/null; then
            export SPINDLE_AXE=$axe_folder/node_modules/axe-core/axe.min.js
        fi
    fi
    [[ -n ${SPINDLE_AXE:-} ]] || echo 'npm or its registry is missing: the rules of axe-core are skipped'
    end_part
}

# Installs what the tests on other file systems need, if it can. The tests skip, and name, each file system that cannot be made
# or mounted.
prepare_file_systems() {
    begin_part 'file systems'
    local packages=()
    PATH=$PATH:/usr/sbin:/sbin command -v mkfs.ext4 >/dev/null || packages+=(e2fsprogs)
    PATH=$PATH:/usr/sbin:/sbin command -v mkfs.xfs >/dev/null || packages+=(xfsprogs)
    PATH=$PATH:/usr/sbin:/sbin command -v mkfs.btrfs >/dev/null || packages+=(btrfs-progs)
    if [[ $(uname) == Linux ]] && ((${#packages[@]} > 0)) && can_install; then
        echo "installing ${packages[*]}"
        install "${packages[@]}" || echo "could not install ${packages[*]}"
    fi
    end_part
}

# install PACKAGE…: prints apt-get's output only if it fails.
install() {
    export DEBIAN_FRONTEND=noninteractive
    local output
    output=$({ apt-get update && apt-get install -y --no-install-recommends "$@"; } 2>&1 </dev/null) || {
        printf '%s\n' "$output" >&2
        return 1
    }
}

# At least type-checks the code for other systems, if their standard libraries are installed.
check_other_systems() {
    local target installed
    installed=$(rustup target list --installed 2>/dev/null || true)
    for target in x86_64-unknown-freebsd aarch64-apple-darwin; do
        if grep -qxF "$target" <<<"$installed"; then
            run cargo check --locked --target "$target"
        else
            printf '\n== %s: skipped (rustup target add %s)\n' "$target" "$target"
        fi
    done
}

# The fuzz targets are a crate of their own, which is not built here, since that takes libFuzzer. Their code is built with the
# tests. An outdated lock file would only be noticed when fuzz.sh fails.
check_fuzz_crate() {
    begin_part 'the fuzz crate'
    (
        cd scripts/fuzz
        cargo fmt --check -- --color "$format_colour" && cargo update --workspace --locked --quiet
    ) || fail 'bring its lock file up to date with: cargo update --workspace --manifest-path scripts/fuzz/Cargo.toml'
    end_part
}

# The tests. A browser on a busy machine can be late for a moment that a test waits for. If nothing but tests of the page have
# failed, those run once more, one after the other, and it is said that they did.
test_code() {
    begin_part 'cargo test --locked'
    local output
    output=$(mktemp "${TMPDIR:-/tmp}/tests.XXXXXX")
    if ! cargo test --locked --no-fail-fast 2>&1 | tee "$output"; then
        local failed
        failed=$(sed -n '/^error: [0-9]* targets\{0,1\} failed:$/,$p' "$output" | grep -o '`[^`]*`' || true)
        [[ $failed == '`--test browser`' ]] || fail
        echo 'only tests of the page have failed: all of them run once more, one after the other'
        cargo test --locked --test browser -- --test-threads=1 || fail
    fi
    rm -f -- "$output"
    end_part
}

# A client that is missing is installed, or left out and named.
test_clients() {
    local options=()
    if can_install; then options+=(--install); fi
    run scripts/clients.sh ${options[@]+"${options[@]}"}
    run scripts/contrib.sh ${options[@]+"${options[@]}"}
    run scripts/systemd.sh ${options[@]+"${options[@]}"}
}

check_port
check_tools
prepare_browser
prepare_file_systems
run cargo fmt --check -- --color "$format_colour"
run cargo clippy --all-targets --locked -- -D warnings
check_fuzz_crate
check_other_systems
run env 'RUSTDOCFLAGS=-D warnings' cargo doc --no-deps --locked --document-private-items
test_code
test_clients

# Last, and nothing is printed after it, so that its count is the last line.
begin_part "the challenge's stages"
scripts/challenge/all.sh || fail
