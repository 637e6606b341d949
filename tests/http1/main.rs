//! Byte scripts for the protocol core, one module for each section of RFC 9110 and RFC 9112 that it obeys.
//!
//! A case is a call of [`script::assert_stays_open`], [`script::assert_closes`], [`script::assert_rejected`] or [`script::assert_incomplete`]: the bytes that a
//! peer sends, and what must come of them. Each case runs whole, byte by byte and cut in two, with a further request
//! behind it and without, before peers that read everything, one byte at a time, or late. Up to 400 bytes are cut at
//! every place; longer cases at some, and the longest not in every combination of these.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod driver;
mod response_reader;
mod script;
mod service;

mod chunked;
mod closing;
mod content_coding;
mod content_length;
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
mod responses;
mod streamed_content;
mod target;
mod timeouts;
