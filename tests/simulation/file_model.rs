//! A model of the files, which decides what a client may read: the files that exist from the start, and each version
//! that a client has uploaded. A reader must get a complete version, and one that can be the latest.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// A version of an uploaded file.
struct Version {
    content: Rc<[u8]>,
    /// When the first byte of its request was sent, and when the client read the response that acknowledges it.
    sent_ns: u64,
    acknowledged_ns: Option<u64>,
    /// Whether a response said that it was not stored.
    is_refused: bool,
}

/// A version, by its index among those of its name.
#[derive(Clone, Debug)]
pub(crate) struct VersionId {
    pub name: String,
    number: usize,
}

/// The files of a run.
#[derive(Default)]
pub(crate) struct FileModel {
    /// Files that no client writes to, by their paths below the root.
    pub fixed: BTreeMap<&'static str, Rc<[u8]>>,
    uploads: BTreeMap<String, Vec<Version>>,
    /// For each name the content of each strong entity tag, and the latest tag.
    tags: BTreeMap<String, Tags>,
    /// Names for which a response said that an upload created the file. No file is ever removed.
    made: BTreeSet<String>,
}

#[derive(Default)]
struct Tags {
    contents: BTreeMap<String, Rc<[u8]>>,
    last: String,
}

/// What may exist under the name of an upload while its request is processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Possible {
    /// No file.
    pub absent: bool,
    /// Another version.
    pub other: bool,
    /// The version with the entity tag that the request names, and a version with another tag.
    pub tagged: bool,
    pub untagged: bool,
}

type Content = Rc<[u8]>;

/// Content number `number`. Unless it is only a few bytes long, no other number has the same content.
pub(crate) fn content(number: u64, bytes: usize) -> Rc<[u8]> {
    thread_local! {
        /// A cache, since most runs use the same contents.
        static MADE: RefCell<HashMap<(u64, usize), Content>> = RefCell::default();
    }
    MADE.with_borrow_mut(|made| Rc::clone(made.entry((number, bytes)).or_insert_with(|| make_content(number, bytes))))
}

fn make_content(number: u64, bytes: usize) -> Rc<[u8]> {
    let mut random = fastrand::Rng::with_seed(number);
    let mut content = vec![0; bytes];
    random.fill(&mut content);
    content.into()
}

impl FileModel {
    /// Notes that a client sends this content, to be stored under that name.
    pub(crate) fn sends(&mut self, name: &str, content: Rc<[u8]>, now_ns: u64) -> VersionId {
        let versions = self.uploads.entry(name.to_owned()).or_default();
        versions.push(Version { content, sent_ns: now_ns, acknowledged_ns: None, is_refused: false });
        VersionId { name: name.to_owned(), number: versions.len() - 1 }
    }

    fn version(&mut self, id: &VersionId) -> &mut Version {
        &mut self.uploads.get_mut(&id.name).expect("a version that was sent")[id.number]
    }

    /// Notes that a response has acknowledged the version. Returns its content.
    pub(crate) fn acknowledged(&mut self, id: &VersionId, now_ns: u64) -> Rc<[u8]> {
        let version = self.version(id);
        version.acknowledged_ns = Some(now_ns);
        Rc::clone(&version.content)
    }

    /// Notes that a response said that an upload created this file. A second one is an error.
    pub(crate) fn made(&mut self, name: &str) -> Result<(), String> {
        if self.made.insert(name.to_owned()) { Ok(()) } else { Err(format!("{name} was created twice")) }
    }

