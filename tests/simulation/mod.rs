//! The whole server from a seed: the real loop, protocol core, routes and storage, in simulated time, on a simulated network,
//! with faults more often than in life.
//!
//! `case.rs` says what is run, `setup.rs` makes a run from its seed, and `run.rs` runs it and says what must hold. `network.rs`, `line.rs` and `world.rs`
//! are the network and the kernel's sockets, `clients/` those who talk to the server, `ledger.rs` what files must be,
//! `records.rs` what records must say, `turn.rs` what a turn of the loop may cost, `bounds.rs` what the server may hold, and
//! `patience.rs` how long it may keep a connection that makes no progress. `disk/` is the disk,
//! and `trouble.rs` what befalls it.

pub(crate) mod bounds;
pub(crate) mod clients;
pub(crate) mod coverage;
pub(crate) mod disk;
pub(crate) mod event_queue;
pub(crate) mod expected;
pub(crate) mod fault_plan;
pub(crate) mod file_model;
pub(crate) mod link;
pub(crate) mod log;
pub(crate) mod network;
pub(crate) mod records;
pub(crate) mod run;
pub(crate) mod run_config;
pub(crate) mod scenario;
pub(crate) mod shrink;
pub(crate) mod timeouts;
pub(crate) mod trace;
pub(crate) mod turn_budget;
pub(crate) mod world;
