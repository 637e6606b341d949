//! The events that must occur at least once in a campaign. An event that never occurs is not tested.

use spindle::http1::protocol_error::ProtocolError;

use crate::simulation::coverage::Coverage;
use crate::simulation::disk::KINDS;

/// The expected events of each kind. Others may happen too.
const EXPECTED: &[(&str, &[&str])] = &[
    (
        "fault",
        &[
            "receive would block",
            "send would block",
            "send takes a part",
            "spurious event",
            "connection lost before it is accepted",
            "descriptor taken by another process",
            "wall clock set",
        ],
    ),
    (
        "network",
        &[
            "accept without a descriptor",
            "backlog full",
            "connection refused",
            "reset: unread bytes",
            "reset: unread bytes at a limited rate",
            "lost in the backlog",
            "handed over silent",
            "reset while it was held back",
            "a request in progress gives way",
            "refused: no address holds more",
            "refused: its address holds as many as it may",
        ],
    ),
    ("disk", &["a file is evicted", "a file is read ahead", "a file is read that was not read ahead"]),
    ("run", &["became quiescent", "lost power", "was killed", "keys changed", "keys broken"]),
    (
        "timer",
        &[
            "the head timer has fired",
            "the idle timer has fired",
            "the content rate timer has fired",
            "the write stall timer has fired",
            "the drain timer has fired",
            "the rate timer has fired",
            "the disk timer has fired",
        ],
    ),
    (
        "log",
        &[
            "the service's timer has fired",
            "a timer is judged after its next drive",
            "the poll was full",
            "a turn took",
            "waited in the queue for",
            "at the connection limit",
            "cannot accept connections",
            "the listeners are closed",
            "shutting down",
            "failed",
        ],
    ),
    (
        "change",
        &[
            "accepted → reading the head",
            "accepted → reading the content",
            "accepted → writing the response",
            "accepted → closed",
            "waiting for the proxy's header → waiting for a request",
            "reading the content → storing the content",
            "storing the content → waiting for a request",
            "waiting for a request → reading the head",
            "waiting for a request → reading the content",
            "waiting for a request → writing the response",
            "waiting for a request → closed",
            "reading the head → writing the response",
            "reading the head → reading the content",
            "reading the content → writing the response",
            "reading the content → draining",
            "writing the response → waiting for a request",
            "writing the response → reading the head",
            "writing the response → reading the content",
            "writing the response → draining",
            "draining → closed",
        ],
    ),
    (
        "upload",
        &[
            "created",
            "continued",
            "completed",
            "taken over",
            "replayed",
            "cancelled",
            "stored in a drop box",
            "expired",
            "mismatch",
            "Content-Digest differs",
            "Repr-Digest differs",
            "found after a restart",
            "interim response with the location",
            "interim response with an offset",
            "complete and not stored",
        ],
    ),
    (
        "manage",
        &[
            "DELETE 204",
            "DELETE 404",
            "DELETE 405",
            "DELETE 409",
            "DELETE 412",
            "GET 200",
            "GET 301",
            "MKCOL 201",
            "MKCOL 405",
            "MKCOL 409",
            "MOVE 201",
            "MOVE 204",
            "MOVE 403",
            "MOVE 404",
            "MOVE 405",
            "MOVE 409",
            "MOVE 412",
            "PUT 201",
            "PUT 204",
            "PUT 409",
            "PUT 412",
            "PUT 413",
            "MOVE 500",
            "DELETE 500",
            "MKCOL 500",
        ],
    ),
    (
        "form",
        &[
            "sent",
            "cut",
            "stored",
            "a file that is incomplete",
            "a file that is refused",
            "status 201",
            "status 400",
            "status 409",
            "status 413",
            "status 415",
            "status 500",
            "status 507",
        ],
    ),
    (
        "link",
        &[
            "sent: a link",
            "sent: a link for a file",
            "sent: a link for another path",
            "sent: a link for another folder",
            "sent: a later expiry",
            "sent: a greater limit",
            "sent: another right",
            "sent: fewer segments",
            "sent: another signature",
            "sent: no link",
            "sent: the first link",
            "sent: the link of an upload",
            "granted",
            "invalid",
            "expired",
            "expired during its upload",
            "read gets 200",
            "read gets 403",
            "list gets 200",
            "list gets 403",
            "page gets 200",
            "store gets 201",
            "store gets 403",
            "store gets 413",
            "replace gets 409",
            "form gets 201",
            "form gets 413",
            "delete gets 403",
            "delete gets 405",
            "move gets 403",
            "create a directory gets 403",
            "begin gets 201",
            "begin gets 413",
            "inspect gets 204",
            "append gets 201",
            "cancel gets 204",
        ],
    ),
    ("managed", &["a change in progress at a crash"]),
    ("ending", &["complete", "cut off", "timed out", "server ended", "refused"]),
    ("status", &["200", "201", "204", "400", "404", "408", "503", "507"]),
];

/// Protocol errors that a record does not report as a reason: two are timeouts, and two are connections that the client
/// cut off.
const REPORTED_OTHERWISE: [ProtocolError; 4] = [
    ProtocolError::HeadTooSlow,
    ProtocolError::ContentTooSlow,
    ProtocolError::HeadIncomplete,
    ProtocolError::ContentIncomplete,
];

/// Disk faults that are not injected in runs. Power cuts are counted under "run".
const NOT_IN_RUNS: [&str; 2] = ["read-only from now on", "power fails"];

/// All expected events, with their kinds.
fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let listed = EXPECTED.iter().flat_map(|(kind, names)| names.iter().map(|name| (*kind, *name)));
    let reasons = ProtocolError::ALL.iter().filter(|error| !REPORTED_OTHERWISE.contains(error));
    let disk = KINDS.iter().filter(|kind| !NOT_IN_RUNS.contains(&kind.name)).map(|kind| ("disk", kind.name));
    listed.chain(reasons.map(|error| ("reason", error.reason()))).chain(disk)
}

/// Adds a count of 0 for each expected event that did not happen. Returns whether there is one.
pub(crate) fn complete(coverage: &mut Coverage) -> bool {
    let mut misses = false;
    for (kind, name) in all() {
        misses |= coverage.of(kind, name) == 0;
        coverage.count_times(kind, name, 0);
    }
    misses
}
