//! What the response to an honest client's request must be.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::rc::Rc;

use spindle::semantics::rights::UploadPolicy;

use crate::simulation::clients::drop_box;
use crate::simulation::clients::listings;
use crate::simulation::clients::request::OutstandingRequest;
use crate::simulation::clients::responses::Response;
use crate::simulation::file_model::{FileModel, Possible, VersionId};

/// The expected response.
#[derive(Clone)]
pub(crate) enum Expected {
    /// This status, with such a field if one is given.
    Status { status: u16, field: Option<(&'static str, String)> },
    /// This status and this content, after decoding.
    Content { status: u16, content: Rc<[u8]> },
    /// One range of the content, by its first and last byte. It may be the whole content if the version is too young
    /// for a date to identify it.
    Range { first: usize, last: usize, of: Rc<[u8]>, may_be_whole: bool },
    /// Several ranges, as multipart/byteranges.
    Parts { ranges: Vec<(usize, usize)>, of: Rc<[u8]> },
    /// 416 (Range Not Satisfiable).
    NoRange { of_bytes: usize },
    /// A file that may be replaced during the request, by its path below the root.
    File { name: String, condition: ReadCondition },
    /// An upload under that name.
    Stored { name: String, condition: WriteCondition, rules: Rules },
    /// A listing of a directory, by its path below the root, with a slash at the end unless it is the root.
    Listing { directory: &'static str, format: &'static str },
    /// An archive of a directory.
    Archive { directory: &'static str },
    /// The page of a drop box, which contains no names of files.
    DropBoxPage,
    /// The 404 of a drop box, which is the same whether there is a file or not.
    Hidden,
}

/// The rules for uploads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub policy: UploadPolicy,
    /// The status of an upload that the policy does not allow.
    pub refusal_of_uploads: u16,
    pub bytes_max: Option<u64>,
    /// Whether a version whose tag was strong may have a weak tag later. After a restart the server does not know its
    /// earlier uploads, and a coarse modification time may hide a change.
    pub tags_may_weaken: bool,
    pub disk_may_fail: bool,
}

/// The condition of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadCondition {
    Nothing,
    /// If it is not the version whose tag was given last.
    NoneMatch,
    /// A range, if it is that version.
    IfRange,
}

/// The condition of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteCondition {
    Nothing,
    /// If no file exists.
    Absent,
    /// If the file is older than a date in the past, which none is.
    AbsentByDate,
    /// If the version exists whose tag was given last.
    Match,
    /// If any file exists.
    Present,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Status { status, .. } => write!(f, "for {status}"),
            Expected::Content { status, content } => write!(f, "for {status} with {} bytes", content.len()),
            Expected::Range { first, last, .. } => write!(f, "for the range {first}-{last}"),
            Expected::Parts { ranges, .. } => write!(f, "for the ranges {ranges:?}"),
            Expected::NoRange { .. } => write!(f, "for no range"),
            Expected::File { name, condition } => write!(f, "for {name}, which may change, if {condition:?}"),
            Expected::Stored { name, condition, .. } => write!(f, "to store {name}, if {condition:?}"),
            Expected::Listing { directory, format } => write!(f, "for a listing of /{directory} as {format}"),
            Expected::Archive { directory } => write!(f, "for an archive of /{directory}"),
            Expected::DropBoxPage => write!(f, "for the page of a drop box"),
            Expected::Hidden => write!(f, "for what a drop box hides"),
        }
    }
}

/// The check of one response.
pub(crate) struct ResponseCheck<'a> {
    pub outstanding: &'a OutstandingRequest,
    pub response: &'a Response,
    pub model: &'a mut FileModel,
    pub now_ns: u64,
}

