//! Every limit and timeout of the protocol core, with its reason. Lengths are in bytes, times in nanoseconds.
//!
//! The length of a request's content has no limit here. The routes refuse content that is too long, with a 413.

/// A second, in nanoseconds.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Longest request line, without its CRLF. RFC 9112 §3 recommends at least 8000 bytes; browsers send queries of up to
/// about 8 KiB, and twice that leaves a margin.
pub const REQUEST_LINE_BYTES_MAX: usize = 16 * 1024;

/// Longest method token. The longest registered method has 17 bytes.
pub const METHOD_BYTES_MAX: usize = 64;

/// Longest field section, including its CRLFs. A browser sends 1 to 4 KiB, and with many cookies up to 16.
pub const FIELD_SECTION_BYTES_MAX: usize = 32 * 1024;

/// Most field lines in a section. A browser sends about 20.
pub const FIELD_LINES_MAX: usize = 100;

/// Longest header of the PROXY protocol. Those with TLS certificates in their TLVs take 2 to 3 KiB.
pub const PROXY_HEADER_BYTES_MAX: usize = 4 * 1024;

/// Size of the buffer that a connection receives into. It holds the longest head, and is the most that one call
/// receives.
pub const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;

/// Size of the buffer that a connection receives long content into, if its length is known. A call that receives more
/// costs less for each byte: the system acknowledges what was received in fewer packets, and the file is written in fewer
/// calls. Twice as much saves nothing more.
pub const CONTENT_BUFFER_BYTES: usize = 512 * 1024;

/// How many of these buffers there are at most, so that many uploads take no more memory than 8 MiB. A connection that
/// gets none receives into its usual buffer.
pub const CONTENT_BUFFERS_MAX: usize = 16;

/// How many of these buffers the pool keeps. Connections borrow them one after the other, except those that spend the
/// budget of their drive within content.
pub const POOLED_CONTENT_BUFFERS_MAX: usize = 2;

/// If less space than this is left at the end of the receive buffer, its contents are moved to the front before the
/// next read, because small reads cost a system call each.
pub const RECEIVE_TAIL_BYTES_MIN: usize = RECEIVE_BUFFER_BYTES / 4;

/// Size of the buffer in which an idle connection keeps a partial head, if it fits. Five thousand clients that send
/// half a head and stop then cost megabytes instead of hundreds of megabytes.
pub const IDLE_BUFFER_BYTES: usize = 4 * 1024;

/// Most digits of a Content-Length. 18 nines fit 63 bits, and no file is that long.
pub const CONTENT_LENGTH_DIGITS_MAX: usize = 18;

/// Most digits of a chunk size: those of a 64-bit number.
pub const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

/// Chunk extensions and leading zeros of chunk sizes are always accepted up to this many bytes in all. Beyond that they
/// must not exceed the content. Even a sender of one-byte chunks normally sends none.
pub const CHUNK_OVERHEAD_BYTES_FREE: u64 = 64 * 1024;

/// While this many bytes of responses are queued, no further request is parsed. There is no other flow control.
pub const OUTPUT_BYTES_FULL: usize = 64 * 1024;

/// Longest content of a response in memory. The longest `/echo` and `/user-agent` responses are shorter, because the
/// request line and the field section are, and so is every file that is cached in memory.
pub const RESPONSE_CONTENT_BYTES_MAX: usize = 64 * 1024;

/// Longest response after which a connection that the client wants to end is closed without draining. It fits into the
/// smallest receive buffer that systems give a socket by default, and into the first flight of a connection.
pub const RESPONSE_BYTES_SHORT: usize = 12 * 1024;

/// Ignored content up to this length is read to its end, so that the connection can be kept. If it is longer, closing
/// the connection is cheaper.
pub const DISCARDED_CONTENT_BYTES_MAX: u64 = 256 * 1024;

/// Size of a send queue's buffer. It holds a part that has been sent and not yet been moved away, responses up to
/// [`OUTPUT_BYTES_FULL`], and one more response, with a margin. Only the pages that are written to occupy memory.
pub const OUTPUT_BUFFER_BYTES: usize = 256 * 1024;

/// How many buffers of each kind the pool keeps. Connections borrow them only while they are driven, one after the
/// other, so few are in use at a time. This also bounds the memory that the pool keeps after a flood: at most 5 MiB, and
/// 1 MiB for long content.
pub const POOLED_BUFFERS_MAX: usize = 16;

/// While the records of a connection's exchanges contain this many bytes of its requests, no further request is parsed.
/// A record exists until its response has been sent, and a request can be hundreds of times as long as its response.
pub const RECORDS_BYTES_FULL: usize = 64 * 1024;

/// Capacity that a record keeps for its next use: more than a browser's request line, Referer and User-Agent need.
pub const RECORD_BYTES_KEPT: usize = 4 * 1024;

/// Default time that a connection may wait for a request, the first or a further one.
pub const IDLE_TIMEOUT_NS: u64 = 60 * SECOND_NS;

/// Default time that a head may take from its first byte. Further bytes do not extend it, because a head that arrives
/// byte by byte would otherwise occupy its memory forever.
pub const HEAD_TIMEOUT_NS: u64 = 10 * SECOND_NS;

/// The time that content has when it begins, before its rate counts.
pub const CONTENT_GRACE_NS: u64 = 10 * SECOND_NS;

