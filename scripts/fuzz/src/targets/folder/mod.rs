//! Connections to the server's real routes, which share a folder on a simulated disk. The input is the options of the
//! server, a line feed, a plan, a line feed, and the bytes that the client sends: see [`options`], [`plan`](super::plan)
//! and [`expand`](super::expand). A byte `FD` ends a connection and begins the next one, so that an upload that breaks
//! off can be continued. A byte `FC` and a letter are a signed link: see [`links`].
//!
//! Besides the invariants of any connection, which the driver checks, these hold:
//!
//! 1. The output is a sequence of well-formed responses, in the chunked coding too. The last one is truncated only after
//!    a timeout, or if the server closed the connection early.
//! 2. Nothing outside the folder is read or changed, whatever the names say and wherever links lead.
//! 3. Hidden names are neither read nor changed, unless the server shows them.
//! 4. Without uploads nothing changes. With `create` no existing file changes, and without `manage` no existing name
//!    disappears.
//! 5. A response is at most a fixed number of times as long as all that is stored.
//! 6. When the connections have ended, no descriptor is open, and no temporary file is left. Only unfinished resumable
//!    uploads remain.
//! 7. Without the secret of an account, nothing is read or changed that everybody may not.
//! 8. A link allows nothing outside its path, and no longer upload than it says. One that has expired allows nothing.
//! 9. The same bytes get the same final responses and leave the same files, however they are cut.

mod links;
mod options;
mod response_reader;
mod service;
mod tree;

#[allow(unreachable_pub, reason = "it is a part of the server's own tests")]
#[path = "../../../../../tests/simulation/disk/mod.rs"]
mod disk;

use std::cell::Cell;
use std::rc::Rc;

use spindle::http1::{Settings, Shared};

use self::disk::Disk;
use self::options::Options;
use self::response_reader::ParsedResponse;
use self::service::FolderService;
use super::driver::{self, Transcript, UNIX_NS};
use super::expand::expand;
use super::plan::{Event, Plan};

/// Longer than the limit of content that is discarded.
const STREAM_BYTES_MAX: usize = 320 * 1024;

/// Streams of up to this length are also received byte by byte.
const BY_BYTE_BYTES_MAX: usize = 1024;

/// Ends a connection, in the input.
const NEXT_CONNECTION: u8 = 0xfd;

const CONNECTIONS_MAX: usize = 8;

/// A response of the server's own has at most so many bytes: the page of a folder, and what a page or a listing repeats
/// of the request.
const RESPONSE_BYTES_MAX: usize = 192 * 1024;

/// What a response may contain of each byte that is stored: an archive contains each file once, and a name up to 16 times,
/// since each entry has a header of 512 bytes.
const BYTES_PER_STORED_BYTE_MAX: usize = 16;

/// What the connections of an input have done.
struct Run {
    transcripts: Vec<Transcript>,
    responses: Vec<Vec<ParsedResponse>>,
    /// All that is stored, except the states of unfinished uploads.
    tree: Vec<String>,
}

/// Runs the target.
pub fn run(input: &[u8]) {
    let (options, rest) = Options::split(input);
    let (plan, bytes) = Plan::split(rest);
    let bytes = links::write_links(bytes);
    let parts = bytes.split(|byte| *byte == NEXT_CONNECTION).take(CONNECTIONS_MAX);
    let streams: Vec<Vec<u8>> = parts.map(|part| expand(part, STREAM_BYTES_MAX)).collect();

    let at_once = Plan { strict: plan.strict, ..Plan::default() };
    let planned = run_connections(&options, &streams, &plan);
    let received: Vec<Vec<u8>> = streams
        .iter()
        .zip(&planned.transcripts)
        .map(|(stream, transcript)| stream[..transcript.received].to_vec())
        .collect();
    let is_complete = |transcript: &Transcript| !transcript.timed_out && transcript.requests_at_shutdown.is_none();
    if !planned.transcripts.iter().all(is_complete) {
        return;
    }
    let whole = run_connections(&options, &received, &at_once);
    assert_same(&planned, &whole);
    if received.iter().map(Vec::len).sum::<usize>() <= BY_BYTE_BYTES_MAX {
        let byte_by_byte = Plan { events: vec![Event::Receive(1), Event::Send(1)], ..at_once };
        assert_same(&run_connections(&options, &received, &byte_by_byte), &whole);
    }
}

/// Runs the connections one after the other against a new server, and checks all invariants but the last.
fn run_connections(options: &Options, streams: &[Vec<u8>], plan: &Plan) -> Run {
    let settings =
        Settings { strict: plan.strict, send_date: false, proxies: options.proxies(), ..Settings::default() };
    let mut shared = Shared::new(settings);
    let disk = Disk::new(options.disk_settings(), Rc::new(Cell::new(UNIX_NS)));
    tree::create(&disk);
    let before = tree::Snapshot::new(&disk);
    let mut service = FolderService::new(&disk, options);
    let mut run = Run { transcripts: Vec::new(), responses: Vec::new(), tree: Vec::new() };
    for stream in streams {
        service.begin_connection();
        let transcript = driver::run_connection(options.client(), stream, plan, &mut service, &mut shared);
        let may_be_truncated = transcript.timed_out || transcript.aborted;
        let responses = response_reader::parse_responses(&transcript.sent, service.methods(), may_be_truncated);
        assert!(
            responses.len() <= transcript.requests + 1,
            "each request gets one response, and a protocol error ends the connection"
        );
        let bytes_max =
            RESPONSE_BYTES_MAX + BYTES_PER_STORED_BYTE_MAX * disk.used_bytes() as usize + 1024 * before.names();
        assert!(
            transcript.sent.len() <= bytes_max * (transcript.requests + 1),
            "the length of a response is limited: {} bytes",
            transcript.sent.len()
        );
        tree::assert_nothing_is_disclosed(&transcript.sent, stream, options);
        run.transcripts.push(transcript);
        run.responses.push(responses);
    }
    drop(service);
    before.assert_kept(&disk, options, streams);
    assert_eq!(disk.descriptors(), 0, "no descriptor is left");
    let temporary = disk.temporary_names();
    assert!(temporary.iter().all(|name| name.starts_with(".spindle=")), "no temporary file is left: {temporary:?}");
    run.tree = tree::timeless(&disk);
    run
}

/// Invariant 9.
fn assert_same(one: &Run, whole: &Run) {
    for (one, whole) in one.responses.iter().zip(&whole.responses) {
        assert_eq!(one, whole, "the same bytes get the same responses however they are cut");
    }
    let requests = |run: &Run| run.transcripts.iter().map(|transcript| transcript.requests).collect::<Vec<_>>();
    assert_eq!(requests(one), requests(whole), "the same bytes are the same requests however they are cut");
    assert_eq!(one.tree, whole.tree, "the same bytes leave the same files however they are cut");
}
