//! Spindle: an HTTP/1.1 server in one thread.
pub mod http1;
pub mod semantics;