impl ResponseCheck<'_> {
    /// What is wrong with the response.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        let response = self.response;
        match &self.outstanding.request.expected {
            Expected::Status { status, field } => {
                self.has_status(*status)?;
                match field {
                    Some((name, value)) if response.field(name) != Some(value) => {
                        Err(format!("{name} is {:?} and not {value:?}", response.field(name)))
                    }
                    _ => Ok(()),
                }
            }
            Expected::Content { status, content } => {
                self.has_status(*status)?;
                self.has_content(content)
            }
            Expected::Range { of, may_be_whole: true, .. } if response.status == 200 => self.has_content(of),
            Expected::Range { first, last, of, .. } => self.has_range(*first, *last, of),
            Expected::Parts { ranges, of } => {
                self.has_status(206)?;
                check_parts(response, ranges, of)
            }
            Expected::NoRange { of_bytes } => {
                self.has_status(416)?;
                match response.field("content-range") {
                    Some(range) if range == format!("bytes */{of_bytes}") => Ok(()),
                    range => Err(format!("a Content-Range of {range:?}")),
                }
            }
            Expected::File { name, condition } => self.check_file(name, *condition),
            Expected::Stored { condition, rules, .. } => self.check_stored(*condition, *rules),
            Expected::Listing { directory, format } => {
                self.has_status(200)?;
                listings::check_listing(self, directory, format)
            }
            Expected::Archive { directory } => {
                self.has_status(200)?;
                listings::check_archive(self, directory)
            }
            Expected::DropBoxPage => {
                self.has_status(200)?;
                drop_box::check_page(self)
            }
            Expected::Hidden => {
                self.has_status(404)?;
                drop_box::check_hidden(response)
            }
        }
    }

    fn has_status(&self, status: u16) -> Result<(), String> {
        match self.response.status {
            found if found == status => Ok(()),
            found => Err(format!("a status of {found} and not {status}")),
        }
    }

    fn has_content(&self, expected: &[u8]) -> Result<(), String> {
        if self.outstanding.request.is_head() {
            let length = self.response.field("content-length").and_then(|length| length.parse().ok());
            let is_encoded = self.response.field("content-encoding").is_some();
            return if is_encoded || length == Some(expected.len()) {
                Ok(())
            } else {
                Err(format!("a length of {length:?}"))
            };
        }
        let decoded = match self.response.field("content-encoding") {
            Some("gzip") if self.outstanding.request.target.starts_with("/echo/") => {
                let mut decoded = Vec::new();
                let mut decoder = flate2::read::GzDecoder::new(&self.response.content[..]);
                decoder.read_to_end(&mut decoded).map_err(|error| format!("invalid gzip: {error}"))?;
                decoded
            }
            _ => self.response.content.clone(),
        };
        let (found, expected_bytes) = (decoded.len(), expected.len());
        if decoded == expected {
            Ok(())
        } else {
            Err(format!("{found} bytes that differ from the expected {expected_bytes}"))
        }
    }

    fn has_range(&self, first: usize, last: usize, of: &[u8]) -> Result<(), String> {
        self.has_status(206)?;
        let expected = format!("bytes {first}-{last}/{}", of.len());
        match self.response.field("content-range") {
            Some(range) if range == expected => self.has_content(&of[first..=last]),
            range => Err(format!("a Content-Range of {range:?} and not {expected:?}")),
        }
    }

    fn check_file(&mut self, name: &str, condition: ReadCondition) -> Result<(), String> {
        let ResponseCheck { outstanding, response, now_ns, .. } = *self;
        let known = outstanding.tag.as_deref().and_then(|tag| Some((tag, self.model.tagged_content(name, tag)?)));
        match (response.status, condition, known) {
            (200, ..) => {
                self.model.may_read(name, Some(&response.content), outstanding.at_ns, now_ns)?;
                let is_named = outstanding.tag.is_some() && response.field("etag") == outstanding.tag.as_deref();
                if is_named && condition != ReadCondition::Nothing {
                    return Err("a conditional request got the complete version that it names".to_owned());
                }
                self.note_tag(name, Rc::from(&response.content[..]))
            }
            (404, ..) => self.model.may_read(name, None, outstanding.at_ns, now_ns),
            (304, ReadCondition::NoneMatch, Some((tag, content))) => {
                // The comparison is weak: the tag may be weak by now.
                if response.field("etag").map(|tag| tag.trim_start_matches("W/")) != Some(tag) {
                    return Err("a 304 with another tag".to_owned());
                }
                self.model.may_read(name, Some(&content), outstanding.at_ns, now_ns)
            }
            (206, ReadCondition::IfRange, Some((tag, content))) => {
                if response.field("etag") != Some(tag) {
                    return Err("a 206 with another tag".to_owned());
                }
                self.has_range(1, 20.min(content.len() - 1), &content)?;
                self.model.may_read(name, Some(&content), outstanding.at_ns, now_ns)
            }
            // The version is too short for the range.
            (416, ReadCondition::IfRange, Some((_, content))) if content.len() < 2 => {
                self.model.may_read(name, Some(&content), outstanding.at_ns, now_ns)
            }
            (status, ..) => Err(format!("a status of {status}")),
        }
    }

    fn note_tag(&mut self, name: &str, content: Rc<[u8]>) -> Result<(), String> {
        match self.response.field("etag") {
            Some(tag) if tag.starts_with('"') => self.model.tagged(name, tag, content),
            _ => Ok(()),
        }
    }

    fn check_stored(&mut self, condition: WriteCondition, rules: Rules) -> Result<(), String> {
        let Rules { policy, bytes_max, .. } = rules;
        let ResponseCheck { outstanding, response, now_ns, .. } = *self;
        let Some(version) = &outstanding.version else { return Err("nothing was stored".to_owned()) };
        let possible = self.model.possible(version, outstanding.tag.as_deref(), outstanding.at_ns, now_ns);
        let bytes = outstanding.request.content.map_or(0, |content| content.bytes as u64);
        let is_too_long = bytes_max.is_some_and(|bytes_max| bytes > bytes_max);
        if matches!(response.status, 201 | 204) {
            let is_post = outstanding.request.method == "POST";
            let made = if is_post { None } else { Some(response.status == 201) };
            self.stored(version, made)?;
            let may = may_be_stored(condition, policy, made, &possible)
                && !is_too_long
                && !(is_post && response.status == 204);
            return if may { Ok(()) } else { Err(format!("stored ({}), although {possible:?}", response.status)) };
        }
        // If the disk fails after the file was named, the file exists, and nobody knows for how long.
        if response.status < 500 {
            self.model.refused(version);
        }
        let may_be_refused = match response.status {
            409 => policy == UploadPolicy::Create && possible.other,
            412 => may_fail(condition, rules, &possible),
            413 => is_too_long,
            status if status == rules.refusal_of_uploads => policy == UploadPolicy::Off,
            _ => false,
        };
        if may_be_refused { Ok(()) } else { Err(format!("a status of {}, although {possible:?}", response.status)) }
    }

    fn stored(&mut self, version: &VersionId, made: Option<bool>) -> Result<(), String> {
        let content = self.model.acknowledged(version, self.now_ns);
        if made == Some(true) {
            self.model.made(&version.name)?;
        }
        self.note_tag(&version.name, content)
    }
}

