//! The real world: the kernel's readiness, TCP sockets, the clock, signals. The only user of `mio`.
//!
//! # Laws
//!
//! 1. No call on a socket waits.
//! 2. Nothing here decides: what is done when is the server's.
//! 3. A call that was interrupted is repeated, a bounded number of times.

mod clock;
mod kernel;
pub mod listen;
pub mod machine;
pub mod signals;
mod tcp;

pub use kernel::Kernel;
pub use tcp::TcpTransport;
