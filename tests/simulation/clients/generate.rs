//! Generates the requests of honest clients, and how each client behaves.

use std::rc::Rc;

use fastrand::Rng;
use spindle::semantics::rights::UploadPolicy;

use crate::simulation::clients::behaviour::{Behaviour, Closing};
use crate::simulation::clients::drop_box;
use crate::simulation::clients::expected::{Expected, ReadCondition, Rules, WriteCondition};
use crate::simulation::clients::request::{Coding, Content, Expect, Persistence, Request};
use crate::simulation::file_model::FileModel;
use crate::simulation::link::Path;
use crate::simulation::network::{MILLISECOND, SECOND};
use crate::simulation::scenario::{Scenario, one_of, target_of};

/// When the fixed files were modified, a day before each run begins; and the second before.
const FIXED_DATE: &str = "Tue, 14 Jul 2026 10:36:17 GMT";
const BEFORE_FIXED_DATE: &str = "Tue, 14 Jul 2026 10:36:16 GMT";

/// Chooses how a client with this path behaves.
pub(crate) fn behaviour(scenario: &Scenario, path: &Path, random: &mut Rng) -> Behaviour {
    let (reads_bytes_max, reads_every_ns) =
        one_of(random, &[(usize::MAX, 0), (usize::MAX, 0), (30_000, SECOND), (4_000, 100 * MILLISECOND)]);
    let (pieces, piece_every_ns_max) =
        one_of(random, &[(1, 0), (1, 0), (12, 0), (12, 20 * MILLISECOND), (12, 200 * MILLISECOND)]);
    let silent_ns_max = one_of(random, &[0, 0, SECOND, 3 * SECOND]);
    Behaviour {
        silent_ns: random.u64(..=silent_ns_max),
        pipelined: one_of(random, &[1, 1, 3, 8]),
        pause_ns_max: one_of(random, &[0, MILLISECOND, 20 * SECOND]),
        pieces,
        piece_every_ns_max,
        sends_urgent: random.u8(..6) == 0,
        reads_bytes_max,
        reads_every_ns,
        closing: one_of(random, &[Closing::HalfClosesEarly, Closing::Closes, Closing::Stays]),
        is_limited: scenario.is_limited,
        evictable_max: scenario.has_evictable_load.then(|| scenario.connections_max - scenario.lasting_clients()),
        disk_may_fail: scenario.fault_plan.may_fail(),
        disk_is_slow_always: scenario.fault_plan.is_slow_always(),
        is_fast: path.latency_ns <= MILLISECOND
            && reads_every_ns == 0
            && pieces == 1
            && scenario.fault_plan.slow == 0
            && scenario.network.rate.is_none(),
    }
}

/// Generates a request.
pub(crate) fn request(scenario: &Scenario, model: &FileModel, random: &mut Rng, number: u64) -> Request {
    let mut request = match random.u8(..20) {
        0 | 1 => text(scenario, random),
        2 if scenario.policy == UploadPolicy::Manage => refused_change(scenario, random, number),
        2 | 3 => about_methods(scenario, random, number),
        4 | 5 if scenario.is_folder => about_directories(scenario, random),
        4..=6 => missing(scenario, model, random),
        7..=9 => fixed(scenario, model, random),
        10 | 11 => ranges(scenario, model, random),
        12..=14 => read(scenario, random),
        _ => upload(scenario, random, number),
    };
    if scenario.is_drop_box {
        request = drop_box::hidden(request);
    }
    request.is_absolute = random.u8(..10) == 0 && request.target != "*";
    request.has_empty_line = random.u8(..10) == 0;
    request.persistence = one_of(random, &PERSISTENCES);
    let needs_new_version =
        request.content.is_some_and(|content| content.coding != Coding::Length || content.expect != Expect::Nothing);
    if needs_new_version && request.persistence != Persistence::Closes {
        request.persistence = Persistence::Kept;
    }
    request
}

const PERSISTENCES: [Persistence; 12] = {
    let mut persistences = [Persistence::Kept; 12];
    persistences[0] = Persistence::Closes;
    persistences[1] = Persistence::Old;
    persistences[2] = Persistence::OldKept;
    persistences
};

