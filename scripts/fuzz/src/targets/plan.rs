//! The plan of a connection: what the network, the clock and the operator do, besides the bytes that the client sends.

use spindle::http1::limits::SECOND_NS;

/// A step of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Event {
    /// The connection receives at most so many bytes.
    Receive(usize),
    /// The connection sends at most so many bytes.
    Send(usize),
    /// So many nanoseconds pass.
    Wait(u64),
    /// A write would block; the size of the socket's send buffer, in bytes.
    Blocked(u64),
    /// The connection goes idle.
    Idle,
    /// Graceful shutdown begins.
    Shutdown,
    /// The client half-closes. The bytes that it has not sent yet never arrive.
    HalfClose,
}

/// The events, and the server's settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The events, repeated until the client has sent everything.
    pub(super) events: Vec<Event>,
    /// Whether the server is in strict mode.
    pub(super) strict: bool,
    /// Whether responses have no Date.
    pub(super) without_date: bool,
}

impl Plan {
    /// Splits an input into its plan, which is the first line, and the client's bytes.
    ///
    /// In the plan a letter transfers bytes, twice as many with each letter of the alphabet: `a` receives one, `b` two;
    /// `A` sends one. A digit n lets 10ⁿ milliseconds pass. `^` is a write that would block, `_` goes idle, `!` is the
    /// client's half-close, and `%` begins graceful shutdown. `$` turns on strict mode, and `-` turns off Date. Any
    /// other byte is ignored. An empty plan transfers everything at once.
    pub(super) fn split(input: &[u8]) -> (Plan, &[u8]) {
        let mut plan = Plan::default();
        let Some(line_end) = input.iter().position(|byte| *byte == b'\n') else { return (plan, input) };
        for byte in &input[..line_end] {
            let event = match byte {
                b'a'..=b'z' => Event::Receive(1 << (byte - b'a').min(16)),
                b'A'..=b'Z' => Event::Send(1 << (byte - b'A').min(20)),
                b'0'..=b'9' => Event::Wait(10_u64.pow(u32::from(byte - b'0')) * (SECOND_NS / 1000)),
                b'^' => Event::Blocked(4 * 1024 * 1024),
                b'_' => Event::Idle,
                b'%' => Event::Shutdown,
                b'!' => Event::HalfClose,
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