/// Lowest accepted rate of content, in bytes per second: a thousandth of a slow line's.
pub const CONTENT_BYTES_PER_SECOND_MIN: u64 = 1024;

/// Most time that fast content can earn in advance, so that the rate is that of the last half minute. A gigabyte
/// received at once would otherwise earn the client twelve days of silence.
pub const CONTENT_CREDIT_NS: u64 = 30 * SECOND_NS;

/// How long sending may make no progress because the client does not read.
pub const WRITE_STALL_NS: u64 = 30 * SECOND_NS;

/// Lowest reading rate that is not treated as a write stall, in bytes per second. While a client empties a full send
/// buffer the server sees no progress, so the time that this takes at this rate is added to [`WRITE_STALL_NS`].
pub const READER_BYTES_PER_SECOND_MIN: u64 = 16 * 1024;

/// How long a connection waits for content that is not in memory before it reads it all the same, which keeps everybody
/// waiting. Longer than an overloaded disk takes for what a few dozen clients have asked it to read ahead.
pub const DISK_WAIT_NS: u64 = 10 * SECOND_NS;

/// How long a connection that waits for the disk sleeps at least before it asks again: no longer than a fast disk takes.
pub const DISK_ASK_NS_MIN: u64 = SECOND_NS / 1000;

/// How long it sleeps at most: a thousand waiting connections then ask twenty thousand times a second.
pub const DISK_ASK_NS_MAX: u64 = SECOND_NS / 20;

/// How much is read at a time of content that is not in memory after a wait.
pub const UNREAD_FILE_BYTES: u64 = 64 * 1024;

/// How much a connection with a limited rate may transfer at once after a pause: what the rate allows in this time. It
/// is the most by which the rate is exceeded, once.
pub const RATE_BURST_NS: u64 = SECOND_NS / 10;

/// How much a connection with a limited rate may transfer again when a pause ends: what the rate allows in this time. A
/// pause costs a turn of the loop, so there are at most twenty a second.
pub const RATE_PAUSE_NS: u64 = SECOND_NS / 20;

/// While draining: how long to wait for the client's next byte, or its end of input.
pub const DRAIN_SILENCE_NS: u64 = 5 * SECOND_NS;

/// [`DRAIN_SILENCE_NS`] at the connection limit and during a graceful shutdown: long enough for the client to read the
/// response, and for bytes to arrive that were in flight when the sending side was shut down. Also how
/// long a connection that waits for a request cannot be evicted after its last response.
pub const DRAIN_SILENCE_SHORT_NS: u64 = SECOND_NS / 4;

/// While draining: how long to wait in all, so that a client that keeps sending does not occupy its connection forever.
pub const DRAIN_NS: u64 = 30 * SECOND_NS;

/// [`DRAIN_NS`] at the connection limit and during a graceful shutdown: a client that sends slowly must not keep others
/// out.
pub const DRAIN_SHORT_NS: u64 = 2 * SECOND_NS;

/// During a graceful shutdown: how long to wait for a request, or for the rest of its head, which may be in flight.
pub const SHUTDOWN_IDLE_NS: u64 = SECOND_NS;

/// While draining: how many bytes to receive. Less than a large upload, and more than a fast, long line has in flight.
pub const DRAIN_BYTES_MAX: u64 = 64 * 1024 * 1024;

// A connection that pauses has something to transfer afterwards.
const _: () = assert!(0 < RATE_PAUSE_NS && RATE_PAUSE_NS < RATE_BURST_NS);
// A connection that waits for the disk asks more than once.
const _: () = assert!(0 < DISK_ASK_NS_MIN && DISK_ASK_NS_MIN <= DISK_ASK_NS_MAX && DISK_ASK_NS_MAX < DISK_WAIT_NS);
// The longest head and the empty line before it fit the receive buffer, so a full buffer is never a reason to refuse a
// head. Its offsets fit 16 bits.
const _: () = assert!(REQUEST_LINE_BYTES_MAX + 2 + FIELD_SECTION_BYTES_MAX + 2 <= RECEIVE_BUFFER_BYTES);
const _: () = assert!(REQUEST_LINE_BYTES_MAX + 2 + FIELD_SECTION_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(IDLE_BUFFER_BYTES < RECEIVE_BUFFER_BYTES);
// What a connection has received when it borrows a buffer for content leaves space for as much again.
const _: () = assert!(2 * RECEIVE_BUFFER_BYTES <= CONTENT_BUFFER_BYTES);
// The longest contents of a send queue, with 8 KiB for heads and interim responses, fit its buffer.
const _: () =
    assert!(OUTPUT_BYTES_FULL / 2 + OUTPUT_BYTES_FULL + RESPONSE_CONTENT_BYTES_MAX + 8192 <= OUTPUT_BUFFER_BYTES);
// An echoed string is shorter than its request line, and a User-Agent is shorter than its field section.
const _: () = assert!(RESPONSE_CONTENT_BYTES_MAX >= REQUEST_LINE_BYTES_MAX);
const _: () = assert!(RESPONSE_CONTENT_BYTES_MAX >= FIELD_SECTION_BYTES_MAX);
// Every number of that many decimal digits fits 64 bits.
const _: () = assert!(10_u128.pow(CONTENT_LENGTH_DIGITS_MAX as u32) <= u64::MAX as u128);
