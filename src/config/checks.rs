//! The options checked against each other, and the defaults that depend on several of them.

use log::LevelFilter;

use super::arguments::Arguments;
use super::error::{UsageError, shown};
use crate::routes::FolderKind;
use crate::semantics::rights::UploadPolicy;
use crate::system::listen::{Bind, ListenAddress, ListenOptions};

/// The default port: that of the challenge.
const PORT: u16 = 4221;

impl Arguments {
    /// An option that was given and that only a shared folder has.
    fn folder_option(&self) -> Option<&'static str> {
        let given = [
            (self.options.shows_hidden, "--hidden"),
            (self.is_site, "--site"),
            (self.is_drop_box, "--no-list"),
            (self.options.draws_qr, "--qr"),
            (self.accounts.is_some(), "--accounts"),
            (self.link_key.is_some(), "--link-key"),
            // The administrator's listeners check host names as well.
            (!self.hosts.is_empty() && self.admin.is_empty(), "--host"),
        ];
        given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }

    /// Which uploads are allowed at most.
    ///
    /// # Errors
    /// If an option needs a folder or a directory that is not given, or if both are given.
    pub(super) fn upload_policy(&self) -> Result<UploadPolicy, UsageError> {
        match (&self.folder, &self.directory) {
            (Some(folder), Some(directory)) => Err(UsageError::new(format!(
                "DIR {} is shared at /, and --directory {} is served at /files/: give only one of them",
                shown(folder.as_os_str()),
                shown(directory.as_os_str())
            ))),
            // Sharing a folder lets others read it. Letting them write needs an explicit option: accounts and links say
            // which uploads are allowed. A site has none.
            (Some(_), None) => Ok(self.uploads.unwrap_or(match (&self.accounts, &self.link_key) {
                _ if self.is_site => UploadPolicy::Off,
                (Some(_), _) => UploadPolicy::Manage,
                (None, Some(_)) => UploadPolicy::Create,
                (None, None) => UploadPolicy::Off,
            })),
            (None, directory) => match (self.folder_option(), self.upload_option()) {
                (Some(option), _) => {
                    let without = if directory.is_some() { ", without --directory" } else { "" };
                    Err(UsageError::new(format!("{option} needs a folder to share: spindle {option} … DIR{without}")))
                }
                (None, Some(option)) if directory.is_none() => {
                    Err(UsageError::new(format!("{option} needs a directory: give DIR, or --directory DIR")))
                }
                _ => Ok(self.uploads.unwrap_or(UploadPolicy::Replace)),
            },
        }
    }

    /// Which uploads are allowed without a link, if `policy` is what is allowed at most.
    pub(super) fn uploads_for_everybody(&self, policy: UploadPolicy) -> UploadPolicy {
        if self.uploads.is_none() && self.link_key.is_some() { UploadPolicy::Off } else { policy }
    }

    /// What others find in the folder.
    ///
    /// # Errors
    /// If that contradicts what they may do in it.
    pub(super) fn folder_kind(&self, policy: UploadPolicy) -> Result<FolderKind, UsageError> {
        match (self.is_site, self.is_drop_box) {
            (false, false) => Ok(FolderKind::Listed),
            (true, true) => Err(UsageError::new("--site and --no-list cannot be combined: nobody could read the site")),
            (true, false) if policy == UploadPolicy::Off => Ok(FolderKind::Site),
            (true, false) => Err(UsageError::new(
                "--site and --uploads cannot be combined: uploaded scripts would run as a part of the site".to_owned(),
            )),
            (false, true) if policy == UploadPolicy::Off => Err(self.needs_uploads("--no-list")),
            (false, true) => Ok(FolderKind::DropBox),
        }
    }

    /// Checks that no option for uploads is given if there are none.
    pub(super) fn check_upload_options(&self, policy: UploadPolicy) -> Result<(), UsageError> {
        match self.upload_detail() {
            Some(option) if policy == UploadPolicy::Off => Err(self.needs_uploads(option)),
            _ => Ok(()),
        }
    }

    /// The error that `option` has no effect, because there are no uploads.
    fn needs_uploads(&self, option: &str) -> UsageError {
        UsageError::new(if self.is_site {
            format!("--site and {option} cannot be combined: a web site takes no uploads")
        } else if self.uploads.is_some() {
            format!("{option} and --uploads off cannot be combined: the server would take no uploads")
        } else {
            format!("{option} needs uploads: give also --uploads create, replace or manage")
        })
    }

    /// An option that was given and that only matters if there is a directory to upload to.
    fn upload_option(&self) -> Option<&'static str> {
        self.uploads.map(|_| "--uploads").or_else(|| self.upload_detail())
    }

    /// An option that was given and that says how uploads are handled.
    fn upload_detail(&self) -> Option<&'static str> {
        let given = [
            (self.upload_bytes_max.is_some(), "--max-upload"),
            (self.upload_age_s_max.is_some(), "--upload-max-age"),
            (self.uploads_pending_max.is_some(), "--uploads-pending"),
            (self.fsync, "--fsync"),
        ];
        given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }

    /// Where to listen: by `--listen`, or else by `--bind` and `--port`.
    pub(super) fn listen_addresses(&self) -> Result<Vec<ListenAddress>, UsageError> {
        if self.listen.is_empty() {
            let bind = self.bind.unwrap_or(Bind::Localhost);
            return Ok(vec![ListenAddress::Tcp(bind, self.port.unwrap_or(PORT))]);
        }
        let replaced = [(self.bind.is_some(), "--bind"), (self.port.is_some(), "--port")];
        match replaced.into_iter().find_map(|(is_given, option)| is_given.then_some(option)) {
            Some(option) => Err(UsageError::new(format!("--listen replaces {option}: give only one of them"))),
            None => Ok(self.listen.clone()),
        }
    }

    pub(super) fn listen_options(&self, listen: &[ListenAddress]) -> Result<ListenOptions, UsageError> {
        let has_unix = listen.iter().chain(&self.admin).any(|address| matches!(address, ListenAddress::Unix(_)));
        if self.unix_mode.is_some() && !has_unix {
            return Err(UsageError::new(
                "--unix-mode needs a Unix socket: --listen unix:PATH, or --admin unix:PATH".to_owned(),
            ));
        }
        if self.reuse_port {
            let ports = || listen.iter().filter_map(ListenAddress::port);
            if ports().next().is_none() {
                return Err(UsageError::new("--reuse-port needs a TCP port to listen on"));
            }
            // Each process would get another one.
            if ports().any(|port| port == 0) {
                return Err(UsageError::new("--reuse-port needs a port other than 0"));
            }
        }
        Ok(ListenOptions { unix_mode: self.unix_mode.unwrap_or_default(), reuse_port: self.reuse_port })
    }

    pub(super) fn log_level(&self) -> Result<LevelFilter, UsageError> {
        match (self.quiet, self.verbose) {
            (true, 0) => Ok(LevelFilter::Error),
            (true, _) => Err(UsageError::new("--quiet and --verbose cannot be combined")),
            (false, 0) => Ok(LevelFilter::Warn),
            (false, 1) => Ok(LevelFilter::Info),
            (false, 2) => Ok(LevelFilter::Debug),
            (false, _) => Err(UsageError::new("--verbose can be given at most twice")),
        }
    }
}
