//! A shared folder as a browser sees it: Debian's chromium, driven over its debugging pipe. One module per promise.
//!
//! Where chromium is missing a test says so and passes, except in continuous integration (`CI=true`), where it fails.
//! `scripts/check.sh` installs what is needed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]

mod accessibility;
mod attacks;
mod chromium;
mod folder;
mod keyboard;
mod names;
mod reading;
mod tab;

#[path = "../server/harness/mod.rs"]
mod harness;
