//! Tests of the page of a shared folder in a real browser: Chromium, controlled over its debugging pipe.
//!
//! If Chromium is not installed, a test prints that and passes, except in continuous integration (`CI=true`), where it fails.
//! `scripts/check.sh` installs it if possible.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod accessibility;
mod accounts;
mod appearance;
mod attacks;
mod chromium;
mod clashes;
mod drop_box;
mod folder;
mod forms;
mod full_disk;
mod interruptions;
mod keyboard;
mod links;
mod listing;
mod managing;
mod names;
mod network;
mod queue;
mod refreshes;
mod tab;
mod uploads;

#[path = "../server/harness/mod.rs"]
mod harness;
