//! What all connections of a resumable upload share: the content, what the client states about it, and what the server
//! has said so far.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use sha2::{Digest as _, Sha256};
use spindle::semantics::rights::UploadPolicy;

use super::checks::location_path;
use crate::simulation::clients::ClientSocket;
use crate::simulation::clients::responses::Response;
use crate::simulation::disk::Loss;
use crate::simulation::file_model::{FileModel, VersionId, content};
use crate::simulation::network::SECOND;
use crate::simulation::scenario::{Scenario, one_of, target_of};

/// By how much the disk may round a time.
const TIME_ROUNDING_NS: u64 = 2 * SECOND;

/// How long after the last act of a client the server may still save its upload.
const EXPIRY_MARGIN_NS: u64 = 15 * SECOND;

/// What all connections of an upload share.
pub(crate) struct Plan {
    pub(super) model: Rc<RefCell<FileModel>>,
    pub(super) name: String,
    pub(super) target: String,
    pub(super) method: &'static str,
    pub(super) content: Rc<[u8]>,
    pub(super) version: Option<VersionId>,
    pub(super) understands_104: bool,
    pub(super) states_length: bool,
    /// Whether the client states a digest of the content, and whether it is the right one.
    pub(super) repr_digest: Option<bool>,
    pub(super) wants_digest: bool,
    /// Whether the client cancels the upload after a few requests.
    pub(super) cancels: bool,
    pub(super) only_creates: bool,
    pub(super) is_drop_box: bool,
    pub(super) disk_may_fail: bool,
    pub(super) is_durable: bool,
    /// Whether a power cut may lose a file while it is published. See `settings::Loss::Unordered`.
    pub(super) may_be_lost_by_power: bool,
    pub(super) age_ns: u64,
    /// When a client last acted on a connection of this upload. `None` while the server may be slower than its clients.
    pub(super) touched_ns: Option<u64>,
    /// The path of the upload resource.
    pub(super) resource: Option<String>,
    /// The highest offset that the server has sent, and when the request for it was sent.
    pub(super) promised: usize,
    pub(super) promised_ns: u64,
    /// The end of the content that was sent.
    pub(super) sent_max: usize,
    /// Whether a request with the rest of the content was sent, so that the file may have been published.
    pub(super) may_be_published: bool,
    /// Whether a request to cancel the upload was sent.
    pub(super) is_cancelled: bool,
    pub(super) is_stored: bool,
    pub(super) is_done: bool,
    pub(super) requests: u32,
    pub(super) connections: u32,
}

impl Plan {
    pub(crate) fn new(
        scenario: &Scenario,
        model: &Rc<RefCell<FileModel>>,
        random: &mut Rng,
        number: usize,
    ) -> Rc<RefCell<Plan>> {
        let name = format!("up/part-{number}");
        let sizes = [0, 1, 900, 900, 20_000, 150_000];
        let sizes = if scenario.upload_bytes_max.is_some() { &sizes[..4] } else { &sizes[..] };
        let bytes = one_of(random, sizes);
        Rc::new(RefCell::new(Plan {
            model: Rc::clone(model),
            target: target_of(scenario, &name),
            name,
            method: one_of(random, &["POST", "PUT"]),
            content: content(5_000_000 + number as u64, bytes),
            version: None,
            understands_104: random.bool(),
            states_length: random.bool(),
            repr_digest: one_of(random, &[None, None, Some(true), Some(true), Some(false)]),
            wants_digest: random.u8(..3) == 0,
            cancels: random.u8(..6) == 0,
            is_drop_box: scenario.is_drop_box,
            only_creates: scenario.policy == UploadPolicy::Create,
            disk_may_fail: scenario.fault_plan.may_fail(),
            is_durable: scenario.durable,
            may_be_lost_by_power: scenario.disk.loss == Loss::Unordered && scenario.disk.no_links.is_some(),
            age_ns: scenario.upload_age_s * SECOND,
            touched_ns: (scenario.fault_plan.slow == 0).then_some(0),
            resource: None,
            promised: 0,
            promised_ns: 0,
            sent_max: 0,
            may_be_published: false,
            is_cancelled: false,
            is_stored: false,
            is_done: false,
            requests: 0,
            connections: 0,
        }))
    }

    /// The server has sent this offset, in response to a request that was sent at that time.
    pub(super) fn promises(&mut self, offset: usize, sent_ns: u64) {
        self.promised = self.promised.max(offset);
        self.promised_ns = self.promised_ns.max(sent_ns);
    }

    /// As [`promises`](Self::promises), by a response that says how long the upload will exist, in Upload-Limit.
    pub(super) fn promises_for(&mut self, offset: usize, sent_ns: u64, response: &Response) -> Result<(), String> {
        let limits = response.field("upload-limit").ok_or("no Upload-Limit")?;
        let max_age = limits.split(", ").find_map(|limit| limit.strip_prefix("max-age=")).ok_or("no max-age")?;
        let lifetime_ns = max_age.parse::<u64>().map_err(|_| "max-age is not a number")?.saturating_mul(SECOND);
        if lifetime_ns > self.age_ns {
            return Err(format!("a max-age of {max_age} s"));
        }
        self.promises(offset, (sent_ns + lifetime_ns).saturating_sub(self.age_ns));
        Ok(())
    }

    /// Whether the upload had certainly expired before a client acts now.
    pub(super) fn has_expired(&self, socket: &ClientSocket<'_>) -> bool {
        let is_exact = !self.disk_may_fail && socket.inner.clock_offset_ns.get() == 0;
        let idle_ns = |at_ns| socket.now_ns().saturating_sub(at_ns);
        self.touched_ns.is_some_and(|at_ns| is_exact && idle_ns(at_ns) > self.age_ns + EXPIRY_MARGIN_NS)
    }

    /// The server has created this upload resource.
    pub(super) fn has_created(&mut self, location: &str) -> Result<(), String> {
        let resource = location_path(location)?;
        if self.resource.as_ref() != Some(&resource) {
            (self.resource, self.promised, self.promised_ns, self.is_cancelled) = (Some(resource), 0, 0, false);
        }
        Ok(())
    }

    /// Forgets the upload resource.
    pub(super) fn forget(&mut self) {
        (self.resource, self.promised, self.is_cancelled) = (None, 0, false);
    }

    pub(super) fn digest(&self) -> String {
        digest(&self.content)
    }

    /// Whether the server may not find the upload.
    pub(super) fn may_be_gone(&self, socket: &ClientSocket<'_>) -> bool {
        let age_ns = socket.now_ns() - self.promised_ns.min(socket.now_ns());
        let may_have_expired = age_ns + TIME_ROUNDING_NS > self.age_ns || socket.inner.clock_offset_ns.get() > 0;
        let may_be_lost = self.promised == 0 || self.may_be_lost_by_power && socket.inner.crashed_ns.is_some();
        // The server removes content whose Repr-Digest differs.
        let may_differ = self.repr_digest == Some(false) && self.may_be_published;
        self.is_cancelled || self.disk_may_fail || may_have_expired || may_be_lost || may_differ
    }
}

pub(super) fn digest(content: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(content)))
}
