//! Request methods (RFC 9110 §9).

/// A request method, as far as the server tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Transfer a representation (§9.3.1).
    Get,
    /// The same without its content (§9.3.2).
    Head,
    /// Process the content; here: store it (§9.3.3).
    Post,
    /// Replace the resource by the content (§9.3.4).
    Put,
    /// Remove the resource (§9.3.5); offered nowhere.
    Delete,
    /// Open a tunnel (§9.3.6); offered nowhere.
    Connect,
    /// Ask what is offered (§9.3.7).
    Options,
    /// Loop the message back (§9.3.8); offered nowhere.
    Trace,
    /// Modify the resource (RFC 5789); offered nowhere.
    Patch,
    /// A token that this server does not know.
    Unknown,
}

impl Method {
    /// The method that a token names. Methods are case-sensitive (§9.1), so `get` is unknown.
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
            _ => Method::Unknown,
        }
    }

    /// The token that names the method in an Allow field.
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
            Method::Unknown => "(unknown)",
        }
    }
}
