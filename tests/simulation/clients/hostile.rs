//! Clients that do something else: each does it for a while, and is gone.

use crate::simulation::clients::{Client, Reach};

/// What a client does to the server: it sends bytes, piece after piece.
#[derive(Clone, Debug)]
pub(crate) struct Habit {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub piece_bytes: usize,
    pub every_ns: u64,
    /// Whether it reads what comes.
    pub reads: bool,
    /// Whether the first byte of each piece is urgent.
    pub is_urgent: bool,
    /// What it does when all is sent.
    pub then: Then,
}

/// How a client goes on when it has sent all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Stays,
    /// It sends its end at once, and stays.
    Ends,
    /// It closes without a look at the answer, after so long.
    Vanishes(u64),
    Resets(u64),
}

impl Habit {
    /// Sends all at once, reads and stays.
    pub(crate) fn new(name: &'static str, bytes: Vec<u8>) -> Habit {
        let piece_bytes = usize::MAX;
        Habit { name, bytes, piece_bytes, every_ns: 0, reads: true, is_urgent: false, then: Then::Stays }
    }
}

/// A client with a habit.
pub(crate) struct Hostile {
    habit: Habit,
    /// When it gives up, if the server has not ended it before.
    leaves_ns: u64,
    sent: usize,
    next_ns: u64,
    /// When it has sent all.
    sent_ns: Option<u64>,
    has_begun: bool,
    has_left: bool,
}

impl Hostile {
    pub(crate) fn new(habit: Habit, leaves_ns: u64) -> Hostile {
        Hostile { habit, leaves_ns, sent: 0, next_ns: 0, sent_ns: None, has_begun: false, has_left: false }
    }

    fn misbehave(&mut self, reach: &mut Reach<'_>) {
        let now_ns = reach.now_ns();
        let Habit { bytes, piece_bytes, every_ns, reads, is_urgent, then, .. } = &self.habit;
        if *reads {
            reach.read(usize::MAX);
        }
        if self.sent < bytes.len() && now_ns >= self.next_ns {
            let end = self.sent.saturating_add(*piece_bytes).min(bytes.len());
            if *is_urgent {
                reach.next_is_urgent();
            }
            reach.send(&bytes[self.sent..end]);
            (self.sent, self.next_ns) = (end, now_ns + every_ns);
            reach.wake_in(*every_ns);
        }
        if self.sent < bytes.len() {
            return;
        }
        let sent_ns = *self.sent_ns.get_or_insert_with(|| {
            match then {
                Then::Stays => {}
                Then::Ends => reach.end(),
                Then::Vanishes(in_ns) | Then::Resets(in_ns) => reach.wake_in(*in_ns),
            }
            now_ns
        });
        match then {
            Then::Vanishes(in_ns) if now_ns >= sent_ns + in_ns => {
                self.has_left = true;
                reach.close();
            }
            Then::Resets(in_ns) if now_ns >= sent_ns + in_ns => {
                self.has_left = true;
                reach.reset();
            }
            _ => {}
        }
    }
}

impl Client for Hostile {
    fn act(&mut self, reach: &mut Reach<'_>) {
        if self.has_left {
            return;
        }
        if !self.has_begun {
            self.has_begun = true;
            reach.count(self.habit.name);
            let now_ns = reach.now_ns();
            reach.wake_in(self.leaves_ns.saturating_sub(now_ns));
        }
        if reach.now_ns() >= self.leaves_ns || reach.is_lost() {
            self.has_left = true;
            return reach.close();
        }
        self.misbehave(reach);
    }

    fn name(&self) -> &'static str {
        self.habit.name
    }
}
