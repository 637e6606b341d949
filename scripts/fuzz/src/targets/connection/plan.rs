//! What the network, the clock and the operator do to a connection: the part of the input that is no byte of the peer.

use spindle::http1::limits::SECOND_NS;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Event {
    /// At most so many bytes arrive.
    Receive(usize),
    /// The socket takes at most so many bytes.
    Send(usize),
    /// Time passes, in nanoseconds.
    Wait(u64),
    /// The socket takes nothing, and its buffer holds so many bytes.
    Blocked(u64),
    /// The loop parks the connection.
    Park,
    /// The server begins to shut down.
    Shutdown,
    /// The peer ends its side; what it has not sent by now never comes.
    PeerEnds,
}

/// What happens, and how the server is configured.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// What happens, over and over until the peer has sent everything.
    pub(super) events: Vec<Event>,
    /// Whether a missing Host is refused.
    pub(super) strict: bool,
    /// Whether responses carry no Date.
    pub(super) without_date: bool,
}

impl Plan {
    /// Splits an input into its plan, the first line, and the peer's bytes behind it.
    ///
    /// In the plan, letters are bytes that move, twice as many with each letter of the alphabet: `a` is one that
    /// arrives, `b` two; `A` is one that is sent. A digit lets time pass, from a millisecond (`0`) in powers of ten. `^`
    /// is a socket that would block, `_` a visit's end, `!` the peer's end, `%` the server's. `$` makes the server strict and `-` takes its clock away. An empty plan moves everything at once. Any other
    /// byte is ignored.
    pub(super) fn split(input: &[u8]) -> (Plan, &[u8]) {
        let mut plan = Plan::default();
        let Some(line_end) = input.iter().position(|byte| *byte == b'\n') else { return (plan, input) };
        for byte in &input[..line_end] {
            let event = match byte {
                b'a'..=b'z' => Event::Receive(1 << (byte - b'a').min(16)),
                b'A'..=b'Z' => Event::Send(1 << (byte - b'A').min(20)),
                b'0'..=b'9' => Event::Wait(10_u64.pow(u32::from(byte - b'0')) * (SECOND_NS / 1000)),
                b'^' => Event::Blocked(4 * 1024 * 1024),
                b'_' => Event::Park,
                b'%' => Event::Shutdown,
                b'!' => Event::PeerEnds,
                b'$' => {
                    plan.strict = true;
                    continue;
                }
                b'-' => {
                    plan.without_date = true;
                    continue;
                }
                _ => continue,
            };
            plan.events.push(event);
        }
        (plan, &input[line_end + 1..])
    }
}
