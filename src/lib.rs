//! Spindle: an HTTP/1.1 server in one thread. Others only flush durable uploads, which the loop waits for, and close long
//! files.
//!
//! # The map
//!
//! ```text
//! main ─► config, banner, service ─► routes, telemetry
//!   │
//!   ├─► system ─► server ──► http1 ──► semantics ◄── routes ◄── main
//!   │     │                                            │
//!   └─────┴──────────► storage ◄───────────────────────┘
//! ```
//!
//! An arrow is an import. Four kinds are not drawn: [`server`], [`system`] and [`telemetry`] import [`semantics`],
//! [`system`] implements the output of [`telemetry`]'s access log, [`config`] imports the types of the settings that it
//! fills in, and `main` imports everything that it puts together.
//!
//! - [`http1`] and [`routes`] meet only in [`semantics::service`].
//! - [`storage`] contains no HTTP.
//! - The [`server`] is the event loop. It reaches the operating system only through the traits [`server::World`] and
//!   [`server::Transport`]. The [`system`] implements both; tests implement them with a simulated network.
//! - [`storage`] and the [`routes`] reach the disk only through the trait [`storage::FileSystem`].
//!
//! # The life of a request
//!
//! A *session* is a socket with its [`http1::Connection`], the state machine of the protocol. To *drive* a session is
//! to repeat three things until none makes progress or a budget is spent: process what was received, send what is
//! queued, and receive.
//!
//! 1. The poll reports that a socket is readable. The server sets the session's hint `may_read` and queues the session.
//! 2. The server drives the session, which receives bytes into a buffer that the connection borrows from a pool.
//! 3. `Connection::process` parses the head in place. If the head is incomplete, parsing continues there later.
//! 4. The head is checked: Host, framing, persistence, expectation. A protocol error gets a response and ends the
//!    connection.
//! 5. The service, which is [`routes::Routes`], passes the request to a route. The route returns a response, or a
//!    *sink* that takes the request's content.
//! 6. Content is decoded in place and passed to the sink. At the end of the content, the sink returns the response. An
//!    upload that must be flushed is handed to the service a moment later, together with others.
//! 7. The response's head, and its content if that is in memory, are written to the send queue. Other content, such as
//!    a file, follows as a *source*, which is read while it is sent.
//! 8. Pipelined requests are processed in the same drive, until the send queue is full or the budget is spent. The rest
//!    is processed after the queue has been sent, in the same drive or a later one.
//! 9. One call sends what is queued. A file goes from the page cache to the socket by sendfile(2), without passing
//!    through the program.
//! 10. The exchange yields its record. The connection then gives back its buffers and waits for its next request, or it
//!     shuts down its sending side and drains.

pub mod banner;
pub mod config;
pub mod http1;
pub mod link_command;
pub mod routes;
pub mod semantics;
pub mod server;
pub mod service;
pub mod storage;
pub mod system;
pub mod telemetry;
