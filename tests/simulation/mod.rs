//! Deterministic simulation of the whole server, as FoundationDB and TigerBeetle test theirs.
//!
//! A run is a function of its seed. The same seed gives the same run on each machine, so a failure is reproduced by its
//! seed alone.
//!
//! - **Real**: the event loop (`spindle::server`), the HTTP/1.1 connections, the routes and the storage.
//! - **Simulated**: the clocks, the network with the kernel's sockets (`network.rs`, `network_settings.rs`, `listeners.rs`,
//!   `link.rs`, `world.rs`), the disk with its file system (`disk/`), the clients (`clients/`), and other processes that change
//!   files. No call takes real time, and no thread is started.
//! - **From the seed**: `scenario.rs` chooses the server's limits, the latencies and buffer sizes of each link, the
//!   clients with their requests, and the faults. Faults happen far more often than in reality: calls that would block,
//!   short sends, spurious events, lost descriptors, slow or failing disk calls, power cuts and kills
//!   (`fault_plan.rs`).
//!
//! Invariants that are checked in each run:
//!
//! - Honest clients get the right responses, in time (`clients/honest.rs`, `clients/expected.rs`). What an upload may
//!   have left in a file comes from a model of the files (`file_model.rs`).
//! - Each timeout is kept, and no client is cut off before it (`timeouts.rs`, `clients/boundary.rs`).
//! - Exchange records agree with the bytes that were sent (`records.rs`), and the access log with the records
//!   (`access_log.rs`).
//! - A turn of the event loop is bounded, and the loop never spins (`turn_budget.rs`).
//! - Memory, queue entries and descriptors stay within their bounds, and nothing is left when all clients are gone
//!   (`bounds.rs`).
//! - Nobody does what the accounts do not allow, whichever of their files are in force, and nobody uses the upload of
//!   another account (`accounts.rs`, `clients/account_holder.rs`).
//! - A signed link gives what it says until it expires, whichever keys are in force, and nothing else, whatever
//!   credentials come with it; no response and no log shows its signature (`keys.rs`, `clients/link_holder/`).
//! - At the connection limit nobody gives way to an address that holds more connections (`shares.rs`), and a swarm at one
//!   address does not delay the others.
//! - No connection transfers more than its rate, where there is one (`timeouts.rs`), nor much less (`clients/honest.rs`).
//! - After a power cut every acknowledged upload is on the disk, complete (`run.rs`).
//! - The loop never sleeps while a client waits for it, and nothing is logged as an error without a cause.
//!
//! `scripts/simulate.sh --seed N` replays a seed and prints its trace. For the first failures a campaign also prints
//! the command of a smaller run that fails in the same way (`shrink.rs`): with fewer clients and requests.
//! `scripts/simulate.sh --faults` tests the simulation itself: it must find each fault of scripts/simulation/faults.

pub(crate) mod access_log;
pub(crate) mod accounts;
pub(crate) mod bounds;
pub(crate) mod clients;
pub(crate) mod coverage;
pub(crate) mod disk;
pub(crate) mod event_queue;
pub(crate) mod expected;
pub(crate) mod fault_plan;
pub(crate) mod file_model;
pub(crate) mod keys;
pub(crate) mod link;
pub(crate) mod listeners;
pub(crate) mod log;
pub(crate) mod managed;
pub(crate) mod metrics;
pub(crate) mod network;
pub(crate) mod network_settings;
pub(crate) mod proxies;
pub(crate) mod records;
pub(crate) mod reloaded_file;
pub(crate) mod run;
pub(crate) mod run_config;
pub(crate) mod scenario;
pub(crate) mod shares;
pub(crate) mod shrink;
pub(crate) mod timeouts;
pub(crate) mod trace;
pub(crate) mod turn_budget;
pub(crate) mod world;
