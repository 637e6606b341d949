//! The semantics of HTTP (RFC 9110): requests, responses, fields, and decisions that depend on nothing else.
//!
//! # Laws
//!
//! 1. Nothing here parses or frames messages; that is the protocol's part. Only values of single fields are parsed and
//!    formatted here, and status lines ([`status::Status::line`]), so that each reason phrase is written in one place.
//! 2. Nothing here performs I/O or reads a clock. The time is an argument ([`Now`]), so that tests can choose it.
//! 3. Each decision is a function of its arguments, so that its tests are tables.
//! 4. The protocol and the routes know each other only through [`service`].
//!
//! Besides, there is what the event loop and the readers of its records share: [`observer`], [`statistics`], [`client`]
//! and [`proxies`].

pub mod accept;
pub mod access;
pub mod accounts;
pub mod allowed_hosts;
pub mod client;
pub mod conditional;
pub mod content_coding;
pub mod date;
pub mod destination;
pub mod digest;
pub mod exchange_record;
pub mod fields;
pub mod form_data;
mod hexadecimal;
pub mod link;
pub mod method;
pub mod misleading;
pub mod observer;
pub mod origin;
pub mod proxies;
pub mod range;
pub mod request;
pub mod response;
pub mod resumable_upload;
pub mod rights;
pub mod service;
pub mod statistics;
pub mod status;
pub mod stored_fields;

/// The current time. The event loop reads the clock, and passes the time down as an argument.
///
/// Tests choose it freely, so that testing a timeout of ten minutes takes no time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since an arbitrary start. It never goes back, and all timeouts are measured by it.
    pub monotonic_ns: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z, without leap seconds. Dates are made from it.
    pub unix_ns: u64,
}

impl Now {
    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub fn unix_s(&self) -> u64 {
        self.unix_ns / 1_000_000_000
    }
}
