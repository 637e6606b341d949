//! The server's loop in a simulated world: clients follow scripts, each test sets how long the disk takes, and the clock
//! is simulated. A wait of minutes takes no time, and every run is the same.
//!
//! `network.rs` and `client.rs` are the network, `world.rs` implements the loop's traits with it, `service.rs`
//! responds, and `server.rs` runs the loop. The simulation fails a test whose loop spins.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod client;
mod network;
mod server;
mod service;
mod world;

mod administrator;
mod capacity;
mod cold_files;
mod commits;
mod content;
mod failures;
mod fairness;
mod graceful_shutdown;
mod holding_back;
mod last_responses;
mod proxy_header;
mod random_clients;
mod rates;
mod records;
mod shares;
mod slow_clients;
mod slow_disk;
mod statistics;