/// `/echo` and `/user-agent`. In folder mode a file.
fn text(scenario: &Scenario, random: &mut Rng) -> Request {
    if scenario.is_folder {
        return read(scenario, random);
    }
    let coding = one_of(random, &["", "gzip", "deflate, gzip;q=0.5", "gzip;q=0", "*", "identity"]);
    let fields = if coding.is_empty() { Vec::new() } else { vec![format!("Accept-Encoding: {coding}")] };
    let words = "to be compressed ".repeat(random.usize(..40));
    let content = |text: &str| Expected::Content { status: 200, content: text.as_bytes().into() };
    let mut request = match random.u8(..3) {
        0 => Request::get("/".to_owned(), content("")),
        1 => Request {
            fields: vec![format!("User-Agent: {words}end")],
            ..Request::get("/user-agent".to_owned(), content(&format!("{words}end")))
        },
        _ => Request { fields, ..Request::get(format!("/echo/{}", words.replace(' ', "%20")), content(&words)) },
    };
    if random.u8(..4) == 0 {
        request.method = "HEAD";
    }
    request
}

/// OPTIONS, and methods that are not offered, some with content that the server discards.
fn about_methods(scenario: &Scenario, random: &mut Rng, number: u64) -> Request {
    let status = |status: u16| Expected::Status { status, field: None };
    let (method, target, expected) = match random.u8(..6) {
        0 => ("OPTIONS", "*".to_owned(), status(204)),
        1 => {
            let allowed = match scenario.policy {
                UploadPolicy::Off => "GET, HEAD, OPTIONS",
                UploadPolicy::Create | UploadPolicy::Replace => "GET, HEAD, POST, PUT, OPTIONS",
                UploadPolicy::Manage => "GET, HEAD, POST, PUT, DELETE, MKCOL, MOVE, OPTIONS",
            };
            // Nothing in a drop box can be read.
            let allowed = if scenario.is_drop_box { allowed.trim_start_matches("GET, HEAD, ") } else { allowed };
            let field = Some(("allow", allowed.to_owned()));
            ("OPTIONS", target_of(scenario, "small.txt"), Expected::Status { status: 204, field })
        }
        2 => ("BREW", target_of(scenario, "small.txt"), status(501)),
        3 if scenario.policy == UploadPolicy::Manage => ("PATCH", target_of(scenario, "small.txt"), status(405)),
        3 => ("DELETE", target_of(scenario, "small.txt"), status(scenario.refusal_of_changes())),
        4 => ("GET", target_of(scenario, "absent"), nothing_there(scenario)),
        // A directory takes forms.
        _ if scenario.is_folder && scenario.policy != UploadPolicy::Off => ("POST", "/".to_owned(), status(415)),
        _ => ("POST", "/".to_owned(), status(scenario.refusal_of_uploads())),
    };
    let content = (random.bool()).then(|| Content {
        number,
        bytes: one_of(random, &[0, 1, 5_000, 300_000]),
        coding: one_of(random, &[Coding::Length, Coding::Length, Coding::Chunked, Coding::ChunkedWithMore]),
        expect: expect(random),
    });
    Request { method, content, ..Request::get(target, expected) }
}

/// A request to delete, move or create something that must be refused.
fn refused_change(scenario: &Scenario, random: &mut Rng, number: u64) -> Request {
    let target = |name: &str| target_of(scenario, name);
    let to = |name: &str| format!("Destination: {}", target(name));
    let field = |field: &str| field.to_owned();
    let (method, name, fields, status) = match random.u8(..16) {
        0 => ("MOVE", "small.txt", vec![], 400),
        1 => ("MOVE", "small.txt", vec![field("Destination: relative")], 400),
        2 => ("MOVE", "small.txt", vec![field("Destination: http://other/new")], 502),
        3 => ("MOVE", "small.txt", vec![to("new"), field("Overwrite: maybe")], 400),
        4 => ("MOVE", "small.txt", vec![to("small.txt")], 403),
        5 => ("MOVE", "small.txt", vec![to("page.html"), field("Overwrite: F")], 412),
        6 => ("MOVE", "small.txt", vec![to("dir")], 409),
        7 => ("MOVE", "small.txt", vec![to("absent/new")], 409),
        8 => ("MOVE", "small.txt", vec![to("new"), field("If-Match: \"other\"")], 412),
        9 => ("MOVE", "dir", vec![to("dir/new")], 409),
        10 => ("DELETE", "small.txt", vec![field("If-Match: \"other\"")], 412),
        11 => ("DELETE", "small.txt", vec![format!("If-Unmodified-Since: {BEFORE_FIXED_DATE}")], 412),
        12 => ("DELETE", "dir/", vec![], 409),
        13 => ("MKCOL", "dir/", vec![], 405),
        14 => ("MKCOL", "absent/new", vec![], 409),
        _ => ("MKCOL", "new", vec![], 415),
    };
    let content =
        (status == 415).then_some(Content { number, bytes: 5, coding: Coding::Length, expect: Expect::Nothing });
    Request { method, fields, content, ..Request::get(target(name), Expected::Status { status, field: None }) }
}

