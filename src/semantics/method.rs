//! Request methods (RFC 9110 §9).

/// A request method. Those that the server does not distinguish are [`Method::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Transfers a representation (§9.3.1).
    Get,
    /// Like GET, but without the content (§9.3.2).
    Head,
    /// Processes the content (§9.3.3). This server stores it.
    Post,
    /// Replaces the resource by the content (§9.3.4).
    Put,
    /// Removes the resource (§9.3.5).
    Delete,
    /// Opens a tunnel (§9.3.6). No resource allows it.
    Connect,
    /// Requests the allowed methods (§9.3.7).
    Options,
    /// Loops the message back (§9.3.8). No resource allows it.
    Trace,
    /// Modifies the resource (RFC 5789). Only unfinished uploads allow it.
    Patch,
    /// Creates a directory (RFC 4918 §9.3).
    Mkcol,
    /// Moves the resource (RFC 4918 §9.9).
    Move,
    /// Any other token.
    Unknown,
}

impl Method {
    /// The method with this name. Methods are case-sensitive (§9.1), so `get` is unknown.
    pub fn from_token(token: &[u8]) -> Method {
        match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            b"MKCOL" => Method::Mkcol,
            b"MOVE" => Method::Move,
            _ => Method::Unknown,
        }
    }

    /// The name of the method.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Mkcol => "MKCOL",
            Method::Move => "MOVE",
            Method::Unknown => "(unknown)",
        }
    }
}
