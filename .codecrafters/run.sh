#!/bin/sh
# Starts the program on CodeCrafters, after compile.sh, with the arguments of the tester.
# --no-date: the tester refuses a program that sends Date.
exec /tmp/codecrafters-build-http-server-rust/release/spindle --no-date "$@"
