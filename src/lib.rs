//! Spindle: an HTTP/1.1 server in one thread.
pub mod clock;
pub mod config;
pub mod http1;
pub mod reactor;
pub mod routes;
pub mod semantics;
pub mod signals;
pub mod storage;
