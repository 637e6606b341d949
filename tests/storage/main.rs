//! What storage promises, tried on a simulated disk: with the power cut at each call, each fault at each call, and other
//! processes at work between any two.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]

mod faults;
mod operations;
mod others;
mod permissions;
mod power;
mod seeds;
mod tags;

#[path = "../simulation/disk/mod.rs"]
mod disk;
