//! A file that the server reads again when it is told to, in versions: which one is in the file, and which are in force
//! when.

use fastrand::Rng;

use crate::simulation::event_queue::Event;
use crate::simulation::network::{NetworkState, SECOND};

pub(crate) struct ReloadedFile {
    /// `None` while the file is broken.
    in_file: Option<usize>,
    /// Which versions the server has read, and since when each is in force, in order.
    in_force: Vec<(u64, usize)>,
}

impl ReloadedFile {
    pub(crate) fn new(version: usize) -> ReloadedFile {
        ReloadedFile { in_file: Some(version), in_force: Vec::new() }
    }

    /// Plans so many changes of a file that has `versions`, after each of which the server is told to read it.
    pub(crate) fn plan_changes(
        changes: usize,
        versions: usize,
        event: fn(Option<usize>) -> Event,
        inner: &mut NetworkState,
        random: &mut Rng,
    ) {
        for _ in 0..changes {
            let version = (random.u8(..4) > 0).then(|| random.usize(..versions));
            inner.schedule(random.u64(..60 * SECOND), event(version));
        }
    }

    /// The version in the file; `None` while it is broken.
    pub(crate) fn in_file(&self) -> Option<usize> {
        self.in_file
    }

    /// Changes the file.
    pub(crate) fn write(&mut self, version: Option<usize>) {
        self.in_file = version;
    }

    /// Mends the file, because a server does not start with a broken one.
    pub(crate) fn mend(&mut self) {
        let last = self.in_force.last().map_or(0, |(_, version)| *version);
        self.in_file.get_or_insert(last);
    }

    /// The server has accepted what is in the file.
    pub(crate) fn was_read(&mut self, now_ns: u64) -> Result<(), String> {
        let version = self.in_file.ok_or("a broken file was accepted")?;
        self.in_force.push((now_ns, version));
        Ok(())
    }

    /// The versions that may have been in force at any time since then. A request that was sent in the moment in which the
    /// file was read may have been served just before.
    pub(crate) fn since(&self, since_ns: u64) -> impl Iterator<Item = usize> {
        let first = self.in_force.iter().rposition(|(from_ns, _)| *from_ns < since_ns).unwrap_or(0);
        self.in_force[first..].iter().map(|(_, version)| *version)
    }
}