/// Whether an upload may be stored. `made` says whether the response reports a new file or a replaced one.
fn may_be_stored(condition: WriteCondition, policy: UploadPolicy, made: Option<bool>, possible: &Possible) -> bool {
    let only_makes =
        policy == UploadPolicy::Create || matches!(condition, WriteCondition::Absent | WriteCondition::AbsentByDate);
    let only_replaces = matches!(condition, WriteCondition::Match | WriteCondition::Present);
    let may_make = possible.absent && !only_replaces;
    let may_replace = match condition {
        WriteCondition::Match => possible.tagged,
        _ => possible.other,
    } && !only_makes;
    match made {
        Some(true) => may_make,
        Some(false) => may_replace,
        None => may_make || may_replace,
    }
}

/// Whether the condition of an upload may be false.
fn may_fail(condition: WriteCondition, rules: Rules, possible: &Possible) -> bool {
    let may_replace = matches!(rules.policy, UploadPolicy::Replace | UploadPolicy::Manage);
    match condition {
        WriteCondition::Nothing => false,
        WriteCondition::Absent | WriteCondition::AbsentByDate => possible.other && may_replace,
        WriteCondition::Match => {
            possible.absent || may_replace && (possible.untagged || rules.tags_may_weaken || rules.disk_may_fail)
        }
        // A file that the disk fails to report does not meet the condition.
        WriteCondition::Present => possible.absent || rules.disk_may_fail,
    }
}

/// The content is exactly these parts, in this order.
fn check_parts(response: &Response, ranges: &[(usize, usize)], of: &[u8]) -> Result<(), String> {
    let media_type = response.field("content-type").unwrap_or_default();
    let Some(boundary) = media_type.strip_prefix("multipart/byteranges; boundary=") else {
        return Err(format!("parts of the type {media_type:?}"));
    };
    let mut rest = &response.content[..];
    for (place, (first, last)) in ranges.iter().enumerate() {
        let delimiter = format!("{}--{boundary}\r\n", if place == 0 { "" } else { "\r\n" });
        rest = rest.strip_prefix(delimiter.as_bytes()).ok_or(format!("no boundary before part {place}"))?;
        let head_bytes = memchr::memmem::find(rest, b"\r\n\r\n").ok_or("a part without a head")? + 4;
        let head = String::from_utf8_lossy(&rest[..head_bytes]).into_owned();
        if !head.contains(&format!("Content-Range: bytes {first}-{last}/{}\r\n", of.len())) {
            return Err(format!("a part with the head {head:?}"));
        }
        rest = rest[head_bytes..].strip_prefix(&of[*first..=*last]).ok_or("a part with other bytes")?;
    }
    let end = format!("\r\n--{boundary}--\r\n");
    if rest == end.as_bytes() { Ok(()) } else { Err("bytes other than the last boundary after the parts".to_owned()) }
}

/// The entries of a directory of fixed files: their names, with the content of files.
pub(crate) fn fixed_entries(model: &FileModel, directory: &str) -> BTreeMap<String, Option<Rc<[u8]>>> {
    let mut entries = BTreeMap::new();
    for (name, content) in &model.fixed {
        let Some(rest) = name.strip_prefix(directory) else { continue };
        match rest.split_once('/') {
            Some((first, _)) => entries.insert(format!("{first}/"), None),
            None => entries.insert(rest.to_owned(), Some(Rc::clone(content))),
        };
    }
    if directory.is_empty() {
        entries.insert("up/".to_owned(), None);
        entries.insert("others/".to_owned(), None);
    }
    entries.retain(|name, _| !name.starts_with('.'));
    entries
}
