//! What is on the disk: within the folder, hidden in it, and outside.

use spindle::semantics::rights::UploadPolicy;

use super::disk::Disk;
use super::links::Granted;
use super::options::Options;

/// Only files outside the folder have one of these in their names or contents.
const OUTSIDE: [&str; 2] = ["0utside", "s3cret"];

/// Only hidden files have one of these in their names or contents.
const HIDDEN: [&str; 2] = ["h1dden", "c0nfidential"];

/// Files, and what only their names or contents contain.
const INSIDE: [(&str, &str); 3] =
    [("/caf\u{e9} \"<&'.svg", "caf%C3%A9"), ("/dir/deep/d", "quick brown"), ("/page.html", "<p>page")];

/// Creates the files of each run, with links that lead out of the folder.
pub(super) fn create(disk: &Disk) {
    for directory in ["dir", "dir/deep", "dir/empty", "keep", "keep/.h1dden", "s"] {
        disk.add_directory(directory);
    }
    let text = b"The quick brown fox jumps over the lazy dog.\n".repeat(100);
    for (path, content) in [
        ("a.txt", &b"hello"[..]),
        ("page.html", b"<p>page"),
        ("dir/c", b"c"),
        ("dir/deep/d", &text),
        ("empty", b""),
        ("caf\u{e9} \"<&'.svg", b"<svg/>"),
        ("s/index.html", b"<p>index"),
        ("s/index.html.gz", b"\x1f\x8b gzip"),
        ("404.html", b"<p>missing"),
        (".h1dden", b"c0nfidential"),
        ("keep/.h1dden/h1dden", b"c0nfidential, too"),
        ("/outside/0utside", b"s3cret"),
    ] {
        disk.add_file(path, content, 1_000_000_000_000_000_000);
    }
    for (path, target) in [
        ("out", "../outside"),
        ("outfile", "../outside/0utside"),
        ("absolute", "/outside"),
        ("dir/up", "../../outside"),
        ("in", "a.txt"),
        ("indir", "dir"),
        ("loop", "loop"),
    ] {
        disk.add_link(path, target);
    }
    disk.add_fifo("fifo");
    disk.add_socket("socket");
}

/// All that is stored in the folder, without the times of files: those depend on how a plan lets time pass.
pub(super) fn timeless(disk: &Disk) -> Vec<String> {
    let without_time = |line: String| line.rsplit_once(" at ").map_or(line.clone(), |(line, _)| line.to_owned());
    visible(disk).into_iter().map(without_time).collect()
}

fn is_own(line: &str) -> bool {
    line.contains("/.spindle-") || line.contains("/.spindle=")
}

/// All that is stored in the folder, without the temporary files of the server.
pub(super) fn visible(disk: &Disk) -> Vec<String> {
    disk.everything(".").into_iter().filter(|line| !is_own(line)).collect()
}

/// A hidden entry, without the directories that lead to the first hidden one: those may have been moved.
fn hidden(line: &str) -> Option<&str> {
    name_of(line).find("/.").map(|at| &line[at..])
}

fn name_of(line: &str) -> &str {
    line.split_once(" is ").or_else(|| line.split_once(" -> ")).map_or(line, |(name, _)| name)
}

/// What was stored before a run.
pub(super) struct Snapshot {
    outside: Vec<String>,
    visible: Vec<String>,
}

impl Snapshot {
    pub(super) fn new(disk: &Disk) -> Snapshot {
        Snapshot { outside: disk.outside(), visible: visible(disk) }
    }

    /// How many names there are.
    pub(super) fn names(&self) -> usize {
        self.visible.len()
    }

    /// Invariants 2 to 4, 7 and 8, after these connections.
    pub(super) fn assert_kept(&self, disk: &Disk, options: &Options, streams: &[Vec<u8>]) {
        assert_eq!(disk.outside(), self.outside, "nothing outside the folder changes");
        let now = visible(disk);
        if !options.shows_hidden {
            let sorted = |lines: &[String]| {
                let mut found: Vec<String> = lines.iter().filter_map(|line| hidden(line)).map(str::to_owned).collect();
                found.sort();
                found
            };
            assert_eq!(sorted(&now), sorted(&self.visible), "no hidden name changes");
        }
        match options.rights(&streams.concat()).uploads {
            UploadPolicy::Off => assert_eq!(now, self.visible, "without uploads nothing changes"),
            UploadPolicy::Create => {
                let lost = self.visible.iter().find(|line| now.binary_search(line).is_err());
                assert_eq!(lost, None, "with `create` no existing file changes");
            }
            UploadPolicy::Replace => {
                let names: Vec<&str> = now.iter().map(|line| name_of(line)).collect();
                let lost = self.visible.iter().find(|line| !names.contains(&name_of(line)));
                assert_eq!(lost, None, "without `manage` no existing name disappears");
            }
            UploadPolicy::Manage => {}
        }
        if options.rights_without_links(&streams.concat()).uploads == UploadPolicy::Off {
            let links = options.granted_by_links(&streams.concat());
            for added in now.iter().filter(|line| self.visible.binary_search(line).is_err()) {
                let allows = |link: &Granted| link.rights.uploads > UploadPolicy::Off && allows_file(link, added);
                assert!(links.iter().any(allows), "no link allows this file: {added}");
            }
        }
    }
}

/// Whether the link allows that this line was added, if it allows to add files.
fn allows_file(link: &Granted, line: &str) -> bool {
    let path = name_of(line);
    // The directories of a path are created with the file.
    let is_directory = path.ends_with('/') && link.path.starts_with(path);
    let content =
        line.split_once(" is ").and_then(|(_, rest)| rest.rsplit_once(" at ")).map_or("", |(content, _)| content);
    let is_short = link.bytes_max.is_none_or(|bytes_max| escaped_bytes(content) as u64 <= bytes_max);
    is_directory || link.contains(path) && is_short
}

/// The length of an escaped content, before it was escaped.
fn escaped_bytes(mut content: &str) -> usize {
    let mut bytes = 0;
    while !content.is_empty() {
        let escaped = if content.starts_with("\\x") {
            4
        } else if content.starts_with('\\') {
            2
        } else {
            1
        };
        content = &content[escaped..];
        bytes += 1;
    }
    bytes
}

/// Invariants 2, 3, 7 and 8 for what a connection sent. What the client itself has sent tells it nothing.
pub(super) fn assert_nothing_is_disclosed(sent: &[u8], received: &[u8], options: &Options) {
    let contains = |bytes: &[u8], word: &str| memchr::memmem::find(bytes, word.as_bytes()).is_some();
    let discloses = |word: &str| contains(sent, word) && !contains(received, word);
    let links = options.granted_by_links(received);
    let reads_all = options.rights_without_links(received).reads;
    for (path, word) in INSIDE {
        let may_read = reads_all || links.iter().any(|link| link.rights.reads && link.contains(path));
        assert!(may_read || !discloses(word), "nothing of {path} is sent to those who may not read it");
    }
    assert!(!OUTSIDE.iter().any(|word| discloses(word)), "nothing outside the folder is sent");
    assert!(options.shows_hidden || !HIDDEN.iter().any(|word| discloses(word)), "nothing hidden is sent");
}
