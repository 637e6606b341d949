//! RFC 9112: the protocol core. It is handed bytes and the time, and hands back bytes, a deadline, and records of what
//! happened. It has no socket, opens no file, reads no clock.
//!
//! # Two facts, not a product of states
//!
//! A [`Connection`] consists of two facts. Its *state* says what the next received byte means. Its *output* says what is
//! queued for the client: bytes, then at most one source, then the end.
//!
//! ```text
//!              head complete, content follows            content ended
//!      ┌────────────────────────────────────► Content ──────────────────┐
//!      │                                         │                      │
//!  ┌─► Head ◄────────────────────────────────────┼──────────────────────┤
//!  │   │  │  head complete, no content           │                      │
//!  └───┘  │                                      │                      │
//!         └──── a protocol error, `close`, ──────┴──────────────────────┘
//!                    the client's end            │
//!                                                ▼
//!                                             Draining ────► Closed
//!                                                  the client's end, or enough
//! ```
//!
//! From Head, an idle time-out leads straight to Closed; so does, from any state, a client that does not read.
//!
//! # Laws
//!
//! 1. No new head is parsed while the output is full, or the records of what is in it. That is all the flow control there
//!    is.
//! 2. The writing side is shut only when the output is empty.
//! 3. The same bytes give the same final responses, however they were cut into reads. Limits and protocol errors are
//!    decided by position in the stream; of two errors, the one whose bytes end first counts.
//! 4. After a protocol error nothing is parsed. What the client still sends is drained, so that no reset destroys the
//!    response.
//! 5. A request gets one final response. If its content is ignored, the response is held back until the content has been
//!    read, because malformed content turns it into a 400.
//! 6. A state owns its resources and is left by value: leaving it drops the upload in progress, and a dropped upload never
//!    happened.
//! 7. The routes are asked at most one question a step.
//! 8. Every wait is a named timer. A timer that fires is stopped before it is acted on, and closing stops them all.
//! 9. Each exchange yields one record, when its last byte was sent or its connection is lost.
//! 10. Every number is in [`limits`].

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
mod receive_buffer;
pub mod request_framing;
mod response_writer;
mod send_queue;
mod shared;

pub use connection::{Connection, Evictable, Records, Step};
pub use response_writer::Persistence;
pub use send_queue::Transmit;
pub use shared::{Settings, Shared};
