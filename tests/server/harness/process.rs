//! Measurements of the server's process, and the limit on descriptors of this one.

use std::fs;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Server, wait_until};

/// The unit in which Linux reports processor time: a hundredth of a second.
const TICK: Duration = Duration::from_millis(10);

impl Server {
    /// The resident memory of the server, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The peak of the server's resident memory, in KiB.
    pub(crate) fn resident_peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, key: &str) -> u64 {
        let status = self.proc_file("status");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line of the status");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// The processor time that the server has used.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = self.proc_file("stat");
        // The name of the program, in parentheses, may contain any character.
        let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
        let field = |index: usize| fields.split(' ').nth(index).and_then(|field| field.parse::<u64>().ok());
        // Fields 14 and 15 of proc_pid_stat(5), which counts from 1. The first one after the name is field 3.
        let ticks = field(11).expect("user time") + field(12).expect("system time");
        TICK * u32::try_from(ticks).expect("less than a year")
    }

    /// Waits for a second in which the server uses almost no processor time. A loop that spins would use all of it.
    pub(crate) fn wait_until_idle(&self) {
        let mut before = self.processor_time();
        wait_until("a second without work", || {
            thread::sleep(Duration::from_secs(1));
            let now = self.processor_time();
            let used = now - std::mem::replace(&mut before, now);
            used <= 2 * TICK
        });
    }

    /// How many descriptors the server has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid().as_raw_nonzero())).expect("a process").count()
    }

    fn proc_file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid().as_raw_nonzero())).expect("a process")
    }
}

/// Raises this process's soft limit on descriptors to the hard limit: it has the clients' ends of thousands of connections
/// open.
pub(crate) fn raise_descriptor_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let limit = getrlimit(Resource::Nofile);
        // If this fails, the tests that need it fail with a clear error.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    });
}
