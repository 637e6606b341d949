//! Who may do what: makes the grant of each request.

use std::rc::Rc;

use super::accounts::{Account, Accounts, Credentials, CredentialsError};
use super::link::{Link, LinkIssuer, LinkKeys, LinkRight};
use super::request::Request;
use super::rights::{Grant, Identity, Rights, Scope, UploadPolicy};

/// The request has credentials, and they are those of no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongCredentials;

/// What the server offers, and to whom.
#[derive(Debug)]
pub struct Access {
    offered: Rights,
    everybody: Rights,
    upload_bytes_max: Option<u64>,
    accounts: Option<Accounts>,
}

impl Access {
    /// Everybody may do what is `offered`. `upload_bytes_max` is the longest upload, in bytes.
    pub fn for_everybody(offered: Rights, upload_bytes_max: Option<u64>) -> Access {
        Access { offered, everybody: offered, upload_bytes_max, accounts: None }
    }

    /// The same, but if there are no accounts, only these uploads are allowed without a link.
    pub fn with_uploads_for_everybody(self, uploads: UploadPolicy) -> Access {
        Access { everybody: self.offered.and(Rights { uploads, ..Rights::ALL }), ..self }
    }

    /// From now on nobody may do more than the accounts say. What is offered stays the most that they can say.
    pub fn set_accounts(&mut self, accounts: Accounts) {
        self.accounts = Some(accounts);
    }

    /// Whether it matters who sends a request.
    pub fn has_accounts(&self) -> bool {
        self.accounts.is_some()
    }

    /// The grant of a request. An account may do what everybody may, and what its own line says.
    ///
    /// # Errors
    /// If the request has credentials that are wrong, whatever it asks for.
    // Inlined, because a grant is large: without accounts it is made where it is used.
    #[inline]
    pub fn grant_of(&self, request: &Request<'_>) -> Result<Grant, WrongCredentials> {
        match &self.accounts {
            None => Ok(self.grant(self.everybody, None, Rights::NONE)),
            Some(accounts) => self.grant_by(accounts, request),
        }
    }

    fn grant_by(&self, accounts: &Accounts, request: &Request<'_>) -> Result<Grant, WrongCredentials> {
        let everybody = accounts.everybody();
        match Credentials::of(&request.fields) {
            Ok(None) => Ok(self.grant(everybody, None, accounts.anybody())),
            Ok(Some(credentials)) => {
                let account = accounts.authenticate(&credentials).ok_or(WrongCredentials)?;
                Ok(self.grant(everybody.or(account.rights()), Some(account), Rights::NONE))
            }
            Err(CredentialsError) => Err(WrongCredentials),
        }
    }

    fn grant(&self, rights: Rights, account: Option<&Account>, others: Rights) -> Grant {
        Grant {
            rights: rights.and(self.offered),
            offered: self.offered,
            others: others.and(self.offered),
            identity: account.map_or(Identity::Anybody, |account| Identity::Account(account.name().clone())),
            scope: Scope::Everything,
            upload_bytes_max: self.upload_bytes_max,
            link: None,
        }
    }

    /// The grant of a request under a link that was verified. `signed_path` is the part of the request's decoded path that is
    /// signed. What the server offers to nobody, a link does not give either.
    pub fn grant_of_link(&self, link: Link, signed_path: &[u8], keys: &Rc<LinkKeys>) -> Grant {
        let (reads, uploads, bytes_max) = match link.right {
            LinkRight::Read => (true, UploadPolicy::Off, None),
            LinkRight::Create { bytes_max } | LinkRight::Continue { bytes_max } => {
                (false, UploadPolicy::Create, bytes_max)
            }
        };
        Grant {
            rights: self.offered.and(Rights { reads, uploads }),
            offered: self.offered,
            others: Rights::NONE,
            identity: Identity::Link(link.id),
            scope: link.scope(signed_path),
            upload_bytes_max: [self.upload_bytes_max, bytes_max].into_iter().flatten().min(),
            link: Some(LinkIssuer::new(link, keys)),
        }
    }
}
