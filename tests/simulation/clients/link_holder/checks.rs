//! Checks the responses to clients with links.

use spindle::semantics::link::LinkRight;

use super::requests::{Deed, Proof, Sent};
use super::{HeldLink, Holder, Upload, given};
use crate::simulation::clients::ClientSocket;
use crate::simulation::clients::account_holder::DENIED;
use crate::simulation::clients::responses::Response;
use crate::simulation::keys::{Judgements, signer_of};
use crate::simulation::network::SECOND;

const INVALID: &[u8] = b"This link is not valid: it is incomplete or was changed, or its key was replaced.\n";
const EXPIRED: &[u8] = b"This link has expired.\n";

/// How long after its last byte an upload may be removed early, because clocks and times of files are rounded.
const AGE_MARGIN_NS: u64 = 4 * SECOND;

impl Holder {
    pub(super) fn check(
        &mut self,
        socket: &mut ClientSocket<'_>,
        sent: &Sent,
        response: &Response,
    ) -> Result<(), String> {
        if response.contains(&sent.signature) {
            return Err("a response shows a signature".to_owned());
        }
        if self.is_excused(socket, response.status) {
            self.lost(sent);
            return Ok(());
        }
        let possible = match &sent.proof {
            Proof::Link(held) => self.keys.judge(socket.inner, held.key, held.link.expires_unix_s, sent.at_ns),
            Proof::Forged(_) => Judgements { invalid: true, ..Judgements::default() },
            Proof::Nothing => return check_without_link(response),
        };
        // The response to HEAD has no content.
        let is_bare = sent.method == "HEAD" && response.status == 403;
        let (judged, was_possible) = match &response.content[..] {
            _ if is_bare => ("refused", possible.invalid || possible.expired),
            INVALID => ("invalid", possible.invalid),
            EXPIRED => ("expired", possible.expired),
            _ => ("granted", possible.granted),
        };
        socket.inner.coverage.count("link", judged);
        if !was_possible {
            return Err(format!("a link was {judged}, and not {possible:?}"));
        }
        if judged != "granted" {
            self.refused(sent);
            if response.status != 403 {
                return Err("a link was refused with another status".to_owned());
            }
            return if sent.was_continued { Err("an upload that had begun was refused".to_owned()) } else { Ok(()) };
        }
        let Proof::Link(held) = &sent.proof else { return Err("a forged link was granted".to_owned()) };
        self.check_granted(socket, held, sent, response)
    }

    /// Whether something else than the link decided: the disk, a shutdown, or the server's own slowness.
    fn is_excused(&self, socket: &ClientSocket<'_>, status: u16) -> bool {
        let is_ending = matches!(status, 408 | 503) && socket.inner.signal_ns.is_some();
        is_ending || status >= 500 && self.rules.disk_may_fail || status == 408 && self.rules.disk_may_be_slow
    }

    /// It is not known what became of a request.
    pub(super) fn lost(&mut self, sent: &Sent) {
        if matches!(sent.deed, Deed::Append | Deed::Cancel) {
            self.upload = None;
        }
    }

    /// A request was refused, so nothing of it may be stored.
    fn refused(&mut self, sent: &Sent) {
        // An upload that is refused once may still succeed.
        if let Some((_, version)) =
            sent.stored.as_ref().filter(|_| sent.deed != Deed::Append && !is_about_upload(sent.deed))
        {
            self.model.borrow_mut().refused(version);
        }
    }

    fn check_granted(
        &mut self,
        socket: &mut ClientSocket<'_>,
        held: &HeldLink,
        sent: &Sent,
        response: &Response,
    ) -> Result<(), String> {
        if is_about_upload(sent.deed) {
            return self.check_upload(socket, sent, response);
        }
        let may_read = !self.rules.is_drop_box;
        let reads = held.link.right == LinkRight::Read;
        let longest = [bytes_max(held.link.right), self.rules.upload_bytes_max].into_iter().flatten().min();
        let is_too_long = longest.is_some_and(|longest| sent.bytes > longest);
        let expected = match sent.deed {
            Deed::Read | Deed::List if !reads => {
                if may_read {
                    403
                } else {
                    404
                }
            }
            Deed::Page if !reads => 200,
            Deed::Read if !may_read => 404,
            Deed::List | Deed::Page if !may_read => 403,
            Deed::Read | Deed::List | Deed::Page => 200,
            Deed::Delete | Deed::CreateDirectory | Deed::Move => {
                if self.rules.offers_manage {
                    403
                } else {
                    405
                }
            }
            _ if reads => 403,
            Deed::Replace => 409,
            _ if is_too_long => 413,
            _ => 201,
        };
        socket.inner.coverage.count("link", &format!("{} gets {}", sent.deed.name(), response.status));
        if response.status != expected && !self.may_have_been_lost(sent, response.status) {
            return Err(format!("{} and not {expected}", response.status));
        }
        if response.status == 403 && response.content != DENIED {
            return Err("another 403".to_owned());
        }
        if response.status >= 400 {
            self.refused(sent);
            return Ok(());
        }
        match sent.deed {
            Deed::Read if response.content != given(self.number)[..] => Err("another content".to_owned()),
            Deed::List if !response.contains("given\n") => Err("a listing without the file".to_owned()),
            Deed::Page if !reads && response.contains("given") => Err("a page that takes files names one".to_owned()),
            Deed::Begin => self.begun(socket, held, sent, response),
            Deed::Store | Deed::Form => {
                let (_, version) = sent.stored.as_ref().ok_or("nothing was sent")?;
                self.model.borrow_mut().acknowledged(version, socket.now_ns());
                self.model.borrow_mut().made(&version.name)
            }
            _ => Ok(()),
        }
    }

