//! Status codes (RFC 9110 §15) with their registered reason phrases.

macro_rules! statuses {
    ($($name:ident $code:literal $reason:literal;)*) => {
        /// A status code that this server sends.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Status {
            $(#[doc = $reason] $name = $code,)*
        }

        impl Status {
            /// The status with this code; `None` if the server does not send it.
            pub fn from_code(code: u16) -> Option<Status> {
                match code {
                    $($code => Some(Status::$name),)*
                    _ => None,
                }
            }

            /// The status line with its CRLF (RFC 9112 §4).
            pub fn line(self) -> &'static [u8] {
                match self {
                    $(Status::$name => concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n").as_bytes(),)*
                }
            }
        }
    };
}

statuses! {
    Ok 200 "OK";
    Created 201 "Created";
    NoContent 204 "No Content";
    PartialContent 206 "Partial Content";
    MovedPermanently 301 "Moved Permanently";
    SeeOther 303 "See Other";
    NotModified 304 "Not Modified";
    BadRequest 400 "Bad Request";
    Unauthorized 401 "Unauthorized";
    Forbidden 403 "Forbidden";
    NotFound 404 "Not Found";
    MethodNotAllowed 405 "Method Not Allowed";
    NotAcceptable 406 "Not Acceptable";
    RequestTimeout 408 "Request Timeout";
    Conflict 409 "Conflict";
    PreconditionFailed 412 "Precondition Failed";
    ContentTooLarge 413 "Content Too Large";
    UriTooLong 414 "URI Too Long";
    UnsupportedMediaType 415 "Unsupported Media Type";
    RangeNotSatisfiable 416 "Range Not Satisfiable";
    ExpectationFailed 417 "Expectation Failed";
    MisdirectedRequest 421 "Misdirected Request";
    RequestHeaderFieldsTooLarge 431 "Request Header Fields Too Large";
    InternalServerError 500 "Internal Server Error";
    NotImplemented 501 "Not Implemented";
    BadGateway 502 "Bad Gateway";
    ServiceUnavailable 503 "Service Unavailable";
    HttpVersionNotSupported 505 "HTTP Version Not Supported";
    InsufficientStorage 507 "Insufficient Storage";
}

impl Status {
    /// The status code as a number.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// Whether the request was received, understood and accepted (RFC 9110 §15.3).
    pub fn is_successful(self) -> bool {
        (200..300).contains(&self.code())
    }

    /// Whether a response with this status never has content, whatever its fields say (RFC 9112 §6.3, rule 1).
    pub fn forbids_content(self) -> bool {
        matches!(self, Status::NoContent | Status::NotModified)
    }
}
