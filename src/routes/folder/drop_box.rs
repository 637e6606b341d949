//! A drop box (`--no-list`): a folder to which others may add files, and in which they cannot see any.
//!
//! # Laws
//!
//! 1. The root has one page, which takes files and contains no names. Every other target of GET and HEAD is a 404. Under
//!    a link that lets others add files to a folder, the page is at the address of this folder.
//! 2. These responses depend on the request alone. No directory is read and no file is looked up for them. So neither
//!    the response nor the time that it takes tells an existing name from a missing one. The exceptions are the
//!    addresses of unfinished uploads: the directories in them are looked up, so the time can tell that one exists.
//! 3. OPTIONS, and each 405, offers GET and HEAD at the page alone. What they offer depends on the path, never on what
//!    exists.
//! 4. A request that writes can tell them apart, and nothing can prevent that: a name that is taken cannot be created.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use super::page::{self, DROP_BOX_ASSETS, UploadSection, Visitor, content_security_policy};
use super::query::{Format, Query};
use super::{FolderRoutes, content_type_of, negotiated_format};
use crate::routes::text::failed_precondition;
use crate::routes::{FileContent, Offer, RouteReply, denied_reply, error_reply, not_found};
use crate::semantics::Now;
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::{Body, Response};
use crate::semantics::rights::{Deed, Grant};
use crate::semantics::service::{PIECE_BYTES_MAX, Reply};
use crate::semantics::status::Status;
use crate::storage::FileSystem;

/// The page of a drop box, and how much of it has been sent. All connections share its text.
pub struct Page {
    text: Rc<[u8]>,
    sent: usize,
}

/// The last page without an account or a link, and what it offers. Nearly all clients get the same one.
#[derive(Default)]
pub(super) struct PageCache(RefCell<Option<(UploadSection<'static>, Rc<[u8]>)>>);

impl PageCache {
    fn get(&self, section: &UploadSection<'_>) -> Rc<[u8]> {
        let make = || {
            let mut text = Vec::new();
            page::write_drop_box(&mut text, section);
            Rc::from(text)
        };
        if section.visitor.account.is_some() || section.expires_unix_s.is_some() {
            return make();
        }
        let anonymous = UploadSection { visitor: Visitor { account: None, ..section.visitor }, ..*section };
        let mut cached = self.0.borrow_mut();
        match &*cached {
            Some((of, text)) if *of == anonymous => Rc::clone(text),
            _ => Rc::clone(&cached.insert((anonymous, make())).1),
        }
    }
}

impl Page {
    pub(in crate::routes) fn bytes_left(&self) -> u64 {
        self.rest().len() as u64
    }

    pub(in crate::routes) fn piece(&self) -> Option<&[u8]> {
        let rest = self.rest();
        (!rest.is_empty()).then(|| &rest[..rest.len().min(PIECE_BYTES_MAX)])
    }

    pub(in crate::routes) fn advance(&mut self, bytes: u64) {
        self.sent = usize::try_from(bytes).map_or(self.text.len(), |bytes| self.sent.saturating_add(bytes));
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.sent..).unwrap_or_default()
    }
}

/// The reply to GET and HEAD of the address of the page.
pub(super) fn respond<'r, F: FileSystem>(
    folder: &FolderRoutes<F>,
    request: &Request<'_>,
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    let query = match Query::parse(request.target.query()) {
        Ok(query) => query,
        Err(reason) => return error_reply(Status::BadRequest, reason),
    };
    let is_page = !query.is_archive && query.format.unwrap_or_else(|| negotiated_format(request)) == Format::Html;
    if !is_page {
        return match grant.allows(Deed::Read) {
            Err(denied) if grant.offered().reads => denied_reply(denied),
            _ => not_found(request),
        };
    }
    if let Some(failed) = failed_precondition(request, now) {
        return Reply::Respond(Response { varies_by_media_type: true, no_cache: true, ..failed });
    }
    let text = folder.drop_box_page.get(&section_of(grant, folder.settings.shows_hidden));
    Reply::Respond(Response {
        content_type: Some(Cow::Borrowed(content_type_of(Format::Html))),
        varies_by_media_type: true,
        no_cache: true,
        nosniff: true,
        same_origin_only: true,
        content_security_policy: Some(content_security_policy(DROP_BOX_ASSETS)),
        body: Body::Source(FileContent::Page(Page { text, sent: 0 })),
        ..Response::new(Status::Ok)
    })
}

/// What a path other than that of the page offers, if a folder that can be read offers `offer` there.
pub(super) fn offer(offer: Offer) -> Offer {
    Offer { methods: without_reading(offer.methods), ..offer }
}

/// The reply to a request that writes, without an offer to read.
pub(super) fn reply_to_write<F: FileSystem>(reply: RouteReply<'_, F>) -> RouteReply<'_, F> {
    match reply {
        Reply::Respond(response) => Reply::Respond(Response { allow: response.allow.map(without_reading), ..response }),
        reply => reply,
    }
}

/// All lists of methods begin with GET and HEAD.
fn without_reading(methods: &'static [Method]) -> &'static [Method] {
    methods.strip_prefix(&[Method::Get, Method::Head]).unwrap_or(methods)
}

/// What the page offers to whoever has this grant.
fn section_of(grant: &Grant, takes_hidden: bool) -> UploadSection<'_> {
    UploadSection {
        may_replace: grant.rights().uploads.may_replace(),
        takes_hidden,
        bytes_max: grant.upload_bytes_max(),
        is_drop_box: true,
        expires_unix_s: grant.expires_unix_s(),
        visitor: Visitor { account: grant.account().map(|name| &**name), could_do_more: grant.could_do_more() },
    }
}
