//! The protocol core: RFC 9112 without I/O. A [`Connection`] is given received bytes and the time, and gives back bytes
//! to send, a deadline, and records of what happened. It has no socket, opens no file and reads no clock.
//!
//! # State and output
//!
//! A [`Connection`] has a *state*, which decides what the next received byte means, and an *output*, which is what is
//! queued for the client: bytes, then at most one source (a file, say), then the end of the connection. The two are
//! independent: the next request is parsed while responses to earlier ones are still being sent.
//!
//! If the service commits an upload together with others, the connection is in the state Committing between Content and
//! what follows. It stays there until the loop has the group committed, and takes no input.
//!
//! If all content of a request has arrived with its head, the service may take it at once. The connection then stays in
//! Head.
//!
//! A connection from a proxy that speaks the PROXY protocol has another state before Head: it waits for the header that
//! names the client, and is closed if it gets anything else.
//!
//! ```text
//!              head complete, content follows           content complete
//!      ┌────────────────────────────────────► Content ──────────────────┐
//!      │                                         │                      │
//!  ┌─► Head ◄────────────────────────────────────┼──────────────────────┤
//!  │   │  │  head complete, no content           │                      │
//!  └───┘  │                                      │                      │
//!         └──── protocol error, last ────────────┴──────────────────────┘
//!               response, end of input           │
//!                                                ▼
//!                                             Draining ────► Closed
//!                                                  end of input, timeout, or byte limit
//! ```
//!
//! # How a connection ends
//!
//! - After its last response it is drained (law 4). A response is the last one if the client wants that (`Connection:
//!   close`, or HTTP/1.0 without `keep-alive`), if the server is shutting down, if only the end of the connection can
//!   end the response's content, or if the rest of the request's content is too long to be worth reading, arrives too
//!   slowly, or may never arrive.
//! - The response to a protocol error is the last one. A head or an upload that arrives too slowly counts as a protocol
//!   error (408).
//! - If the input ends before another request has begun, the connection is drained once everything has been sent.
//! - An idle timeout leads from Head straight to Closed. A write stall (a client that does not read) leads from every
//!   state to Closed.
//! - The owner of the socket calls [`Connection::close`] in any state: if the socket fails, if the content of a
//!   response cannot be read to its end, to make room at the connection limit, at the end of a shutdown, and after a
//!   panic.
//!
//! # Laws
//!
//! 1. No further head is parsed while the output is full, or while the records of its exchanges are. There is no other
//!    flow control.
//! 2. The sending side is shut down only when the output is empty, so that no response is cut off.
//! 3. The same bytes produce the same final responses, however they were cut into reads. Limits and protocol errors
//!    depend on the position in the stream only; of two errors, the one that is found at the earlier byte is reported.
//! 4. After a protocol error nothing is parsed. What the client still sends is read and discarded (drained), because
//!    closing a socket with unread bytes sends a reset, which can destroy the response.
//! 5. Each request gets one final response. If a request's content is ignored, its response is held back until the
//!    content has been read, because malformed content turns it into a 400.
//! 6. Each state owns its resources, and a transition consumes the old state. Leaving a state early therefore drops the
//!    upload in progress, and a dropped upload leaves no trace. Only a resumable upload remains, for a later request.
//! 7. One step calls the service at most once, or writes to a sink at most once, so that the loop can check its budget
//!    between calls.
//! 8. Each wait has a named timer, and so has each pause that a limited rate or a slow disk demands. A timer that fires
//!    is stopped before it is acted on, and closing stops them all, so a deadline that has passed never comes back.
//! 9. Each exchange yields one record, when its last byte has been sent or its connection is lost.
//! 10. Every limit that a client can reach, and every timeout, is in [`limits`].

mod buffer_pool;
mod connection;
pub mod content;
pub mod field_section;
pub mod framing;
pub mod grammar;
pub mod limits;
mod mapped_buffer;
pub mod message_head;
pub mod protocol_error;
pub mod proxy_protocol;
mod rate;
mod receive_buffer;
pub mod request_framing;
mod response_writer;
mod send_queue;
mod shared;

pub use connection::{Activity, Connection, Evictable, InProgress, Records, Step};
pub use rate::Rate;
pub use response_writer::{Persistence, TOO_MANY_CONNECTIONS};
pub use send_queue::Transmit;
pub use shared::{Settings, Shared};
