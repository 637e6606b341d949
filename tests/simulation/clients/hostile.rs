//! Clients that do something else: each does it for a while, and is gone.

use crate::simulation::clients::{Client, Reach};

/// What a client does to the server.
#[derive(Clone, Debug)]
pub(crate) enum Habit {
    /// Connects, and is silent.
    Silent,
    /// Sends these bytes, and never reads.
    NeverReads(Vec<u8>),
    /// Sends these bytes one piece after the other, with so much time between them, and reads what comes.
    Drips { bytes: Vec<u8>, piece_bytes: usize, every_ns: u64 },
    /// Sends these bytes, and resets the connection after a time.
    Resets { bytes: Vec<u8>, in_ns: u64 },
    /// Sends these bytes, and closes without a look at the answer after a time.
    Vanishes { bytes: Vec<u8>, in_ns: u64 },
}

/// A client with a habit.
pub(crate) struct Hostile {
    habit: Habit,
    /// When it gives up, if the server has not ended it before.
    leaves_ns: u64,
    sent: usize,
    next_ns: u64,
    begun_ns: Option<u64>,
    has_left: bool,
}

impl Hostile {
    pub(crate) fn new(habit: Habit, leaves_ns: u64) -> Hostile {
        Hostile { habit, leaves_ns, sent: 0, next_ns: 0, begun_ns: None, has_left: false }
    }

    fn send_all_once(&mut self, reach: &mut Reach<'_>, bytes: &[u8]) {
        if self.sent == 0 {
            self.sent = bytes.len();
            reach.send(bytes);
        }
    }

    fn misbehave(&mut self, reach: &mut Reach<'_>) {
        let now_ns = reach.now_ns();
        let begun_ns = *self.begun_ns.get_or_insert(now_ns);
        // Taken, and put back behind the match: what it sends may be long.
        let habit = std::mem::replace(&mut self.habit, Habit::Silent);
        match &habit {
            Habit::Silent => {}
            Habit::NeverReads(bytes) => self.send_all_once(reach, bytes),
            &Habit::Drips { ref bytes, piece_bytes, every_ns } => {
                reach.read(usize::MAX);
                if now_ns >= self.next_ns && self.sent < bytes.len() {
                    let end = (self.sent + piece_bytes).min(bytes.len());
                    reach.send(&bytes[self.sent..end]);
                    self.sent = end;
                    self.next_ns = now_ns + every_ns;
                    reach.wake_in(every_ns);
                }
            }
            Habit::Resets { bytes, in_ns } => {
                self.send_all_once(reach, bytes);
                if now_ns >= begun_ns + *in_ns {
                    self.has_left = true;
                    reach.reset();
                }
            }
            Habit::Vanishes { bytes, in_ns } => {
                self.send_all_once(reach, bytes);
                if now_ns >= begun_ns + *in_ns {
                    self.has_left = true;
                    reach.close();
                }
            }
        }
        self.habit = habit;
    }
}

impl Client for Hostile {
    fn act(&mut self, reach: &mut Reach<'_>) {
        if self.has_left {
            return;
        }
        if self.begun_ns.is_none() {
            let now_ns = reach.now_ns();
            if let Habit::Resets { in_ns, .. } | Habit::Vanishes { in_ns, .. } = self.habit {
                reach.wake_in(in_ns);
            }
            reach.wake_in(self.leaves_ns.saturating_sub(now_ns));
        }
        if reach.now_ns() >= self.leaves_ns || reach.is_lost() {
            self.has_left = true;
            return reach.close();
        }
        self.misbehave(reach);
    }

    fn name(&self) -> &'static str {
        match self.habit {
            Habit::Silent => "silent",
            Habit::NeverReads(_) => "never reads",
            Habit::Drips { .. } => "drips",
            Habit::Resets { .. } => "resets",
            Habit::Vanishes { .. } => "vanishes",
        }
    }
}