    /// What may exist under the name of an upload besides the upload itself.
    pub(crate) fn possible(&self, id: &VersionId, tag: Option<&str>, requested_ns: u64, got_ns: u64) -> Possible {
        let versions = self.uploads.get(&id.name).map(Vec::as_slice).unwrap_or_default();
        let others = versions.iter().enumerate().filter(|(number, _)| *number != id.number).map(|(_, version)| version);
        let may_be_there = |version: &&Version| {
            let is_superseded = is_superseded(versions, Some(version), requested_ns);
            version.sent_ns <= got_ns && !version.is_refused && !is_superseded
        };
        let tagged = tag.and_then(|tag| self.tagged_content(&id.name, tag));
        let has_tag = |version: &&Version| tagged.as_ref().is_some_and(|content| *version.content == **content);
        let there: Vec<&Version> = others.filter(may_be_there).collect();
        Possible {
            absent: !is_superseded(versions, None, requested_ns),
            other: !there.is_empty(),
            tagged: there.iter().any(has_tag),
            // Two uploads of the same content have different tags.
            untagged: there.iter().any(|version| !has_tag(version)) || there.len() > 1,
        }
    }

    /// Notes that a response said that the version was not stored.
    pub(crate) fn refused(&mut self, id: &VersionId) {
        self.version(id).is_refused = true;
    }

    /// Checks what a client has read: it sent the request at `requested_ns` and had the whole response at `got_ns`. `found`
    /// is `None` if no file was found.
    pub(crate) fn may_read(
        &self,
        name: &str,
        found: Option<&[u8]>,
        requested_ns: u64,
        got_ns: u64,
    ) -> Result<(), String> {
        if let Some(fixed) = self.fixed.get(name) {
            return if found == Some(&fixed[..]) { Ok(()) } else { Err(format!("{name} has changed")) };
        }
        let versions = self.uploads.get(name).map(Vec::as_slice).unwrap_or_default();
        let superseded = |of: Option<&Version>| is_superseded(versions, of, requested_ns);
        let Some(found) = found else {
            return if superseded(None) { Err(format!("{name} was acknowledged, and does not exist")) } else { Ok(()) };
        };
        let same: Vec<&Version> = versions.iter().filter(|version| *version.content == *found).collect();
        if same.is_empty() {
            return Err(format!("{name} contains {} bytes, which are not an uploaded version", found.len()));
        }
        if same.iter().all(|version| version.sent_ns > got_ns || version.is_refused) {
            return Err(format!("{name} contains a refused version"));
        }
        if same.iter().all(|version| superseded(Some(version))) {
            return Err(format!("{name} contains a version that had been replaced"));
        }
        Ok(())
    }

    /// Notes that a response gave this content a strong entity tag. A tag that was given to other content is an error.
    pub(crate) fn tagged(&mut self, name: &str, tag: &str, content: Rc<[u8]>) -> Result<(), String> {
        let tags = self.tags.entry(name.to_owned()).or_default();
        tags.last = tag.to_owned();
        match tags.contents.insert(tag.to_owned(), Rc::clone(&content)) {
            Some(known) if known != content => Err(format!("{name} has two contents under {tag}")),
            _ => Ok(()),
        }
    }

    /// The latest strong tag of a name.
    pub(crate) fn last_tag(&self, name: &str) -> Option<String> {
        self.tags.get(name).map(|tags| tags.last.clone())
    }

    /// The content of a strong tag.
    pub(crate) fn tagged_content(&self, name: &str, tag: &str) -> Option<Rc<[u8]>> {
        self.tags.get(name).and_then(|tags| tags.contents.get(tag)).cloned()
    }

    /// The names of all uploads, stored or not.
    pub(crate) fn uploaded_names(&self) -> impl Iterator<Item = &str> {
        self.uploads.keys().map(String::as_str)
    }
}

/// Whether a version, or the absence of a file (`None`), was replaced before `requested_ns`: a version that was sent after
/// it was acknowledged has been acknowledged by then.
fn is_superseded(versions: &[Version], of: Option<&Version>, requested_ns: u64) -> bool {
    versions.iter().any(|later| {
        let is_later = of.is_none_or(|of| of.acknowledged_ns.is_some_and(|at_ns| at_ns < later.sent_ns));
        is_later && later.acknowledged_ns.is_some_and(|at_ns| at_ns < requested_ns)
    })
}
