//! Tests of the built program over real sockets. Every read, write and wait of the harness has a timeout, so no test hangs.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may panic")]

mod access_log;
mod admin;
mod challenge;
mod clients;
mod confinement;
mod deferring;
mod descriptors;
mod harness;
mod listeners;
mod logs;
mod service_manager;
mod shutdown;
mod start;
mod timeouts;
