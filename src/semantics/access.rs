//! Who may do what: makes the grant of each request.

use super::accounts::{Account, Accounts, Credentials, CredentialsError};
use super::request::Request;
use super::rights::{Denied, Grant, Identity, Rights, Scope};

/// What the server offers, and to whom.
#[derive(Debug)]
pub struct Access {
    offered: Rights,
    upload_bytes_max: Option<u64>,
    accounts: Option<Accounts>,
}

impl Access {
    /// Everybody may do what is `offered`. `upload_bytes_max` is the longest upload, in bytes.
    pub fn for_everybody(offered: Rights, upload_bytes_max: Option<u64>) -> Access {
        Access { offered, upload_bytes_max, accounts: None }
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
    /// [`Denied::SignIn`] if the request has credentials that are wrong, whatever it asks for.
    pub fn grant_of(&self, request: &Request<'_>) -> Result<Grant, Denied> {
        let Some(accounts) = &self.accounts else { return Ok(self.grant(self.offered, None, Rights::NONE)) };
        let everybody = accounts.everybody();
        match Credentials::of(&request.fields) {
            Ok(None) => Ok(self.grant(everybody, None, accounts.anybody())),
            Ok(Some(credentials)) => {
                let account = accounts.authenticate(&credentials).ok_or(Denied::SignIn)?;
                Ok(self.grant(everybody.or(account.rights()), Some(account), Rights::NONE))
            }
            Err(CredentialsError) => Err(Denied::SignIn),
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
        }
    }
}
