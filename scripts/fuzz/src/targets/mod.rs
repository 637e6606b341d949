//! The fuzz targets, one module each: how a target interprets its input, and the invariants for any input. An invariant
//! is a function, or an assertion whose message states the invariant.

pub mod accept_encoding;
pub mod chunked;
pub mod connection;
pub mod form_data;
pub mod head;

mod expand;

/// A fuzz target.
pub struct Target {
    /// Its name, and the name of its folder in the corpus.
    pub name: &'static str,
    /// Panics if the input breaks an invariant.
    pub run: fn(&[u8]),
}

/// Every target.
pub const ALL: [Target; 5] = [
    Target { name: "head", run: head::run },
    Target { name: "chunked", run: chunked::run },
    Target { name: "accept_encoding", run: accept_encoding::run },
    Target { name: "form_data", run: form_data::run },
    Target { name: "connection", run: connection::run },
];
