//! Spindle: an HTTP/1.1 server in one thread.
//!
//! # The map
//!
//! ```text
//! main ─► config, banner, telemetry
//!   │
//!   ├─► system ─► server ──► http1 ──► semantics ◄── routes ◄── main
//!   │     │                                            │
//!   └─────┴──────────► storage ◄───────────────────────┘
//! ```
//!
//! An arrow is an import. [`http1`] and [`routes`] meet only in [`semantics::service`]. [`storage`] knows no HTTP. The
//! [`server`] is the loop; it reaches the outside through two traits, [`server::World`] and [`server::Transport`], and knows
//! neither sockets nor files nor clocks. The [`system`] is the real outside; tests make up another. [`storage`] and the
//! [`routes`] reach the disk through one, [`storage::FileSystem`].
//!
//! # The life of a request
//!
//! 1. The world reports a socket; the server notes that it may be read, and queues its session.
//! 2. A drive receives bytes into a buffer that the connection borrows from a pool.
//! 3. `Connection::process` reads the head in place, against constant tables, and takes up where it left off.
//! 4. The head is judged: Host, framing, persistence, expectation. A protocol error is answered, and is the end.
//! 5. The service is asked. The table finds a route, and the route answers: a response, or a sink for the content.
//! 6. Content, if there is any, is decoded in place and handed to the sink in large pieces; the sink's end is the response.
//! 7. The response's head, and its content if that is in memory, go to the send queue; a file follows as a source.
//! 8. Requests that came along with this one are answered in the same drive, until the queue is full.
//! 9. One call sends it all; a file goes from the disk's cache to the socket without passing through the program.
//! 10. The exchange yields its record. The connection waits for its next request, and gives its buffers back; or it shuts
//!     its side, and drains.

pub mod banner;
pub mod config;
pub mod http1;
pub mod routes;
pub mod semantics;
pub mod server;
pub mod storage;
pub mod system;
pub mod telemetry;
