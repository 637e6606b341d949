//! The real loop in a made-up world: clients follow scripts, the disk takes as long as a test says, and time is simulated, so
//! that a wait of minutes lasts no time at all and every run is the same.
//!
//! `network.rs` and `client.rs` are the network, `world.rs` is what the loop sees of it, `service.rs` answers, and `run.rs`
//! takes the turns. The world fails a test whose loop takes turns to no purpose.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]

mod client;
mod network;
mod run;
mod service;
mod world;

mod capacity;
mod content;
mod ending;
mod failures;
mod fairness;
mod late;
mod records;
mod seeds;
mod slow_clients;
