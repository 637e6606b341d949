//! The implementation of [`World`](crate::server::World) on the operating system: `mio`'s poll, sockets, the clock and
//! signals. Also the files of logs, accounts and keys. No other module uses `mio`.
//!
//! # Laws
//!
//! 1. Every socket is non-blocking, because the loop serves all connections in one thread.
//! 2. This module makes no scheduling decisions. It translates calls and errors, so that tests of the loop cover them
//!    all.
//! 3. A call on a socket that a signal interrupted is repeated a bounded number of times, so that no loop here is
//!    endless.

pub mod accounts_file;
pub mod clock;
pub mod confinement;
pub mod key_file;
pub mod listen;
pub mod log_output;
pub mod machine;
mod mio_world;
mod registered_listener;
pub mod service_manager;
mod settings_file;
pub mod signals;
mod socket;
mod terminal;

pub use mio_world::MioWorld;
pub use socket::Socket;
