//! What storage promises, tried on a simulated disk: with the power cut at each call, each fault at each call, and other
//! processes at work between any two.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod faults;
mod operations;
mod other_processes;
mod permissions;
mod power_loss;
mod seeds;
mod tags;

#[path = "../simulation/disk/mod.rs"]
mod disk;
