#!/usr/bin/env bash
# Builds the Debian package, checks it with lintian, and installs, reinstalls, removes and purges it in a container whose files are
# thrown away, with the checks of systemd.sh in between.
# usage: package.sh [DIRECTORY]. The package is left there, by default in target/debian.
# It needs cargo-deb (`cargo install --locked cargo-deb`) and lintian. The build takes minutes, so check.sh does not run this.
# Exit status: 0, 1 if a check failed, 2 if a program is missing.
set -euo pipefail

case ${1:-} in
-h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' -- "${BASH_SOURCE[0]}"
    exit
    ;;
-*)
    printf 'package.sh: unknown option %s (--help lists the options)\n' "$1" >&2
    exit 2
    ;;
esac

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

for tool in cargo-deb lintian; do
    command -v "$tool" >/dev/null || {
        echo "package.sh: $tool is missing" >&2
        exit 2
    }
done
directory=${1:-${CARGO_TARGET_DIR:-target}/debian}
mkdir -p "$directory"
cargo deb --locked --output "$directory/"
# The newest: an earlier version may be there, too.
package=$(find "$directory" -maxdepth 1 -name 'spindle_*.deb' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
echo "built $package"
# It prints warnings as well, and fails only for errors.
lintian --fail-on error "$package"
scripts/systemd.sh "$package"
