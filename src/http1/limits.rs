//! Every number of the protocol core, with its reason. Lengths are in bytes, which some names call bytes, and times in
//! nanoseconds, as their names say.

/// A second, in nanoseconds.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Longest request-line without its CRLF. RFC 9112 §3 asks for at least 8000; browsers send up to some 8 KiB of query,
/// and twice that leaves room.
pub const REQUEST_LINE_BYTES_MAX: usize = 16 * 1024;

/// Longest method token that is still called a method. The longest registered one has 17 bytes.
pub const METHOD_BYTES_MAX: usize = 64;

/// Longest field section, its CRLFs included. A browser sends 1 to 4 KiB; cookies may bring that to 16.
pub const FIELD_SECTION_BYTES_MAX: usize = 32 * 1024;

/// Most field lines in a section. A browser sends some 20.
pub const FIELD_LINES_MAX: usize = 100;

/// The memory that a connection reads into. It holds the longest head, and is as much as one pass should read before
/// others have their turn.
pub const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;

/// Less room than this behind what waits is not worth a read: it is moved to the front first.
pub const RECEIVE_TAIL_BYTES_MIN: usize = RECEIVE_BUFFER_BYTES / 4;

/// What is parked of a head that has not come whole moves to a buffer of this size, if it fits. Five thousand peers that
/// send half a head and stop then cost megabytes and not hundreds of them.
pub const IDLE_BUFFER_BYTES: usize = 4 * 1024;

/// Most digits of a Content-Length. 18 nines fit 63 bits, and no file is as long.
pub const CONTENT_LENGTH_DIGITS_MAX: usize = 18;

/// Most digits of a chunk size: what 64 bits hold.
pub const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

/// Extensions and leading zeros of chunk sizes up to here are never too many: an honest sender of one-byte chunks
/// sends none at all. Beyond it they must not outweigh the content.
pub const CHUNK_OVERHEAD_BYTES_FREE: u64 = 64 * 1024;

/// Answers that wait to be sent: at this many bytes no further request is begun. That is all the flow control there is.
pub const OUTPUT_BYTES_FULL: usize = 64 * 1024;

/// Longest content that an answer may hold in memory: an echo of the longest target and a User-Agent of the longest
/// section are shorter, and so is every file that is kept in memory.
pub const RESPONSE_CONTENT_BYTES_MAX: usize = 64 * 1024;

/// Unwanted content up to here is read to its end, so that the connection can be kept; for more, closing is cheaper.
pub const DISCARDED_CONTENT_BYTES_MAX: u64 = 256 * 1024;

/// What a send queue's buffer holds: a sent part that is not yet worth moving away, responses up to the mark at which no
/// further request is begun, and one more response, with room to spare. Only the pages that are written to cost memory.
pub const OUTPUT_BUFFER_BYTES: usize = 256 * 1024;

/// Buffers of each kind that the pool keeps for the next connection. Connections borrow them while they are driven, one
/// after the other, so that few are in use at a time; and what the pool keeps after a flood, 4 MiB, is what stays of it.
pub const POOLED_BUFFERS_MAX: usize = 16;

/// What the records of a connection's exchanges hold of their requests: at this many bytes no further request is begun. A
/// record is kept until its response has been sent, and a request may be hundreds of times as long as its response.
pub const RECORDS_BYTES_FULL: usize = 64 * 1024;

/// What a record keeps room for when it is used again: more than a browser's request-line, Referer and User-Agent.
pub const RECORD_BYTES_KEPT: usize = 4 * 1024;

/// How long a kept connection may wait for its next request, unless configured.
pub const IDLE_TIMEOUT_NS: u64 = 60 * SECOND_NS;

/// How long a head may take from its first byte, unless configured. Bytes do not extend it: a head that drips would
/// otherwise hold its memory for good.
pub const HEAD_TIMEOUT_NS: u64 = 10 * SECOND_NS;

/// How long content may take before its rate counts.
pub const CONTENT_GRACE_NS: u64 = 10 * SECOND_NS;

/// The least rate of content, in bytes a second: a thousandth of a slow line's.
pub const CONTENT_BYTES_PER_SECOND_MIN: u64 = 1024;

/// How much time content may earn ahead by its rate: a gigabyte that came fast would otherwise earn its client twelve
/// days of silence. So the rate counts over the last half minute.
pub const CONTENT_CREDIT_NS: u64 = 30 * SECOND_NS;

/// How long an answer may make no progress because its peer does not read.
pub const WRITE_STALL_NS: u64 = 30 * SECOND_NS;

/// The slowest reader that is served, in bytes a second: a peer that empties a full send buffer at this rate shows no
/// progress while it does, so that the buffer's size extends [`WRITE_STALL_NS`].
pub const READER_BYTES_PER_SECOND_MIN: u64 = 16 * 1024;

/// After the end: how long to wait for the client's next byte, or its end.
pub const DRAIN_SILENCE_NS: u64 = 5 * SECOND_NS;

/// The same where others wait for the connection's place, or the server is to end: long enough for the response to be
/// read, and for what was on its way when the end was sent.
pub const DRAIN_SILENCE_SHORT_NS: u64 = SECOND_NS / 4;

/// After the end: how long to drain in all. A client that has been answered must not hold its place for good.
pub const DRAIN_NS: u64 = 30 * SECOND_NS;

/// The same where others wait for the connection's place, or the server is to end: a client that drips must not keep
/// others out.
pub const DRAIN_SHORT_NS: u64 = 2 * SECOND_NS;

/// How long a connection without a whole request is kept once the server has been asked to end: a request may be on its
/// way.
pub const SHUTDOWN_IDLE_NS: u64 = SECOND_NS;

/// After the end: how many bytes to listen to. Less than a large upload, more than what is on its way in a fast, long
/// line.
pub const DRAIN_BYTES_MAX: u64 = 64 * 1024 * 1024;

// The longest head with the empty line before it fits the receive buffer, so that a full buffer is never a reason to
// refuse one; and its offsets fit the 16 bits that they are kept in.
const _: () = assert!(REQUEST_LINE_BYTES_MAX + 2 + FIELD_SECTION_BYTES_MAX + 2 <= RECEIVE_BUFFER_BYTES);
const _: () = assert!(REQUEST_LINE_BYTES_MAX + 2 + FIELD_SECTION_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(IDLE_BUFFER_BYTES < RECEIVE_BUFFER_BYTES);
// The bounds of a send queue, with 8 KiB for the heads and interim responses, fit its buffer.
const _: () =
    assert!(OUTPUT_BYTES_FULL / 2 + OUTPUT_BYTES_FULL + RESPONSE_CONTENT_BYTES_MAX + 8192 <= OUTPUT_BUFFER_BYTES);
// An echo is no longer than its request-line, a User-Agent no longer than its section.
const _: () = assert!(RESPONSE_CONTENT_BYTES_MAX >= REQUEST_LINE_BYTES_MAX);
const _: () = assert!(RESPONSE_CONTENT_BYTES_MAX >= FIELD_SECTION_BYTES_MAX);
// Every number of that many decimal digits fits 64 bits.
const _: () = assert!(10_u128.pow(CONTENT_LENGTH_DIGITS_MAX as u32) <= u64::MAX as u128);
