//! A shared folder, tested with the real binary over real sockets. The harness is that of `tests/server/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod accounts;
mod archives;
mod banners;
mod changes;
mod drop_box;
mod files;
mod forms;
mod hosts;
mod large;
mod links;
mod listings;
mod names;
mod redirects;
mod sites;
mod support;
mod uploads;

#[path = "../server/harness/mod.rs"]
mod harness;
