#!/bin/sh
# Builds the program on CodeCrafters, in the root of the repository. The target directory lies outside of it, where the platform
# keeps it between two submissions.
set -e
exec cargo build --release --locked --bin spindle --target-dir /tmp/codecrafters-build-http-server-rust
