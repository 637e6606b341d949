//! RFC 9112: the protocol core. It is handed octets and the time, and hands back octets and a deadline. It has no
//! socket, opens no file, reads no clock.
//!
//! # Two facts, not a product of states
//!
//! A [`Connection`] consists of two facts. Its *phase* says what the next received octet means. Its *output* says what
//! is owed to the peer: octets, then at most one source, then the end.
//!
//! ```text
//!              head complete, content follows            content ended
//!      ┌────────────────────────────────────► Content ──────────────────┐
//!      │                                         │                      │
//!  ┌─► Head ◄────────────────────────────────────┼──────────────────────┤
//!  │   │  │  head complete, no content           │                      │
//!  └───┘  │                                      │                      │
//!         └───────── an offence, `close`, ───────┴──────────────────────┘
//!                    the peer's end              │
//!                                                ▼
//!                                             Draining ────► Closed
//!                                                   the peer's end, or enough
//! ```
//!
//! From Head, an idle time-out or the server's end leads straight to Closed; so does, from any phase, a peer that does not
//! read.
//!
//! # Laws
//!
//! 1. No new head is parsed while the output is full. That is all the flow control there is.
//! 2. The writing side is shut only when the output is empty.
//! 3. The same octets give the same final responses, however they were cut into reads. Limits and offences are decided
//!    by position in the stream; of two offences, the one whose octets end first counts.
//! 4. After an offence nothing is parsed. What the peer still sends is drained, so that no reset destroys the answer.
//! 5. A request gets one final response. One whose content nobody wants is held until the content has been read, since
//!    the content may yet prove to be an offence.
//! 6. A phase owns its resource: leaving it drops the upload in progress, and a dropped upload never happened.
//! 7. The routes are asked at most one question a step.
//! 8. Every number is in [`limits`].

pub mod buffer_pool;
mod commons;
mod connection;
pub mod content;
pub mod exchange;
pub mod field_section;
pub mod framing;
pub mod grammar;
pub mod limits;
pub mod message_head;
pub mod offence;
pub mod output;
mod receive_buffer;

pub use commons::{Commons, Settings};
pub use connection::{Connection, Step};
pub use output::Transmit;
