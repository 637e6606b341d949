#!/usr/bin/env bash
# Tries the man page and the completions in contrib/ with the programs that read them. tests/contrib.rs compares them with --help.
# usage: contrib.sh [--install] [PATH/TO/spindle]
# --install installs missing programs as Debian packages; without it they are left out and named.
# Exit status: 0, 1 if a check failed.
set -euo pipefail

case ${1:-} in
-h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' -- "${BASH_SOURCE[0]}"
    exit
    ;;
--install) ;;
-*)
    printf 'contrib.sh: unknown option %s (--help lists the options)\n' "$1" >&2
    exit 2
    ;;
esac

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

packages=(mandoc zsh fish python3)
failed=0

fail() {
    failed=1
    printf '  FAIL  %s\n' "$1"
}

if [[ ${1:-} == --install ]]; then
    shift
    missing=()
    for package in "${packages[@]}"; do
        command -v "$package" >/dev/null || missing+=("$package")
    done
    if ((${#missing[@]} > 0)); then
        echo "installing ${missing[*]}"
        { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null; } ||
            echo "could not install ${missing[*]}"
    fi
fi
program=${1:-}
if [[ -z $program ]]; then
    cargo build --locked --bin spindle
    program=${CARGO_TARGET_DIR:-target}/debug/spindle
fi

if command -v mandoc >/dev/null; then
    # Its database of other pages may be out of date, which it says on standard error.
    if problems=$(mandoc -T lint contrib/man/spindle.1 2>/dev/null); then
        echo '  ok    mandoc has no objection to the man page'
    else
        fail "mandoc: $problems"
    fi
else
    echo '  mandoc is not installed: the man page is not checked'
fi

if command -v python3 >/dev/null; then
    python3 scripts/contrib/shells.py "$program" || failed=1
else
    echo '  python3 is not installed: the completions are not tried'
fi
exit "$failed"
