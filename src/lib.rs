//! Spindle: an HTTP/1.1 server in one thread.
