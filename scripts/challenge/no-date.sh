#!/usr/bin/env bash
# Not a stage: GET / returns neither Date nor Server
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# RFC 9110 section 6.6.1 requires Date of every server that has a clock. The challenge's own tester refuses a program that sends
# Date or Server (its anti-cheat check), and looks only at the response to GET /.
begin "$@"
start_program

fetch "$base/"
expect_field Date '(absent)'
expect_field Server '(absent)'

finish
