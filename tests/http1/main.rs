//! Byte scripts for the protocol core, one module for each section of RFC 9110 and RFC 9112 that it implements.
//!
//! A case is a call of [`script::assert_stays_open`], [`script::assert_closes`], [`script::assert_rejected`] or
//! [`script::assert_incomplete`], with the bytes that a client sends and the expected result. Each case is repeated
//! with the bytes sent in one piece, byte by byte, and split in two; with and without a further request after them; and
//! with clients that read everything, one byte at a time, or late. Cases of up to 400 bytes are split at every offset.
//! Longer cases are split at some offsets, and the longest are not run in every combination of these.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod driver;
mod response_reader;
mod script;
mod service;

mod arrived_content;
mod chunked;
mod closing;
mod content_coding;
mod content_length;
mod deferred;
mod expect;
mod host;
mod limits;
mod message_head;
mod methods;
mod origin;
mod persistence;
mod pipelining;
mod preconditions;
mod properties;
mod proxy_protocol;
mod responses;
mod streamed_content;
mod target;
mod timeouts;
