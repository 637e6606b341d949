//! The fuzz targets, one module each: how a target interprets its input, and the invariants for any input. An invariant
//! is a function, or an assertion whose message states the invariant.

pub mod accept_encoding;
pub mod access_log;
pub mod accounts;
pub mod chunked;
pub mod connection;
pub mod credentials;
pub mod folder;
pub mod form_data;
pub mod forwarded;
pub mod head;
pub mod link;
pub mod proxy_header;

mod driver;
mod expand;
mod plan;

/// A fuzz target.
pub struct Target {
    /// Its name, and the name of its folder in the corpus.
    pub name: &'static str,
    /// Panics if the input breaks an invariant.
    pub run: fn(&[u8]),
}

/// Every target.
pub const ALL: [Target; 12] = [
    Target { name: "head", run: head::run },
    Target { name: "chunked", run: chunked::run },
    Target { name: "accept_encoding", run: accept_encoding::run },
    Target { name: "form_data", run: form_data::run },
    Target { name: "proxy_header", run: proxy_header::run },
    Target { name: "forwarded", run: forwarded::run },
    Target { name: "link", run: link::run },
    Target { name: "access_log", run: access_log::run },
    Target { name: "accounts", run: accounts::run },
    Target { name: "credentials", run: credentials::run },
    Target { name: "connection", run: connection::run },
    Target { name: "folder", run: folder::run },
];
