//! Spindle: an HTTP/1.1 server in one thread.
pub mod clock;
pub mod http1;
pub mod reactor;
pub mod semantics;
pub mod signals;
pub mod storage;
