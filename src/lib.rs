//! Spindle: an HTTP/1.1 server in one thread.
//!
//! # The map
//!
//! ```text
//! main ─► config ─► http1, routes, reactor::listen
//!   │
//!   ├─► reactor ──► http1 ──► semantics ◄── routes ◄── main
//!   │     ├─► clock ─────────► semantics       │
//!   │     └─► storage ◄────────────────────────┴────── main
//!   └─► signals
//! ```
//!
//! An arrow is an import. [`http1`] and [`routes`] meet only in [`semantics::service`]; [`storage`] knows no HTTP; only
//! the [`reactor`] knows sockets, and only the [`clock`] reads a clock.
//!
//! # The life of a request
//!
//! 1. The poll reports a socket; the reactor notes that it may be read, and queues its session.
//! 2. A visit reads octets into a buffer that the connection borrows from a pool.
//! 3. `Connection::step` reads the head in place, against constant tables, and takes up where it left off.
//! 4. The head is judged: Host, framing, persistence, expectation. An offence is answered, and is the end.
//! 5. The service is asked. The table finds a route, and the route answers: a response, or a sink for the content.
//! 6. Content, if there is any, flows through the decoder into the sink, piece by piece; the sink's end is the answer.
//! 7. The answer's head, and its content if that is in memory, go to the output queue; a file follows as a source.
//! 8. Requests that came along with this one are answered in the same visit, until the output is full.
//! 9. One write sends it all; a file goes from the disk's cache to the socket without passing through the program.
//! 10. The connection waits for its next request, and gives its buffers back. Or it shuts its side, and drains.

pub mod clock;
pub mod config;
pub mod http1;
pub mod reactor;
pub mod routes;
pub mod semantics;
pub mod signals;
pub mod storage;
