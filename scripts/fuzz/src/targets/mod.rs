//! One module a target: how it reads its input, and what must hold whatever the input is. Each invariant is a function
//! or an assertion whose message is the sentence that must be true.

pub mod accept_encoding;
pub mod chunked;
pub mod connection;
pub mod head;

mod expand;

/// A fuzz target.
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Panics where an invariant does not hold.
    pub run: fn(&[u8]),
}

/// Every target.
pub const ALL: [Target; 4] = [
    Target { name: "head", run: head::run },
    Target { name: "chunked", run: chunked::run },
    Target { name: "accept_encoding", run: accept_encoding::run },
    Target { name: "connection", run: connection::run },
];
