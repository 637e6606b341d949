//! Who may do what: makes the grant of each request.

use super::request::Request;
use super::rights::{Denied, Grant, Identity, Rights, Scope};

/// What the server offers, and to whom.
#[derive(Debug)]
pub struct Access {
    offered: Rights,
    upload_bytes_max: Option<u64>,
}

impl Access {
    /// Everybody may do what is `offered`. `upload_bytes_max` is the longest upload, in bytes.
    pub fn for_everybody(offered: Rights, upload_bytes_max: Option<u64>) -> Access {
        Access { offered, upload_bytes_max }
    }

    /// The grant of a request.
    ///
    /// # Errors
    /// If the request has credentials that are wrong.
    pub fn grant_of(&self, _request: &Request<'_>) -> Result<Grant, Denied> {
        Ok(Grant {
            rights: self.offered,
            offered: self.offered,
            others: Rights::NONE,
            identity: Identity::Anybody,
            scope: Scope::Everything,
            upload_bytes_max: self.upload_bytes_max,
        })
    }
}
