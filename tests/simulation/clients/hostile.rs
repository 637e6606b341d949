//! Hostile clients that follow a script for a while and leave.

use crate::simulation::clients::{Client, ClientSocket};

/// What a client sends, piece after piece.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub piece_bytes: usize,
    pub every_ns: u64,
    /// Whether it reads.
    pub reads: bool,
    /// Whether the first byte of each piece is urgent.
    pub is_urgent: bool,
    /// What it does after its last byte.
    pub then: Then,
}

/// What a client does after its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Stays,
    /// It half-closes at once.
    Ends,
    /// It closes without reading, after so long.
    Vanishes(u64),
    Resets(u64),
}

impl Script {
    /// Sends everything at once, reads, and stays.
    pub(crate) fn new(name: &'static str, bytes: Vec<u8>) -> Script {
        let piece_bytes = usize::MAX;
        Script { name, bytes, piece_bytes, every_ns: 0, reads: true, is_urgent: false, then: Then::Stays }
    }
}

/// A client with a script.
pub(crate) struct Hostile {
    script: Script,
    /// When it leaves, if the server has not ended the connection before.
    leaves_ns: u64,
    sent: usize,
    next_ns: u64,
    /// When it sent its last byte.
    sent_ns: Option<u64>,
    has_begun: bool,
    has_left: bool,
}

impl Hostile {
    pub(crate) fn new(script: Script, leaves_ns: u64) -> Hostile {
        Hostile { script, leaves_ns, sent: 0, next_ns: 0, sent_ns: None, has_begun: false, has_left: false }
    }

    fn run_script(&mut self, socket: &mut ClientSocket<'_>) {
        let now_ns = socket.now_ns();
        let Script { bytes, piece_bytes, every_ns, reads, is_urgent, then, .. } = &self.script;
        if *reads {
            socket.read(usize::MAX);
        }
        if self.sent < bytes.len() && now_ns >= self.next_ns {
            let end = self.sent.saturating_add(*piece_bytes).min(bytes.len());
            if *is_urgent {
                socket.next_is_urgent();
            }
            socket.send(&bytes[self.sent..end]);
            (self.sent, self.next_ns) = (end, now_ns + every_ns);
            socket.wake_in(*every_ns);
        }
        if self.sent < bytes.len() {
            return;
        }
        let sent_ns = *self.sent_ns.get_or_insert_with(|| {
            match then {
                Then::Stays => {}
                Then::Ends => socket.end(),
                Then::Vanishes(in_ns) | Then::Resets(in_ns) => socket.wake_in(*in_ns),
            }
            now_ns
        });
        match then {
            Then::Vanishes(in_ns) if now_ns >= sent_ns + in_ns => {
                self.has_left = true;
                socket.close();
            }
            Then::Resets(in_ns) if now_ns >= sent_ns + in_ns => {
                self.has_left = true;
                socket.reset();
            }
            _ => {}
        }
    }
}

impl Client for Hostile {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        if self.has_left {
            return;
        }
        if !self.has_begun {
            self.has_begun = true;
            socket.count(self.script.name);
            let now_ns = socket.now_ns();
            socket.wake_in(self.leaves_ns.saturating_sub(now_ns));
        }
        if socket.now_ns() >= self.leaves_ns || socket.is_lost() {
            self.has_left = true;
            return socket.close();
        }
        self.run_script(socket);
    }

    fn name(&self) -> &'static str {
        self.script.name
    }
}