    /// A disk that fails may not find a file, and what it reports then decides.
    fn may_have_been_lost(&self, sent: &Sent, status: u16) -> bool {
        self.rules.disk_may_fail && matches!((sent.deed, status), (Deed::Read, 404) | (Deed::Replace, 404))
    }

    /// The server has begun an upload, and has issued a link for it.
    fn begun(
        &mut self,
        socket: &ClientSocket<'_>,
        first: &HeldLink,
        sent: &Sent,
        response: &Response,
    ) -> Result<(), String> {
        let location = response.field("location").ok_or("no location")?;
        let rest = location.strip_prefix("/.spindle/link/").ok_or("a location without a link")?;
        let (text, resource) = rest.split_at(rest.find('/').ok_or("a location without a path")?);
        let (key, link) = signer_of(text, resource).ok_or("a link with a wrong signature")?;
        let right = LinkRight::Continue { bytes_max: bytes_max(first.link.right) };
        if (link.right, link.expires_unix_s, link.id) != (right, first.link.expires_unix_s, first.link.id) {
            return Err(format!("the upload has another link: {link:?}"));
        }
        if !self.keys.may_sign(key, sent.at_ns) {
            return Err(format!("the key {key} signed the link of the upload"));
        }
        let (content, version) = sent.stored.clone().ok_or("nothing was sent")?;
        self.upload = Some(Upload {
            own: HeldLink { text: text.to_owned(), key, link, signed_path: resource.to_owned() },
            first: first.clone(),
            resource: resource.to_owned(),
            version,
            offset: content.len() / 2,
            content,
            touched_ns: socket.now_ns(),
        });
        Ok(())
    }

    fn check_upload(&mut self, socket: &mut ClientSocket<'_>, sent: &Sent, response: &Response) -> Result<(), String> {
        let Some(upload) = &self.upload else { return Err("there is no upload".to_owned()) };
        socket.inner.coverage.count("link", &format!("{} gets {}", sent.deed.name(), response.status));
        let idle_ns = socket.now_ns() - upload.touched_ns;
        let may_be_gone = self.rules.disk_may_fail
            || socket.inner.clock_offset_ns.get() != 0
            || socket.inner.crashed_ns.is_some()
            || idle_ns + AGE_MARGIN_NS > self.rules.upload_age_ns;
        match (sent.deed, response.status) {
            (_, 404) if may_be_gone => self.upload = None,
            (Deed::Inspect, 204) => {
                if response.field("upload-offset") != Some(&upload.offset.to_string())
                    && socket.inner.crashed_ns.is_none()
                {
                    return Err(format!("the offset is not {}", upload.offset));
                }
            }
            (Deed::Append, 409) if socket.inner.crashed_ns.is_some() => self.upload = None,
            (Deed::Append, 201) => {
                self.model.borrow_mut().acknowledged(&upload.version, socket.now_ns());
                self.model.borrow_mut().made(&upload.version.name)?;
                self.upload = None;
            }
            (Deed::Cancel, 204) => {
                self.model.borrow_mut().refused(&upload.version);
                self.upload = None;
            }
            (_, status) => return Err(format!("{status} for an upload")),
        }
        Ok(())
    }
}

/// The longest upload that a link allows, in bytes.
fn bytes_max(right: LinkRight) -> Option<u64> {
    match right {
        LinkRight::Read => None,
        LinkRight::Create { bytes_max } | LinkRight::Continue { bytes_max } => bytes_max,
    }
}

fn is_about_upload(deed: Deed) -> bool {
    matches!(deed, Deed::Inspect | Deed::Append | Deed::Cancel)
}

/// An upload that began under a link is nobody's who comes without it.
fn check_without_link(response: &Response) -> Result<(), String> {
    match response.status {
        401 | 403 | 404 => Ok(()),
        status => Err(format!("{status} for the upload of a link")),
    }
}
