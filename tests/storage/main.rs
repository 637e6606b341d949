//! Tests of storage on a simulated disk: with a power failure at each call, with each fault at each call, and with
//! other processes that change the tree between any two calls.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod faults;
mod groups;
mod long_files;
mod operations;
mod other_processes;
mod partial_uploads;
mod permissions;
mod power_loss;
mod reservations;
mod seeds;
mod tags;
mod tree_changes;

#[path = "../simulation/disk/mod.rs"]
mod disk;
