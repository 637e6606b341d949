//! The real binary over real sockets: one module per capability. Nothing here waits for ever: every read, write and wait
//! of the harness has a time-out.

mod challenge;
mod harness;
