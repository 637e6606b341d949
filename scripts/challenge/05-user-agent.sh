#!/usr/bin/env bash
# Stage 5: GET /user-agent returns the User-Agent, in any case of the field name
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

begin "$@"
start_program

for name in User-Agent user-agent USER-AGENT uSeR-aGeNt; do
    fetch --header "$name: foobar/1.2.3" "$base/user-agent"
    expect_text foobar/1.2.3
done

# A value with spaces, and another field before it.
fetch --header 'X-Other: grape' --header 'User-Agent: mango/1.0 (apple; pear) kiwi/2' "$base/user-agent"
expect_text 'mango/1.0 (apple; pear) kiwi/2'

finish
