//! The whole server from a seed: the real loop, protocol core, routes and storage, in simulated time, on a simulated network,
//! with faults more often than in life.
//!
//! `case.rs` says what is run, `setup.rs` makes a run from its seed, and `run.rs` runs it and says what must hold. `network.rs`, `line.rs` and `world.rs`
//! are the network and the kernel's sockets, `clients/` those who talk to the server, `ledger.rs` what files must be,
//! `records.rs` what records must say, `turn.rs` what a turn of the loop may cost, `bounds.rs` what the server may hold, and
//! `patience.rs` how long it may keep a connection that makes no progress. `disk/` is the disk,
//! and `trouble.rs` what befalls it.

pub(crate) mod agenda;
pub(crate) mod bounds;
pub(crate) mod case;
pub(crate) mod clients;
pub(crate) mod coverage;
pub(crate) mod disk;
pub(crate) mod expected;
pub(crate) mod ledger;
pub(crate) mod line;
pub(crate) mod log;
pub(crate) mod network;
pub(crate) mod patience;
pub(crate) mod records;
pub(crate) mod run;
pub(crate) mod setup;
pub(crate) mod shrink;
pub(crate) mod trace;
pub(crate) mod trouble;
pub(crate) mod turn;
pub(crate) mod world;
