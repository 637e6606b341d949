//! RFC 9110: values and decisions.
//!
//! # Laws
//!
//! 1. Nothing here parses or frames a message. [`status::Status::line`] is laid out as it is sent, so that each reason
//!    phrase is written once.
//! 2. Nothing here performs I/O or reads a clock: the time is an argument ([`Now`]).
//! 3. A decision is a function of values, so that its tests are tables.
//! 4. The protocol and the resources meet in [`service`], and nowhere else.

pub mod accept;
pub mod conditional;
pub mod content_coding;
pub mod date;
pub mod exchange_record;
pub mod fields;
pub mod method;
pub mod origin;
pub mod range;
pub mod request;
pub mod response;
pub mod service;
pub mod status;

/// The time, read once per turn of the loop and passed down.
///
/// Tests write it as a literal, and so make a wait of ten minutes last no time at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since an arbitrary start; never goes back. All waiting is measured by it.
    pub monotonic_ns: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z, leap seconds left out. Dates are made from it.
    pub unix_ns: u64,
}

impl Now {
    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub fn unix_s(&self) -> u64 {
        self.unix_ns / 1_000_000_000
    }
}
