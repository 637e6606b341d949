#!/usr/bin/env bash
# Everything that must hold before a change goes in: format, lints, documentation, tests (of the
# page in a browser too), real clients, and the challenge's stages.
# Usage: scripts/check.sh, from any working directory. Stops at the first part that fails, and names it.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# Where nobody looks at a terminal, colours are noise. rustfmt does not listen to cargo's setting.
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

# run COMMAND…: a whole part, titled by its command.
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

# Installs what the tests and the challenge's scripts need, where this user may; says what to install otherwise.
check_tools() {
    begin_part 'tools'
    command -v cargo >/dev/null || fail 'cargo is missing: https://rustup.rs'
    cargo fmt --version >/dev/null 2>&1 || fail 'rustfmt is missing: rustup component add rustfmt'
    cargo clippy --version >/dev/null 2>&1 || fail 'clippy is missing: rustup component add clippy'
    local packages=()
    command -v nc >/dev/null || packages+=(netcat-openbsd)
    command -v curl >/dev/null || packages+=(curl)
    # It shows what is on the disk before an answer is sent. Linux alone has it.
    [[ $(uname) != Linux ]] || command -v strace >/dev/null || packages+=(strace)
    if ((${#packages[@]} > 0)); then
        if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
            fail "please install: ${packages[*]} (Debian's names)"
        fi
        echo "installing ${packages[*]}"
        install "${packages[@]}" || fail "could not install: ${packages[*]}"
    fi
    end_part
}

# The version whose rules the page is held to. Another one may have other rules.
axe_version=4.14.1
axe_folder=

remove_axe() {
    if [[ -n $axe_folder ]]; then
        rm -rf -- "$axe_folder"
    fi
}

# What the tests of the page need, where it may be installed; without it they say that they are skipped. In continuous
# integration they fail without a browser.
prepare_browser() {
    begin_part 'a browser'
    if ! command -v chromium >/dev/null && ((EUID == 0)) && command -v apt-get >/dev/null; then
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
    [[ -n ${SPINDLE_AXE:-} ]] || echo 'without npm and its registry the rules of axe-core are skipped'
    end_part
}

# What the tests on other file systems need, where it may be installed; each file system that cannot be made or mounted is
# skipped and named by the tests.
prepare_file_systems() {
    begin_part 'file systems'
    local packages=()
    PATH=$PATH:/usr/sbin:/sbin command -v mkfs.ext4 >/dev/null || packages+=(e2fsprogs)
    PATH=$PATH:/usr/sbin:/sbin command -v mkfs.xfs >/dev/null || packages+=(xfsprogs)
    PATH=$PATH:/usr/sbin:/sbin command -v mkfs.btrfs >/dev/null || packages+=(btrfs-progs)
    if [[ $(uname) == Linux ]] && ((${#packages[@]} > 0 && EUID == 0)) && command -v apt-get >/dev/null; then
        echo "installing ${packages[*]}"
        install "${packages[@]}" || echo "could not install ${packages[*]}"
    fi
    end_part
}

# install PACKAGE…: quiet where all goes well.
install() {
    export DEBIAN_FRONTEND=noninteractive
    local words
    words=$({ apt-get update && apt-get install -y --no-install-recommends "$@"; } 2>&1 </dev/null) || {
        printf '%s\n' "$words" >&2
        return 1
    }
}

# The parts of the code that other systems compile are at least read by the compiler, where its library for them is here.
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

# The fuzz targets are a crate of their own, which is not built here: that takes libFuzzer. Their code is, with the tests.
# A lock file that has fallen behind would stop fuzz.sh, and only then be noticed.
check_fuzz_crate() {
    begin_part 'the fuzz crate'
    (
        cd scripts/fuzz
        cargo fmt --check -- --color "$format_colour" && cargo update --workspace --locked --quiet
    ) || fail 'bring its lock file up to date with: cargo update --workspace --manifest-path scripts/fuzz/Cargo.toml'
    end_part
}

# Those clients that are missing are installed where this user may, and else left out and named.
test_clients() {
    local options=()
    if ((EUID == 0)) && command -v apt-get >/dev/null; then
        options+=(--install)
    fi
    run scripts/clients.sh ${options[@]+"${options[@]}"}
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
run cargo test --locked
test_clients

# Last, and without a word after it: its last line is the count.
begin_part "the challenge's stages"
scripts/challenge/all.sh || fail