fn expect(random: &mut Rng) -> Expect {
    match random.u8(..4) {
        0 => Expect::Continue {
            for_ns: one_of(random, &[None, Some(MILLISECOND), Some(100 * MILLISECOND), Some(SECOND)]),
        },
        _ => Expect::Nothing,
    }
}

fn about_directories(scenario: &Scenario, random: &mut Rng) -> Request {
    let directory = one_of(random, &["", "dir/", "up/"]);
    if scenario.is_site {
        let (target, expected) = match random.u8(..4) {
            0 if !scenario.fault_plan.may_fail() => {
                ("/site", Expected::Status { status: 301, field: Some(("location", "./site/".to_owned())) })
            }
            1 => ("/dir/", nothing_there(scenario)),
            _ => ("/site/", Expected::Content { status: 200, content: scenario.fixed("site/index.html") }),
        };
        return Request::get(target.to_owned(), expected);
    }
    match random.u8(..5) {
        // If the disk fails, the server may not recognize the directory.
        0 if !scenario.fault_plan.may_fail() => {
            let location = Some(("location", "./dir/?a=b".to_owned()));
            Request::get("/dir?a=b".to_owned(), Expected::Status { status: 301, field: location })
        }
        // An archive ends early if another process truncates one of its files.
        1 if scenario.fault_plan.external == 0 || !directory.is_empty() => {
            Request::get(format!("/{directory}?archive=tar"), Expected::Archive { directory })
        }
        place => {
            let format = one_of(random, &["html", "json", "text"]);
            let accepted = match format {
                "html" => "text/html",
                "json" => "application/json",
                _ => "text/plain",
            };
            let expected = Expected::Listing { directory, format };
            match place {
                2 => Request {
                    fields: vec![format!("Accept: {accepted}")],
                    ..Request::get(format!("/{directory}"), expected)
                },
                _ => Request::get(format!("/{directory}?format={format}&sort=size"), expected),
            }
        }
    }
}

/// The expected response if there is no file.
fn nothing_there(scenario: &Scenario) -> Expected {
    // If the disk fails, the 404 page may be missing.
    if scenario.is_site && !scenario.fault_plan.may_fail() {
        Expected::Content { status: 404, content: scenario.fixed("404.html") }
    } else {
        Expected::Status { status: 404, field: None }
    }
}

fn missing(scenario: &Scenario, model: &FileModel, random: &mut Rng) -> Request {
    match random.u8(..3) {
        0 if scenario.is_folder => Request::get("/.hidden".to_owned(), nothing_there(scenario)),
        0 => Request::get(
            "/files/.hidden".to_owned(),
            Expected::Content { status: 200, content: Rc::clone(&model.fixed[".hidden"]) },
        ),
        1 if scenario.is_folder => Request::get("/.spindle/absent".to_owned(), nothing_there(scenario)),
        1 => Request::get("/nowhere".to_owned(), nothing_there(scenario)),
        _ => Request::get(target_of(scenario, "absent"), nothing_there(scenario)),
    }
}

/// A file that is never changed, and its content.
fn fixed_file(scenario: &Scenario, model: &FileModel, random: &mut Rng) -> (String, Rc<[u8]>) {
    let names: Vec<_> = model.fixed.iter().filter(|(name, _)| !name.contains("/.") && !name.starts_with('.')).collect();
    let (name, content) = one_of(random, &names);
    (target_of(scenario, name), Rc::clone(content))
}

/// A file that is never changed, possibly with a condition.
fn fixed(scenario: &Scenario, model: &FileModel, random: &mut Rng) -> Request {
    let (target, content) = fixed_file(scenario, model, random);
    let whole = Expected::Content { status: 200, content };
    let status = |status: u16| Expected::Status { status, field: None };
    let (field, expected) = match random.u8(..10) {
        0 => (format!("If-Modified-Since: {FIXED_DATE}"), status(304)),
        1 => (format!("If-Modified-Since: {BEFORE_FIXED_DATE}"), whole),
        2 => ("If-Match: \"other\"".to_owned(), status(412)),
        3 => ("If-None-Match: *".to_owned(), status(304)),
        4 => (format!("If-Unmodified-Since: {FIXED_DATE}"), whole),
        5 => (format!("If-Unmodified-Since: {BEFORE_FIXED_DATE}"), status(412)),
        _ => ("X-Other: field".to_owned(), whole),
    };
    let method = if random.u8(..4) == 0 { "HEAD" } else { "GET" };
    Request { method, fields: vec![field], ..Request::get(target, expected) }
}

