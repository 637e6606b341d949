//! A shared folder.
#![allow(dead_code, reason = "the answers that use it are not there yet")]

mod page;
mod query;
