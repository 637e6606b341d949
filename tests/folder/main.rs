//! A shared folder, by the real binary over real sockets. The harness is that of the tests in `tests/server/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]

mod archives;
mod banners;
mod files;
mod hosts;
mod large;
mod listings;
mod names;
mod redirects;
mod sites;
mod support;
mod uploads;

#[path = "../server/harness/mod.rs"]
mod harness;