/// Ranges of a file that is never changed.
fn ranges(scenario: &Scenario, model: &FileModel, random: &mut Rng) -> Request {
    let (target, of) = fixed_file(scenario, model, random);
    let bytes = of.len();
    let whole = Expected::Content { status: 200, content: Rc::clone(&of) };
    if bytes < 40 {
        let field = vec!["Range: bytes=99-".to_owned()];
        return Request { fields: field, ..Request::get(target, Expected::NoRange { of_bytes: bytes }) };
    }
    let first = random.usize(..bytes / 2);
    let last = random.usize(first..bytes - 10);
    let one = |first, last| Expected::Range { first, last, of: Rc::clone(&of), may_be_whole: false };
    let mut fields = Vec::new();
    let (range, expected) = match random.u8(..9) {
        0 => (format!("{first}-{last}"), one(first, last)),
        1 => (format!("{first}-"), one(first, bytes - 1)),
        2 => (format!("-{}", bytes - last), one(last, bytes - 1)),
        3 => (format!("{first}-{}", bytes + 7), one(first, bytes - 1)),
        4 => (format!("{bytes}-"), Expected::NoRange { of_bytes: bytes }),
        5 => (format!("{last}-{first},"), if first == last { one(first, last) } else { whole }),
        6 => {
            fields.push(format!("If-Range: {}", one_of(random, &[FIXED_DATE, BEFORE_FIXED_DATE])));
            let is_named = fields[0].ends_with(FIXED_DATE);
            let expected = Expected::Range { first, last, of: Rc::clone(&of), may_be_whole: true };
            (format!("{first}-{last}"), if is_named { expected } else { whole })
        }
        _ => {
            let ranges = vec![(last + 5, bytes - 1), (first, last), (last + 2, last + 2)];
            (format!("{}-, {first}-{last},,{}-{}", last + 5, last + 2, last + 2), Expected::Parts { ranges, of })
        }
    };
    fields.push(format!("Range: bytes={range}"));
    Request { fields, ..Request::get(target, expected) }
}

/// A file that other clients replace.
fn read(scenario: &Scenario, random: &mut Rng) -> Request {
    let name = format!("up/{}", random.u8(..3));
    let condition = one_of(
        random,
        &[ReadCondition::Nothing, ReadCondition::Nothing, ReadCondition::NoneMatch, ReadCondition::IfRange],
    );
    let target = target_of(scenario, &name);
    match scenario.is_site {
        true => Request::get(target, nothing_there(scenario)),
        false => Request::get(target, Expected::File { name, condition }),
    }
}

fn upload(scenario: &Scenario, random: &mut Rng, number: u64) -> Request {
    let name = format!("up/{}", random.u8(..3));
    let condition = one_of(
        random,
        &[
            WriteCondition::Nothing,
            WriteCondition::Nothing,
            WriteCondition::Nothing,
            WriteCondition::Absent,
            WriteCondition::AbsentByDate,
            WriteCondition::Match,
            WriteCondition::Match,
            WriteCondition::Present,
        ],
    );
    let content = Some(Content {
        number,
        bytes: one_of(random, &[0, 1, 700, 70_000]),
        coding: one_of(random, &[Coding::Length, Coding::Chunked, Coding::ChunkedWithMore]),
        expect: expect(random),
    });
    let fault_plan = &scenario.fault_plan;
    let tags_may_weaken = !fault_plan.crashes.is_empty() || scenario.disk.time_granularity_ns > 1;
    let rules = Rules {
        policy: scenario.policy,
        refusal_of_uploads: scenario.refusal_of_uploads(),
        bytes_max: scenario.upload_bytes_max,
        tags_may_weaken,
        disk_may_fail: fault_plan.may_fail(),
    };
    let method = if random.u8(..3) == 0 { "POST" } else { "PUT" };
    let target = target_of(scenario, &name);
    Request { method, content, ..Request::get(target, Expected::Stored { name, condition, rules }) }
}
